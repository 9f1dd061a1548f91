"""Codes of collections, their documents and their indexes."""

from __future__ import annotations

from typing import Final

from cbdd.codes.code import CATALOG, SEV_1, SEV_2, SEV_3, Code
from cbdd.codes.steps import CHECK, READ_REST, REBUILD, REPORT

CATALOG_CODES: Final = (
    Code(
        "CATALOG_ENTRY",
        CATALOG,
        SEV_1,
        "The description of a collection cannot be read; its documents cannot be found without it.",
        f"{READ_REST} {REPORT}",
    ),
    Code(
        "CATALOG_FORMAT",
        CATALOG,
        SEV_2,
        "A later release made this collection with options that this one does not know.",
        "Install the release that last wrote the file (`cbdd info FILE` names it), or a later one; "
        "other collections can be used.",
    ),
    Code(
        "KEY_STRING_VERSION",
        CATALOG,
        SEV_2,
        "A later release made this index with keys that this one does not know.",
        "Install the release that last wrote the file (`cbdd info FILE` names it), or a later one.",
    ),
    Code(
        "CATALOG_SEQUENCE",
        CATALOG,
        SEV_1,
        "A number from which new ids are made cannot be read.",
        f"{READ_REST} {REPORT}",
    ),
    Code(
        "SEQUENCE_BEHIND",
        CATALOG,
        SEV_1,
        "A number from which new ids are made is lower than ids in use.",
        f"{READ_REST} {REPORT}",
    ),
    Code(
        "TREE_MISSING",
        CATALOG,
        SEV_1,
        "A collection or an index names a tree that is not there.",
        f"{READ_REST} {REPORT}",
    ),
    Code(
        "TREE_SHARED",
        CATALOG,
        SEV_1,
        "Two collections or indexes name the same tree.",
        f"{READ_REST} {REPORT}",
    ),
    Code(
        "TREE_ORPHANED",
        CATALOG,
        SEV_3,
        "A tree belongs to no collection: space is lost, no data.",
        REPORT,
    ),
    Code(
        "RECORD_ID",
        CATALOG,
        SEV_1,
        "A record has a key that is no record id.",
        f"{READ_REST} {REPORT}",
    ),
    Code(
        "RECORD_INVALID",
        CATALOG,
        SEV_1,
        "A stored document is not valid BSON.",
        f"{READ_REST} {REPORT}",
    ),
    Code(
        "RECORD_WITHOUT_ID",
        CATALOG,
        SEV_1,
        "A stored document has no `_id`.",
        f"{READ_REST} {REPORT}",
    ),
    Code(
        "RECORD_MISSING",
        CATALOG,
        SEV_1,
        "A record that an index names is not there.",
        f"{CHECK} {REPORT}",
    ),
    Code(
        "CAPPED_SIZE",
        CATALOG,
        SEV_3,
        "The size that a capped collection keeps is not that of its documents.",
        f"Documents are not affected. {REPORT}",
    ),
    Code(
        "INDEX_ENTRY_MISSING",
        CATALOG,
        SEV_2,
        "A document has no entry in an index: queries that use the index do not find it.",
        REBUILD,
    ),
    Code(
        "INDEX_ENTRY_WITHOUT_RECORD",
        CATALOG,
        SEV_2,
        "An index has an entry for a document that is not there.",
        REBUILD,
    ),
    Code(
        "INDEX_ENTRY_TYPES",
        CATALOG,
        SEV_2,
        "An index entry tells other types than the document has: queries answered from the index "
        "alone may show another type.",
        REBUILD,
    ),
    Code(
        "INDEX_COUNT",
        CATALOG,
        SEV_2,
        "An index has more entries than its documents give it.",
        REBUILD,
    ),
    Code(
        "INDEX_KEYS",
        CATALOG,
        SEV_2,
        "The keys of a document cannot be made for an index.",
        REBUILD,
    ),
    Code(
        "INDEX_MULTIKEY",
        CATALOG,
        SEV_2,
        "An index with several entries for one document is not marked so: some queries give wrong "
        "answers.",
        REBUILD,
    ),
)
