"""The service as it runs: several processes, several clients, stops and kills."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cbdd

CLIENTS = 6
ORDERS_EACH = 10


def numbers_in(service: Any) -> set[str]:
    """The orders that the file has, read without the service."""
    with cbdd.connect(str(service.database), must_exist=True) as client:
        assert client.check().is_clean
        orders = client.get_default_database("orders").orders
        return {order["number"] for order in orders.find({}, {"number": 1})}


def place(service: Any, number: str) -> int:
    lines = [{"sku": "tea", "quantity": 1}]
    status, _ = service.request(
        "POST", "/orders", {"number": number, "customer": "ada", "lines": lines}
    )
    return status


def test_a_stop_leaves_one_clean_file_with_every_acknowledged_order(service: Any) -> None:
    total = CLIENTS * ORDERS_EACH
    assert service.request("PUT", "/products/tea", {"price_cents": 450, "stock": total})[0] == 200

    def buy(client: int) -> list[int]:
        return [place(service, f"{client}-{number}") for number in range(ORDERS_EACH)]

    with ThreadPoolExecutor(CLIENTS) as pool:
        statuses = [status for each in pool.map(buy, range(CLIENTS)) for status in each]
    assert statuses == [201] * total
    assert place(service, "one-more") == 409  # every piece was sold, and none twice
    assert service.stop() == 0
    assert not list(service.database.parent.glob("orders.cbdd-wal-*"))
    expected = {f"{client}-{number}" for client in range(CLIENTS) for number in range(ORDERS_EACH)}
    assert numbers_in(service) == expected


def test_a_number_is_taken_once_whichever_worker_is_asked(service: Any) -> None:
    service.request("PUT", "/products/tea", {"price_cents": 450, "stock": 100})
    with ThreadPoolExecutor(CLIENTS) as pool:
        statuses = list(pool.map(lambda _: place(service, "the-same"), range(CLIENTS)))
    assert sorted(statuses) == [201] + [409] * (CLIENTS - 1)


def test_workers_that_are_killed_have_lost_no_acknowledged_order(service: Any) -> None:
    service.request("PUT", "/products/tea", {"price_cents": 450, "stock": 100})
    assert [place(service, f"{number}") for number in range(5)] == [201] * 5
    service.kill_workers()
    assert service.request("GET", "/orders/4")[0] == 200
    service.stop()
    assert numbers_in(service) == {f"{number}" for number in range(5)}
