"""A checker of transaction histories: which anomalies of isolation does one show?

Transactions append unique values to lists and read lists. Because a list shows its whole past, the
order in which values were written follows from what was read, and from it the dependencies:

    ww   the next value of a list was appended by
    wr   the value was read by
    rw   what was read was overwritten (appended to) by
    rt   had ended before it began (only with ``realtime``)

A cycle of these is an anomaly, named after its edges: ``G0`` (ww only), ``G1c`` (with wr),
``G-single`` (one rw), ``G-nonadjacent`` (several rw, no two in a row), ``G2-item`` (two rw in a
row); with rt edges ``-realtime`` is added. Without a cycle there are ``G1a`` (a read of an aborted
transaction), ``G1b`` (a read of an intermediate state), ``lost-append`` (acknowledged, and gone),
``incompatible-order`` (two reads that cannot both be right), ``duplicate`` and ``internal`` (a
transaction that does not see its own writes). Snapshot isolation forbids all but ``G2-item``.

Source: Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations"
(2020); Adya, "Weak Consistency" (1999); Tarjan (1972) for the components.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

APPEND: Final = "append"
READ: Final = "read"
OK: Final = "ok"
FAIL: Final = "fail"
UNKNOWN: Final = "unknown"
ALLOWED: Final = ("G2-item", "G2-item-realtime")

Action = tuple[str, Any, Any]


class Transaction:
    """One transaction: its actions in order, and what became of it.

    :param actions: ``(APPEND, key, value)`` or ``(READ, key, list of values)``.
    :param status: ``OK``, ``FAIL`` (it has certainly not happened) or ``UNKNOWN``.
    :param began: a time on a clock that all share; ``ended`` likewise.
    """

    def __init__(
        self, number: int, actions: Iterable[Action], status: str, began: int = 0, ended: int = 0
    ) -> None:
        self.number = number
        self.actions = list(actions)
        self.status = status
        self.began = began
        self.ended = ended

    def __repr__(self) -> str:
        parts = [f"{kind} {key} {value}" for kind, key, value in self.actions]
        return f"T{self.number} ({self.status}): {'; '.join(parts)}"


class Anomaly:
    """One anomaly: its name, the transactions, and how they hang together."""

    def __init__(self, name: str, message: str, transactions: list[Transaction]) -> None:
        self.name = name
        self.message = message
        self.transactions = transactions

    def __repr__(self) -> str:
        return "\n".join([f"{self.name}: {self.message}", *(f"  {t}" for t in self.transactions)])


def check_history(transactions: Iterable[Transaction], realtime: bool = True) -> list[Anomaly]:
    """Every anomaly found, each group of entangled transactions once for each name."""
    checker = _Checker(list(transactions))
    checker.look_inside()
    checker.order_versions()
    checker.look_at_reads()
    checker.build(realtime)
    checker.find_cycles()
    return checker.anomalies


def forbidden(anomalies: Iterable[Anomaly]) -> list[Anomaly]:
    """Those that snapshot isolation does not allow."""
    return [anomaly for anomaly in anomalies if anomaly.name not in ALLOWED]


class _Checker:
    def __init__(self, transactions: list[Transaction]) -> None:
        self.transactions = {t.number: t for t in transactions}
        self.anomalies: list[Anomaly] = []
        self.writer: dict[tuple[Any, Any], Transaction] = {}
        self.last_of: dict[tuple[int, Any], Any] = {}
        self.order: dict[Any, list[Any]] = {}
        self.edges: dict[int, dict[int, tuple[str, str]]] = {}
        for t in transactions:
            for kind, key, value in t.actions:
                if kind == APPEND:
                    self.writer[key, value] = t
                    self.last_of[t.number, key] = value

    def add(self, name: str, message: str, *transactions: Transaction) -> None:
        self.anomalies.append(Anomaly(name, message, list(transactions)))

    def look_inside(self) -> None:
        """A transaction sees its own appends, and one state of each list otherwise."""
        for t in self.transactions.values():
            seen: dict[Any, list[Any]] = {}
            pending: dict[Any, list[Any]] = {}
            for kind, key, value in t.actions:
                if kind == APPEND:
                    pending.setdefault(key, []).append(value)
                    if key in seen:
                        seen[key] = [*seen[key], value]
                    continue
                own = pending.get(key, [])
                if key in seen:
                    if value != seen[key]:
                        self.add("internal", f"key {key}: {value}, expected {seen[key]}", t)
                elif own and value[-len(own) :] != own:
                    self.add("internal", f"key {key}: {value} does not end with {own}", t)
                seen[key] = list(value)

    def _reads(self) -> Iterable[tuple[Transaction, Any, list[Any]]]:
        """What others wrote, as each transaction that may have happened read it first."""
        for t in self.transactions.values():
            if t.status == FAIL:
                continue
            touched: set[Any] = set()
            for kind, key, value in t.actions:
                if kind == READ and key not in touched:
                    yield t, key, value
                touched.add(key)

    def order_versions(self) -> None:
        """The longest read of each key is its order; every other one must be its beginning."""
        longest: dict[Any, tuple[list[Any], Transaction]] = {}
        reads = [
            (t, key, value)
            for t in self.transactions.values()
            if t.status != FAIL
            for kind, key, value in t.actions
            if kind == READ
        ]
        for t, key, value in reads:
            if key not in longest or len(value) > len(longest[key][0]):
                longest[key] = (value, t)
        for t, key, value in reads:
            best, other = longest[key]
            if best[: len(value)] != value:
                self.add("incompatible-order", f"key {key}: {value} and {best}", t, other)
        for key, (values, t) in longest.items():
            self.order[key] = values
            if len(set(values)) != len(values):
                self.add("duplicate", f"key {key}: {values}", t)

    def look_at_reads(self) -> None:
        """Aborted and intermediate reads, and acknowledged appends that nobody finds."""
        for t, key, values in self._reads():
            for value in values:
                writer = self.writer.get((key, value))
                if writer is not None and writer.status == FAIL:
                    self.add("G1a", f"key {key}: {value} was aborted", t, writer)
            if values:
                writer = self.writer.get((key, values[-1]))
                if (
                    writer is not None
                    and writer is not t
                    and self.last_of[writer.number, key] != values[-1]
                ):
                    self.add("G1b", f"key {key}: {values[-1]} was overwritten", t, writer)
        for (key, value), writer in self.writer.items():
            if writer.status != OK or value in self.order.get(key, [value]):
                continue
            later = [t for t, k, _v in self._reads() if k == key and t.began > writer.ended]
            if later:
                self.add("lost-append", f"key {key}: {value} is gone", writer, later[-1])

    # -- dependencies -------------------------------------------------------------------------

    def _edge(self, source: Transaction, target: Transaction, kind: str, why: str) -> None:
        if source.number == target.number or FAIL in (source.status, target.status):
            return
        known = self.edges.setdefault(source.number, {})
        strength = ("ww", "wr", "rt", "rw")
        if target.number in known and strength.index(known[target.number][0]) <= strength.index(
            kind
        ):
            return
        known[target.number] = (kind, why)

    def build(self, realtime: bool) -> None:
        """Dependencies from the orders and the reads; real time if asked for."""
        for key, values in self.order.items():
            for i in range(1, len(values)):
                before = self.writer.get((key, values[i - 1]))
                after = self.writer.get((key, values[i]))
                if before and after:
                    self._edge(before, after, "ww", f"{key}: {values[i - 1]} then {values[i]}")
        for t, key, read in self._reads():
            order = self.order.get(key, [])
            if read:
                writer = self.writer.get((key, read[-1]))
                if writer is not None:
                    self._edge(writer, t, "wr", f"{key}: {read[-1]} was read")
            if len(read) < len(order):
                writer = self.writer.get((key, order[len(read)]))
                if writer is not None:
                    self._edge(t, writer, "rw", f"{key}: {order[len(read)]} was not seen")
        if realtime:
            self._add_realtime()

    def _add_realtime(self) -> None:
        """Edges from those that ended before one began, without what follows from others."""
        ok = [t for t in self.transactions.values() if t.status == OK and t.ended]
        events = sorted([(t.began, 1, t.number) for t in ok] + [(t.ended, 0, t.number) for t in ok])
        frontier: set[int] = set()
        for _time, is_begin, number in events:
            t = self.transactions[number]
            if is_begin:
                for earlier in frontier:
                    self._edge(self.transactions[earlier], t, "rt", "it had ended before")
            else:
                frontier = {
                    other for other in frontier if self.transactions[other].ended >= t.began
                }
                frontier.add(number)

    def find_cycles(self) -> None:
        """Name the worst cycle of each strongly connected component, and the others in it."""
        for component in _components(self.edges):
            if len(component) < 2:
                continue
            inside = set(component)
            names: set[str] = set()
            for kinds, most_rw in ((("ww",), 0), (("ww", "wr"), 0), (("ww", "wr", "rt"), 0)):
                self._search(inside, kinds, most_rw, names)
            self._search(inside, ("ww", "wr"), 1, names)
            self._search(inside, ("ww", "wr", "rt"), 1, names)
            if not names:
                cycle = self._any_cycle(inside)
                self._report("G2-item", cycle)

    def _search(self, inside: set[int], kinds: tuple[str, ...], rw: int, names: set[str]) -> None:
        """Find one cycle of such edges (``rw``: with anti-dependencies, never two in a row)."""
        for start in inside:
            for target, (kind, _why) in self.edges.get(start, {}).items():
                if target not in inside or (kind != "rw" if rw else kind not in kinds):
                    continue
                path = self._path(target, start, inside, kinds, bool(rw))
                if path is None:
                    continue
                cycle = [start, *path]
                name = self._name(cycle)
                if name not in names:
                    names.add(name)
                    self._report(name, cycle)
                return

    def _path(
        self, source: int, goal: int, inside: set[int], kinds: tuple[str, ...], with_rw: bool
    ) -> list[int] | None:
        """Shortest way from source to goal; anti-dependencies only between others."""
        first = (source, with_rw)  # the edge that led here was an anti-dependency
        came: dict[tuple[int, bool], tuple[int, bool] | None] = {first: None}
        queue = deque([first])
        while queue:
            at = queue.popleft()
            node, was_rw = at
            if node == goal and not (with_rw and was_rw):
                path: list[int] = []
                step: tuple[int, bool] | None = at
                while step is not None:
                    path.append(step[0])
                    step = came[step]
                return path[::-1]
            for target, (kind, _why) in self.edges.get(node, {}).items():
                is_rw = kind == "rw"
                if target not in inside or (is_rw and (was_rw or not with_rw)):
                    continue
                if not is_rw and kind not in kinds:
                    continue
                after = (target, is_rw)
                if after not in came:
                    came[after] = at
                    queue.append(after)
        return None

    def _any_cycle(self, inside: set[int]) -> list[int]:
        """Some cycle of a component."""
        start = next(iter(inside))
        came: dict[int, int] = {}
        queue = deque([start])
        while queue:
            node = queue.popleft()
            for target in self.edges.get(node, {}):
                if target == start:
                    path = [start, node]
                    while path[-1] != start:
                        path.append(came[path[-1]])
                    return path[::-1]
                if target in inside and target not in came:
                    came[target] = node
                    queue.append(target)
        raise AssertionError("a component without a cycle")

    def _kinds(self, cycle: list[int]) -> list[str]:
        return [self.edges[a][b][0] for a, b in itertools.pairwise(cycle)]

    def _name(self, cycle: list[int]) -> str:
        kinds = self._kinds(cycle)
        rw = kinds.count("rw")
        if rw == 1:
            name = "G-single"
        elif rw > 1:
            name = "G-nonadjacent"
        else:
            name = "G1c" if "wr" in kinds else "G0"
        return f"{name}-realtime" if "rt" in kinds else name

    def _report(self, name: str, cycle: list[int]) -> None:
        if name == "G2-item" and "rt" in self._kinds(cycle):
            name = "G2-item-realtime"
        steps = [
            f"T{a} -{self.edges[a][b][0]}-> T{b} ({self.edges[a][b][1]})"
            for a, b in itertools.pairwise(cycle)
        ]
        self.add(name, ", ".join(steps), *(self.transactions[n] for n in cycle[:-1]))


def _components(edges: dict[int, dict[int, tuple[str, str]]]) -> list[list[int]]:
    """Strongly connected components, by Tarjan's algorithm without recursion."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    on_stack: set[int] = set()
    stack: list[int] = []
    found: list[list[int]] = []
    for root in list(edges):
        if root in index:
            continue
        work = [(root, iter(edges.get(root, {})))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, targets = work[-1]
            for target in targets:
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(edges.get(target, {}))))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component: list[int] = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        component.append(member)
                        if member == node:
                            break
                    found.append(component)
    return found
