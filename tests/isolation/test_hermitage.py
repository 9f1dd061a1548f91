"""The ten Hermitage schedules, between sessions of one process and between processes.

Each schedule is a list of steps of actors that take turns. Two documents, 1 with value 10 and 2
with value 20, as in the original (Kleppmann, "Hermitage: Testing the I in ACID", 2014). What is
expected is snapshot isolation, first committer wins.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import OperationFailure

import cbdd
from tests.soak.ledger import Child

pytestmark = pytest.mark.transaction_protocol
CONFLICT = "conflict"


class Actor:
    """Somebody with a session, who does what a step says."""

    def __init__(self, client: Any) -> None:
        self.rows = client.hermitage.rows
        self.session = client.start_session()

    def do(self, step: list[Any]) -> Any:
        try:
            return getattr(self, step[0])(*step[1:])
        except OperationFailure as error:
            if not error.has_error_label("TransientTransactionError"):
                raise
            if self.session.in_transaction:
                self.session.abort_transaction()
            return CONFLICT

    def begin(self) -> None:
        self.session.start_transaction()

    def read(self, identity: int) -> Any:
        found = self.rows.find_one({"_id": identity}, session=self.session)
        return found and found["v"]

    def where(self, low: int) -> list[Any]:
        """Ids of the rows whose value divides by a number: a predicate."""
        found = self.rows.find({"v": {"$mod": [low, 0]}}, session=self.session)
        return sorted(row["_id"] for row in found)

    def write(self, identity: int, value: int) -> None:
        self.rows.update_one(
            {"_id": identity}, {"$set": {"v": value}}, upsert=True, session=self.session
        )

    def raise_all(self, more: int) -> None:
        self.rows.update_many({}, {"$inc": {"v": more}}, session=self.session)

    def delete_where(self, value: int) -> int:
        done = self.rows.delete_many({"v": value}, session=self.session)
        return int(done.deleted_count)

    def commit(self) -> None:
        self.session.commit_transaction()

    def abort(self) -> None:
        self.session.abort_transaction()


class Stage:
    """Three actors; ``do`` makes one of them take a step."""

    def do(self, actor: int, *step: Any) -> Any:
        raise NotImplementedError


class SessionStage(Stage):
    """Sessions of one client."""

    def __init__(self, path: str) -> None:
        self._client = cbdd.connect(path)
        self._actors = [Actor(self._client) for _ in range(3)]

    def do(self, actor: int, *step: Any) -> Any:
        return self._actors[actor - 1].do(list(step))

    def close(self) -> None:
        self._client.close()


class ProcessStage(Stage):
    """A process for each actor, which reads its steps from a pipe."""

    def __init__(self, path: str) -> None:
        self._children: list[Child] = []
        self._pipes: list[Any] = []
        for _ in range(3):
            reading, writing = os.pipe()
            self._children.append(Child(lambda say, fd=reading: _act(path, fd, say)))  # type: ignore[misc]
            os.close(reading)
            self._pipes.append(os.fdopen(writing, "w"))

    def do(self, actor: int, *step: Any) -> Any:
        self._pipes[actor - 1].write(json.dumps(step) + "\n")
        self._pipes[actor - 1].flush()
        child = self._children[actor - 1]
        os.set_blocking(child.fd, True)
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(child.fd, 1)
            assert byte, "the actor has died"
            line += byte
        text = line.decode()
        assert not text.startswith("error "), text
        return json.loads(text)

    def close(self) -> None:
        for child in self._children:
            child.kill()
        for pipe in self._pipes:
            pipe.close()


def _act(path: str, fd: int, say: Callable[[str], None]) -> None:
    actor = Actor(cbdd.connect(path))
    with os.fdopen(fd) as steps:
        for line in steps:
            say(json.dumps(actor.do(json.loads(line))))


@pytest.fixture(params=["sessions", "processes"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    path = str(tmp_path / "app.cbdd")
    with cbdd.connect(path) as client:
        client.hermitage.rows.insert_many([{"_id": 1, "v": 10}, {"_id": 2, "v": 20}])
        client.hermitage.rows.create_index("v")
    made = SessionStage(path) if request.param == "sessions" else ProcessStage(path)
    yield made
    made.close()


def begin(stage: Stage, *actors: int) -> None:
    for actor in actors:
        stage.do(actor, "begin")


def rows(stage: Stage) -> list[int]:
    return [stage.do(3, "read", 1), stage.do(3, "read", 2)]


def test_g0_writes_are_never_interleaved(stage: Stage) -> None:
    begin(stage, 1, 2)
    stage.do(1, "write", 1, 11)
    stage.do(2, "write", 1, 12)
    stage.do(1, "write", 2, 21)
    stage.do(1, "commit")
    assert rows(stage) == [11, 21]
    stage.do(2, "write", 2, 22)
    assert stage.do(2, "commit") == CONFLICT
    assert rows(stage) == [11, 21]


def test_g1a_what_is_aborted_is_never_read(stage: Stage) -> None:
    begin(stage, 1, 2)
    stage.do(1, "write", 1, 101)
    assert stage.do(2, "read", 1) == 10
    stage.do(1, "abort")
    assert stage.do(2, "read", 1) == 10
    stage.do(2, "commit")
    assert rows(stage) == [10, 20]


def test_g1b_intermediate_states_are_never_read(stage: Stage) -> None:
    begin(stage, 1, 2)
    stage.do(1, "write", 1, 101)
    assert stage.do(2, "read", 1) == 10
    stage.do(1, "write", 1, 11)
    stage.do(1, "commit")
    assert stage.do(2, "read", 1) == 10
    stage.do(2, "commit")
    assert stage.do(3, "read", 1) == 11


def test_g1c_two_transactions_never_read_each_other(stage: Stage) -> None:
    begin(stage, 1, 2)
    stage.do(1, "write", 1, 11)
    stage.do(2, "write", 2, 22)
    assert stage.do(1, "read", 2) == 20
    assert stage.do(2, "read", 1) == 10
    stage.do(1, "commit")
    stage.do(2, "commit")
    assert rows(stage) == [11, 22]


def test_otv_a_transaction_that_was_seen_does_not_vanish(stage: Stage) -> None:
    begin(stage, 1, 2)
    stage.do(1, "write", 1, 11)
    stage.do(1, "write", 2, 19)
    stage.do(2, "write", 1, 12)
    stage.do(1, "commit")
    begin(stage, 3)
    assert stage.do(3, "read", 1) == 11
    stage.do(2, "write", 2, 18)
    assert stage.do(3, "read", 2) == 19
    assert stage.do(2, "commit") == CONFLICT
    assert stage.do(3, "read", 2) == 19
    assert stage.do(3, "read", 1) == 11
    stage.do(3, "commit")


def test_pmp_a_predicate_reads_one_snapshot(stage: Stage) -> None:
    begin(stage, 1, 2)
    assert stage.do(1, "where", 30) == []
    stage.do(2, "write", 3, 30)
    stage.do(2, "commit")
    assert stage.do(1, "where", 3) == []
    stage.do(1, "commit")
    assert stage.do(3, "where", 30) == [3]


def test_pmp_a_predicate_that_writes_meets_its_snapshot_or_conflicts(stage: Stage) -> None:
    begin(stage, 1, 2)
    stage.do(1, "raise_all", 10)
    assert stage.do(2, "delete_where", 20) == 1
    stage.do(1, "commit")
    assert stage.do(2, "commit") == CONFLICT
    assert rows(stage) == [20, 30]


def test_p4_no_update_is_lost(stage: Stage) -> None:
    begin(stage, 1, 2)
    assert stage.do(1, "read", 1) == 10
    assert stage.do(2, "read", 1) == 10
    stage.do(1, "write", 1, 11)
    stage.do(2, "write", 1, 12)
    stage.do(1, "commit")
    assert stage.do(2, "commit") == CONFLICT
    assert stage.do(3, "read", 1) == 11


def test_g_single_two_reads_are_of_one_snapshot(stage: Stage) -> None:
    begin(stage, 1, 2)
    assert stage.do(1, "read", 1) == 10
    assert stage.do(2, "read", 1) == 10
    stage.do(2, "write", 1, 12)
    stage.do(2, "write", 2, 18)
    stage.do(2, "commit")
    assert stage.do(1, "read", 2) == 20
    stage.do(1, "commit")


def test_g_single_a_write_that_depends_on_an_old_read_conflicts(stage: Stage) -> None:
    begin(stage, 1, 2)
    assert stage.do(1, "where", 5) == [1, 2]
    stage.do(2, "write", 1, 12)
    stage.do(2, "write", 2, 18)
    stage.do(2, "commit")
    assert stage.do(1, "delete_where", 20) == 1
    assert stage.do(1, "commit") == CONFLICT
    assert rows(stage) == [12, 18]


def test_g2_item_write_skew_is_possible(stage: Stage) -> None:
    begin(stage, 1, 2)
    for actor in (1, 2):
        assert [stage.do(actor, "read", 1), stage.do(actor, "read", 2)] == [10, 20]
    stage.do(1, "write", 1, 11)
    stage.do(2, "write", 2, 21)
    assert stage.do(1, "commit") is None
    assert stage.do(2, "commit") is None
    assert rows(stage) == [11, 21]


def test_g2_write_skew_by_predicate_is_possible(stage: Stage) -> None:
    begin(stage, 1, 2)
    assert stage.do(1, "where", 3) == []
    assert stage.do(2, "where", 3) == []
    stage.do(1, "write", 3, 30)
    stage.do(2, "write", 4, 42)
    assert stage.do(1, "commit") is None
    assert stage.do(2, "commit") is None
    assert stage.do(3, "where", 3) == [3, 4]
