"""The formats that can be read and written, and how a file's name tells which one it is."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePath
from typing import Final


class Format(StrEnum):
    """A format of documents in a file."""

    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    TSV = "tsv"
    BSON = "bson"


FORMATS: Final = {
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".json": Format.JSON,
    ".csv": Format.CSV,
    ".tsv": Format.TSV,
    ".bson": Format.BSON,
}


def format_of(path: str) -> Format | None:
    """Tell the format from a file's name, also under `.gz`; None when it does not say.

    >>> format_of("dump/shop/orders.bson.gz")
    <Format.BSON: 'bson'>
    """
    name = PurePath(path)
    if name.suffix.lower() == ".gz":
        name = name.with_suffix("")
    return FORMATS.get(name.suffix.lower())
