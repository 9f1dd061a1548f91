"""The HTTP side: requests are checked, given to the store, and its errors become answers."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from flask import Flask, Response, current_app, jsonify, request

from orders_service.store import (
    Document,
    Line,
    OrderError,
    OrderStore,
    OutOfStockError,
    StateError,
    TakenError,
    UnknownError,
)

MOST_ORDERS_OF_A_PAGE = 100
MOST_LINES = 50
STATUS = {UnknownError: 404, TakenError: 409, OutOfStockError: 409, StateError: 409}
Answer = tuple[Response, int]


class BadRequestError(Exception):
    """The request is not what it should be; says which part."""


def create_app(store: OrderStore | None = None) -> Flask:
    """The application; gunicorn calls this in each worker, after the fork.

    :param store: default: the file that the variable ``ORDERS_DATABASE`` names.
    """
    app = Flask("orders_service")
    app.extensions["orders"] = store or OrderStore(os.environ.get("ORDERS_DATABASE", "orders.cbdd"))
    app.add_url_rule("/health", view_func=health)
    app.add_url_rule("/products/<sku>", view_func=put_product, methods=["PUT"])
    app.add_url_rule("/orders", view_func=place_order, methods=["POST"])
    app.add_url_rule("/orders", view_func=list_orders, methods=["GET"])
    app.add_url_rule("/orders/<number>", view_func=show_order)
    app.add_url_rule("/orders/<number>/cancel", view_func=cancel_order, methods=["POST"])
    app.register_error_handler(OrderError, refuse)
    app.register_error_handler(BadRequestError, lambda error: answer({"error": str(error)}, 400))
    return app


def orders() -> OrderStore:
    """The store of the application that has the request."""
    store: OrderStore = current_app.extensions["orders"]
    return store


def health() -> Answer:
    orders().ping()
    return answer({"state": "ok"})


def put_product(sku: str) -> Answer:
    body = Body(request.get_json(silent=True))
    return answer(orders().put_product(sku, body.count("price_cents"), body.count("stock")))


def place_order() -> Answer:
    body = Body(request.get_json(silent=True))
    order = orders().place(body.text("number"), body.text("customer"), body.lines())
    return answer(order, 201)


def list_orders() -> Answer:
    limit = request.args.get("limit", 20, type=int)
    if not 1 <= limit <= MOST_ORDERS_OF_A_PAGE:
        raise BadRequestError(f"limit must be from 1 to {MOST_ORDERS_OF_A_PAGE}")
    page = orders().page(request.args.get("customer"), limit, request.args.get("after", ""))
    return answer({"orders": [shown(each) for each in page.orders], "next": page.next})


def show_order(number: str) -> Answer:
    return answer(orders().get(number))


def cancel_order(number: str) -> Answer:
    return answer(orders().cancel(number))


def refuse(error: OrderError) -> Answer:
    return answer({"error": str(error)}, STATUS[type(error)])


def answer(body: Document, status: int = 200) -> Answer:
    return jsonify(shown(body)), status


def shown(document: Document) -> Document:
    """A document as JSON has it: times as text."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in document.items()
    }


class Body:
    """The JSON of a request, asked for its parts."""

    def __init__(self, json: Any) -> None:
        if not isinstance(json, dict):
            raise BadRequestError("the body must be a JSON object")
        self.json = json

    def text(self, name: str) -> str:
        value = self.json.get(name)
        if not isinstance(value, str) or not value:
            raise BadRequestError(f"{name} must be a text that is not empty")
        return value

    def count(self, name: str, least: int = 0) -> int:
        value = self.json.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise BadRequestError(f"{name} must be a whole number, at least {least}")
        return value

    def lines(self) -> list[Line]:
        lines = self.json.get("lines")
        if not isinstance(lines, list) or not 1 <= len(lines) <= MOST_LINES:
            raise BadRequestError(f"lines must be a list of 1 to {MOST_LINES}")
        bodies = [Body(each) for each in lines]
        return [Line(each.text("sku"), each.count("quantity", 1)) for each in bodies]
