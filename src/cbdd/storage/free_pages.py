"""Which pages are free: the list on disk, and what is reachable where that is damaged.

The list is a convenience: what no tree reaches is free. So a damaged one never keeps the file from
being used; it is made anew, and that is recorded. Nor does a damaged page of a dropped tree: what
it led to is not given back, which costs space and is recorded.
"""

from __future__ import annotations

from cbdd.errors import CorruptDataError
from cbdd.storage.freelist import FreeRun, decode_runs, malformed_runs, unreached_runs
from cbdd.storage.meta import HEADER_REGION_BYTES, Meta
from cbdd.storage.node import Node
from cbdd.storage.page import Run, reference_page, run_page_count
from cbdd.storage.state import DatabaseState
from cbdd.storage.tree import Tree


def read_freelist(state: DatabaseState, meta: Meta) -> list[FreeRun]:
    """The list of a generation, whose pages nobody may be reusing."""
    if not meta.freelist_length:
        return []
    run = Run(meta.freelist_page, meta.freelist_length, meta.freelist_checksum)
    runs = decode_runs(state.pager.read_run(run))
    first = HEADER_REGION_BYTES // meta.page_size
    problem = malformed_runs(runs, first, meta.page_count, meta.generation)
    if problem:
        raise CorruptDataError(
            "FREELIST_MALFORMED",
            f"the list of free pages makes no sense: {problem}",
            "nothing is lost; the next checkpoint makes a new list",
            {"path": state.path, "page": meta.freelist_page},
        )
    return runs


def usable_freelist(state: DatabaseState) -> list[FreeRun]:
    """The list to allocate from: the one on disk, or what is reachable tells one.

    Pages found free in that way count as freed by the current generation, so they wait until
    both meta pages and every reader are past it. When a tree cannot be read, nothing is taken to
    be free: the file grows, and no page that somebody needs is overwritten.
    """
    try:
        return read_freelist(state, state.meta)
    except CorruptDataError as error:
        damage = error
    runs: list[FreeRun] = []
    try:
        runs = _runs_by_reachability(state)
    except CorruptDataError:
        runs = []
    free = 0
    for run in runs:
        free += run.count
    message = f"the list of free pages was damaged and made anew: {free} pages are free ({damage})"
    state.report.add("FREELIST_REBUILT", "SEV-3", message)
    state.events.record("freelist_rebuilt", {"code": damage.code, "free_pages": free})
    return runs


def _runs_by_reachability(state: DatabaseState) -> list[FreeRun]:
    """What no tree of the current generation reaches, the list's own pages left out."""
    meta = state.meta
    pages: list[tuple[int, int]] = [(0, HEADER_REGION_BYTES // meta.page_size)]
    collect_pages(state, state.directory_tree, pages)
    for number in state.base_trees:
        tree = state.base_trees[number]
        collect_pages(state, Tree(tree.root, tree.count, 1), pages)
    pages.append((meta.freelist_page, run_page_count(meta.freelist_length, meta.page_size)))
    used = bytearray(meta.page_count)
    for start, count in pages:
        for page in range(start, min(start + count, meta.page_count)):
            used[page] = 1
    return unreached_runs(used, meta.generation)


def collect_dropped(state: DatabaseState, tree: Tree, pages: list[tuple[int, int]]) -> None:
    """Add the pages of a dropped tree to ``pages``, but for those behind damage.

    Dropping is how people get rid of what is damaged: it must not keep checkpoints from working.
    """
    found: list[tuple[int, int]] = []
    damage: list[CorruptDataError] = []
    try:
        collect_pages(state, tree, found, damage)
    except CorruptDataError as error:
        found = []  # its pages cannot be told from those of others
        damage.append(error)
    pages += found
    if damage:
        first = damage[0]
        message = f"a dropped tree was damaged, so pages of it stay unused: {first}"
        state.report.add("PAGE_LEAKED", "SEV-3", message)
        facts: dict[str, object] = {"code": "PAGE_LEAKED", "damage": first.code}
        facts["page"] = first.details.get("page")
        state.events.record("pages_leaked", facts)


def collect_pages(
    state: DatabaseState,
    tree: Tree,
    pages: list[tuple[int, int]],
    damage: list[CorruptDataError] | None = None,
) -> None:
    """Add every page of a tree to ``pages``, reading leaves only if runs hang off them.

    :param damage: receives what is wrong with pages that cannot be read; None to raise it.
    """
    if tree.root is None:
        return
    most = len(pages) + state.meta.page_count
    stack: list[object] = [tree.root]
    while stack:
        _require_at_most(most, pages, state.path)
        item = stack.pop()
        if isinstance(item, Node):
            node = item
            if node.ref is not None:
                pages.append((reference_page(node.ref), 1))
        else:
            assert isinstance(item, bytes)
            pages.append((reference_page(item), 1))
            try:
                node = state.pager.load(item)
            except CorruptDataError as error:
                if damage is None:
                    raise
                damage.append(error)
                continue
        for run in node.key_runs or []:
            pages.append((run.page, run_page_count(run.length, state.pager.page_size)))
        for value in node.values:
            if isinstance(value, Run):
                pages.append((value.page, run_page_count(value.length, state.pager.page_size)))
        if node.level == 1 and not tree.large:
            for child in node.children:
                ref = child.ref if isinstance(child, Node) else child
                if isinstance(ref, bytes):
                    pages.append((reference_page(ref), 1))
        else:
            stack.extend(node.children)
    _require_at_most(most, pages, state.path)


def _require_at_most(most: int, pages: list[tuple[int, int]], path: str) -> None:
    """Refuse a tree that comes by pages again and again: it might never end."""
    if len(pages) > most:
        raise CorruptDataError(
            "PAGE_SHARED",
            "a tree reaches more pages than the file has",
            "run `cbdd check`",
            {"path": path, "page": pages[len(pages) - 1][0]},
        )
