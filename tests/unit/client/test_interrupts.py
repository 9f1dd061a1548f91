"""Ctrl-C at every step of the client's part of a statement: nothing half done, nothing stuck."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import pytest
from pymongo.write_concern import WriteConcern

import cbdd
import cbdd.client.store

Client = cbdd.Client[dict[str, Any]]
Statement = Callable[[Client, int], None]

PLACES = (
    "client/store.py",
    "client/session.py",
    "client/shortcuts.py",
    "client/statements.py",
    "client/results.py",
    "query/point.py",
    "storage/write_queue.py",
)


class Interruption:
    """Raises KeyboardInterrupt before the n-th instruction in the client's files."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.seen = 0
        self.place = ""

    def run(self, work: Callable[[], None]) -> None:
        """Run the work; it ends early when it is interrupted."""
        try:
            if sys.version_info >= (3, 12):
                self._monitored(work)
            else:
                self._traced(work)
        except KeyboardInterrupt:
            pass

    def _step(self, frame: FrameType) -> None:
        self.seen += 1
        if self.seen == self.at:
            self.place = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
            raise KeyboardInterrupt

    def _traced(self, work: Callable[[], None]) -> None:
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            work()
        finally:
            sys.settrace(before)

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.endswith(PLACES) or is_in_del(frame):
            return self._trace
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode":
            self._step(frame)
        return self._trace

    def _monitored(self, work: Callable[[], None]) -> None:
        """From 3.12 on opcode tracing misses code after an exception; monitoring does not."""
        monitoring: Any = vars(sys)["monitoring"]
        events = monitoring.events
        tool = monitoring.DEBUGGER_ID
        monitoring.use_tool_id(tool, "interruption")
        monitoring.register_callback(tool, events.INSTRUCTION, self._instruction)
        monitoring.set_events(tool, events.INSTRUCTION)
        try:
            work()
        finally:
            monitoring.set_events(tool, 0)
            monitoring.free_tool_id(tool)

    def _instruction(self, code: CodeType, offset: int) -> None:
        frame = sys._getframe(1)
        if code.co_filename.endswith(PLACES) and not is_in_del(frame):
            self._step(frame)


def is_in_del(frame: FrameType | None) -> bool:
    """Python itself swallows what a `__del__` raises."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def insert(client: Client, number: int) -> None:
    client.shop.orders.insert_one({"_id": number})


def insert_durably(client: Client, number: int) -> None:
    orders = client.shop.orders.with_options(write_concern=WriteConcern(j=True))
    orders.insert_one({"_id": number})


def write_by_id(client: Client, number: int) -> None:
    client.shop.orders.update_one({"_id": -1}, {"$set": {"at": number}})
    client.shop.orders.delete_one({"_id": number - 1})


def insert_in_transaction(client: Client, number: int) -> None:
    with client.start_session() as session, session.start_transaction():
        client.shop.orders.insert_one({"_id": number}, session=session)


def read(client: Client, number: int) -> None:
    list(client.shop.orders.find({"_id": {"$gte": 0}}))
    client.shop.orders.count_documents({"a": number})


@pytest.mark.parametrize(
    "statement", [insert, insert_durably, write_by_id, insert_in_transaction, read]
)
def test_interrupted_statement_leaves_the_client_usable(
    client: Client, statement: Statement
) -> None:
    client.shop.orders.insert_one({"_id": -1, "n": 0})
    at = 1
    while True:
        interruption = Interruption(at)
        interruption.run(functools.partial(statement, client, at))
        if not interruption.place:
            break
        try:
            client.shop.orders.update_one({"_id": -1}, {"$inc": {"n": 1}})
        except cbdd.CbddError as error:
            raise AssertionError(f"stuck after {interruption.place}") from error
        at += 1
        assert client._store.engine._write_queue.waiting == 0
    assert at > 50
    assert client.shop.orders.find_one({"_id": -1})["n"] == at - 1
    pins = client._store.engine._state.pins
    assert not pins, "an interrupted statement holds its snapshot"
