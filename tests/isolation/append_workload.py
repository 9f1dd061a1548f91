"""Random transactions that append to lists and read them, over threads and processes.

Every process reports what it is about to do and what came of it; times are of a clock that all
processes share. What was under way when a process was killed has an unknown outcome. Values are
unique; a list that has grown long is left for a new one, so that reads stay short.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from pymongo.errors import OperationFailure
from pymongo.write_concern import WriteConcern

import cbdd
from cbdd.errors import CbddError
from cbdd.testing.histories import APPEND, FAIL, OK, READ, UNKNOWN, Transaction
from tests.soak.ledger import OPTIONS, Child, run

KEYS = 5
LONGEST = 24

Report = dict[str, Any]


class Worker:
    """One thread: makes transactions and reports them."""

    def __init__(self, client: Any, identity: int, seed: int, say: Callable[[str], None]) -> None:
        self.client = client
        self.lists = client.history.lists
        self.identity = identity
        self.source = random.Random(seed)
        self.say = say
        self.generation = [0] * KEYS
        self.count = 0

    def step(self) -> None:
        """One transaction, or one statement."""
        self.count += 1
        number = self.identity * 1_000_000 + self.count
        plan = self._plan(number)
        self.say(json.dumps({"n": number, "plan": plan, "at": time.monotonic_ns()}))
        done: list[list[Any]] = []
        try:
            if len(plan) == 1:
                self._act(plan[0], done, None)
            else:
                self._transaction(plan, done)
            status = OK
        except OperationFailure as error:
            assert error.has_error_label("TransientTransactionError") or len(plan) == 1, error
            status = FAIL
        except CbddError:
            status = UNKNOWN
        self.say(
            json.dumps({"n": number, "done": done, "status": status, "at": time.monotonic_ns()})
        )

    def _plan(self, number: int) -> list[list[Any]]:
        source = self.source
        plan: list[list[Any]] = []
        for index in range(source.choice([1, 2, 2, 3, 4])):
            key = source.randrange(KEYS)
            name = f"{key}.{self.generation[key]}"
            if source.random() < 0.5:
                plan.append([APPEND, name, number * 10 + index])
            else:
                plan.append([READ, name, None])
        return plan

    def _transaction(self, plan: list[list[Any]], done: list[list[Any]]) -> None:
        concern = WriteConcern(j=self.source.random() < 0.6)
        with self.client.start_session() as session:
            session.start_transaction(write_concern=concern)
            for action in plan:
                self._act(action, done, session)
            session.commit_transaction()

    def _act(self, action: list[Any], done: list[list[Any]], session: Any) -> None:
        kind, name, value = action
        if kind == APPEND:
            self.lists.update_one(
                {"_id": name}, {"$push": {"v": value}, "$inc": {"n": 1}}, True, session=session
            )
            done.append([APPEND, name, value])
            return
        if self.source.random() < 0.3:
            found = self.lists.find_one({"_id": name, "n": {"$gte": 0}}, session=session)
        else:
            found = self.lists.find_one({"_id": name}, session=session)
        values = found["v"] if found else []
        done.append([READ, name, values])
        key, generation = map(int, name.split("."))
        if len(values) >= LONGEST:
            self.generation[key] = max(self.generation[key], generation + 1)


def work(path: str, identity: int, threads: int, seed: int, say: Callable[[str], None]) -> None:
    """Make transactions on several threads until killed."""
    lock = threading.Lock()

    def report(line: str) -> None:
        with lock:
            say(line)

    with cbdd.connect(path, **{**OPTIONS, "durability": "normal"}) as client:
        failures: list[BaseException] = []

        def loop(number: int) -> None:
            worker = Worker(client, identity * 100 + number, seed * 100 + number, report)
            try:
                while True:
                    worker.step()
                    if number == 0 and worker.count % 50 == 0:
                        client.checkpoint()
            except BaseException as error:
                failures.append(error)

        running = [threading.Thread(target=loop, args=(n,), daemon=True) for n in range(threads)]
        for thread in running:
            thread.start()
        while not failures and all(thread.is_alive() for thread in running):
            time.sleep(0.01)
        raise failures[0] if failures else AssertionError("a thread ended")


def read_all(path: str, say: Callable[[str], None]) -> None:
    """One transaction that reads every list."""
    with cbdd.connect(path) as client:
        began = time.monotonic_ns()
        done = [[READ, d["_id"], d["v"]] for d in client.history.lists.find()]
        say(json.dumps({"done": done, "began": began, "at": time.monotonic_ns()}))


class Recorder:
    """Puts the reports of all processes together."""

    def __init__(self) -> None:
        self.begun: dict[int, Report] = {}
        self.transactions: list[Transaction] = []

    def hear(self, lines: list[str]) -> None:
        for line in lines:
            if line.startswith("error "):
                raise AssertionError(json.loads(line[6:]))
            said = json.loads(line)
            if "plan" in said:
                self.begun[said["n"]] = said
                continue
            begun = self.begun.pop(said["n"])
            status, done = said["status"], said["done"]
            if status != OK:  # what it would have appended still tells who wrote what
                done = [action for action in begun["plan"] if action[0] == APPEND]
            self._add(said["n"], done, status, begun["at"], said["at"])

    def _add(self, number: int, done: list[Any], status: str, began: int, ended: int) -> None:
        actions = [(kind, key, value) for kind, key, value in done]
        self.transactions.append(Transaction(number, actions, status, began, ended))

    def finish(self, last: Report) -> list[Transaction]:
        """The history: what was under way is unknown; last comes the read of everything."""
        for number, begun in self.begun.items():
            appends = [action for action in begun["plan"] if action[0] == APPEND]
            self._add(number, appends, UNKNOWN, begun["at"], 0)
        self._add(-1, last["done"], OK, last["began"], last["at"])
        return self.transactions


def run_history(
    path: str, seconds: float, seed: int, processes: int, threads: int, kills: bool
) -> tuple[list[Transaction], int]:
    """Work for so long, killing processes at random if asked; returns the history and the kills."""
    source = random.Random(seed)
    recorder = Recorder()
    children: dict[int, Child] = {}
    starts = killed = 0
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            while len(children) < processes:
                starts += 1
                identity = starts
                children[identity] = Child(
                    lambda say, i=identity: work(path, i, threads, seed * 1000 + i, say)  # type: ignore[misc]
                )
            time.sleep(source.random() * 0.2)
            for child in children.values():
                recorder.hear(child.lines())
            if kills and source.random() < 0.5:
                everybody = list(children)
                chosen = everybody if source.random() < 0.2 else [source.choice(everybody)]
                for identity in chosen:
                    recorder.hear(children.pop(identity).kill())
                    killed += 1
    finally:
        for child in children.values():
            recorder.hear(child.kill())
    last = json.loads(run(lambda say: read_all(path, say))[-1])
    return recorder.finish(last), killed
