"""What the store promises: an order and its stock together, numbers once, pages in order."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from orders_service.store import (
    Line,
    OrderStore,
    OutOfStockError,
    StateError,
    TakenError,
    UnknownError,
)


def test_an_order_takes_its_stock(store: OrderStore) -> None:
    order = store.place("1", "ada", [Line("tea", 3), Line("pot", 1)])
    assert order["total_cents"] == 3 * 450 + 2900
    assert store.stock_of("tea") == 7
    assert store.get("1")["customer"] == "ada"


def test_an_order_that_is_refused_takes_nothing(store: OrderStore) -> None:
    with pytest.raises(OutOfStockError):
        store.place("1", "ada", [Line("tea", 3), Line("pot", 2)])
    assert store.stock_of("tea") == 10
    with pytest.raises(UnknownError):
        store.get("1")


def test_a_number_is_taken_once(store: OrderStore) -> None:
    store.place("1", "ada", [Line("tea", 1)])
    with pytest.raises(TakenError):
        store.place("1", "bob", [Line("tea", 1)])
    assert store.stock_of("tea") == 9
    assert store.get("1")["customer"] == "ada"


def test_cancelling_gives_the_stock_back_once(store: OrderStore) -> None:
    store.place("1", "ada", [Line("tea", 4)])
    assert store.cancel("1")["state"] == "cancelled"
    assert store.stock_of("tea") == 10
    with pytest.raises(StateError):
        store.cancel("1")
    assert store.stock_of("tea") == 10
    with pytest.raises(UnknownError):
        store.cancel("2")


def test_pages_follow_one_another_without_gap_or_overlap(store: OrderStore) -> None:
    store.put_product("tea", 450, 100)
    for number in range(25):
        store.place(f"{number:03}", "ada" if number % 2 else "bob", [Line("tea", 1)])
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = store.page(limit=10, after=after)
        seen += [order["number"] for order in page.orders]
        after = page.next
    assert seen == [f"{number:03}" for number in range(25)]
    assert len(store.page(customer="ada", limit=50).orders) == 12
    assert store.page(customer="nobody") == ([], None)


def test_two_who_want_the_last_piece_do_not_both_get_it(store: OrderStore) -> None:
    outcomes: list[str] = []
    begin = threading.Barrier(4)

    def buy(number: int) -> None:
        begin.wait()
        try:
            store.place(f"{number}", "ada", [Line("pot", 1)])
            outcomes.append("sold")
        except OutOfStockError:
            outcomes.append("none left")

    buyers = [threading.Thread(target=buy, args=(number,)) for number in range(4)]
    for each in buyers:
        each.start()
    for each in buyers:
        each.join()
    assert sorted(outcomes) == ["none left"] * 3 + ["sold"]
    assert store.stock_of("pot") == 0


def test_orders_are_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    path = str(tmp_path / "again.cbdd")
    first = OrderStore(path)
    first.put_product("tea", 450, 10)
    first.place("1", "ada", [Line("tea", 1)])
    first.close()
    second = OrderStore(path)
    assert second.get("1")["lines"] == [{"sku": "tea", "quantity": 1}]
    second.close()
