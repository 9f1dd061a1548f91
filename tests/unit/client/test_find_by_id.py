"""`find_one` by `_id` takes a short way; what it answers is what `find` answers."""

from __future__ import annotations

from typing import Any

import pytest
from bson.codec_options import CodecOptions
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.errors import InvalidOperation, OperationFailure
from pymongo.monitoring import CommandListener

import cbdd

OID = ObjectId("65a1b2c3d4e5f60718293a4b")
STORED: list[Any] = [0, 1.0, Int64(2), Decimal128("3"), -5, 2**40, "", "a", "a\0b", "é", OID, None]
ASKED: list[Any] = [
    *STORED, *(1, 2.0, 3, True, False, b"a", "A", "missing", -(2**63), 2**63 - 1, ObjectId()),
]  # fmt: skip


@pytest.mark.parametrize("as_filter", [False, True])
def test_it_answers_as_find_does(shop: Any, as_filter: bool) -> None:
    shop.things.insert_many([{"_id": each, "at": n} for n, each in enumerate(STORED)])
    for each in ASKED:
        if each is None and not as_filter:
            continue  # find_one(None) is the first of all
        expected = list(shop.things.find({"_id": each}))
        found = shop.things.find_one({"_id": each} if as_filter else each)
        assert found == (expected[0] if expected else None), each


@pytest.mark.parametrize("value", [2**63, "\ud800"])
def test_what_is_no_bson_is_refused_as_find_refuses_it(shop: Any, value: Any) -> None:
    shop.things.insert_one({"_id": 1})
    with pytest.raises(Exception) as refused:
        list(shop.things.find({"_id": value}))
    with pytest.raises(type(refused.value)):
        shop.things.find_one(value)


def test_a_collection_that_is_not_there_or_empty_has_none(shop: Any) -> None:
    assert shop.nothing.find_one(1) is None
    shop.create_collection("empty")
    assert shop.empty.find_one({"_id": 1}) is None


INDEXES: list[dict[str, Any]] = [
    {"keys": "at", "unique": True},
    {"keys": "at"},
    {"keys": [("at", -1)]},
    {"keys": "at", "sparse": True},
    {"keys": "at", "unique": True, "sparse": True},
    {"keys": "at", "hidden": True},
    {"keys": [("at", "hashed")]},
    {"keys": [("at", 1), ("b", 1)]},
    {"keys": "at", "partialFilterExpression": {"b": 1}},
    {"keys": "$**"},
    {"keys": "b"},
]


@pytest.mark.parametrize("index", INDEXES, ids=str)
@pytest.mark.parametrize("has_array", [False, True])
def test_a_field_with_an_index_is_answered_as_find_does(
    shop: Any, index: dict[str, Any], has_array: bool
) -> None:
    shop.things.create_index(**index)
    stored = [each for each in STORED if each is not None]
    shop.things.insert_many([{"at": each, "b": n % 3} for n, each in enumerate(stored)])
    if has_array and index["keys"] != [("at", "hashed")]:
        shop.things.insert_one({"at": ["in array", 77]})
    for each in [*ASKED, 77, "in array"]:
        expected = list(shop.things.find({"at": each}))
        found = shop.things.find_one({"at": each})
        assert found == (expected[0] if expected else None), each
    shop.things.drop_indexes()
    assert shop.things.find_one({"at": "a"}) == shop.things.find({"at": "a"})[0]
    assert shop.things.find_one({"none.at.all": 1}) is None


def test_the_first_of_several_is_found_in_an_index_that_is_not_unique(shop: Any) -> None:
    shop.things.create_index("at")
    shop.things.insert_many([{"_id": n, "at": "ab" if n % 2 else "a"} for n in range(10)])
    assert shop.things.find_one({"at": "ab"}) == {"_id": 1, "at": "ab"}
    assert shop.things.find_one({"at": "a"}) == {"_id": 0, "at": "a"}
    assert shop.things.find_one({"at": "abc"}) is None
    assert shop.things.find_one({"at": ""}) is None


@pytest.mark.parametrize("filter", [{"$where": "1"}, {"$nor": 5}, {"": 1}, {"$comment": "x"}])
def test_what_looks_like_a_field_and_is_none_goes_the_long_way(shop: Any, filter: Any) -> None:
    shop.things.insert_one({"_id": 1})
    assert told(shop.things.find_one, filter) == told(
        lambda each: shop.things.find(each)[0], filter
    )


def told(ask: Any, filter: Any) -> Any:
    try:
        return ask(filter)
    except IndexError:
        return None
    except Exception as error:
        return type(error), str(error)


def test_it_sees_the_transaction_that_is_bound_around_it(shop: Any) -> None:
    client = shop.client
    shop.things.insert_one({"_id": 1, "n": 1})
    with client.start_session() as session, session.start_transaction(), session.bind():
        shop.things.update_one({"_id": 1}, {"$inc": {"n": 1}})
        assert shop.things.find_one(1) == {"_id": 1, "n": 2}
        session.abort_transaction()
    assert shop.things.find_one(1) == {"_id": 1, "n": 1}


def test_codec_options_are_kept_to(shop: Any) -> None:
    shop.things.insert_one({"_id": 1, "n": 1})
    raw = shop.get_collection("things", CodecOptions(RawBSONDocument)).find_one(1)
    assert isinstance(raw, RawBSONDocument)
    assert raw["n"] == 1


def test_it_is_counted_told_and_refused_after_close(path: str) -> None:
    told: list[str] = []

    class Listener(CommandListener):
        def started(self, event: Any) -> None:
            told.append(event.command_name)

        def succeeded(self, event: Any) -> None:
            """Nothing."""

        def failed(self, event: Any) -> None:
            """Nothing."""

    with cbdd.connect(path, event_listeners=[Listener()]) as client:
        client.shop.things.insert_one({"_id": 1})
        told.clear()
        assert client.shop.things.find_one(1)
        assert told == ["find"]
    with cbdd.connect(path) as client:
        assert client.shop.things.find_one(1)
        counted = client.counters()["operations"]
        assert counted["query"] == 1  # type: ignore[index]
        things = client.shop.things
    with pytest.raises(InvalidOperation):
        things.find_one(1)


@pytest.mark.parametrize(
    "projection",
    [{"n": 1}, {"n": 0}, {"n": True, "_id": 0}, ["n"], {"_id": 1}, {"a.b": 1}],
    ids=str,
)
def test_fields_are_those_that_find_returns(shop: Any, projection: Any) -> None:
    shop.things.insert_one({"_id": 1, "n": 2, "a": [{"b": 1, "c": 2}]})
    expected = next(shop.things.find({"_id": 1}, projection))
    assert shop.things.find_one({"_id": 1}, projection) == expected
    assert shop.things.find_one(1, projection=projection) == expected
    assert shop.things.find_one({"_id": 9}, projection) is None


@pytest.mark.parametrize(
    ("projection", "error"),
    [
        ({"n": 1, "a": 0}, OperationFailure),
        ({"": 1}, OperationFailure),
        (["n", 5], TypeError),
        (5, TypeError),
    ],
    ids=str,
)
def test_a_projection_is_refused_as_find_refuses_it(
    shop: Any, projection: Any, error: type[Exception]
) -> None:
    shop.things.insert_one({"_id": 1, "n": 2})
    with pytest.raises(error) as expected:
        next(shop.things.find({"_id": 1}, projection))
    with pytest.raises(error) as found:
        shop.things.find_one({"_id": 1}, projection)
    assert str(found.value) == str(expected.value)


def test_other_projections_go_the_long_way(shop: Any) -> None:
    shop.things.insert_one({"_id": 1, "n": [1, 2, 3]})
    assert shop.things.find_one({"_id": 1}, {"n": {"$slice": 1}}) == {"_id": 1, "n": [1]}
    assert shop.things.find_one({"_id": 1}, {}) == {"_id": 1, "n": [1, 2, 3]}
    assert shop.things.find_one({"_id": 1}, []) == {"_id": 1, "n": [1, 2, 3]}
    assert shop.things.find_one({"_id": 1}, {"n": 0}, session=None) == {"_id": 1}


FILTERS: list[Any] = [
    None, {}, {"n": 3}, {"n": {"$gt": 4}}, {"n": 3, "at": 8}, {"at": [1]}, {"none": 1},
    {"$or": [{"n": 1}, {"at": 9}]}, {"n": {"$bad": 1}}, {"$where": "1", "n": 1}, {1: 2},
    {"n": 2**64}, RawBSONDocument(b"\x0c\x00\x00\x00\x10n\x00\x03\x00\x00\x00\x00"), "text", 5, [],
]  # fmt: skip
PROJECTIONS: list[Any] = [None, {"n": 1}, ["at"], [], {}, {"_id": 0, "n": 0}, {"n": 1, "at": 0}, 7]
SORTS: list[Any] = [None, [], {}, [("n", -1)], ["at"], {"n": 1, "at": -1}, "n", [("n", 5)], 3]


@pytest.mark.parametrize("filter", FILTERS, ids=repr)
def test_the_first_document_is_that_of_a_cursor(shop: Any, filter: Any) -> None:
    shop.things.create_index("n")
    shop.things.insert_many([{"_id": n, "n": n % 5, "at": 30 - n, "tags": [n]} for n in range(30)])
    for projection in PROJECTIONS:
        for sort in SORTS:
            for options in ({"sort": sort}, {"projection": projection, "sort": sort}):
                short = told(
                    lambda each, given=options: shop.things.find_one(each, **given), filter
                )
                given = {
                    "projection": None,
                    **options,
                    "hint": None,
                }  # an option more: the long way
                long = told(lambda each, given=given: shop.things.find_one(each, **given), filter)
                assert short == long, options
        short = told(lambda each, given=projection: shop.things.find_one(each, given), filter)
        given = {"projection": projection, "hint": None}
        assert short == told(lambda each, given=given: shop.things.find_one(each, **given), filter)
    assert not shop.client._store.engine._state.pins


def test_the_first_document_is_one_query(shop: Any) -> None:
    shop.things.insert_many([{"_id": n, "n": n} for n in range(5)])
    log = shop.client._store.operations
    assert shop.things.find_one({"n": {"$gt": 1}}, sort=[("n", -1)]) == {"_id": 4, "n": 4}
    assert log.counters()["operations"]["query"] == 1
    with pytest.raises(OperationFailure):
        shop.things.find_one({"n": {"$bad": 1}})
    assert log.counters()["failures"] == {"query": 1}
    shop.client.close()
    with pytest.raises(InvalidOperation):
        shop.things.find_one({"n": {"$gt": 1}})
