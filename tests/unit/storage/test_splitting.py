"""Where nodes are cut."""

from __future__ import annotations

import random

import pytest

from cbdd.storage.node import Limits, Node, measured
from cbdd.storage.splitting import (
    end_within,
    even_point,
    middle_of,
    move_to,
    shortest_separator,
)

LIMITS = Limits(4096)


@pytest.mark.parametrize(
    ("left", "right"),
    [(b"a", b"b"), (b"abc", b"abd"), (b"ab", b"abc"), (b"", b"x"), (b"a", b"a\0")],
)
def test_separators_are_short_and_separate(left: bytes, right: bytes) -> None:
    separator = shortest_separator(left, right)
    assert left < separator <= right
    assert not left < separator[:-1] <= right


def leaf_of(keys: list[bytes], size: int) -> Node:
    leaf = Node(0, 1)
    leaf.keys = keys
    leaf.values = [bytes(size) for _ in keys]
    leaf.used = measured(leaf, LIMITS)
    return leaf


@pytest.mark.parametrize("seed", range(5))
def test_two_leaves_end_up_with_half_of_the_bytes_each(seed: int) -> None:
    source = random.Random(seed)
    left = leaf_of([b"a%04d" % i for i in range(source.randrange(60, 90))], source.randrange(9, 30))
    right = leaf_of([b"b%04d" % i for i in range(source.randrange(1, 9))], source.randrange(9, 30))
    keys = left.keys + right.keys
    at = even_point(left, right, LIMITS)
    assert at > 0
    move_to(left, right, at)
    assert left.keys + right.keys == keys
    sizes = [measured(node, LIMITS) for node in (left, right)]
    assert abs(sizes[0] - sizes[1]) < 100
    assert len(left.keys) == len(left.values) == at


def test_full_leaves_have_no_even_point() -> None:
    left, right = (
        leaf_of([letter + b"%04d" % i for i in range(110)], 27) for letter in (b"a", b"b")
    )
    assert even_point(left, right, LIMITS) == 0


def test_the_middle_leaves_something_on_each_side() -> None:
    for sizes in ([10, 1900], [1900, 10], [10, 10, 1900, 1900]):
        leaf = leaf_of([b"%d" % i for i in range(len(sizes))], 0)
        leaf.values = [bytes(size) for size in sizes]
        leaf.used = measured(leaf, LIMITS)
        assert 0 < middle_of(leaf, LIMITS) < len(sizes)


def test_one_entry_at_least_is_within() -> None:
    keys, values = [b"a", b"b", b"c"], [bytes(500), bytes(10), bytes(10)]
    assert end_within(keys, list(values), 0, 100, LIMITS) == 1
    assert end_within(keys, list(values), 1, 100, LIMITS) == 3
