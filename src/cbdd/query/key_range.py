"""The options `min` and `max` of a find: which keys of the hinted index to read.

`min` is the first key that is read, `max` the first that is not; both name every field of the
index, in its order. The filter is asked besides. Source: MongoDB's cursor methods min() and max().
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import bson
from bson.codec_options import CodecOptions

from cbdd.catalog.refusal import refusal
from cbdd.index.bounds import CompositeBounds
from cbdd.index.definition import IndexDefinition
from cbdd.index.interval import Interval
from cbdd.index.key_string import encode_value, invert
from cbdd.query.bounds_of import IndexBounds
from cbdd.query.index_choice import IndexChoice, match_sort
from cbdd.query.sort import SortPattern

HINT_NEEDED: Final = 51173
NOT_COMPATIBLE: Final = 51174
NOT_ASCENDING: Final = 51175
DIFFERENT_FIELDS: Final = 51176

KeySpec = Mapping[str, Any] | Sequence[tuple[str, Any]]


class KeyRange:
    """The ends of a range of index keys; an end without fields is open."""

    def __init__(self, low: list[tuple[str, bytes]], high: list[tuple[str, bytes]]) -> None:
        """
        :param low: field names with ascending key strings.
        """
        self.low = low
        self.high = high

    def choice(self, definition: IndexDefinition, sort: SortPattern | None) -> IndexChoice:
        """Return the reading of this range in an index.

        :raises OperationFailure: the index has other fields, or the range is upside down.
        """
        if sort is not None and sort.is_natural():
            raise refusal(NOT_COMPATIBLE, "min() and max() cannot go with a $natural sort")
        low = self._key(definition, self.low)
        high = self._key(definition, self.high)
        if low is not None and high is not None and low >= high:
            raise refusal(
                NOT_ASCENDING,
                "The value provided for min() does not come before the value provided for max() "
                "in the hinted index",
            )
        bounds = IndexBounds()
        bounds.fields = [None] * len(definition.fields)
        bounds.expressions = [[] for _ in definition.fields]
        composite = CompositeBounds([Interval(low, high)], len(definition.fields), 0, False)
        choice = IndexChoice(definition, bounds, composite)
        if sort is not None and not definition.is_multikey:
            match_sort(choice, sort)
        return choice

    def _key(self, definition: IndexDefinition, end: list[tuple[str, bytes]]) -> bytes | None:
        if not end:
            return None
        if [path for path, _ in end] != [path for path, _ in definition.fields]:
            raise refusal(
                NOT_COMPATIBLE,
                "requested min and max must have the same fields, in the same order, as the "
                f"hinted index {definition.name}",
            )
        key = b""
        for position in range(len(end)):
            part = end[position][1]
            key += invert(part) if definition.descending[position] else part
        return key


def parse_key_range(
    low: KeySpec | None,
    high: KeySpec | None,
    has_hint: bool,
    codec_options: CodecOptions[Any] | None,
) -> KeyRange | None:
    """Return the range of `min` and `max`, None when neither is given."""
    if not low and not high:
        return None
    if not has_hint:
        raise refusal(
            HINT_NEEDED, "When using min()/max() a hint of which index to use must be provided"
        )
    lowest, highest = _end(low, codec_options), _end(high, codec_options)
    if lowest and highest and [path for path, _ in lowest] != [path for path, _ in highest]:
        raise refusal(DIFFERENT_FIELDS, "min() and max() must have the same field names")
    return KeyRange(lowest, highest)


def _end(spec: KeySpec | None, codec_options: CodecOptions[Any] | None) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    pairs = list(spec.items()) if isinstance(spec, Mapping) else list(spec or [])
    for path, value in pairs:
        if codec_options is None:
            data = bson.encode({"": value})
        else:
            data = bson.encode({"": value}, codec_options=codec_options)
        found.append((str(path), encode_value(data, data[4], 6, len(data) - 1)))
    return found
