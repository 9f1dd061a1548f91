"""Heads are ordered as their keys, whatever those are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbdd.storage.heads import FEWEST_KEYS, common_prefix_length, head_of, heads_of


@given(st.binary(max_size=12), st.binary(max_size=12), st.binary(max_size=3))
def test_heads_are_ordered_as_their_keys(first: bytes, second: bytes, prefix: bytes) -> None:
    low, high = sorted([prefix + first, prefix + second])
    assert 0 <= head_of(low, len(prefix)) <= head_of(high, len(prefix)) < 1 << 56


def test_few_keys_have_no_heads() -> None:
    keys = [b"%03d" % i for i in range(FEWEST_KEYS)]
    assert heads_of(keys[1:]) is None
    heads = heads_of(keys)
    assert heads is not None
    assert (heads.prefix, heads.count) == (b"0", FEWEST_KEYS)
    assert heads.packed[:8] == bytes(5) + b"00\0"
    assert heads.first == int.from_bytes(b"00\0\0\0\0\0", "big")


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [(b"", b"a", 0), (b"a", b"a", 1), (b"ab", b"abc", 2), (b"abc", b"abd", 2), (b"x", b"y", 0)],
)
def test_the_common_prefix_is_the_longest(first: bytes, last: bytes, expected: int) -> None:
    assert common_prefix_length(first, last) == expected
