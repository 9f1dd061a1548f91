"""What is around a file: processes that have it open, its names, the room on its disk."""

from __future__ import annotations

import os
import time
from typing import Final

from cbdd.codes import INFO, SEV_1, SEV_2, SEV_3
from cbdd.errors import CbddError
from cbdd.ops.diagnosis import Diagnosis, Finding
from cbdd.storage.io import Io
from cbdd.storage.shm import SharedState

PIN_AGE_SECONDS: Final = 600
"""A reader that keeps pages from being reused for longer is worth a warning."""

FULL_DISK_BYTES: Final = 1 << 20
"""A disk with less is as good as full: the log grows by as much at a time."""

_DELETED: Final = " (deleted)"


def look_around(diagnosis: Diagnosis) -> None:
    """Add what is found to a diagnosis; its facts are there if the file could be opened."""
    _look_at_processes(diagnosis)
    _look_for_another_file(diagnosis)
    _look_at_disk(diagnosis)


def _look_at_processes(diagnosis: Diagnosis) -> None:
    processes = diagnosis.facts.get("processes", [])
    if not processes:
        is_refused = any(each.severity == SEV_1 for each in diagnosis.findings)
        if diagnosis.facts.get("is_clean") is False and not is_refused:
            message = "the file was not closed cleanly; the next opening for writing recovers it"
            diagnosis.findings.append(Finding("NOT_CLOSED", INFO, message))
        return
    pids = [each["pid"] for each in processes]
    listed = ", ".join(map(str, pids))
    diagnosis.findings.append(Finding("IN_USE", INFO, f"open in process {listed}", {"pids": pids}))
    now = time.time() * 1_000_000
    for each in processes:
        age = (now - each["pinned_since_us"]) / 1_000_000
        if each["pinned_generation"] and age > PIN_AGE_SECONDS:
            message = f"process {each['pid']} has been reading one snapshot for {age:,.0f} seconds"
            diagnosis.findings.append(
                Finding("PAGES_PINNED", SEV_3, message, {"pids": [each["pid"]]})
            )


def _look_at_disk(diagnosis: Diagnosis) -> None:
    """The file's names and the room on its disk."""
    try:
        names = os.stat(diagnosis.path).st_nlink
        disk = os.statvfs(os.path.dirname(diagnosis.path))
    except OSError:
        return  # what cannot be looked at has been told by opening it
    if names > 1 and diagnosis.can_open:
        message = f"the file has {names} names; writers refuse it until one is left"
        diagnosis.findings.append(Finding("HARD_LINKED", SEV_3, message))
    free = disk.f_bavail * disk.f_frsize
    diagnosis.facts["disk_free_bytes"] = free
    if diagnosis.can_open and free < FULL_DISK_BYTES:
        message = f"{free:,} bytes are left on the disk"
        diagnosis.findings.append(Finding("DISK_FULL", SEV_2, message))


def _look_for_another_file(diagnosis: Diagnosis) -> None:
    """Processes that still have a file open that had this name before."""
    try:
        mine = os.stat(diagnosis.path)
        pids = _noted_pids(f"{diagnosis.path}-shm")
    except (OSError, CbddError):
        return  # no shared state that could be read, so nobody is noted in it
    others = [pid for pid in pids if _has_another(pid, diagnosis.path, mine)]
    if others:
        listed = ", ".join(map(str, others))
        message = (
            f"process {listed} has another file open that was at {diagnosis.path} before: the file "
            "was replaced, and what that process writes is not in it"
        )
        diagnosis.findings.append(Finding("FILE_REPLACED", SEV_1, message, {"pids": others}))


def openers(path: str) -> list[int]:
    """The processes that have the file of this name open, as far as that may be looked at."""
    try:
        mine = os.stat(path)
        running = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    return [pid for pid in running if pid != os.getpid() and _has_open(pid, mine)]


def _has_open(pid: int, mine: os.stat_result) -> bool:
    folder = f"/proc/{pid}/fd"
    try:
        for name in os.listdir(folder):
            opened = os.stat(f"{folder}/{name}")
            if (opened.st_dev, opened.st_ino) == (mine.st_dev, mine.st_ino):
                return True
    except OSError:
        return False  # gone, or another user's
    return False


def _noted_pids(path: str) -> list[int]:
    """The processes that a shared state names, alive or not."""
    io = Io()
    fd = io.open(path, False, True)
    try:
        return [slot.pid for slot in SharedState(io, fd, path).slots() if slot.pid]
    finally:
        io.close(fd)


def _has_another(pid: int, path: str, mine: os.stat_result) -> bool:
    """Whether a process has a file open under this name that is not the one there now."""
    folder = f"/proc/{pid}/fd"
    try:
        for name in os.listdir(folder):
            target = os.readlink(f"{folder}/{name}")
            if target.removesuffix(_DELETED) == path:
                opened = os.stat(f"{folder}/{name}")
                if (opened.st_dev, opened.st_ino) != (mine.st_dev, mine.st_ino):
                    return True
    except OSError:
        return False  # gone, or another user's
    return False
