"""One page, decoded: its header, whether it verifies, and what is in it."""

from __future__ import annotations

from typing import Any, Final

from cbdd.errors import CbddError, UsageError
from cbdd.ops.inspection.tree_names import TreeNames
from cbdd.ops.inspection.values import shown_value
from cbdd.ops.recovery.evidence import Evidence
from cbdd.storage.io import Io, read_exact
from cbdd.storage.meta import HEADER_REGION_BYTES, Meta, MetaCopy
from cbdd.storage.page import (
    BRANCH,
    HEADER,
    HEADER_BYTES,
    KIND_NAMES,
    LEAF,
    Run,
    checksum_of,
    reference,
    reference_page,
)
from cbdd.storage.pager import Pager

_CACHE_BYTES: Final = 1 << 20
_META_FIELDS: Final = (
    "min_reader",
    "min_writer",
    "page_size",
    "uuid",
    "generation",
    "is_clean",
    "page_count",
    "checkpoint_lsn",
    "directory_page",
    "directory_checksum",
    "directory_count",
    "freelist_page",
    "freelist_length",
    "freelist_checksum",
    "first_segment",
    "first_salt",
    "next_segment",
    "timeline",
    "written_us",
    "created_us",
    "chain",
    "may_ignore",
    "must_not_write",
    "must_not_read",
    "writer_version",
)
Row = dict[str, Any]


def view_page(
    path: str, page: int, io: Io | None = None, values: bool = False, hexdump: bool = False
) -> Row:
    """A page of a file, damaged or not.

    Pages in the first 64 KiB are shown as the copies of the meta page in them.

    :param values: keys and values too; without it nothing of a document is shown.
    :param hexdump: the bytes of the header; with ``values`` those of the whole page.
    :raises UsageError: there is no such page.
    """
    disk = io or Io()
    names = TreeNames(path)
    with Evidence(disk, disk.resolve(path), is_locked=False) as evidence:
        size = evidence.page_size
        if not 0 <= page < evidence.page_count():
            raise UsageError(
                "OPTION",
                f"{path} has {evidence.page_count()} pages, there is no page {page}",
                "name a page from 0 on",
            )
        data = read_exact(disk, evidence.fd, size, page * size)
        row: Row = {"page": page, "offset": page * size, "page_size": size}
        if page * size < HEADER_REGION_BYTES:
            row["kind"] = "meta region"
            row["copies"] = [
                _meta_row(copy)
                for copy in evidence.copies
                if page * size <= copy.offset < (page + 1) * size
            ]
        else:
            row |= _page_row(evidence, page, data, names, values)
        if hexdump:
            row["hex"] = data.hex() if values else data[:HEADER_BYTES].hex()
        return row


def _meta_row(copy: MetaCopy) -> Row:
    row: Row = {"slot": copy.slot, "offset": copy.offset, "status": copy.status}
    if copy.meta is not None:
        row["meta"] = meta_facts(copy.meta)
    return row


def meta_facts(meta: Meta) -> Row:
    """The fields of a meta page for JSON."""
    facts: Row = {name: getattr(meta, name) for name in _META_FIELDS}
    facts["uuid"] = meta.uuid.hex()
    for name in ("directory_checksum", "freelist_checksum", "chain", "first_salt", "timeline"):
        facts[name] = f"{facts[name]:016x}"
    return facts


def _page_row(evidence: Evidence, page: int, data: bytes, names: TreeNames, values: bool) -> Row:
    if len(data) < HEADER_BYTES or not any(data):
        return {"kind": "empty" if len(data) >= HEADER_BYTES else "cut", "verifies": False}
    fields = HEADER.unpack_from(data, 0)
    checksum, kind, entries = fields[0], fields[1], fields[4]
    row: Row = {
        "kind": KIND_NAMES.get(kind, f"unknown kind {kind}"),
        "entries": entries,
        "number": fields[5],
        "generation": fields[6],
        "tree": fields[7],
        "of": names.name_of(fields[7]),
        "level": fields[8],
        "prefix": fields[9],
        "used": fields[10],
        "checksum": f"{checksum:016x}",
    }
    if kind in (LEAF, BRANCH):
        row["verifies"] = checksum_of(data, evidence.seed) == checksum
        if row["verifies"]:
            row |= _node_row(
                evidence, reference(page, checksum), fields[7] in names.records, values
            )
    elif kind in KIND_NAMES and 0 < entries <= evidence.page_count() - page:
        size = evidence.page_size
        run = read_exact(evidence.io, evidence.fd, entries * size, page * size)
        row["verifies"] = checksum_of(run, evidence.seed) == checksum
    else:
        row["verifies"] = False
    return row


def _node_row(evidence: Evidence, ref: bytes, is_records: bool, values: bool) -> Row:
    """What a leaf or branch holds; sizes only unless values are asked for."""
    pager = Pager(
        evidence.io, evidence.fd, evidence.path, evidence.page_size, evidence.seed, _CACHE_BYTES
    )
    try:
        node = pager.load_fresh(ref)
    except CbddError as error:
        return {"code": error.code, "message": error.message}
    found: list[Row] = []
    if node.level:
        for i, child in enumerate(node.children):
            assert isinstance(child, bytes)
            entry: Row = {
                "page": reference_page(child),
                "checksum": f"{int.from_bytes(child[8:], 'little'):016x}",
                "entries": node.counts[i],
            }
            if values and i:
                entry["key"] = node.keys[i - 1].hex()
            found.append(entry)
        return {"children": found}
    for key, value in zip(node.keys, node.values, strict=True):
        entry = {"key_bytes": len(key)}
        if isinstance(value, Run):
            entry |= {"value_bytes": value.length, "run_page": value.page}
        elif isinstance(value, bytes):
            entry["value_bytes"] = len(value)
        if values:
            entry["key"] = key.hex()
            if isinstance(value, bytes):
                entry["value"] = shown_value(value, is_records)
        found.append(entry)
    return {"leaf": found}
