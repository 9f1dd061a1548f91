"""From bytes to filters, updates and documents: all are some value, most are nearly right."""

from __future__ import annotations

import datetime
from typing import Any

from bson import Binary, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp

FIELDS = ["a", "b", "a.b", "a.0", "a.b.0.c", "", ".", "a.", "$a", "_id", "a.$", "a.$[]", "a.$[x]"]
FILTER_OPERATORS = [
    "$eq",
    "$ne",
    "$gt",
    "$gte",
    "$lt",
    "$lte",
    "$in",
    "$nin",
    "$not",
    "$and",
    "$or",
    "$nor",
    "$exists",
    "$type",
    "$mod",
    "$regex",
    "$options",
    "$all",
    "$elemMatch",
    "$size",
    "$expr",
    "$jsonSchema",
    "$bitsAllSet",
    "$bitsAnyClear",
    "$comment",
    "$sampleRate",
    "$alwaysTrue",
]
UPDATE_OPERATORS = [
    "$set",
    "$unset",
    "$inc",
    "$mul",
    "$min",
    "$max",
    "$rename",
    "$currentDate",
    "$setOnInsert",
    "$push",
    "$pull",
    "$pullAll",
    "$pop",
    "$addToSet",
    "$bit",
    "$each",
    "$slice",
    "$sort",
    "$position",
]
EXPRESSION_OPERATORS = [
    "$add",
    "$subtract",
    "$multiply",
    "$divide",
    "$mod",
    "$concat",
    "$cond",
    "$ifNull",
    "$switch",
    "$let",
    "$map",
    "$filter",
    "$reduce",
    "$arrayElemAt",
    "$size",
    "$slice",
    "$toString",
    "$toInt",
    "$toDate",
    "$dateToString",
    "$dateFromString",
    "$substrCP",
    "$regexMatch",
    "$getField",
    "$setField",
    "$mergeObjects",
    "$objectToArray",
    "$arrayToObject",
    "$range",
    "$zip",
    "$pow",
    "$literal",
    "$sortArray",
    "$convert",
    "$split",
    "$replaceAll",
    "$trim",
    "$indexOfCP",
    "$dateAdd",
    "$dateTrunc",
    "$round",
]
NAMES = [*FIELDS, *FILTER_OPERATORS, *UPDATE_OPERATORS, *EXPRESSION_OPERATORS]
TEXTS = [
    "",
    "a",
    "$a",
    "$$ROOT",
    "$$NOW",
    "(a+)+$",
    "[",
    "\\",
    "2024-02-30",
    "%Y-%m-%d",
    "i",
    "é" * 9,
]


class Source:
    """Bytes that are used up one after another; zeros when they are."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_empty(self) -> bool:
        return self._at >= len(self._data)

    def byte(self) -> int:
        if self.is_empty:
            return 0
        self._at += 1
        return self._data[self._at - 1]

    def take(self, length: int) -> bytes:
        found = self._data[self._at : self._at + length]
        self._at += length
        return found.ljust(length, b"\0")

    def choice(self, items: list[Any]) -> Any:
        return items[self.byte() % len(items)]

    def number(self) -> int:
        return int.from_bytes(self.take(8), "little", signed=True)


def value(source: Source, names: list[str] = NAMES, depth: int = 0) -> Any:
    """Any BSON value, nested to some depth."""
    kind = source.byte() % 20
    if kind < 5 and depth < 6:
        return document(source, names, depth + 1)
    if kind < 8 and depth < 6:
        return [value(source, names, depth + 1) for _ in range(source.byte() % 4)]
    if kind < 11:
        return source.choice([0, 1, -1, 2, 7, 64, 1 << 31, Int64((1 << 63) - 1), Int64(-(1 << 63))])
    if kind == 11:
        return Int64(source.number())
    if kind == 12:
        return source.choice([0.0, -0.0, 1.5, 1e308, -1e-308, float("nan"), float("inf")])
    if kind == 13:
        return Decimal128(source.choice(["0", "1E6144", "-1.5", "NaN", "-Infinity", "1E-6176"]))
    if kind == 14:
        return Binary(source.take(source.byte() % 20), source.byte())
    if kind == 15:
        return Regex(source.choice(TEXTS), source.choice(["", "i", "ms", "x"]))
    if kind == 16:
        seconds = source.number() % 4_000_000_000 - 2_000_000_000
        return datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    if kind == 17:
        return source.choice([MinKey(), MaxKey(), ObjectId(bytes(12)), Timestamp(1, 2)])
    if kind == 18:
        return source.choice([None, True, False])
    return source.choice(TEXTS)


def document(source: Source, names: list[str] = NAMES, depth: int = 0) -> dict[str, Any]:
    """A document, operators among its names."""
    return {source.choice(names): value(source, names, depth) for _ in range(source.byte() % 4)}
