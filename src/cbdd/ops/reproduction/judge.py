"""Judging lists of operations with any release: a process of its own runs them and checks.

The process is a single program that uses the public API alone, so that it runs with releases older
than this code. It reads one list on each line and answers with the code of what is wrong, or
nothing. When it dies or takes too long, that is an answer as well, and another is started.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
from types import TracebackType
from typing import Final, Self

from bson import json_util

from cbdd.ops.reproduction.operations import Operation

DIED: Final = "PROCESS_DIED"
LATE: Final = "TOO_LATE"
TIMEOUT_SECONDS: Final = 60.0

INTERPRETER: Final = '''\
def names_of(namespace):
    database, _, collection = namespace.partition(".")
    return database, collection


def apply(client, operation, session=None):
    kind, *rest = operation
    if kind == "commit":
        with client.start_session() as session, session.start_transaction():
            for each in rest[0]:
                apply(client, each, session)
        return
    database, name = names_of(rest[0])
    collection = client[database][name]
    if kind == "collection":
        client[database].create_collection(name, **rest[1])
    elif kind == "index":
        collection.create_index([(path, way) for path, way in rest[1]], **rest[2])
    elif kind == "drop_index":
        collection.drop_index(rest[1])
    elif kind == "drop":
        collection.drop()
    elif kind == "insert":
        collection.insert_one(rest[1], session=session)
    elif kind == "replace":
        collection.replace_one({"_id": rest[1]}, rest[2], session=session)
    elif kind == "delete":
        collection.delete_one({"_id": rest[1]}, session=session)
    else:
        raise AssertionError(f"unknown operation {kind}")


def problems_after(path, operations):
    """Run the operations on a new database; the codes of what is wrong afterwards.

    What a sound release refuses, as a second document with a unique key, is left out.
    """
    with cbdd.connect(path, durability="off") as client:
        for operation in operations:
            try:
                apply(client, operation)
            except OperationFailure:
                continue
        return [problem.code for problem in client.check().problems]
'''
"""The part of the program that a written test has, too."""

_RUNNER: Final = (
    """\
import json, os, sys, tempfile
import cbdd
from bson import json_util
from pymongo.errors import OperationFailure

"""
    + INTERPRETER
    + """

def judged(operations):
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = problems_after(os.path.join(folder, "a.cbdd"), operations)
        except Exception as error:
            code = getattr(error, "code", None)
            return code if isinstance(code, str) else type(error).__name__
        return found[0] if found else ""


for line in sys.stdin:
    print(json.dumps(judged(json_util.loads(line))), flush=True)
"""
)


class Judge:
    """The process; a context manager. ``runs`` counts what it was asked."""

    def __init__(self, python: str = sys.executable) -> None:
        self._python = python
        self._process: subprocess.Popen[str] | None = None
        self.runs = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def ask(self, operations: list[Operation]) -> str:
        """The code of what is wrong after the operations; empty for nothing."""
        self.runs += 1
        if self._process is None:
            self._process = subprocess.Popen(
                [self._python, "-c", _RUNNER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(encode(operations) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            self._end()
            return DIED
        ready, _, _ = select.select([process.stdout], [], [], TIMEOUT_SECONDS)
        line = process.stdout.readline() if ready else None
        if not line:
            self._end()
            return DIED if line == "" else LATE
        return str(json.loads(line))

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def encode(operations: list[Operation]) -> str:
    """Operations as one line of canonical Extended JSON."""
    return json_util.dumps(operations, json_options=json_util.CANONICAL_JSON_OPTIONS)
