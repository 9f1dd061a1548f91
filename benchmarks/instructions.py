"""The performance guard: instructions of ten core operations, compared with those on record.

    python -m benchmarks.instructions [--update] [--json FILE]

Time is noisy, on shared machines above all; instructions are not. They are counted by valgrind's
callgrind, and kept in instructions.json for each Python and machine, since another compiler or
another Python makes other code. An operation may cost a tenth more than on record. One that costs a
tenth less is told, too: `--update` puts it on record, so that the gain is not lost unnoticed.

Exit codes: 0 nothing costs more, 1 something does, 3 it cannot be judged: there is no valgrind, the
core is not compiled, or nothing is on record for this Python and machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from benchmarks.one_operation import OPERATIONS
from cbdd.build_info import build_kind

RECORD: Final = Path(__file__).with_name("instructions.json")
BAND: Final = 0.10
KEPT: Final = 0
MORE: Final = 1
UNKNOWN: Final = 3
_PROGRAM: Final = Path(__file__).with_name("one_operation.py")
_COLLECTED: Final = re.compile(r"Collected : (\d+)")
_TIMES: Final = {"read all": 10, "scan selecting 1 %": 50, "insert many (100)": 10}
_MOST_TIMES: Final = 300


def count(name: str, times: int) -> int:
    """Instructions of a process that does an operation so many times."""
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [
                *("valgrind", "--tool=callgrind", f"--callgrind-out-file={scratch}/out"),
                *(sys.executable, "-P", "-s", str(_PROGRAM), name, str(times)),
            ],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONHASHSEED": "0", "TMPDIR": scratch},
        )
    found = _COLLECTED.search(done.stderr)
    if done.returncode != 0 or found is None:
        raise SystemExit(f"valgrind failed for {name}:\n{done.stderr[-2000:]}")
    return int(found[1])


def measure() -> dict[str, int]:
    """Instructions of each operation, once; two at a time, which does not change what they are."""
    found: dict[str, int] = {}
    with ThreadPoolExecutor(2) as workers:
        none = workers.submit(count, next(iter(OPERATIONS)), 0)
        counts = {
            name: workers.submit(count, name, _TIMES.get(name, _MOST_TIMES)) for name in OPERATIONS
        }
        for name, counting in counts.items():
            times = _TIMES.get(name, _MOST_TIMES)
            found[name] = (counting.result() - none.result()) // times
            print(f"{name:22} {found[name]:12,}", flush=True)
    return found


def judge(measured: dict[str, int], recorded: dict[str, int]) -> tuple[list[str], list[str]]:
    """Tell what costs more than it may, and what costs much less than on record."""
    more: list[str] = []
    less: list[str] = []
    for name, now in measured.items():
        before = recorded.get(name)
        if before is None:
            more.append(f"{name}: nothing is on record")
            continue
        change = f"{name}: {now:,} instructions, {now / before - 1:+.1%} ({before:,} on record)"
        if now > before * (1 + BAND):
            more.append(change)
        elif now < before * (1 - BAND):
            less.append(change)
    return more, less


def this_machine() -> str:
    """What the record depends on."""
    compiler = platform.python_compiler()
    return f"{platform.python_implementation()} {platform.python_version()}, {compiler}, " + (
        platform.machine()
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and compare or record."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.instructions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--update", action="store_true", help="put what is measured on record")
    parser.add_argument("--json", type=Path, help="write what was measured to this file")
    options = parser.parse_args(arguments)
    recorded = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    machine = this_machine()
    if build_kind() != "compiled":
        print("not judged: the core is not compiled")
        return UNKNOWN
    if shutil.which("valgrind") is None:
        print("not judged: there is no valgrind")
        return UNKNOWN
    if machine not in recorded and not options.update:
        print(f"not judged: nothing is on record for {machine}; --update records it")
        return UNKNOWN
    measured = measure()
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    if options.update:
        recorded[machine] = measured
        RECORD.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")
        print(f"recorded for {machine}")
        return KEPT
    more, less = judge(measured, recorded[machine])
    for each in more:
        print(f"costs more: {each}")
    for each in less:
        print(f"costs less, put it on record: {each}")
    print("nothing costs more than it may" if not more else "some cost more than they may")
    return MORE if more else KEPT


if __name__ == "__main__":
    sys.exit(main())
