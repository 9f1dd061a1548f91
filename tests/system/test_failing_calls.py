"""System calls that fail under an unmodified interpreter, by strace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import cbdd
from tests.system.capabilities import needs, why_no_strace

pytestmark = [pytest.mark.recovery, needs(why_no_strace())]

PROGRAM = """
import sys
import cbdd
path = sys.argv[1]
acknowledged = 0
try:
    client = cbdd.connect(path, background=False, checkpoint_log_bytes=20_000)
    for number in range(1, 40):
        client.shop.things.insert_one({"_id": number, "pad": "x" * 900})
        acknowledged = number
        print(number, flush=True)
    client.close()
except cbdd.CbddError as error:
    print("error", error.code, flush=True)
    try:
        client.shop.things.insert_one({"_id": 1000})
        print("went on", flush=True)
    except cbdd.CbddError as again:
        print("again", again.code, flush=True)
"""


def run(path: Path, *inject: str) -> tuple[int, list[str]]:
    """Run the program with calls failing; returns what was acknowledged, and the rest it said."""
    options = [word for one in inject for word in ("-e", f"inject={one}")]
    calls = ",".join(sorted({one.split(":")[0] for one in inject}))
    done = subprocess.run(
        [
            *("strace", "-f", "-o", "/dev/null", "-e", f"trace={calls}", *options),
            *("-P", str(path), "-P", f"{path}-wal-000001", "-P", f"{path}-wal-000002"),
            *(sys.executable, "-c", PROGRAM, str(path)),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    lines = done.stdout.split("\n")
    numbers = [int(line) for line in lines if line.isdigit()]
    return max(numbers, default=0), [line for line in lines if line and not line.isdigit()]


def reopened(path: Path) -> set[int]:
    with cbdd.connect(path) as client:
        assert client.check().is_clean
        return {d["_id"] for d in client.shop.things.find()}


@pytest.mark.parametrize("when", [1, 3, 9])
def test_a_sync_that_fails_is_final(tmp_path: Path, when: int) -> None:
    path = tmp_path / "a.cbdd"
    acknowledged, said = run(path, f"fdatasync:error=EIO:when={when}")
    assert said, "nothing failed"
    found = reopened(path)
    assert set(range(1, acknowledged + 1)) <= found
    assert found <= set(range(1, acknowledged + 2)) | {1000}
    if acknowledged:
        assert said[0] in ("error SYNC_FAILED", "error IO_ERROR"), said
    if said[0] == "error SYNC_FAILED":
        assert said[1] == "again SYNC_FAILED"


@pytest.mark.parametrize(
    "inject",
    [
        "pwrite64:error=ENOSPC:when=12",
        "pwrite64:error=ENOSPC:when=12+",
        "pwrite64:error=EIO:when=20",
        "pread64:error=EIO:when=9",
        "fallocate:error=ENOSPC:when=2+",
        "fallocate:error=EIO:when=2",
        "ftruncate:error=EIO:when=1+",
        "fcntl:error=ENOLCK:when=20+",
        "openat:error=EMFILE:when=3+",
    ],
)
def test_a_call_that_fails_loses_nothing(tmp_path: Path, inject: str) -> None:
    path = tmp_path / "a.cbdd"
    acknowledged, _said = run(path, inject)
    if not path.exists():
        assert acknowledged == 0
        return
    found = reopened(path)
    assert set(range(1, acknowledged + 1)) <= found
    assert found <= set(range(1, acknowledged + 2)) | {1000}


def test_short_writes_are_continued(tmp_path: Path) -> None:
    """A return value of 100 says that so many bytes were taken; none of them were."""
    path = tmp_path / "a.cbdd"
    acknowledged, said = run(path, "pwrite64:delay_enter=10:when=5+")
    assert (acknowledged, said) == (39, [])
    assert reopened(path) == set(range(1, 40))
