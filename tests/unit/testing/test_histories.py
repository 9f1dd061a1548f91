"""The checker names every anomaly it is shown, and finds none in what is right."""

from __future__ import annotations

import random
from typing import Any

import pytest

from cbdd.testing.histories import (
    APPEND,
    FAIL,
    OK,
    READ,
    UNKNOWN,
    Transaction,
    check_history,
    forbidden,
)

Actions = list[tuple[str, Any, Any]]


def a(key: str, value: int) -> tuple[str, Any, Any]:
    return (APPEND, key, value)


def r(key: str, *values: int) -> tuple[str, Any, Any]:
    return (READ, key, list(values))


def names(*transactions: Transaction | Actions, realtime: bool = False) -> set[str]:
    history = [
        t if isinstance(t, Transaction) else Transaction(n, t, OK)
        for n, t in enumerate(transactions)
    ]
    return {anomaly.name for anomaly in check_history(history, realtime)}


def test_a_serial_history_has_no_anomaly() -> None:
    assert names([a("x", 1)], [r("x", 1), a("x", 2)], [r("x", 1, 2), r("y")]) == set()


def test_writes_in_two_orders_are_g0() -> None:
    assert names([a("x", 1), a("y", 1)], [a("x", 2), a("y", 2)], [r("x", 1, 2), r("y", 2, 1)]) >= {
        "G0"
    }


def test_a_read_of_an_aborted_write_is_g1a() -> None:
    assert names(Transaction(0, [a("x", 1)], FAIL), [r("x", 1)]) == {"G1a"}


def test_a_read_in_the_middle_of_a_transaction_is_g1b() -> None:
    assert "G1b" in names([a("x", 1), a("x", 2)], [r("x", 1)], [r("x", 1, 2)])


def test_two_transactions_that_read_each_other_are_g1c() -> None:
    assert names([a("x", 1), r("y", 1)], [a("y", 1), r("x", 1)]) == {"G1c"}


def test_a_torn_snapshot_is_g_single() -> None:
    found = names([a("x", 1), a("y", 1)], [r("x", 1), r("y")], [r("y", 1)])
    assert found == {"G-single"}


def test_a_lost_update_is_g_single() -> None:
    assert "G-single" in names([r("x"), a("x", 1)], [r("x"), a("x", 2)], [r("x", 1, 2)])


def test_write_skew_is_g2_item_and_allowed() -> None:
    history = [
        Transaction(0, [r("x"), r("y"), a("x", 1)], OK),
        Transaction(1, [r("x"), r("y"), a("y", 1)], OK),
        Transaction(2, [r("x", 1), r("y", 1)], OK),
    ]
    found = check_history(history, False)
    assert [anomaly.name for anomaly in found] == ["G2-item"]
    assert forbidden(found) == []
    assert "-rw->" in repr(found[0])


def test_anti_dependencies_that_are_not_in_a_row_are_forbidden() -> None:
    # T0 -rw-> T1 -wr-> T2 -rw-> T3 -wr-> T0
    found = names(
        [r("x"), r("w", 1)],
        [a("x", 1), a("z", 1)],
        [r("z", 1), r("y")],
        [a("y", 1), a("w", 1)],
        [r("x", 1), r("y", 1)],
    )
    assert found == {"G-nonadjacent"}


def test_a_stale_read_is_told_by_real_time() -> None:
    write = Transaction(0, [a("x", 1)], OK, 1, 2)
    stale = Transaction(1, [r("x")], OK, 3, 4)
    last = Transaction(2, [r("x", 1)], OK, 5, 6)
    assert names(write, stale, last) == set()
    assert names(write, stale, last, realtime=True) == {"G-single-realtime"}


def test_an_acknowledged_append_that_is_gone_is_told() -> None:
    assert names(
        Transaction(0, [a("x", 1)], OK, 1, 2),
        Transaction(1, [a("x", 2)], OK, 3, 4),
        Transaction(2, [r("x", 2)], OK, 5, 6),
    ) == {"lost-append"}
    assert (
        names(Transaction(0, [a("x", 1)], UNKNOWN, 1, 2), Transaction(2, [r("x")], OK, 5, 6))
        == set()
    )


def test_reads_that_contradict_each_other_or_themselves_are_told() -> None:
    assert "incompatible-order" in names([r("x", 1, 2)], [r("x", 2, 1)])
    assert "duplicate" in names([a("x", 1)], [r("x", 1, 1)])
    assert names([a("x", 1), r("x")]) == {"internal"}
    assert "internal" in names([r("x"), r("x", 1)], [a("x", 1)])


class Store:
    """Lists under snapshot isolation, first committer wins; or less, on purpose."""

    def __init__(self, seed: int, flaw: str) -> None:
        self.source = random.Random(seed)
        self.flaw = flaw
        self.lists: dict[str, list[int]] = {}
        self.time = 0

    def run(self, count: int) -> list[Transaction]:
        done: list[Transaction] = []
        running: list[dict[str, Any]] = []
        number = 0
        while number < count or running:
            self.time += 1
            if number < count and len(running) < 4 and self.source.random() < 0.4:
                snapshot = {key: list(value) for key, value in self.lists.items()}
                running.append(
                    {"n": number, "base": snapshot, "own": {}, "do": [], "at": self.time}
                )
                number += 1
            elif running:
                t = self.source.choice(running)
                if len(t["do"]) < 4 and self.source.random() < 0.8:
                    self._act(t)
                else:
                    running.remove(t)
                    done.append(self._commit(t))
        reads = [(READ, key, list(value)) for key, value in self.lists.items()]
        self.time += 1
        done.append(Transaction(number, reads, OK, self.time, self.time + 1))
        return done

    def _act(self, t: dict[str, Any]) -> None:
        key = self.source.choice("xyz")
        if self.source.random() < 0.5:
            value = t["n"] * 10 + len(t["do"])
            t["own"].setdefault(key, []).append(value)
            t["do"].append((APPEND, key, value))
            if self.flaw == "dirty":
                self.lists.setdefault(key, []).append(value)
            return
        base = self.lists if self.flaw in ("torn", "dirty") else t["base"]
        own = [] if self.flaw == "dirty" else t["own"].get(key, [])
        t["do"].append((READ, key, [*base.get(key, []), *own]))

    def _commit(self, t: dict[str, Any]) -> Transaction:
        self.time += 1
        is_changed = any(self.lists.get(k, []) != t["base"].get(k, []) for k in t["own"])
        if is_changed and self.flaw not in ("lost", "dirty"):
            return Transaction(t["n"], t["do"], FAIL, t["at"], self.time)
        for key, values in t["own"].items():
            if self.flaw == "lost":
                self.lists[key] = [*t["base"].get(key, []), *values]
            elif self.flaw != "dirty":
                self.lists.setdefault(key, []).extend(values)
        return Transaction(t["n"], t["do"], OK, t["at"], self.time)


@pytest.mark.parametrize("seed", range(10))
def test_snapshot_isolation_shows_nothing_that_is_forbidden(seed: int) -> None:
    assert forbidden(check_history(Store(seed, "").run(80))) == []


@pytest.mark.parametrize("flaw", ["torn", "lost", "dirty"])
@pytest.mark.parametrize("seed", range(5))
def test_less_than_snapshot_isolation_is_caught(seed: int, flaw: str) -> None:
    assert forbidden(check_history(Store(seed, flaw).run(80))), f"seed {seed}"
