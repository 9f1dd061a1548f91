"""Products and orders in one file.

    products   _id: sku, price_cents, stock
    orders     number (unique), customer, lines, total_cents, state, placed_at

Stock and orders change together, in a transaction. Every method may be called by many threads and
processes at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

import cbdd

Document = dict[str, Any]
HIDDEN = {"_id": 0}


class OrderError(Exception):
    """A request that cannot be met as things are."""


class UnknownError(OrderError):
    """There is no such product or order."""


class TakenError(OrderError):
    """An order of this number is there already."""


class OutOfStockError(OrderError):
    """There is less of a product than was ordered."""


class StateError(OrderError):
    """The order is in a state in which this cannot be done."""


class Line(NamedTuple):
    """So much of one product."""

    sku: str
    quantity: int


class Page(NamedTuple):
    """Some orders, and the number behind which the next page begins; None on the last."""

    orders: list[Document]
    next: str | None


class OrderStore:
    """The database of the service; one for each process, opened after the fork."""

    def __init__(self, path: str, **options: Any) -> None:
        self._client = cbdd.connect(path, **options)
        database = self._client.get_default_database("orders")
        self._products = database.products
        self._orders = database.orders
        self._orders.create_index("number", unique=True)
        self._orders.create_index([("customer", 1), ("number", 1)])

    def close(self) -> None:
        """Let go of the file; the last process to do so leaves it without a log."""
        self._client.close()

    def ping(self) -> None:
        """Raise when the database does not answer."""
        self._client.admin.command("ping")

    def put_product(self, sku: str, price_cents: int, stock: int) -> Document:
        """Set the price and stock of a product, new or not."""
        return self._products.find_one_and_update(
            {"_id": sku},
            {"$set": {"price_cents": price_cents, "stock": stock}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )

    def stock_of(self, sku: str) -> int:
        """How much there is of a product."""
        product = self._products.find_one({"_id": sku})
        if product is None:
            raise UnknownError(f"there is no product {sku}")
        return int(product["stock"])

    def place(self, number: str, customer: str, lines: Iterable[Line]) -> Document:
        """Take an order and its stock: both or neither.

        :raises TakenError: the number is taken, also when the same request comes twice.
        :raises OutOfStockError: a product is short, or there is no such product.
        """
        wanted = list(lines)

        def take(session: Any) -> Document:
            total_cents = sum(
                line.quantity * self._take(line, session)["price_cents"] for line in wanted
            )
            order = {
                "number": number,
                "customer": customer,
                "lines": [line._asdict() for line in wanted],
                "total_cents": total_cents,
                "state": "placed",
                "placed_at": datetime.now(UTC),
            }
            self._orders.insert_one(order, session=session)
            del order["_id"]
            return order

        try:
            return self._in_transaction(take)
        except DuplicateKeyError as error:
            raise TakenError(f"there is an order {number} already") from error

    def cancel(self, number: str) -> Document:
        """Cancel an order and give its stock back: both or neither."""

        def give_back(session: Any) -> Document:
            order = self._orders.find_one_and_update(
                {"number": number, "state": "placed"},
                {"$set": {"state": "cancelled"}},
                projection=HIDDEN,
                return_document=ReturnDocument.AFTER,
                session=session,
            )
            if order is None:
                raise StateError(f"order {number} is {self.get(number)['state']}")
            for line in order["lines"]:
                self._products.update_one(
                    {"_id": line["sku"]}, {"$inc": {"stock": line["quantity"]}}, session=session
                )
            return order

        return self._in_transaction(give_back)

    def get(self, number: str) -> Document:
        """One order."""
        order = self._orders.find_one({"number": number}, HIDDEN)
        if order is None:
            raise UnknownError(f"there is no order {number}")
        return order

    def page(self, customer: str | None = None, limit: int = 20, after: str = "") -> Page:
        """A page of orders by number, of one customer or of all."""
        wanted: Document = {"number": {"$gt": after}}
        if customer is not None:
            wanted["customer"] = customer
        found = list(self._orders.find(wanted, HIDDEN).sort("number", 1).limit(limit + 1))
        shown = found[:limit]
        return Page(shown, shown[-1]["number"] if len(found) > limit else None)

    def _take(self, line: Line, session: Any) -> Document:
        product = self._products.find_one_and_update(
            {"_id": line.sku, "stock": {"$gte": line.quantity}},
            {"$inc": {"stock": -line.quantity}},
            session=session,
        )
        if product is None:
            raise OutOfStockError(f"there are not {line.quantity} of {line.sku}")
        return product

    def _in_transaction(self, work: Any) -> Document:
        with self._client.start_session() as session:
            return session.with_transaction(work)
