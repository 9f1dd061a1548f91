"""Scan a database far larger than its cache and say how much memory that took.

``python -m tests.soak.memory FILE MEGABYTES CACHE_MEGABYTES`` builds the file, then scans it in a
process of its own and prints the peak resident memory of the scan in MiB.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys

import cbdd

DOCUMENT_BYTES = 2000


def build(path: str, megabytes: int, cache_megabytes: int) -> None:
    """Fill the file to at least ``megabytes``."""
    source = random.Random(1)
    with cbdd.connect(path, durability="off", cache_size_bytes=cache_megabytes << 20) as client:
        documents = client["big"]["documents"]
        documents.create_index("n")
        number = 0
        while os.path.getsize(path) < megabytes << 20:
            batch = []
            for _ in range(1000):
                number += 1
                batch.append(
                    {
                        "n": source.randrange(1 << 40),
                        "v": source.randbytes(DOCUMENT_BYTES),
                    }
                )
            documents.insert_many(batch)


def scan(path: str, cache_megabytes: int) -> int:
    """Read every document once; returns how many there were."""
    with cbdd.connect(path, must_exist=True, cache_size_bytes=cache_megabytes << 20) as client:
        documents = client["big"]["documents"]
        total = sum(1 for _ in documents.find({"n": {"$gte": 0}}, hint=[("$natural", 1)]))
        assert total == documents.estimated_document_count()
        return total


def peak_of_this_process() -> float:
    """Peak resident memory since this program was started, MiB.

    Not getrusage: its ru_maxrss keeps what the parent had before fork, so a large test process
    would be measured instead of the scan.
    """
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    raise RuntimeError("this kernel does not report VmHWM")


def peak_of_scan(path: str, cache_megabytes: int) -> float:
    """Peak resident memory of a scan in a fresh process, MiB."""
    command = [
        sys.executable,
        "-m",
        "tests.soak.memory",
        "scan",
        path,
        str(cache_megabytes),
    ]
    return float(subprocess.run(command, check=True, capture_output=True).stdout)


if __name__ == "__main__":
    if sys.argv[1] == "scan":
        scan(sys.argv[2], int(sys.argv[3]))
        sys.stdout.write(f"{peak_of_this_process():.1f}")
    else:
        build(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
        sys.stdout.write(f"{peak_of_scan(sys.argv[1], int(sys.argv[3])):.1f} MiB\n")
