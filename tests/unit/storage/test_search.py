"""Keys are found in a node where ``bisect`` finds them, with heads and without."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbdd.storage.heads import FEWEST_KEYS, HEAD_BYTES
from cbdd.storage.node import Node
from cbdd.storage.search import (
    KEYS_OF_A_SEARCH,
    SEARCHES_BEFORE,
    search_edge,
    search_left,
    search_place,
    search_right,
)


def leaf_of(keys: list[bytes]) -> Node:
    leaf = Node(0, 1)
    leaf.keys = keys
    leaf.values = [b"" for _ in keys]
    return leaf


def with_heads(leaf: Node) -> Node:
    leaf.make_heads()
    return leaf


def near(key: bytes) -> list[bytes]:
    """A key and those that are easily taken for it."""
    return [key, key[:-1], key + b"\0", key + b"\xff", key[:-1] + b"\0", key[: HEAD_BYTES // 2]]


def assert_found(leaf: Node, wanted: list[bytes]) -> None:
    for key in wanted:
        assert search_left(leaf, key) == bisect_left(leaf.keys, key), key
        assert search_right(leaf, key) == bisect_right(leaf.keys, key), key
        assert search_edge(leaf, key) == bisect_right(leaf.keys, key), key
        place = bisect_left(leaf.keys, key)
        is_there = place < len(leaf.keys) and leaf.keys[place] == key
        assert search_place(leaf, key) == (place if is_there else -1 - place), key


def keys_of(kind: str, source: random.Random) -> list[bytes]:
    count = source.choice([FEWEST_KEYS - 1, FEWEST_KEYS, 100, 570])
    if kind == "in order":
        found = [b"\x2b" + (i * 3).to_bytes(2, "big") for i in range(count)]
    elif kind == "random":
        found = [b"<" + source.randbytes(8).hex().encode() for _ in range(count)]
    elif kind == "record ids":
        start = source.choice([0, 1 << 32, (1 << 64) - 4000])
        found = [(start + i * 2).to_bytes(8, "big") for i in range(count)]
    elif kind == "consecutive":
        start = source.choice([0, 1, 1 << 32, (1 << 63) - count, (1 << 63) - 9, (1 << 64) - count])
        found = [(start + i).to_bytes(8, "big") for i in range(count)]
    elif kind == "few values":
        found = [
            b"\x2b" + bytes([source.randrange(3)]) + i.to_bytes(8, "big") for i in range(count)
        ]
    elif kind == "skewed":
        found = [bytes([255]) * (i % 40) + source.randbytes(1) for i in range(count)]
    elif kind == "one far off":
        found = [b"%05d" % i for i in range(count)] + [b"\xff" * 20]
    else:
        found = [source.randbytes(source.randrange(12)) for _ in range(count)]
    return sorted(set(found))


KINDS = [
    *("in order", "random", "record ids", "consecutive", "few values", "skewed"),
    *("one far off", "any"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_every_key_and_its_neighbours_are_found(kind: str, seed: int) -> None:
    source = random.Random(f"{kind} {seed}")
    leaf = with_heads(leaf_of(keys_of(kind, source)))
    if leaf.consecutive_from >= 0:
        assert kind == "consecutive"
        assert leaf.heads is None
    else:
        assert (leaf.heads is not None) == (len(leaf.keys) >= FEWEST_KEYS)
    wanted = [each for key in leaf.keys for each in near(key)]
    wanted += [source.randbytes(source.randrange(20)) for _ in range(200)]
    assert_found(leaf, [b"", b"\xff" * 30, *wanted])


@given(
    st.lists(st.binary(max_size=12), min_size=FEWEST_KEYS, max_size=60, unique=True),
    st.binary(max_size=4),
    st.lists(st.binary(max_size=14), max_size=20),
)
def test_any_keys_are_found(rests: list[bytes], prefix: bytes, others: list[bytes]) -> None:
    leaf = with_heads(leaf_of(sorted(prefix + rest for rest in rests)))
    wanted = [each for key in leaf.keys for each in near(key)]
    assert_found(leaf, [*wanted, *others, *(prefix + other for other in others)])


def test_a_node_that_is_searched_often_gets_heads() -> None:
    leaf = leaf_of([b"%05d" % i for i in range(100)])
    for number in range(SEARCHES_BEFORE + 100 // KEYS_OF_A_SEARCH):
        assert leaf.heads is None
        search = search_right if number % 2 else search_left
        assert search(leaf, b"00050!") == 51
    assert leaf.heads is not None
    assert search_left(leaf, b"00050!") == 51
    leaf.keys_changed()
    assert search_left(leaf, b"00050!") == 51
    assert leaf.heads is None


def test_a_node_that_changes_has_no_heads() -> None:
    leaf = with_heads(leaf_of([b"%05d" % i for i in range(100)]))
    leaf.keys.insert(0, b"0000")
    leaf.keys_changed()
    assert leaf.heads is None
    assert_found(leaf, leaf.keys)


def test_a_copy_goes_its_own_way() -> None:
    leaf = with_heads(leaf_of([b"%05d" % i for i in range(100)]))
    copy = leaf.copy(2)
    assert copy.heads is leaf.heads is not None
    copy.keys.insert(50, b"00049!")
    copy.keys_changed()
    assert_found(leaf, [*leaf.keys, b"00049!"])
    assert_found(copy, copy.keys)


def test_appended_keys_stay_consecutive_until_one_is_not() -> None:
    leaf = leaf_of([])

    def append(key: bytes) -> None:
        leaf.keys.append(key)
        leaf.values.append(b"")
        leaf.key_appended(key)

    for number in range(5, 9):
        append(number.to_bytes(8, "big"))
        assert leaf.consecutive_from == 5
        wanted = [each for key in leaf.keys for each in near(key)]
        assert_found(leaf, [*wanted, bytes(8), b"\xff" * 8, (4).to_bytes(8, "big")])
    copy = leaf.copy(2)
    assert copy.consecutive_from == 5
    for other in (b"\1", (10).to_bytes(8, "big"), (8).to_bytes(8, "big") + b"\0"):
        leaf = copy.copy(3)
        append(other)
        assert leaf.consecutive_from == -1
        assert_found(leaf, [*leaf.keys, (9).to_bytes(8, "big")])


@pytest.mark.parametrize("first", [0, 7, (1 << 63) - 5, (1 << 63) - 3, 1 << 63, (1 << 64) - 5])
@pytest.mark.parametrize("is_appended", [True, False])
def test_consecutive_keys_are_found_at_the_ends_of_integers(first: int, is_appended: bool) -> None:
    keys = [number.to_bytes(8, "big") for number in range(first, first + 5)]
    leaf = leaf_of([] if is_appended else keys)
    if is_appended:
        for key in keys:
            leaf.keys.append(key)
            leaf.key_appended(key)
    else:
        leaf.make_heads()
    assert leaf.consecutive_from == (first if first + 5 <= 1 << 63 else -1)
    others = {0, 1, 1 << 62, *range((1 << 63) - 8, (1 << 63) + 8), (1 << 64) - 1}
    others |= {each for each in (first - 1, first + 5) if 0 <= each < 1 << 64}
    assert_found(leaf, [*keys, *(each.to_bytes(8, "big") for each in others)])


@pytest.mark.parametrize("key", [b"", b"1234567", b"123456789", b"\x80" + bytes(7), b"\xff" * 8])
def test_a_first_key_that_is_no_record_id_begins_nothing(key: bytes) -> None:
    leaf = leaf_of([key])
    leaf.key_appended(key)
    assert leaf.consecutive_from == -1
