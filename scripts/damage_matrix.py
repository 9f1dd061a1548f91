"""What one fault does: a table for docs/reliability.md.

    python scripts/damage_matrix.py [--seed 1] [--variants 12] [--states 200] [--write] [--json]

The first part puts the same faults into real files of CBDD, SQLite, LMDB and RocksDB, as far as
they are installed, after synced commits and a SIGKILL; each copy is judged in a process of its own.
A cell is the worst of its variants. The second part is CBDD alone: many damaged copies of every
class, in memory. The exit code is 1 when CBDD shows a silent outcome anywhere.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from damage_engines import ENGINES, Engine

from cbdd.build_info import build_kind
from cbdd.testing import damage

WORST = ["intact", "recorded", "error", "killed", "hangs", "silent"]
WORDS = {
    "intact": "intact",
    "recorded": "intact, recorded",
    "error": "error",
    "killed": "**kills the process**",
    "hangs": "**hangs**",
    "silent": "**silent**",
}
SCRIPT = str(Path(__file__).with_name("damage_engines.py"))
REPORT = Path(__file__).resolve().parents[1] / "docs" / "reliability.md"
BEGIN, END = "<!-- damage matrix -->", "<!-- end of the damage matrix -->"

Fault = Callable[[Engine, Path, Path, random.Random], bool]


def change(path: Path, make: Callable[[bytes], bytes]) -> bool:
    """Rewrite a file; False when there is nothing to change."""
    if not path.exists() or not path.stat().st_size:
        return False
    path.write_bytes(make(path.read_bytes()))
    return True


def flip(data: bytes, first: int, end: int, source: random.Random) -> bytes:
    return damage.flipped(data, source.randrange(first * 8, end * 8))


def in_log(make: Callable[[bytes, random.Random], bytes]) -> Fault:
    def fault(engine: Engine, folder: Path, other: Path, source: random.Random) -> bool:
        del other
        log = engine.log_file(folder)
        return log is not None and change(log, lambda data: make(data, source))

    return fault


def in_file(make: Callable[[bytes, random.Random], bytes]) -> Fault:
    def fault(engine: Engine, folder: Path, other: Path, source: random.Random) -> bool:
        del other
        return change(engine.main_file(folder), lambda data: make(data, source))

    return fault


def foreign_log(engine: Engine, folder: Path, other: Path, source: random.Random) -> bool:
    del source
    mine, theirs = engine.log_file(folder), engine.log_file(other)
    if mine is None or theirs is None:
        return False
    shutil.copyfile(theirs, mine)
    return True


def missing_log(engine: Engine, folder: Path, other: Path, source: random.Random) -> bool:
    del other, source
    log = engine.log_file(folder)
    if log is not None:
        log.unlink()
    return log is not None


def value_flip(engine: Engine, folder: Path, other: Path, source: random.Random) -> bool:
    """One bit in the middle of a stored value, wherever that is."""
    from damage_engines import CLOSED, value_of

    del other
    numbers = [n for n in range(CLOSED) if n % 2 == 0]
    source.shuffle(numbers)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        for number in numbers:
            at = data.find(value_of(number)[40:60])
            if at >= 0:
                path.write_bytes(flip(data, at, at + 20, source))
                return True
    return False


def used(data: bytes) -> int:
    return max(1, len(data.rstrip(b"\0")))


def swapped(data: bytes, source: random.Random) -> bytes:
    pages = len(data) // 4096
    one, two = source.sample(range(1, max(3, pages)), 2)
    a, b = (data[n * 4096 : (n + 1) * 4096] for n in (one, two))
    return damage.replaced(damage.replaced(data, one * 4096, b), two * 4096, a)


def zeroed(data: bytes, source: random.Random) -> bytes:
    page = source.randrange(max(1, used(data) // 4096))
    return damage.replaced(data, page * 4096, bytes(min(4096, len(data) - page * 4096)))


FAULTS: dict[str, Fault] = {
    "one bit flipped in the log": in_log(lambda data, s: flip(data, 0, used(data), s)),
    "one bit flipped in a value": value_flip,
    "one bit flipped in the file": in_file(lambda data, s: flip(data, 0, used(data), s)),
    "log of another database": foreign_log,
    "log deleted": missing_log,
    "log cut in the middle": in_log(lambda data, s: data[: s.randrange(1, used(data))]),
    "512 bytes of the log zeroed": in_log(
        lambda data, s: damage.replaced(data, s.randrange(used(data)), bytes(512))[: len(data)]
    ),
    "garbage after the log": in_log(lambda data, s: data + s.randbytes(5000)),
    "file halved": in_file(lambda data, s: data[: len(data) // 2]),
    "file cut at a page": in_file(
        lambda data, s: data[: 4096 * s.randrange(1, max(2, used(data) // 4096))]
    ),
    "file cut to 0 bytes": in_file(lambda data, s: b""),
    "4 KiB of the file zeroed": in_file(zeroed),
    "two 4 KiB blocks swapped": in_file(swapped),
}


class Bench:
    """Two killed databases of each engine, and the judging of damaged copies."""

    def __init__(self, root: Path, seed: int, variants: int) -> None:
        self._root = root
        self._seed = seed
        self._variants = variants
        self._count = 0
        self.engines = [engine for engine in ENGINES if engine.is_installed()]
        for engine in self.engines:
            for which in ("mine", "other"):
                folder = root / engine.name / which
                folder.mkdir(parents=True)
                subprocess.run(
                    [sys.executable, SCRIPT, "make", engine.name, str(folder), which],
                    check=False,
                    capture_output=True,
                    timeout=120,
                )

    def judge(self, engine: Engine, name: str) -> Counter[str]:
        """Outcomes of all variants of one fault; empty where it does not apply."""
        counts: Counter[str] = Counter()
        folders: list[Path] = []
        for number in range(self._variants):
            self._count += 1
            folder = self._root / f"copy-{self._count}"
            shutil.copytree(self._root / engine.name / "mine", folder)
            source = random.Random(f"{self._seed}:{name}:{number}")
            other = self._root / engine.name / "other"
            if FAULTS[name](engine, folder, other, source):
                folders.append(folder)
            else:
                shutil.rmtree(folder)
        with ThreadPoolExecutor(2) as pool:
            counts.update(pool.map(lambda folder: self._look(engine, folder), folders))
        return counts

    def _look(self, engine: Engine, folder: Path) -> str:
        try:
            done = subprocess.run(
                [sys.executable, SCRIPT, "judge", engine.name, str(folder)],
                check=False,
                capture_output=True,
                text=True,
                timeout=60,
            )
        except subprocess.TimeoutExpired:
            return "hangs"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if done.returncode < 0 or not done.stdout:
            return "killed"
        return done.stdout.split()[0]


def compare(seed: int, variants: int) -> dict[str, dict[str, Counter[str]]]:
    """Outcomes by fault and engine."""
    table: dict[str, dict[str, Counter[str]]] = {}
    with tempfile.TemporaryDirectory(prefix="cbdd-matrix-") as root:
        bench = Bench(Path(root), seed, variants)
        for name in FAULTS:
            print(f"{name} ...", file=sys.stderr, flush=True)
            table[name] = {engine.name: bench.judge(engine, name) for engine in bench.engines}
    return table


def in_depth(seed: int, states: int) -> dict[str, Counter[str]]:
    """CBDD alone: outcomes by class of damage."""
    table: dict[str, Counter[str]] = {}
    for name in damage.CLASSES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        table[name] = Counter()
        for specimen in damage.specimens(seed).values():
            for damaged in damage.damages(specimen, name, seed, states):
                verdict = damage.judge(damaged.files, specimen.documents)
                table[name][verdict.outcome] += 1
                if verdict.outcome == damage.SILENT:
                    print(f"SILENT: seed {seed}, {damaged}: {verdict.wrong}", file=sys.stderr)
    return table


def cell(counts: Counter[str]) -> str:
    if not counts:
        return "no log"
    worst = max(counts, key=WORST.index)
    total = sum(counts.values())
    share = f" ({counts[worst]} of {total})" if counts[worst] < total else ""
    return WORDS[worst] + share


def markdown(
    compared: dict[str, dict[str, Counter[str]]], deep: dict[str, Counter[str]], seed: int
) -> str:
    names = [engine.name for engine in ENGINES]
    lines = [
        f"| fault | {' | '.join(names)} |",
        "|---" * (len(names) + 1) + "|",
    ]
    for fault, row in compared.items():
        cells = [cell(row[name]) if name in row else "not installed" for name in names]
        lines.append(f"| {fault} | {' | '.join(cells)} |")
    states = sum(sum(row["CBDD"].values()) for row in compared.values())
    total = sum(sum(counts.values()) for counts in deep.values())
    lines += [
        "",
        f"Each cell is the worst of its variants ({states} damaged copies of CBDD's files here).",
        f"CBDD in depth: {total} damaged copies, seed {seed}, by what came of them:",
        "",
        "| damage | copies | intact | intact, recorded | error | silent |",
        "|---|---|---|---|---|---|",
    ]
    for name, counts in deep.items():
        numbers = [sum(counts.values()), *(counts[outcome] for outcome in damage.OUTCOMES)]
        lines.append(f"| {name} | {' | '.join(str(number) for number in numbers)} |")
    return "\n".join(lines)


def write_report(text: str) -> None:
    """Put the tables between their marks in docs/reliability.md."""
    page = REPORT.read_text()
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    REPORT.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--variants", type=int, default=12, help="of each fault in real files")
    parser.add_argument("--states", type=int, default=200, help="of each class and specimen")
    parser.add_argument("--write", action="store_true", help="into docs/reliability.md")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    compared = compare(chosen.seed, chosen.variants)
    deep = in_depth(chosen.seed, chosen.states)
    silent = sum(row["CBDD"][bad] for row in compared.values() for bad in WORST[3:])
    silent += sum(counts[damage.SILENT] for counts in deep.values())
    text = markdown(compared, deep, chosen.seed)
    if chosen.json:
        print(json.dumps({"build": build_kind(), "compared": compared, "in_depth": deep}, indent=2))
    else:
        print(text)
        print(f"\nCBDD, {build_kind()}: {silent} silent outcomes")
    if chosen.write:
        write_report(text)
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main())
