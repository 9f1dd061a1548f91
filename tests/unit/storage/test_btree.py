"""Trees against a dictionary, with every invariant looked at from outside."""

from __future__ import annotations

import random

import pytest

from cbdd.storage.btree import PageLedger, TreeWriter
from cbdd.storage.cursor import Cursor
from cbdd.storage.node import Limits, Node, NodeSource, fits, measured
from cbdd.storage.search import search_left, search_place, search_right
from cbdd.storage.tree import Tree, resolve, tree_get, tree_lacks, tree_last_key, tree_rank

SOURCE = NodeSource(Limits(4096))
EMPTY = Tree(None, 0, 0)
MOST = SOURCE.limits.max_value


def writer_on(tree: Tree, owner: int = 1) -> TreeWriter:
    return TreeWriter(tree, owner, SOURCE, PageLedger())


def entries_of(tree: Tree) -> list[tuple[bytes, bytes]]:
    cursor = Cursor(tree, SOURCE)
    found = []
    is_valid = cursor.first()
    while is_valid:
        found.append((cursor.key, cursor.value))
        is_valid = cursor.step()
    return found


def assert_sound(node: Node, low: bytes | None = None, high: bytes | None = None) -> int:
    """Order, separators, counts, sizes and depth; returns the number of entries."""
    assert fits(node, SOURCE.limits)
    assert node.used == measured(node, SOURCE.limits)
    assert node.keys == sorted(set(node.keys))
    assert node.has_long_key or all(len(key) <= SOURCE.limits.max_key for key in node.keys)
    assert not node.keys or low is None or node.keys[0] >= low
    assert not node.keys or high is None or node.keys[-1] < high
    node.make_heads()  # which later changes forget
    if node.consecutive_from >= 0:
        start = node.consecutive_from
        assert node.keys == [(start + i).to_bytes(8, "big") for i in range(len(node.keys))]
    for i, key in enumerate(node.keys):
        assert (search_left(node, key), search_right(node, key)) == (i, i + 1)
        assert search_place(node, key) == i
    if node.level == 0:
        assert len(node.values) == len(node.keys) > 0
        assert not node.children and not node.counts  # shared by all leaves
        return len(node.keys)
    assert not node.values  # shared by all branches
    assert len(node.children) == len(node.keys) + 1
    edges = [low, *node.keys, high]
    total = 0
    for i, child in enumerate(node.children):
        below = resolve(child, SOURCE)
        assert below.level == node.level - 1
        found = assert_sound(below, edges[i], edges[i + 1])
        assert found == node.counts[i]
        total += found
    return total


def assert_is(tree: Tree, model: dict[bytes, bytes]) -> None:
    assert tree.count == len(model)
    if tree.root is None:
        assert not model
    else:
        assert assert_sound(resolve(tree.root, SOURCE)) == len(model)
    assert entries_of(tree) == sorted(model.items())


def leaves_of(node: Node) -> list[Node]:
    if node.level == 0:
        return [node]
    return [leaf for child in node.children for leaf in leaves_of(resolve(child, SOURCE))]


@pytest.mark.parametrize("size", [0, 40, 900])
def test_leaves_are_well_filled_where_keys_come_in_no_order(size: int) -> None:
    source = random.Random(size)
    writer = writer_on(EMPTY)
    model = {source.randbytes(16): source.randbytes(size) for _ in range(3000)}
    for key, value in model.items():
        writer.put(key, value)
    tree = writer.tree()
    assert_is(tree, model)
    used = [leaf.used for leaf in leaves_of(resolve(tree.root, SOURCE))]
    assert sum(used) / len(used) > 0.77 * SOURCE.limits.capacity


def test_an_insert_leaves_a_key_that_is_there() -> None:
    source = random.Random(1)
    writer = writer_on(EMPTY)
    model: dict[bytes, bytes] = {}
    for _ in range(3000):
        key, value = b"%04d" % source.randrange(2000), source.randbytes(source.choice([5, 2000]))
        assert writer.insert(key, value) == (key not in model)
        model.setdefault(key, value)
    assert_is(writer.tree(), model)


def key_of(source: random.Random) -> bytes:
    length = source.choice([0, 1, 2, 3, 8, 30, 510, 600])
    return b"k" * source.randrange(3) + source.randbytes(length)


@pytest.mark.parametrize("seed", range(12))
def test_random_changes_match_a_dictionary(seed: int) -> None:
    source = random.Random(seed)
    model: dict[bytes, bytes] = {}
    tree = EMPTY
    for round_number in range(6):
        writer = writer_on(tree, round_number + 1)
        share = source.choice([0.2, 0.5, 0.9])
        for _ in range(250):
            if model and source.random() > share:
                key = source.choice(sorted(model)) if source.random() < 0.9 else key_of(source)
                assert writer.delete(key) == (key in model)
                model.pop(key, None)
            else:
                key = key_of(source)
                value = source.randbytes(source.choice([0, 5, 90, 1500, MOST, MOST + 1]))
                assert writer.put(key, value) == (key not in model)
                model[key] = value
        tree = writer.tree()
        assert_is(tree, model)
        assert tree.large == sum(len(k) > 512 or len(v) > MOST for k, v in model.items())
    for key in sorted(model):
        assert tree_get(tree, key, SOURCE) == model[key]
        assert tree_get(tree, key + b"\0", SOURCE) == model.get(key + b"\0")
        assert not tree_lacks(tree, key, SOURCE)
        assert tree_lacks(tree, key + b"\0", SOURCE) == (key + b"\0" not in model)
    last = max(model, default=b"")
    assert tree_last_key(tree, SOURCE) == (last if model else None)
    assert tree_lacks(tree, last + b"\1", SOURCE)


@pytest.mark.parametrize("seed", range(8))
def test_record_ids_with_gaps_match_a_dictionary(seed: int) -> None:
    source = random.Random(seed)
    model: dict[bytes, bytes] = {}
    tree = EMPTY
    following = source.choice([0, 1, (1 << 63) - 500])
    consecutive = 0
    for round_number in range(6):
        writer = writer_on(tree, round_number + 1)
        for _ in range(250):
            if model and source.random() < 0.2:
                key = source.choice(sorted(model))
                if source.random() < 0.5:
                    assert writer.delete(key)
                    del model[key]
                    continue
            else:
                if source.random() < 0.03:
                    following += source.randrange(4)
                key = following.to_bytes(8, "big")
                following += 1
            value = source.randbytes(source.choice([0, 5, 90, 1500]))
            assert writer.put(key, value) == (key not in model)
            model[key] = value
        tree = writer.tree()
        for leaf in leaves_of(resolve(tree.root, SOURCE)):
            consecutive += leaf.consecutive_from >= 0
            for i, key in enumerate(leaf.keys):  # with what was noted while they came
                assert search_place(leaf, key) == i
        assert_is(tree, model)
    for number in range(following + 2):
        key = number.to_bytes(8, "big")
        assert tree_get(tree, key, SOURCE) == model.get(key)
        if number == 2000:
            break
    assert consecutive > 0


@pytest.mark.parametrize("seed", range(12))
def test_many_keys_in_order_match_a_dictionary(seed: int) -> None:
    source = random.Random(seed)
    model: dict[bytes, bytes] = {}
    tree = EMPTY
    for round_number in range(8):
        before, entries = entries_of(tree), {}
        writer = writer_on(tree, round_number + 1)
        for _ in range(source.choice([0, 1, 5, 300])):
            key = source.choice(sorted(model)) if model and source.random() < 0.1 else None
            size = source.choice([0, 5, 90, 1500, MOST, MOST + 1])
            entries[key_of(source) if key is None else key] = source.randbytes(size)
        writer.put_sorted(sorted(entries), entries)
        model.update(entries)
        for key in source.sample(sorted(model), len(model) // 5):
            assert writer.delete(key)
            del model[key]
        largest = b"\xff" + source.randbytes(8)
        assert writer.put(largest, b"at the edge") == (largest not in model)
        model[largest] = b"at the edge"
        assert entries_of(tree) == before
        tree = writer.tree()
        assert_is(tree, model)
        assert tree.large == sum(len(k) > 512 or len(v) > MOST for k, v in model.items())


@pytest.mark.parametrize("batch", [30, 300, 3000])
def test_leaves_are_well_filled_where_many_keys_come_at_once(batch: int) -> None:
    source = random.Random(batch)
    writer = writer_on(EMPTY)
    model: dict[bytes, bytes] = {}
    while len(model) < 6000:
        entries = {source.randbytes(16): b"" for _ in range(batch)}
        writer.put_sorted(sorted(entries), entries)
        model.update(entries)
    tree = writer.tree()
    assert_is(tree, model)
    used = [leaf.used for leaf in leaves_of(resolve(tree.root, SOURCE))]
    assert sum(used) / len(used) > 0.77 * SOURCE.limits.capacity


def test_an_older_version_never_changes() -> None:
    writer = writer_on(EMPTY, 1)
    for i in range(2000):
        writer.put(b"%06d" % i, b"old")
    old = writer.tree()
    before = entries_of(old)
    later = writer_on(old, 2)
    for i in range(0, 2000, 3):
        later.put(b"%06d" % i, b"new")
        later.delete(b"%06d" % (i + 1))
    assert entries_of(old) == before
    assert len(entries_of(later.tree())) == 2000 - 667 + (1 if 2000 % 3 == 1 else 0)


@pytest.mark.parametrize("step", [1, -1])
def test_ordered_arrival_fills_pages(step: int) -> None:
    writer = writer_on(EMPTY)
    keys = [b"%08d" % i for i in range(5000)]
    for key in keys[::step]:
        writer.put(key, b"v" * 20)
    tree = writer.tree()
    assert_is(tree, dict.fromkeys(keys, b"v" * 20))
    used: list[int] = []
    stack = [resolve(tree.root, SOURCE)]
    while stack:
        node = stack.pop()
        if node.level:
            stack.extend(resolve(child, SOURCE) for child in node.children)
        else:
            used.append(node.used)
    fill = sum(used) / len(used) / SOURCE.limits.capacity
    assert fill > (0.95 if step == 1 else 0.45)


def test_everything_deleted_is_an_empty_tree() -> None:
    for order in (1, -1):
        writer = writer_on(EMPTY)
        keys = [b"%05d" % i for i in range(1500)]
        for key in keys:
            writer.put(key, b"value" * 4)
        for key in keys[::order]:
            assert writer.delete(key)
        tree = writer.tree()
        assert (tree.root, tree.count, tree.large) == (None, 0, 0)
        assert not writer.delete(b"x")


def test_ranks_count_what_is_before() -> None:
    writer = writer_on(EMPTY)
    keys = [b"%05d" % (2 * i) for i in range(3000)]
    for key in keys:
        writer.put(key, b"")
    tree = writer.tree()
    for i in range(-1, 6001, 7):
        key = b"%05d" % max(i, 0)
        assert tree_rank(tree, key, SOURCE) == sum(1 for k in keys if k < key)
    assert tree_rank(tree, b"", SOURCE) == 0
    assert tree_rank(tree, b"\xff", SOURCE) == 3000
    assert tree_rank(EMPTY, b"x", SOURCE) == 0


def test_a_replaced_value_is_not_a_new_entry() -> None:
    writer = writer_on(EMPTY)
    assert writer.put(b"a", b"1")
    assert not writer.put(b"a", b"2" * 3000)
    assert (writer.count, writer.tree().large, writer.get(b"a")) == (1, 1, b"2" * 3000)
    assert not writer.put(b"a", b"3")
    assert writer.tree().large == 0
