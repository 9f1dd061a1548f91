"""Requests and answers."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

ORDER = {"number": "1", "customer": "ada", "lines": [{"sku": "tea", "quantity": 2}]}


def test_an_order_is_placed_and_read_back(client: FlaskClient) -> None:
    placed = client.post("/orders", json=ORDER)
    assert placed.status_code == 201
    assert placed.json["total_cents"] == 900
    read = client.get("/orders/1")
    assert read.status_code == 200
    assert read.json["lines"] == ORDER["lines"]


def test_the_same_order_twice_is_a_conflict(client: FlaskClient) -> None:
    assert client.post("/orders", json=ORDER).status_code == 201
    again = client.post("/orders", json=ORDER)
    assert again.status_code == 409
    assert "already" in again.json["error"]


def test_too_much_of_a_product_is_a_conflict(client: FlaskClient) -> None:
    lines = [{"sku": "pot", "quantity": 2}]
    refused = client.post("/orders", json={**ORDER, "lines": lines})
    assert refused.status_code == 409
    assert "pot" in refused.json["error"]


def test_a_cancelled_order_is_shown_as_such(client: FlaskClient) -> None:
    client.post("/orders", json=ORDER)
    assert client.post("/orders/1/cancel").json["state"] == "cancelled"
    assert client.post("/orders/1/cancel").status_code == 409
    assert client.get("/orders/2").status_code == 404


def test_orders_are_listed_by_pages(client: FlaskClient) -> None:
    for number in "123":
        client.post("/orders", json={**ORDER, "number": number})
    first = client.get("/orders?limit=2").json
    assert [order["number"] for order in first["orders"]] == ["1", "2"]
    second = client.get(f"/orders?limit=2&after={first['next']}").json
    assert [order["number"] for order in second["orders"]] == ["3"]
    assert second["next"] is None


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {**ORDER, "number": ""},
        {**ORDER, "customer": 5},
        {**ORDER, "lines": []},
        {**ORDER, "lines": [{"sku": "tea", "quantity": 0}]},
        {**ORDER, "lines": [{"sku": "tea", "quantity": True}]},
        {**ORDER, "lines": ["tea"]},
    ],
)
def test_a_request_that_makes_no_sense_is_refused(client: FlaskClient, body: Any) -> None:
    refused = client.post("/orders", json=body)
    assert refused.status_code == 400
    assert refused.json["error"]


@pytest.mark.parametrize("limit", ["0", "101"])
def test_a_page_has_a_limit(client: FlaskClient, limit: str) -> None:
    assert client.get(f"/orders?limit={limit}").status_code == 400


def test_health_asks_the_database(client: FlaskClient) -> None:
    assert client.get("/health").json == {"state": "ok"}
