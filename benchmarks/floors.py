"""What nobody can avoid: the codec, and one sync of the same bytes."""

from __future__ import annotations

import os
import tempfile
from time import perf_counter

import bson

from benchmarks.documents import Workload

_SAMPLE = 20_000
_SYNCS = 200


def encode(workload: Workload) -> float:
    """Seconds for `bson.encode` of a document."""
    documents = workload.documents[:_SAMPLE]
    started = perf_counter()
    for document in documents:
        bson.encode(document)
    return (perf_counter() - started) / len(documents)


def decode(workload: Workload) -> float:
    """Seconds for `bson.decode` of a document."""
    encoded = [bson.encode(document) for document in workload.documents[:_SAMPLE]]
    started = perf_counter()
    for data in encoded:
        bson.decode(data)
    return (perf_counter() - started) / len(encoded)


def synced_append(workload: Workload) -> float:
    """Seconds for a document's bytes written into a preallocated file and synced."""
    data = bson.encode(workload.documents[0])
    with tempfile.NamedTemporaryFile(dir=os.environ.get("TMPDIR")) as file:
        fd = file.fileno()
        os.pwrite(fd, bytes(len(data) * _SYNCS), 0)
        os.fsync(fd)
        started = perf_counter()
        for number in range(_SYNCS):
            os.pwrite(fd, data, number * len(data))
            os.fdatasync(fd)
        return (perf_counter() - started) / _SYNCS


def encoded_bytes(workload: Workload) -> float:
    """Bytes of BSON of a document."""
    sample = workload.documents[:_SAMPLE]
    return sum(len(bson.encode(document)) for document in sample) / len(sample)
