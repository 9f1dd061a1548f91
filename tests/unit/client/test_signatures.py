"""The client has every public name of PyMongo's, with its parameters in the same order.

Other releases of PyMongo may have fewer of them; what they have must be there.
"""

from __future__ import annotations

import inspect
from typing import Any

import pymongo
import pytest
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.command_cursor import CommandCursor
from pymongo.cursor import Cursor, RawBatchCursor
from pymongo.database import Database

import cbdd

PAIRS: list[tuple[type, type]] = [
    (pymongo.MongoClient, cbdd.Client),
    (Database, cbdd.Database),
    (Collection, cbdd.Collection),
    (Cursor, cbdd.Cursor),
    (RawBatchCursor, cbdd.RawBatchCursor),
    (CommandCursor, cbdd.CommandCursor),
    (ClientSession, cbdd.ClientSession),
]

LEFT_OUT = {
    ("MongoClient", "HOST"): "there is no host",
    ("MongoClient", "PORT"): "there is no port",
}

OTHER_SIGNATURE = {
    ("Collection", "find"): "PyMongo's takes *args and hands them to Cursor, ours names them",
}


def public_names(kind: type) -> list[str]:
    return [name for name in dir(kind) if not name.startswith("_")]


def methods() -> list[tuple[type, type, str]]:
    found = []
    for theirs, ours in PAIRS:
        for name in public_names(theirs):
            if callable(getattr(theirs, name)) and (theirs.__name__, name) not in LEFT_OUT:
                found.append((theirs, ours, name))
    return found


@pytest.mark.parametrize(("theirs", "ours"), PAIRS, ids=lambda kind: kind.__name__)
def test_every_public_name_of_pymongo_is_there(theirs: type, ours: type) -> None:
    expected = {name for name in public_names(theirs) if (theirs.__name__, name) not in LEFT_OUT}
    assert expected <= set(public_names(ours))


@pytest.mark.parametrize(
    ("theirs", "ours", "name"), methods(), ids=lambda value: getattr(value, "__name__", value)
)
def test_method_takes_what_pymongo_takes(theirs: type, ours: type, name: str) -> None:
    if (theirs.__name__, name) in OTHER_SIGNATURE:
        return
    assert_takes_the_same(getattr(ours, name), parameters(getattr(theirs, name)))


def test_find_takes_what_pymongos_cursor_takes() -> None:
    expected = [each for each in parameters(Cursor.__init__) if each[0] != "collection"]
    assert_takes_the_same(cbdd.Collection.find, expected)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [(Database, cbdd.Database), (Collection, cbdd.Collection), (Cursor, cbdd.Cursor)],
)
def test_constructor_takes_what_pymongo_takes(theirs: Any, ours: Any) -> None:
    assert_takes_the_same(ours.__init__, parameters(theirs.__init__))


def assert_takes_the_same(ours: Any, expected: list[tuple[str, str, object]]) -> None:
    names = [each[0] for each in expected]
    assert [each for each in parameters(ours) if each[0] in names] == expected


def parameters(function: Any) -> list[tuple[str, str, object]]:
    """Names, kinds and defaults, in order."""
    return [
        (name, str(parameter.kind), parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
    ]
