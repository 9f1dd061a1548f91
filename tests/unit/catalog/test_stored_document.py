"""What MongoDB changes in a document when it arrives."""

from __future__ import annotations

import bson
from bson import Int64, ObjectId, Timestamp

from cbdd.catalog.stored_document import (
    TimestampSource,
    stored_document,
    with_id_first,
    with_timestamps,
)
from cbdd.storage import Clock


class StandingClock(Clock):
    """A clock that shows what it is set to."""

    def __init__(self) -> None:
        self.seconds = 1000

    def now_us(self) -> int:
        return self.seconds * 1_000_000


def raw(*fields: tuple[str, object]) -> bytes:
    """Encode fields in just this order; `bson.encode` would move _id."""
    body = b"".join(bson.encode({name: value})[4:-1] for name, value in fields)
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"


def test_document_that_begins_with_id_is_left_alone() -> None:
    document = raw(("_id", 1), ("a", 2))
    assert with_id_first(document) is document


def test_id_is_moved_to_the_front() -> None:
    assert with_id_first(raw(("a", 2), ("_id", {"x": 1}), ("b", "y"))) == raw(
        ("_id", {"x": 1}), ("a", 2), ("b", "y")
    )


def test_missing_id_is_made_up() -> None:
    decoded = bson.decode(with_id_first(raw(("a", {"_id": 1}))))
    assert list(decoded) == ["_id", "a"]
    assert isinstance(decoded["_id"], ObjectId)
    assert isinstance(bson.decode(with_id_first(raw()))["_id"], ObjectId)


def test_zero_timestamps_of_the_top_level_become_now() -> None:
    clock = StandingClock()
    source = TimestampSource(clock)
    zero = Timestamp(0, 0)
    document = raw(("_id", zero), ("a", zero), ("b", {"c": zero}), ("d", [zero]), ("e", zero))
    assert bson.decode(with_timestamps(document, source)) == {
        "_id": zero,
        "a": Timestamp(1000, 1),
        "b": {"c": zero},
        "d": [zero],
        "e": Timestamp(1000, 2),
    }
    clock.seconds = 1001
    assert bson.decode(stored_document(raw(("_id", 1), ("a", zero)), source))["a"] == Timestamp(
        1001, 1
    )
    clock.seconds = 900
    assert bson.decode(with_timestamps(raw(("a", zero)), source))["a"] == Timestamp(1001, 2)


def test_other_zeros_are_left_alone() -> None:
    source = TimestampSource(StandingClock())
    document = raw(
        ("_id", 1), ("a", Int64(0)), ("b", 0.0), ("c", bytes(20)), ("d", Timestamp(0, 1))
    )
    assert with_timestamps(document, source) == document
