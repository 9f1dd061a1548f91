"""Cursors against a sorted list, on trees of one leaf and of several levels."""

from __future__ import annotations

import random
from bisect import bisect_left

import pytest

from cbdd.storage.btree import PageLedger, TreeWriter
from cbdd.storage.cursor import Cursor
from cbdd.storage.node import Limits, NodeSource
from cbdd.storage.tree import Tree

SOURCE = NodeSource(Limits(4096))


def tree_of(keys: list[bytes]) -> Tree:
    writer = TreeWriter(Tree(None, 0, 0), 1, SOURCE, PageLedger())
    for key in keys:
        writer.put(key, b"value of " + key)
    return writer.tree()


def keys_of(count: int) -> list[bytes]:
    return [b"%07d" % (3 * i + 1) for i in range(count)]


@pytest.mark.parametrize("count", [0, 1, 5, 3000])
def test_there_and_back(count: int) -> None:
    keys = keys_of(count)
    cursor = Cursor(tree_of(keys), SOURCE)
    found = []
    is_valid = cursor.first()
    while is_valid:
        assert cursor.value == b"value of " + cursor.key
        found.append(cursor.key)
        is_valid = cursor.step()
    assert found == keys
    assert not cursor.step()
    found = []
    is_valid = cursor.last()
    while is_valid:
        found.append(cursor.key)
        is_valid = cursor.back()
    assert found == keys[::-1]
    assert not cursor.back()


@pytest.mark.parametrize("count", [0, 1, 5, 3000])
def test_every_way_to_position(count: int) -> None:
    keys = keys_of(count)
    cursor = Cursor(tree_of(keys), SOURCE)
    wanted = [b"", b"\xff", *(b"%07d" % i for i in range(0, 3 * count + 3, 3 if count > 9 else 1))]
    for key in wanted:
        at = bisect_left(keys, key)
        assert cursor.seek(key) == (at < count)
        if at < count:
            assert cursor.key == keys[at]
            assert cursor.back() == (at > 0)
            assert at == 0 or cursor.key == keys[at - 1]
        assert cursor.seek_before(key) == (at > 0)
        if at > 0:
            assert cursor.key == keys[at - 1]
            assert cursor.step() == (at < count)
            assert at == count or cursor.key == keys[at]
    for position in (-1, 0, 1, count // 2, count - 1, count):
        assert cursor.seek_position(position) == (0 <= position < count)
        if 0 <= position < count:
            assert cursor.key == keys[position]


@pytest.mark.parametrize("seed", range(5))
def test_random_walks(seed: int) -> None:
    source = random.Random(seed)
    keys = keys_of(2000)
    cursor = Cursor(tree_of(keys), SOURCE)
    at = source.randrange(2000)
    assert cursor.seek_position(at)
    for _ in range(3000):
        if at == 0 or (at < 1999 and source.random() < 0.5):
            assert cursor.step()
            at += 1
        else:
            assert cursor.back()
            at -= 1
        assert cursor.key == keys[at]


def test_a_cursor_that_is_nowhere_says_so() -> None:
    cursor = Cursor(tree_of([b"a"]), SOURCE)
    assert not cursor.step()
    assert not cursor.back()
    with pytest.raises(AssertionError):
        _ = cursor.key
    assert not cursor.seek(b"b")
    with pytest.raises(AssertionError):
        _ = cursor.value
