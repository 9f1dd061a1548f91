"""Heads are ordered as their keys, whatever those are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbdd.storage.heads import (
    FEWEST_KEYS,
    GOES_ON,
    HEAD_BYTES,
    common_prefix_length,
    first_of_consecutive,
    head_of,
    heads_of,
)


@given(st.binary(max_size=12), st.binary(max_size=12), st.binary(max_size=3))
def test_heads_are_ordered_as_their_keys(first: bytes, second: bytes, prefix: bytes) -> None:
    low, high = sorted([prefix + first, prefix + second])
    heads = head_of(low, len(prefix)), head_of(high, len(prefix))
    assert 0 <= heads[0] <= heads[1] < 1 << 56
    if heads[0] & GOES_ON != GOES_ON:
        assert (heads[0] == heads[1]) == (low == high)


@pytest.mark.parametrize("length", range(12))
def test_a_head_says_how_long_its_key_is(length: int) -> None:
    for prefix in (b"", b"abc"):
        head = head_of(prefix + b"\xff" * length, len(prefix))
        assert head & GOES_ON == (length if length <= HEAD_BYTES else GOES_ON)
        assert head >> 8 == int.from_bytes((b"\xff" * length)[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0"))


def test_few_keys_have_no_heads() -> None:
    keys = [b"%03d" % i for i in range(FEWEST_KEYS)]
    assert heads_of(keys[1:]) is None
    heads = heads_of(keys)
    assert heads is not None
    assert (heads.prefix, heads.count) == (b"0", FEWEST_KEYS)
    assert heads.packed[:8] == b"\2" + bytes(4) + b"00\0"
    assert heads.first == int.from_bytes(b"00\0\0\0\0\2", "big")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([7, 8, 9], 7),
        ([0], 0),
        ([7, 9], -1),
        ([(1 << 63) - 2, (1 << 63) - 1], (1 << 63) - 2),
        ([(1 << 63) - 1, 1 << 63], -1),
        ([(1 << 64) - 2, (1 << 64) - 1], -1),
    ],
)
def test_keys_that_are_consecutive_integers_are_known(keys: list[int], expected: int) -> None:
    assert first_of_consecutive([key.to_bytes(8, "big") for key in keys]) == expected


def test_keys_of_other_lengths_are_not_consecutive() -> None:
    low, high = bytes(7) + b"\1", bytes(7) + b"\3"
    assert first_of_consecutive([low, low, high]) == -1
    assert first_of_consecutive([low, low + b"x", high]) == -1
    assert first_of_consecutive([b"\1", b"\2"]) == -1


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [(b"", b"a", 0), (b"a", b"a", 1), (b"ab", b"abc", 2), (b"abc", b"abd", 2), (b"x", b"y", 0)],
)
def test_the_common_prefix_is_the_longest(first: bytes, last: bytes, expected: int) -> None:
    assert common_prefix_length(first, last) == expected
