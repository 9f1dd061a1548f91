"""The shape of a tree on disk: depth, pages and fill of each level, runs."""

from __future__ import annotations

from typing import Any

from cbdd.errors import CorruptDataError, DiskFaultError
from cbdd.storage.check import page_of
from cbdd.storage.node import Node, measured, stored_prefix
from cbdd.storage.page import HEADER_BYTES, Run, reference_page, run_page_count
from cbdd.storage.state import DatabaseState
from cbdd.storage.tree import Tree


class LevelShape:
    """One level of a tree; 0 are the leaves. Fill is of the room for entries in a page."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.pages = 0
        self.entries = 0
        self.used_bytes = 0
        self.least_bytes = -1

    def add(self, entries: int, used: int) -> None:
        """Count one page."""
        self.pages += 1
        self.entries += entries
        self.used_bytes += used
        self.least_bytes = used if self.least_bytes < 0 else min(self.least_bytes, used)


class TreeShape:
    """A tree as of the last checkpoint, with what only the log has in memory counted too."""

    def __init__(self, tree: int, page_size: int) -> None:
        self.tree = tree
        self.page_size = page_size
        self.root_page = 0
        self.entries = 0
        self.levels: dict[int, LevelShape] = {}
        self.runs = 0
        self.run_pages = 0
        self.run_bytes = 0
        self.unwritten = 0
        self.damaged: list[int] = []

    @property
    def depth(self) -> int:
        """Levels, 0 for an empty tree."""
        return len(self.levels)

    def to_dict(self) -> dict[str, Any]:
        """The shape for JSON."""
        room = self.page_size - HEADER_BYTES
        return {
            "tree": self.tree,
            "root_page": self.root_page,
            "depth": self.depth,
            "entries": self.entries,
            "levels": [
                {
                    "level": each.level,
                    "pages": each.pages,
                    "entries": each.entries,
                    "fill": round(each.used_bytes / (each.pages * room), 4),
                    "least_fill": round(each.least_bytes / room, 4),
                }
                for _level, each in sorted(self.levels.items(), reverse=True)
            ],
            "runs": self.runs,
            "run_pages": self.run_pages,
            "run_bytes": self.run_bytes,
            "unwritten_nodes": self.unwritten,
            "damaged_pages": self.damaged,
        }


def shape_of(state: DatabaseState, tree: Tree, number: int) -> TreeShape:
    """Walk a tree of a snapshot; damaged pages are listed, what is behind them is not counted."""
    shape = TreeShape(number, state.pager.page_size)
    shape.entries = tree.count
    stack: list[object] = [] if tree.root is None else [tree.root]
    while stack:
        child = stack.pop()
        if isinstance(child, Node):
            node = child
            if node.ref is None:
                shape.unwritten += 1
        else:
            assert isinstance(child, bytes)
            try:
                node = state.pager.load(child)
            except (CorruptDataError, DiskFaultError) as error:
                shape.damaged.append(page_of(error, reference_page(child)))
                continue
        if not shape.levels and node.ref is not None:
            shape.root_page = reference_page(node.ref)
        level = shape.levels.setdefault(node.level, LevelShape(node.level))
        saved = len(stored_prefix(node, state.pager.limits)) * (len(node.keys) - 1)
        used = measured(node, state.pager.limits) - saved
        level.add(len(node.children) if node.level else len(node.keys), used)
        for value in [*(node.key_runs or []), *node.values]:
            if isinstance(value, Run):
                shape.runs += 1
                shape.run_bytes += value.length
                shape.run_pages += run_page_count(value.length, shape.page_size)
        stack.extend(node.children)
    return shape
