"""A copy-on-write B+tree: writing the next version of a tree.

A `Tree` is one immutable version: a root and a count. `TreeWriter` starts from a version and
makes the next one, copying each node on the path of a change once:

    version 1      root --------- B          version 2 shares A and B's other children:
                   /  \\            \\
                  A    C            D           root' --- B' --- D'   (copied)

so a snapshot is a set of roots, readers take no lock, and what only an old version reached goes
with its last reader. Where the caller knows that nobody reads a version, those of its nodes that
are not on disk yet can be changed in place instead. Branches carry the number of entries below each
child, which makes rank and select O(log n).

A leaf that is full gives entries to a neighbour that has room, so that leaves are five sixths full
on average where keys come in no order. Splits keep the left node full when keys arrive in order at
the right edge of the tree, and halve by bytes otherwise. A node under a quarter full is merged with
a neighbour when both fit in half of a page more than they need, so that alternating inserts and
deletes do not split and merge without end.

Invariants: all leaves are on one level; keys ascend strictly within and across nodes; a separator
is greater than every key left of it and not greater than any key right of it; ``count`` equals the
number of entries; no node but the root is empty. `check.py` verifies these on disk.

Source: Comer, "The Ubiquitous B-Tree" (1979); Rodeh, "B-trees, Shadowing, and Clones" (2008).
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from cbdd.errors import CorruptDataError
from cbdd.storage.node import (
    BRANCH_SLOT_BYTES,
    Limits,
    Node,
    NodeSource,
    fits,
    measured,
)
from cbdd.storage.page import LEAF_SLOT_BYTES, Run, reference_page, run_page_count
from cbdd.storage.search import BISECT_LEFT, search_edge, search_place, search_right
from cbdd.storage.splitting import (
    end_within,
    even_point,
    middle_of,
    move_to,
    shortest_separator,
)
from cbdd.storage.tree import Tree, borrow, resolve, tree_get, tree_slot

NOT_IN_PLACE: Final = 1 << 62  # no owner is that high


@mypyc_attr(acyclic=True)
class PageLedger:
    """What a series of changes made unreachable: freed by the checkpoint that writes them.

    ``superseded`` holds nodes that were not on disk when they were copied, but that a checkpoint
    which is under way may be writing; whether they cost a page is known when it has finished.

    ``new_nodes`` and ``new_run_pages`` are what checkpoints will have to write, that one included,
    so it gives nothing back for what may be written already: nodes of an owner below
    ``written_below``.
    """

    def __init__(self) -> None:
        self.pages: list[tuple[int, int]] = []
        self.superseded: list[Node] = []
        self.dropped: list[Tree] = []
        self.written_below = 0
        self.new_nodes = 0
        self.new_bytes = 0
        self.new_run_pages = 0

    def absorb(self, other: PageLedger) -> None:
        """Add what another ledger collected."""
        self.pages.extend(other.pages)
        self.superseded.extend(other.superseded)
        self.dropped.extend(other.dropped)
        self.new_nodes += other.new_nodes
        self.new_bytes += other.new_bytes
        self.new_run_pages += other.new_run_pages


@mypyc_attr(acyclic=True)
class TreeWriter:
    """The next version of one tree, private to one transaction until it is taken with `tree`."""

    def __init__(
        self,
        tree: Tree,
        owner: int,
        source: NodeSource,
        ledger: PageLedger,
        in_place_from: int = NOT_IN_PLACE,
    ) -> None:
        """
        :param in_place_from: nodes that are not on disk and whose owner is not below this are
            changed in place: the caller sees to it that nobody reads them.
        """
        self._in_place_from = in_place_from
        self._root = tree.root
        self._count = tree.count
        self._large = tree.large
        self._owner = owner
        self._source = source
        self._limits: Limits = source.limits
        self._ledger = ledger
        self._tail: list[Node] = []
        self.replaced: object | None = None  # what the last change has taken out, `bytes` or `Run`

    def tree(self) -> Tree:
        """The version as it is now. Later changes would alter it: take it once, at the end."""
        return Tree(self._root, self._count, self._large)

    @property
    def count(self) -> int:
        """Number of entries now."""
        return self._count

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        return tree_get(self.tree(), key, self._source)

    def put(self, key: bytes, value: bytes) -> bool:
        """Set the value of a key; returns whether the key is new."""
        return self._set(key, value, False)

    def insert(self, key: bytes, value: bytes) -> bool:
        """Set the value of a key that is not there; returns False if it is, and changes nothing."""
        return self._set(key, value, True)

    def put_sorted(self, keys: list[bytes], entries: dict[bytes, bytes]) -> None:
        """Set the values of many keys, which ascend: each leaf is looked for once.

        :param entries: the value of each.
        """
        at = 0
        while at < len(keys):
            reached = self._put_beside(keys, entries, at)
            if reached == at:
                self.put(keys[at], entries[keys[at]])
                reached += 1
            at = reached

    def _set(self, key: bytes, value: bytes, only_new: bool) -> bool:
        limits = self._limits
        self.replaced = None
        if len(key) > limits.max_key or len(value) > limits.max_value:
            if only_new and tree_slot(self.tree(), key, self._source) is not None:
                return False
            self._large += 1
            self._ledger.new_bytes += len(key) + len(value)
            if len(key) > limits.max_key:
                self._ledger.new_run_pages += run_page_count(len(key), limits.page_size)
            if len(value) > limits.max_value:
                self._ledger.new_run_pages += run_page_count(len(value), limits.page_size)
        if self._append(key, value):
            return True
        self._tail = []
        if self._root is None:
            root = self._new_node(0)
            self._root = root
        else:
            root = self._own(borrow(self._root, self._source))
            self._root = root
        before = self._count
        pieces = self._put(root, key, value, True, only_new)
        if pieces is not None:
            self._grow(pieces if len(pieces) > 1 else self._split(root, False))
        return self._count > before

    def delete(self, key: bytes) -> bool:
        """Remove a key; returns whether it was there."""
        self.replaced = None
        if self._root is None:
            return False
        root = resolve(self._root, self._source)
        # Where nodes are copied, what is not there must not cost copies of all that leads to it.
        if self._copies(root) and tree_slot(self.tree(), key, self._source) is None:
            return False
        self._tail = []
        root = self._own(root)
        self._root = root
        if not self._delete(root, key):
            return False
        while root.level > 0 and len(root.children) == 1:
            child = root.children[0]
            self._forget(root)
            self._root = child
            below = self._readable(child)
            if below is None:
                return True
            root = below
        if not root.keys and not root.children:
            self._forget(root)
            self._root = None
        return True

    # -- copying ---------------------------------------------------------------------------

    def _new_node(self, level: int) -> Node:
        self._ledger.new_nodes += 1
        return Node(level, self._owner)

    def _copies(self, node: Node) -> bool:
        """Whether changing a node takes a copy of it."""
        return node.owner != self._owner and (
            node.owner < self._in_place_from or node.ref is not None
        )

    def _own(self, node: Node) -> Node:
        if not self._copies(node):
            return node
        self._forget(node)
        self._ledger.new_nodes += 1
        copy = node.copy(self._owner)
        if copy.level > 0:
            for i in range(len(copy.children)):
                child = copy.children[i]
                if isinstance(child, Node) and child.ref is not None:
                    copy.children[i] = child.ref
        return copy

    def _forget(self, node: Node) -> None:
        """Note that the new version does not reach this node."""
        ledger = self._ledger
        if node.ref is not None:
            ledger.pages.append((reference_page(node.ref), 1))
            for run in node.key_runs or []:  # whoever has the long keys now writes them anew
                ledger.new_run_pages += run_page_count(run.length, self._limits.page_size)
                self._forget_run(run)
            return
        if node.owner >= ledger.written_below:
            ledger.new_nodes -= 1
            return
        ledger.superseded.append(node)
        for key in node.keys:
            if len(key) > self._limits.max_key:
                ledger.new_run_pages += run_page_count(len(key), self._limits.page_size)
        for value in node.values:
            if isinstance(value, bytes) and len(value) > self._limits.max_value:
                ledger.new_run_pages += run_page_count(len(value), self._limits.page_size)

    def _forget_run(self, run: Run) -> None:
        pages = run_page_count(run.length, self._limits.page_size)
        self._ledger.pages.append((run.page, pages))

    def _forget_value(self, key: bytes, value: object) -> None:
        """Account for a value that leaves the tree."""
        if isinstance(value, Run):
            self._large -= 1
            self._forget_run(value)
            return
        assert isinstance(value, bytes)
        if len(value) > self._limits.max_value or len(key) > self._limits.max_key:
            self._large -= 1

    # -- insertion -------------------------------------------------------------------------

    def _append(self, key: bytes, value: bytes) -> bool:
        """Put a key beyond the right edge of the tree without a descent, when it fits there."""
        tail = self._tail
        if not tail:
            return False
        leaf = tail[len(tail) - 1]
        size = LEAF_SLOT_BYTES + self._limits.key_bytes(key) + self._limits.value_bytes(value)
        if leaf.used + size > self._limits.capacity or key <= leaf.keys[len(leaf.keys) - 1]:
            return False
        leaf.keys.append(key)
        leaf.key_appended(key)
        leaf.values.append(value)
        leaf.used += size
        if len(key) > self._limits.max_key:
            leaf.has_long_key = True
        for i in range(len(tail) - 1):
            counts = tail[i].counts
            counts[len(counts) - 1] += 1
        self._count += 1
        return True

    def _put(
        self, node: Node, key: bytes, value: bytes, at_edge: bool, only_new: bool
    ) -> list[Node] | None:
        """Put into an owned node; returns the nodes it split into, itself first, or None."""
        if at_edge:
            self._tail.append(node)
        if node.level == 0:
            return self._put_leaf(node, key, value, at_edge, only_new)
        i = search_edge(node, key)
        child = self._own(borrow(node.children[i], self._source))
        node.children[i] = child
        before = self._count
        pieces = self._put(child, key, value, at_edge and i == len(node.keys), only_new)
        if at_edge and i < len(node.keys):
            self._tail = []
        if pieces is None:
            node.counts[i] += self._count - before
            return None
        self._tail = []
        if len(pieces) == 1:
            if self._share(node, i, child) or self._split_two(node, i, child):
                return None if fits(node, self._limits) else self._split(node, False)
            pieces = self._split(child, False)
        node.counts[i] = pieces[0].entry_count()
        node.keys_changed()
        for j in range(1, len(pieces)):
            separator = self._separator(pieces[j - 1], pieces[j])
            node.keys.insert(i + j - 1, separator)
            node.children.insert(i + j, pieces[j])
            node.counts.insert(i + j, pieces[j].entry_count())
            node.used += BRANCH_SLOT_BYTES + self._limits.key_bytes(separator)
            if len(separator) > self._limits.max_key:
                node.has_long_key = True
        if fits(node, self._limits):
            return None
        return self._split(node, at_edge and i == len(node.children) - len(pieces))

    def _put_leaf(
        self, leaf: Node, key: bytes, value: bytes, at_edge: bool, only_new: bool
    ) -> list[Node] | None:
        limits = self._limits
        keys = leaf.keys
        n = len(keys)
        i = search_place(leaf, key)
        if i >= 0:
            if only_new:
                return None
            old = leaf.values[i]
            self._forget_value(key, old)
            self.replaced = old
            leaf.used += limits.value_bytes(value) - limits.value_bytes(old)
            leaf.values[i] = value
        else:
            i = -1 - i
            keys.insert(i, key)
            if i == n:
                leaf.key_appended(key)
            else:
                leaf.keys_changed()
            leaf.values.insert(i, value)
            leaf.used += LEAF_SLOT_BYTES + limits.key_bytes(key) + limits.value_bytes(value)
            if len(key) > limits.max_key:
                leaf.has_long_key = True
            self._count += 1
        if leaf.used <= limits.capacity or fits(leaf, limits):
            return None
        self._tail = []
        return self._split(leaf, True) if at_edge and i == n else [leaf]

    def _put_beside(self, keys: list[bytes], entries: dict[bytes, bytes], at: int) -> int:
        """Put keys from one on into the leaf in which that belongs; returns where it stopped.

        It stops at the end of the leaf, where the leaf is full, and where a key is there already or
        belongs in a run.
        """
        limits = self._limits
        self._tail = []
        if self._root is None:
            return at
        node = self._own(borrow(self._root, self._source))
        self._root = node
        path: list[Node] = []
        places: list[int] = []
        bound: bytes | None = None
        while node.level > 0:
            i = search_edge(node, keys[at])
            if i < len(node.keys):
                bound = node.keys[i]
            child = self._own(borrow(node.children[i], self._source))
            node.children[i] = child
            path.append(node)
            places.append(i)
            node = child
        there = node.keys
        place = 0
        first = at
        while at < len(keys):
            key = keys[at]
            value = entries[key]
            if bound is not None and key >= bound:
                break
            if len(key) > limits.max_key or len(value) > limits.max_value:
                break
            place = BISECT_LEFT(there, key, place, len(there))
            if place < len(there) and there[place] == key:
                break
            size = LEAF_SLOT_BYTES + len(key) + len(value)
            there.insert(place, key)
            node.values.insert(place, value)
            node.used += size
            if node.used > limits.capacity and not fits(node, limits):
                del there[place]
                del node.values[place]
                node.used -= size
                break
            place += 1
            at += 1
        if at > first:
            node.keys_changed()
            self._count += at - first
            for j in range(len(path)):
                path[j].counts[places[j]] += at - first
        return at

    def _readable(self, child: object) -> Node | None:
        """A node beside what has changed; None where it is damaged.

        The change does not need it. Who reads it is told, and the flight recorder has it; a disk
        that fails is told at once.
        """
        try:
            return resolve(child, self._source)
        except CorruptDataError:
            return None

    def _share(self, parent: Node, i: int, leaf: Node) -> bool:
        """Let an overfull leaf give entries to a neighbour with room; False if neither has any."""
        for j in (i + 1, i - 1):
            if j < 0 or j >= len(parent.children):
                continue
            beside = self._readable(parent.children[j])
            if beside is None:
                continue
            left, right = (leaf, beside) if j > i else (beside, leaf)
            at = even_point(left, right, self._limits)
            if at == 0:
                continue
            neighbour = self._own(beside)
            parent.children[j] = neighbour
            left, right = (leaf, neighbour) if j > i else (neighbour, leaf)
            move_to(left, right, at)
            left.used = measured(left, self._limits)
            right.used = measured(right, self._limits)
            self._set_separator(parent, min(i, j), left, right)
            return True
        return False

    def _split_two(self, parent: Node, i: int, leaf: Node) -> bool:
        """Make three leaves, each about two thirds full, of an overfull one and a full neighbour.

        False when there is no neighbour, or their entries are too large for that.
        """
        j = i + 1 if i + 1 < len(parent.children) else i - 1
        if j < 0:
            return False
        limits = self._limits
        beside = self._readable(parent.children[j])
        if beside is None:
            return False
        left, right = (leaf, beside) if j > i else (beside, leaf)
        keys = left.keys + right.keys
        values = left.values + right.values
        third = (left.used + right.used) // 3
        one = end_within(keys, values, 0, third, limits)
        two = end_within(keys, values, one, third, limits)
        if end_within(keys, values, two, limits.capacity, limits) < len(keys):
            return False
        neighbour = self._own(beside)
        parent.children[j] = neighbour
        left, right = (leaf, neighbour) if j > i else (neighbour, leaf)
        middle = self._new_node(0)
        left.keys, middle.keys, right.keys = keys[:one], keys[one:two], keys[two:]
        left.values, middle.values, right.values = values[:one], values[one:two], values[two:]
        has_long_key = left.has_long_key or right.has_long_key
        for node in (left, middle, right):
            node.keys_changed()
            node.used = measured(node, limits)
            node.has_long_key = has_long_key
        at = min(i, j)
        parent.children.insert(at + 1, middle)
        parent.counts.insert(at + 1, 0)
        parent.keys.insert(at, b"")
        parent.used += BRANCH_SLOT_BYTES
        self._set_separator(parent, at, left, middle)
        self._set_separator(parent, at + 1, middle, right)
        return True

    def _set_separator(self, parent: Node, at: int, left: Node, right: Node) -> None:
        """Note what two leaves beside each other, the children ``at`` and the next, have now."""
        limits = self._limits
        separator = shortest_separator(left.keys[len(left.keys) - 1], right.keys[0])
        parent.used += limits.key_bytes(separator) - limits.key_bytes(parent.keys[at])
        parent.keys[at] = separator
        parent.keys_changed()
        parent.counts[at] = len(left.keys)
        parent.counts[at + 1] = len(right.keys)
        if len(separator) > limits.max_key:
            parent.has_long_key = True

    def _grow(self, pieces: list[Node]) -> None:
        """Put a new root over the pieces of the old one."""
        self._tail = []
        while len(pieces) > 1:
            top = self._new_node(pieces[0].level + 1)
            for i in range(len(pieces)):
                top.children.append(pieces[i])
                top.counts.append(pieces[i].entry_count())
                if i:
                    separator = self._separator(pieces[i - 1], pieces[i])
                    top.keys.append(separator)
                    if len(separator) > self._limits.max_key:
                        top.has_long_key = True
            top.used = measured(top, self._limits)
            self._root = top
            pieces = [top] if fits(top, self._limits) else self._split(top, False)

    def _separator(self, left: Node, right: Node) -> bytes:
        """A separator between two neighbours; a branch piece brings the key cut off its left."""
        if right.level > 0:
            separator = right.cut_key
            assert separator is not None
            right.cut_key = None
            return separator
        return shortest_separator(left.keys[len(left.keys) - 1], right.keys[0])

    def _split(self, node: Node, is_append: bool) -> list[Node]:
        """Split an overfull owned node into pieces that fit, the node itself first."""
        right = self._new_node(node.level)
        if node.level == 0:
            at = len(node.keys) - 1 if is_append else middle_of(node, self._limits)
            right.keys = node.keys[at:]
            right.values = node.values[at:]
            del node.keys[at:]
            del node.values[at:]
        else:
            at = len(node.children) - 1 if is_append else middle_of(node, self._limits)
            right.cut_key = node.keys[at - 1]
            right.keys = node.keys[at:]
            right.children = node.children[at:]
            right.counts = node.counts[at:]
            del node.keys[at - 1 :]
            del node.children[at:]
            del node.counts[at:]
        node.keys_changed()
        if is_append:  # it is full of keys in order, so few will come
            node.make_heads()
        if node.level == 0 and len(right.keys) == 1:
            right.key_appended(right.keys[0])
        node.used = measured(node, self._limits)
        right.used = measured(right, self._limits)
        right.has_long_key = node.has_long_key
        pieces: list[Node] = []
        for piece in (node, right):
            if fits(piece, self._limits):
                pieces.append(piece)
            else:
                pieces.extend(self._split(piece, False))
        return pieces

    # -- deletion --------------------------------------------------------------------------

    def _delete(self, node: Node, key: bytes) -> bool:
        """Delete a key below an owned node; returns whether it was there."""
        limits = self._limits
        if node.level == 0:
            i = search_place(node, key)
            if i < 0:
                return False
            old = node.values[i]
            self._forget_value(key, old)
            self.replaced = old
            node.used -= LEAF_SLOT_BYTES + limits.key_bytes(key) + limits.value_bytes(old)
            node.keys.pop(i)
            node.keys_changed()
            node.values.pop(i)
            self._count -= 1
            return True
        i = search_right(node, key)
        child = self._own(borrow(node.children[i], self._source))
        node.children[i] = child
        if not self._delete(child, key):
            return False
        node.counts[i] -= 1
        if child.used < limits.capacity // 4:
            self._rebalance(node, i, child)
        return True

    def _rebalance(self, parent: Node, i: int, child: Node) -> None:
        """Remove an empty child, or merge a small one with a neighbour when that is roomy."""
        if not child.keys and (child.level == 0 or not child.children):
            self._forget(child)
            self._cut_child(parent, i, max(0, i - 1))
            return
        j = i + 1 if i + 1 < len(parent.children) else i - 1
        beside = self._readable(parent.children[j]) if j >= 0 else None
        if beside is None:
            return
        left, right = (child, beside) if j > i else (beside, child)
        at = min(i, j)
        separator = parent.keys[at]
        room = self._limits.capacity * 3 // 4
        if left.used + right.used + self._limits.key_bytes(separator) > room:
            return
        merged = self._own(left)
        if merged.level == 0:
            merged.keys.extend(right.keys)
            merged.values.extend(right.values)
        else:
            merged.keys.append(separator)
            merged.keys.extend(right.keys)
            merged.children.extend(right.children)
            merged.counts.extend(right.counts)
        merged.keys_changed()
        merged.used = measured(merged, self._limits)
        if right.has_long_key or len(separator) > self._limits.max_key:
            merged.has_long_key = True
        self._forget(right)
        parent.children[at] = merged
        parent.counts[at] += parent.counts[at + 1]
        self._cut_child(parent, at + 1, at)

    def _cut_child(self, parent: Node, i: int, separator: int) -> None:
        """Take child ``i`` and the separator at index ``separator`` out of a branch."""
        del parent.children[i]
        del parent.counts[i]
        parent.used -= BRANCH_SLOT_BYTES
        if parent.keys:
            parent.used -= self._limits.key_bytes(parent.keys[separator])
            del parent.keys[separator]
            parent.keys_changed()
