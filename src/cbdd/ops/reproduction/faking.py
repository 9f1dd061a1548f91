"""Values and names of the same shape in the place of real ones.

Of each type the distinct values are replaced by others in the same order, so what is equal stays
equal and what is less stays less; types stay, int32 and int64 apart. Strings and binaries keep
their length where there is room for the rank in it. Names of databases, collections, indexes and
fields become numbered ones, the same everywhere: in documents, keys of indexes, filters. What holds
no information stays: null, true and false, NaN and infinities, zero, empty values, operators, the
smallest and the largest key.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bson import DatetimeMS, Decimal128, ObjectId, Regex, Timestamp
from bson.binary import Binary
from bson.code import Code
from bson.dbref import DBRef
from bson.int64 import Int64

from cbdd.ops.reproduction.operations import Operation

_DIGITS: Final = "abcdefghijklmnopqrstuvwxyz"
_EPOCH: Final = datetime(2020, 1, 1, tzinfo=UTC)
_KEPT_NAMES: Final = ("_id",)
_NUMERIC: Final = re.compile(r"[0-9]+")
_SHAPED_OPTIONS: Final = frozenset(
    (
        "unique",
        "sparse",
        "hidden",
        "expireAfterSeconds",
        "capped",
        "size",
        "max",
        "validationLevel",
        "validationAction",
    )
)
"""Options whose values are settings, not data."""


class Faker:
    """Fakes lists of operations; made from them, so that it knows the order of their values.

    :param keeps_lengths: strings and binaries as long as they were.
    """

    def __init__(self, operations: list[Operation], keeps_lengths: bool = True) -> None:
        self._keeps_lengths = keeps_lengths
        self._names: dict[tuple[str, str], str] = {}
        values: dict[str, set[Any]] = {}
        for value in _scalars(operations):
            values.setdefault(_kind(value), set()).add(_sortable(value))
        self._ranks = {
            kind: {value: rank for rank, value in enumerate(sorted(found), 1)}
            for kind, found in values.items()
        }

    def operations(self, operations: list[Operation]) -> list[Operation]:
        """The operations with fake names and values."""
        return [self._operation(each) for each in operations]

    def _operation(self, operation: Operation) -> Operation:
        kind, *rest = operation
        if kind == "commit":
            return [kind, self.operations(rest[0])]
        name = self._namespace(rest[0])
        if kind in ("collection", "drop"):
            return [kind, name, *(self._options(each) for each in rest[1:])]
        if kind == "index":
            keys = [[self._path(path), way] for path, way in rest[1]]
            return [kind, name, keys, self._options(rest[2])]
        if kind == "drop_index":
            return [kind, name, self._name("i", rest[1])]
        return [kind, name, *(self._value(each) for each in rest[1:])]

    def _namespace(self, namespace: str) -> str:
        database, _, collection = namespace.partition(".")
        return f"{self._name('d', database)}.{self._name('c', collection)}"

    def _name(self, kind: str, name: str) -> str:
        key = (kind, name)
        if key not in self._names:
            count = sum(each[0] == kind for each in self._names)
            self._names[key] = f"{kind}{count + 1}"
        return self._names[key]

    def _field(self, name: str) -> str:
        is_kept = name in _KEPT_NAMES or name.startswith("$") or _NUMERIC.fullmatch(name)
        return name if is_kept or not name else self._name("f", name)

    def _path(self, path: str) -> str:
        return ".".join(self._field(part) for part in path.split("."))

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in options.items():
            if name == "name":
                found[name] = self._name("i", value)
            elif name in _SHAPED_OPTIONS:
                found[name] = value
            else:
                found[name] = self._value(value)
        return found

    def _value(self, value: Any) -> Any:
        if isinstance(value, DBRef):
            value = value.as_doc()
        if isinstance(value, dict):
            return {self._path(name): self._value(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._value(each) for each in value]
        if _is_kept(value):
            return value
        return self._scalar(value)

    def _scalar(self, value: Any) -> Any:
        kind = _kind(value)
        rank = self._ranks[kind][_sortable(value)]
        if kind in ("int", "long"):
            offset = sum(each < 0 for each in self._ranks[kind])
            number = rank - offset if value > 0 else rank - offset - 1
            return (
                Int64(number + (1 << 33) * (1 if value > 0 else -1)) if kind == "long" else number
            )
        if kind == "float":
            offset = sum(each < 0 for each in self._ranks[kind])
            return (rank - offset if value > 0 else rank - offset - 1) + 0.5
        if kind == "str":
            return self._text(rank, len(value.encode()), len(self._ranks[kind]))
        if kind == "bytes":
            text = self._text(rank, len(value), len(self._ranks[kind])).encode()
            return Binary(text, value.subtype) if isinstance(value, Binary) else text
        return _OTHERS[kind](rank)

    def _text(self, rank: int, length: int, count: int) -> str:
        """A text that sorts by rank."""
        width = max(1, math.ceil(math.log(count + 1, len(_DIGITS))))
        letters = ""
        for _ in range(width):
            rank, digit = divmod(rank, len(_DIGITS))
            letters = _DIGITS[digit] + letters
        return letters.ljust(length, "x") if self._keeps_lengths else letters


_OTHERS: Final[dict[str, Callable[[int], Any]]] = {
    "datetime": lambda rank: _EPOCH + timedelta(seconds=rank),
    "ObjectId": lambda rank: ObjectId(rank.to_bytes(12, "big")),
    "Decimal128": lambda rank: Decimal128(f"{rank}.5"),
    "Timestamp": lambda rank: Timestamp(rank, 1),
    "Regex": lambda rank: Regex(f"^r{rank}"),
    "Code": lambda rank: Code(f"c{rank}"),
}


def _scalars(value: Any) -> Iterator[Any]:
    """Every value in documents and options that is to be faked."""
    if isinstance(value, DBRef):
        value = value.as_doc()
    if isinstance(value, dict):
        for each in value.values():
            yield from _scalars(each)
    elif isinstance(value, list):
        for each in value:
            yield from _scalars(each)
    elif not _is_kept(value):
        yield value


def _is_kept(value: Any) -> bool:
    """Whether a value holds no information, or is of a type without any."""
    if value is None or isinstance(value, bool) or value in ("", b"", 0):
        return True
    if isinstance(value, float):
        return math.isnan(value) or math.isinf(value)
    return _kind(value) not in _KINDS


_KINDS: Final = frozenset(("int", "long", "float", "str", "bytes", *_OTHERS))
_INT32: Final = range(-(1 << 31), 1 << 31)


def _kind(value: Any) -> str:
    if isinstance(value, Code):
        return "Code"
    if isinstance(value, Int64) or (isinstance(value, int) and value not in _INT32):
        return "long"
    if isinstance(value, (bytes, Binary)):
        return "bytes"
    if isinstance(value, (datetime, DatetimeMS)):
        return "datetime"
    if isinstance(value, re.Pattern):
        return "Regex"
    return type(value).__name__


def _sortable(value: Any) -> Any:
    """What values of one kind are ordered by."""
    if isinstance(value, datetime):
        return int(value.replace(tzinfo=value.tzinfo or UTC).timestamp() * 1000)
    if isinstance(value, DatetimeMS):
        return int(value)
    if isinstance(value, Decimal128):
        return (
            (str(value.to_decimal().is_nan()), value.to_decimal())
            if _is_number(value)
            else str(value)
        )
    if isinstance(value, Timestamp):
        return (value.time, value.inc)
    if isinstance(value, (Regex, re.Pattern)):
        return str(value.pattern)
    if isinstance(value, Binary):
        return bytes(value)
    return value


def _is_number(value: Decimal128) -> bool:
    return value.to_decimal().is_finite()
