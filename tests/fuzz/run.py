"""Fuzz the decoders and parsers, each for some seconds.

    python -m tests.fuzz.run --seconds 60 [--target open] [--seed 1]

Guided by coverage where atheris is installed, else by blind mutation of the corpus. An input that
makes a target raise, hang for more than seconds, or take more than 64 MiB is kept in the corpus and
ends the run of that target with exit code 1; `tests/fuzz/test_corpus.py` replays the corpus.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import random
import re
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

CORPUS = Path(__file__).with_name("corpus")
LONGEST_SECONDS = 5
MEMORY_BYTES = 1 << 30


class HangError(BaseException):
    """A target took too long."""


def limited(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """The target with a deadline, which raises in the middle of it."""

    def late(_number: int, _frame: FrameType | None) -> None:
        raise HangError(f"more than {LONGEST_SECONDS} s")

    def run(data: bytes) -> None:
        signal.signal(signal.SIGALRM, late)
        signal.alarm(LONGEST_SECONDS)
        try:
            target(data)
        finally:
            signal.alarm(0)

    return run


def seeds_of(name: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))] or [b"\0" * 32]


def keep(name: str, data: bytes) -> Path:
    """Put an input into the corpus."""
    path = CORPUS / name / hashlib.sha256(data).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def mutated(data: bytes, others: list[bytes], source: random.Random) -> bytes:
    """A neighbour of an input."""
    result = bytearray(data)
    for _ in range(source.choice([1, 1, 2, 4, 8])):
        choice = source.random()
        at = source.randrange(len(result) + 1)
        if choice < 0.35 and result:
            result[at % len(result)] = source.randrange(256)
        elif choice < 0.5 and result:
            result[at % len(result)] ^= 1 << source.randrange(8)
        elif choice < 0.65:
            result[at:at] = source.randbytes(source.choice([1, 2, 4, 8]))
        elif choice < 0.8:
            del result[at : at + source.randrange(1, 9)]
        elif choice < 0.9:
            extreme = source.choice([b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80"])
            result[at : at + 4] = extreme
        else:
            other = source.choice(others)
            start = source.randrange(len(other) + 1)
            result[at:at] = other[start : start + source.randrange(1, 40)]
    return bytes(result[:6000])


def fuzz_blindly(name: str, seconds: float, seed: int) -> tuple[int, str]:
    """Mutate the corpus; returns how many inputs were tried, and what failed."""
    from tests.fuzz.targets import TARGETS

    target = limited(TARGETS[name])
    source = random.Random(f"{seed}:{name}")
    corpus = seeds_of(name)
    end = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end:
        data = source.choice(corpus)
        if source.random() < 0.9:
            data = mutated(data, corpus, source)
        else:
            data = source.randbytes(source.randrange(200))
        count += 1
        try:
            target(data)
        except BaseException:
            return count, f"{keep(name, data).name}: {traceback.format_exc()}"
        if len(corpus) < 500 and count % 50 == 0:
            corpus.append(data)
    return count, ""


def fuzz_guided(name: str, seconds: float, seed: int) -> tuple[int, str]:
    """Run atheris in a process of its own; returns executions, and what failed."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz.guided", name, str(CORPUS / name)),
            *(f"-max_total_time={int(seconds)}", f"-seed={seed}", "-timeout=10"),
            *("-rss_limit_mb=1500", "-print_final_stats=1", f"-artifact_prefix={CORPUS}/{name}/"),
        ],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
    )
    found = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    count = int(found[1]) if found else 0
    if done.returncode:
        return count, "\n".join(done.stderr.splitlines()[-40:])
    return count, ""


def main() -> int:
    from tests.fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="for each target")
    parser.add_argument("--target", choices=[*TARGETS], action="append")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--blind", action="store_true", help="without atheris")
    chosen = parser.parse_args()
    is_guided = importlib.util.find_spec("atheris") is not None and not chosen.blind
    if not is_guided:
        print("not guided by coverage: atheris is not installed or not wanted")
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES * 2, MEMORY_BYTES * 2))
    failed = 0
    for name in chosen.target or TARGETS:
        (CORPUS / name).mkdir(parents=True, exist_ok=True)
        fuzz = fuzz_guided if is_guided else fuzz_blindly
        count, failure = fuzz(name, chosen.seconds, chosen.seed)
        failed += bool(failure)
        print(f"{count:9} inputs, {'FAILED' if failure else 'no failure'}: {name}", flush=True)
        if failure:
            print(failure)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
