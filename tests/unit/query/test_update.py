"""What documents become: modifiers, replacements, upserts."""

from __future__ import annotations

import random
from typing import Any

import bson
import pytest
from bson import ObjectId
from pymongo.errors import OperationFailure, WriteError

from cbdd.query import Update, parse_filter, upsert_document
from tests.unit.query.asking import update_refusal, updated


def inserted(filter: dict[str, Any], update: dict[str, Any]) -> dict[str, Any]:
    return bson.decode(Update.compile(update).insert_document(parse_filter(filter)))


def replaced(document: dict[str, Any], replacement: dict[str, Any]) -> dict[str, Any]:
    update = Update.compile_replacement(replacement)
    return bson.decode(update.apply(bson.encode(document)))


def test_unchanged_document_is_returned_itself() -> None:
    document = bson.encode({"_id": 1, "a": 1})
    assert Update.compile({"$set": {"a": 1}, "$unset": {"x": ""}}).apply(document) is document
    assert Update.compile({"$set": {"a": 1.0}}).apply(document) != document
    assert Update.compile({}).apply(document) is document


OID = ObjectId(b"x" * 12)
VALUES: list[Any] = [1, 2**40, 2.5, True, None, "text", b"bin", [1, 2], {"x": 1}, OID]


@pytest.mark.parametrize("seed", range(300))
def test_cutting_out_single_fields_makes_the_same_document(seed: int) -> None:
    """What `ObjectNode.splice` does is what taking the document apart does, errors included."""
    rng = random.Random(seed)
    document: dict[str, Any] = {"_id": seed}
    for name in rng.sample("abcdef", rng.randrange(6)):
        document[name] = rng.choice(VALUES)
    update: dict[str, dict[str, Any]] = {}
    for name in rng.sample("abcdefgh", rng.randrange(1, 4)):
        operator = rng.choice(["$set", "$inc", "$mul", "$min", "$max", "$setOnInsert", "$bit"])
        operand = rng.choice(VALUES)
        if operator in ("$inc", "$mul"):
            operand = rng.choice([1, -3, 2**62, 0.5])
        if operator == "$bit":
            operand = {"xor": rng.choice([1, 2**40])}
        update.setdefault(operator, {})[name] = operand
    short, long = Update.compile(update), Update.compile(update)
    assert short.root is not None and long.root is not None and short.root.is_flat
    long.root.is_flat = False
    data = bson.encode(document)
    assert outcome(short, data) == outcome(long, data), f"seed {seed}: {document} {update}"


def outcome(update: Update, data: bytes) -> tuple[bytes, bool, str]:
    try:
        result = update.apply(data)
    except OperationFailure as error:
        return b"", False, str(error)
    return result, result is data, ""


def test_sorting_push_counts_as_a_change() -> None:
    document = bson.encode({"_id": 1, "a": [1]})
    result = Update.compile({"$push": {"a": {"$each": [], "$sort": 1}}}).apply(document)
    assert result == document
    assert result is not document


def test_new_fields_come_at_the_end_by_name_and_old_ones_stay_in_place() -> None:
    result = updated({"_id": 1, "z": 1, "y": 2}, {"$set": {"c": 1, "y": 3}, "$inc": {"b": 1}})
    assert list(result.items()) == [("_id", 1), ("z", 1), ("y", 3), ("b", 1), ("c", 1)]


def test_id_may_not_change() -> None:
    for update in ({"$set": {"_id": 2}}, {"$unset": {"_id": 1}}, {"$rename": {"_id": "x"}}):
        assert update_refusal({"_id": 1}, update) == 66
    assert update_refusal({"_id": {"a": 1}}, {"$set": {"_id.a": 2}}) == 66
    assert updated({"_id": 1}, {"$set": {"_id": 1, "a": 1}}) == {"_id": 1, "a": 1}


def test_all_documents_of_an_update_get_the_same_time() -> None:
    update = Update.compile({"$currentDate": {"a": True}})
    assert update.apply(bson.encode({})) == update.apply(bson.encode({}))


def test_result_that_cannot_be_stored_is_refused() -> None:
    assert update_refusal({"a": 1}, {"$set": {"b": "x" * 17_000_000}}) == 17419
    deep = ".".join(["a"] * 150)
    assert update_refusal({}, {"$set": {deep: 1}}) == 15


def test_replacement_keeps_the_id_in_front() -> None:
    result = replaced({"_id": 1, "a": 1}, {"b": 2})
    assert list(result.items()) == [("_id", 1), ("b", 2)]
    result = replaced({"_id": 1, "a": 1}, {"b": 2, "_id": 1})
    assert list(result.items()) == [("_id", 1), ("b", 2)]


def test_replacement_with_another_id_or_operators_is_refused() -> None:
    with pytest.raises(OperationFailure) as raised:
        replaced({"_id": 1}, {"_id": 2})
    assert raised.value.code == 66
    with pytest.raises(WriteError) as refused:
        Update.compile_replacement({"$set": {"a": 1}})
    assert refused.value.code == 52


def test_upsert_takes_fields_from_equality_in_the_filter() -> None:
    filter = {
        "_id": 7,
        "a.b": 1,
        "a.c": {"$eq": 2},
        "n": {"$gt": 5},
        "$and": [{"e": None}],
        "o": {"$in": ["x"]},
        "p": {"$in": [1, 2]},
        "q": {"$all": [4]},
        "$or": [{"r": 6}],
        "s": {"$gte": None},
    }
    result = inserted(filter, {"$set": {"z": 1}})
    assert list(result) == ["_id", "a", "e", "o", "q", "r", "z"]
    assert result["a"] == {"b": 1, "c": 2}
    assert result["r"] == 6


def test_upsert_makes_an_id_and_puts_it_in_front() -> None:
    result = inserted({"a": 1}, {"$inc": {"n": 1}})
    assert list(result) == ["_id", "a", "n"]
    assert isinstance(result["_id"], ObjectId)
    assert inserted({"a": 1}, {"$setOnInsert": {"_id": 5}}) == {"_id": 5, "a": 1}


def test_upsert_may_change_what_the_filter_gave_but_not_the_id() -> None:
    assert inserted({"_id": 1, "n": 5}, {"$inc": {"n": 1}}) == {"_id": 1, "n": 6}
    with pytest.raises(OperationFailure) as raised:
        inserted({"_id": 1}, {"$set": {"_id": 2}})
    assert raised.value.code == 66


@pytest.mark.parametrize("filter", [{"a": 1, "a.b": 2}, {"a": {"$all": [1, 2]}}])
def test_upsert_from_contradicting_equalities_is_refused(filter: dict[str, Any]) -> None:
    with pytest.raises(OperationFailure) as raised:
        upsert_document(parse_filter(filter))
    assert raised.value.code == 54


def test_upserted_replacement_takes_only_the_id_from_the_filter() -> None:
    update = Update.compile_replacement({"b": 2})
    result = bson.decode(update.insert_document(parse_filter({"_id": 3, "a": 1})))
    assert list(result.items()) == [("_id", 3), ("b", 2)]


def test_upserted_id_must_be_one_that_can_be_stored() -> None:
    with pytest.raises(OperationFailure) as raised:
        inserted({}, {"$set": {"_id": [1]}})
    assert raised.value.code == 53


def test_pipeline_is_refused() -> None:
    with pytest.raises(OperationFailure, match="pipeline is not supported"):
        Update.compile([{"$set": {"a": 1}}])
