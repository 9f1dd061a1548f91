"""The log frame by frame, and whether it is whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from cbdd.errors import CorruptDataError
from cbdd.ops.inspection.tree_names import TreeNames
from cbdd.ops.inspection.values import shown_value
from cbdd.ops.recovery.evidence import Evidence
from cbdd.ops.recovery.log_replay import LogLimits, LogReplay, replay_log
from cbdd.ops.recovery.log_scan import FoundFrame, LogScan
from cbdd.storage.frame import COMMIT, FLAG_DURABLE, PART, SEAL, TreeChanges, decode_commit
from cbdd.storage.io import Io, read_exact
from cbdd.storage.meta import Meta
from cbdd.storage.wal import segment_path

_KINDS: Final = {COMMIT: "commit", PART: "part", SEAL: "seal"}
Row = dict[str, Any]


def dump_log(path: str, io: Io | None = None, values: bool = False) -> Iterator[Row]:
    """Every frame that verifies, in the order of the files, and the damage between them.

    A row has kind (commit, part, seal, damage), segment, offset, bytes; frames have lsn, time_us,
    durable, durable_lsn as well, and commits operation and trees: for each tree its number and
    name, whether it is created or dropped, how many keys are put and deleted, and their bytes.

    :param values: keys and values too; without it nothing of a document is shown.
    """
    disk = io or Io()
    names = TreeNames(path)
    with Evidence(disk, disk.resolve(path), is_locked=False) as evidence:
        scan = LogScan(evidence, evidence.metas[0] if evidence.metas else None)
        for number in evidence.segments:
            parts: list[bytes] = []
            for found in scan.frames_of(number):
                if found.damaged_bytes:
                    yield _damage(number, found.offset - found.damaged_bytes, found.damaged_bytes)
                    parts.clear()
                yield _row(found, parts, names, values)
            tail = _tail_of(evidence, scan, number)
            if tail:
                yield _damage(number, scan.ends.get(number, 0), tail)


def verify_log(path: str, io: Io | None = None) -> Row:
    """Whether the log is whole: what the meta page needs of it, and what is proven of it.

    ``code`` is empty for a whole log or none, WAL_TORN_TAIL for an end that nobody was promised,
    and WAL_HOLE, WAL_MISSING where commits are lost.
    """
    disk = io or Io()
    with Evidence(disk, disk.resolve(path), is_locked=False) as evidence:
        meta = evidence.metas[0] if evidence.metas else None
        replay = replay_log(evidence, meta, LogLimits())
        scan = LogScan(evidence, meta)
        damaged: list[Row] = []
        frames = 0
        for number in scan.numbers():
            for found in scan.frames_of(number):
                frames += 1
                if found.damaged_bytes:
                    start = found.offset - found.damaged_bytes
                    damaged.append(_damage(number, start, found.damaged_bytes))
            tail = _tail_of(evidence, scan, number)
            if tail:
                damaged.append(_damage(number, scan.ends.get(number, 0), tail))
        return {
            "code": _code(meta, replay, damaged),
            "segments": len(scan.numbers()),
            "frames": frames,
            "commits": replay.commits,
            "first_lsn": replay.first_lsn,
            "last_lsn": replay.last_lsn,
            "durable_lsn": scan.proven_lsn(),
            "last_commit_us": replay.last_commit_us,
            "damaged": damaged,
            "lost_commits": [each.to_dict() for each in replay.lost],
            "notes": replay.notes,
        }


def _code(meta: Meta | None, replay: LogReplay, damaged: list[Row]) -> str:
    if replay.lost:
        is_missing = replay.lost[0].last_lsn is None
        return "WAL_MISSING" if is_missing else "WAL_HOLE"
    return "WAL_TORN_TAIL" if damaged else ""


def _damage(segment: int, offset: int, length: int) -> Row:
    return {"kind": "damage", "segment": segment, "offset": offset, "bytes": length}


def _tail_of(evidence: Evidence, scan: LogScan, number: int) -> int:
    """Bytes behind the last frame of a segment up to the last that is not zero."""
    end = scan.ends.get(number)
    if end is None:
        return 0
    fd = evidence.io.open(segment_path(evidence.path, number), False, True)
    try:
        size = evidence.io.size(fd)
        return len(read_exact(evidence.io, fd, size - end, end).rstrip(b"\0"))
    finally:
        evidence.io.close(fd)


def _row(found: FoundFrame, parts: list[bytes], names: TreeNames, values: bool) -> Row:
    frame = found.frame
    row: Row = {
        "kind": _KINDS[frame.kind],
        "segment": found.segment,
        "offset": found.offset,
        "bytes": frame.size(),
        "lsn": frame.lsn,
        "time_us": frame.time_us,
        "durable": bool(frame.flags & FLAG_DURABLE),
        "durable_lsn": frame.durable_lsn,
    }
    if frame.kind == PART:
        parts.append(frame.payload)
    elif frame.kind == COMMIT:
        payload = b"".join([*parts, frame.payload])
        parts.clear()
        try:
            operation, changes = decode_commit(payload)
        except CorruptDataError as error:
            row["code"] = error.code
        else:
            row["operation"] = operation
            row["trees"] = [_tree_row(each, names, values) for each in changes]
    return row


def _tree_row(change: TreeChanges, names: TreeNames, values: bool) -> Row:
    puts = {key: value for key, value in change.entries.items() if value is not None}
    row: Row = {
        "tree": change.tree,
        "name": names.name_of(change.tree),
        "created": change.is_created,
        "dropped": change.is_dropped,
        "puts": len(puts),
        "deletes": len(change.entries) - len(puts),
        "bytes": sum(len(key) + len(value) for key, value in puts.items()),
    }
    if values:
        is_document = change.tree in names.records
        row["entries"] = [
            [key.hex(), None if value is None else shown_value(value, is_document)]
            for key, value in change.entries.items()
        ]
    return row
