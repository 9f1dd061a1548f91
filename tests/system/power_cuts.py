"""Power cuts of real file systems: ext4 and XFS on loop devices, shut down by their own ioctl.

    python -m tests.system.power_cuts --cuts 500 --seed 1 [--only ext4] [--json]

Writers commit to a file on the mounted file system and say what was acknowledged. At a random
moment the file system is shut down without writing anything more (some times after its log was
flushed), as if the power had gone; the writers die, it is mounted again, its journal is replayed,
and a fresh process checks that every durable commit is there, none in part, none that nobody began,
and that `check` is clean. Needs root, loop devices and mkfs; what a machine cannot do is skipped
with a line that says so.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.soak.ledger import Child, Promises, fail, judge, look, prepare, run, write

SHUTDOWN = 0x8004587D
LOG_FLUSH, NO_LOG_FLUSH = 1, 2
MEGABYTES = {"ext4": 48, "xfs": 320}
SETTINGS = [
    ("ext4", "data=ordered"),
    ("ext4", "data=writeback"),
    ("ext4", "data=journal"),
    ("ext4", "noauto_da_alloc,nobarrier"),
    ("ext4", "nodelalloc"),
    ("xfs", "defaults"),
    ("xfs", "wsync"),
    ("xfs", "largeio,allocsize=64k"),
]
CUTS_PER_MOUNT = 12
WRITERS = 2


def why_not() -> str:
    """Why this machine cannot do it; empty when it can."""
    if not sys.platform.startswith("linux"):
        return "not Linux"
    if os.geteuid() != 0:
        return "not root"
    if not any(Path(folder, "mkfs.ext4").exists() for folder in ("/sbin", "/usr/sbin", "/bin")):
        return "no mkfs.ext4"
    if not Path("/dev/loop-control").exists():
        return "no loop devices"
    with tempfile.TemporaryDirectory() as folder:
        try:
            device = Device(folder, "ext4", "data=ordered")
        except subprocess.CalledProcessError as error:
            return f"cannot mount: {(error.stderr or b'').decode().strip()}"
        try:
            device.cut(NO_LOG_FLUSH)
        except OSError as error:
            return f"no shutdown ioctl: {error}"
        finally:
            device.remove()
    return ""


def command(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


class Device:
    """A file system in a file, mounted with options."""

    def __init__(self, folder: str, kind: str, options: str) -> None:
        self.kind = kind
        self.options = options
        self.image = f"{folder}/image"
        self.point = f"{folder}/mounted"
        os.makedirs(self.point, exist_ok=True)
        with open(self.image, "wb") as file:
            file.truncate(MEGABYTES[kind] << 20)
        if kind == "ext4":
            command("mkfs.ext4", "-q", "-F", self.image)
        else:
            command("mkfs.xfs", "-q", "-f", self.image)
        self.is_mounted = False
        self.mount()

    def mount(self) -> None:
        command("mount", "-o", f"loop,{self.options}", self.image, self.point)
        self.is_mounted = True

    def cut(self, how: int) -> None:
        fd = os.open(self.point, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", how))
        finally:
            os.close(fd)

    def unmount(self) -> None:
        for attempt in range(100):
            done = subprocess.run(["umount", self.point], check=False, capture_output=True)
            if done.returncode == 0:
                self.is_mounted = False
                return
            time.sleep(0.01 * (attempt + 1))
        command("umount", "-l", self.point)

    def remove(self) -> None:
        if self.is_mounted:
            self.unmount()


def cut_once(device: Device, promises: list[Promises], seed: int, how: int) -> int:
    """Write, cut, mount again and judge; returns how many commits were acknowledged."""
    source = random.Random(seed)
    path = f"{device.point}/app.cbdd"
    children = [
        Child(lambda say, w=writer: write(path, w, seed * 10 + w, say))  # type: ignore[misc]
        for writer in range(WRITERS)
    ]
    before = sum(said.acknowledged for said in promises)
    try:
        # Commits are a few milliseconds apart; a cut can come between any two calls.
        time.sleep(0.03 + source.random() * source.choice([0.02, 0.2, 0.4]))
        device.cut(how)
    finally:
        for writer, child in enumerate(children):
            for line in child.kill():
                if not line.startswith("error "):  # of a file system that is gone
                    promises[writer].hear(line)
    device.unmount()
    device.mount()
    found = json.loads(run(lambda say: look(path, WRITERS, say))[-1])
    where = f"{device.kind} {device.options}, seed {seed}, shutdown {how}"
    judge(found["counters"], promises, True, where)
    for writer, number in enumerate(found["counters"]):
        promises[writer] = Promises()
        promises[writer].hear(f"b {number}")
        promises[writer].hear(f"a {number} 1")
    return max(0, sum(said.acknowledged for said in promises) - before)


def run_cuts(cuts: int, seed: int, only: str = "", quiet: bool = True) -> tuple[Counter[str], int]:
    """Cut the power so many times over all settings; returns cuts by setting, and commits.

    :raises AssertionError: a durable commit is gone, or there is something else wrong.
    """
    counts: Counter[str] = Counter()
    commits = done = 0
    settings = [setting for setting in SETTINGS if only in ("", setting[0])]
    skipped: set[tuple[str, str]] = set()
    round_number = 0
    while done < cuts and len(skipped) < len(settings):
        kind, options = settings[round_number % len(settings)]
        round_number += 1
        if (kind, options) in skipped:
            continue
        with tempfile.TemporaryDirectory(prefix="cbdd-cuts-") as folder:
            try:
                device = Device(folder, kind, options)
            except (subprocess.CalledProcessError, FileNotFoundError) as error:
                skipped.add((kind, options))
                counts[f"skipped: {kind} {options}"] = 1
                print(f"skipped: {kind} {options}: {error}", file=sys.stderr)
                continue
            try:
                promises = [Promises() for _ in range(WRITERS)]
                path = f"{device.point}/app.cbdd"
                run(lambda say, p=path: prepare(p))  # type: ignore[misc]
                for _ in range(min(CUTS_PER_MOUNT, cuts - done)):
                    seed += 1
                    how = LOG_FLUSH if seed % 4 == 0 else NO_LOG_FLUSH
                    commits += cut_once(device, promises, seed, how)
                    counts[f"{kind} {options}"] += 1
                    done += 1
            finally:
                device.remove()
        if not quiet:
            print(f"{done} cuts, {commits} commits", file=sys.stderr, flush=True)
    return counts, commits


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=["", "ext4", "xfs"], default="")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    reason = why_not()
    if reason:
        print(f"skipped, no power cuts on this machine: {reason}")
        return 0
    began = time.monotonic()
    try:
        counts, commits = run_cuts(chosen.cuts, chosen.seed, chosen.only, chosen.json)
    except AssertionError as error:
        return fail("power cuts", error)
    done = sum(count for name, count in counts.items() if not name.startswith("skipped"))
    seconds = round(time.monotonic() - began, 1)
    if chosen.json:
        print(json.dumps({"cuts": counts, "total": done, "commits": commits, "seconds": seconds}))
    else:
        for name, count in sorted(counts.items()):
            print(f"{count:6} {name}")
        print(f"{done} power cuts in {seconds} s, {commits} commits acknowledged, none lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
