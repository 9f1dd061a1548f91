"""Documents against a validator: level, action, what the error tells, what a refusal leaves."""

from __future__ import annotations

import warnings
from typing import Any

import bson
import pytest
from bson.datetime_ms import DatetimeMS
from pymongo.errors import OperationFailure, WriteError

from cbdd.catalog import CollectionWriters
from cbdd.catalog.collection_options import create_options
from tests.unit.catalog.conftest import Shop

RULE: dict[str, Any] = {"n": {"$gt": 0}}
GOOD = {"_id": 1, "n": 1}
BAD = {"_id": 1, "n": -1}


def create(shop: Shop, validator: dict[str, Any] | None = None, **options: Any) -> None:
    kept = create_options({"validator": RULE if validator is None else validator, **options})
    shop.write(lambda writers: writers.create("shop", "orders", kept))


def change(shop: Shop, validator: dict[str, Any]) -> None:
    """Give the collection another validator; the documents there are stay."""
    entry = shop.entry()
    options = {**entry.options, "validator": validator}
    shop.write(lambda writers: writers.catalog.change(writers.txn, entry, options, entry.indexes))


def update(shop: Shop, old: dict[str, Any], new: dict[str, Any], skips: bool = False) -> bool:
    def work(writers: CollectionWriters) -> bool:
        writer = writers.find_or_create("shop", "orders")
        writer.skips_validation = skips
        return writer.update(1, bson.encode(old), bson.encode(new))

    changed: bool = shop.write(work)
    return changed


def test_insert_of_a_document_that_does_not_match_is_refused(shop: Shop) -> None:
    create(shop)
    shop.insert(GOOD)
    for document in ({"_id": 2, "n": 0}, {"_id": 3}, {"_id": 4, "n": "5"}, {"_id": 5, "n": None}):
        with pytest.raises(WriteError, match="Document failed validation") as raised:
            shop.insert(document)
        assert raised.value.code == 121
    assert shop.documents() == [GOOD]


def test_array_matches_when_one_element_does(shop: Shop) -> None:
    create(shop)
    shop.insert({"_id": 1, "n": [-1, 1]})
    with pytest.raises(WriteError):
        shop.insert({"_id": 2, "n": [-1, -2]})


def test_error_says_which_document_and_which_rule(shop: Shop) -> None:
    create(shop, {"$or": [{"n": 1}, {"m": 1}]})
    with pytest.raises(WriteError) as raised:
        shop.insert({"_id": {"a": 5}, "n": 2})
    details = raised.value.details
    assert details is not None
    assert details["code"] == 121
    assert details["errmsg"] == "Document failed validation"
    assert details["errInfo"] == {
        "failingDocumentId": {"a": 5},
        "details": {"operatorName": "$or", "specifiedAs": {"$or": [{"n": 1}, {"m": 1}]}},
    }


@pytest.mark.parametrize(
    ("validator", "operator"),
    [({"n": {"$gt": 0}}, "$gt"), ({"n": 5}, "$eq"), ({"n": {"$gt": 0, "$lt": 9}}, "$and")],
)
def test_error_names_the_operator_that_refused(
    shop: Shop, validator: dict[str, Any], operator: str
) -> None:
    create(shop, validator)
    with pytest.raises(WriteError) as raised:
        shop.insert(BAD)
    assert raised.value.details is not None
    assert raised.value.details["errInfo"]["details"]["operatorName"] == operator


def test_document_with_a_date_python_has_not_is_refused_like_any_other(shop: Shop) -> None:
    create(shop)
    with pytest.raises(WriteError) as raised:
        shop.insert({"_id": 1, "n": -1, "date": DatetimeMS(2**61)})
    assert raised.value.code == 121


def test_refused_insert_leaves_nothing_behind(shop: Shop) -> None:
    create(shop)
    shop.create_index({"a": 1})
    shop.create_index({"n": 1}, unique=True)
    shop.insert(GOOD)

    def work(writers: CollectionWriters) -> None:
        writer = writers.find_or_create("shop", "orders")
        with pytest.raises(WriteError):
            writer.insert(bson.encode({"_id": 2, "n": -1, "a": [1, 2]}))
        assert not writers.txn.has_changes
        writer.insert(bson.encode({"_id": 2, "n": 2, "a": 1}))

    shop.write(work)
    entry = shop.entry()
    assert not entry.index_named("a_1").is_multikey
    counts = shop.read(lambda txn: {d.name: txn.count(d.tree_id) for d in entry.indexes})
    assert counts == {"_id_": 2, "a_1": 2, "n_1": 2}
    assert shop.insert({"_id": 3, "n": 3}) == [3]


def test_refused_update_leaves_the_document_and_its_keys(shop: Shop) -> None:
    create(shop)
    shop.create_index({"n": 1})
    shop.insert(GOOD)

    def work(writers: CollectionWriters) -> None:
        writer = writers.find_or_create("shop", "orders")
        with pytest.raises(WriteError) as raised:
            writer.update(1, bson.encode(GOOD), bson.encode(BAD))
        assert raised.value.code == 121
        assert not writers.txn.has_changes

    shop.write(work)
    assert shop.documents() == [GOOD]


def test_refused_first_insert_makes_no_collection(shop: Shop) -> None:
    def work(writers: CollectionWriters) -> None:
        writers.create("shop", "orders", create_options({"validator": RULE}))
        writers.find_or_create("shop", "orders").insert(bson.encode(BAD))

    with pytest.raises(WriteError):
        shop.write(work)
    assert shop.entry() is None


def test_strict_refuses_the_update_of_a_document_that_never_matched(shop: Shop) -> None:
    shop.insert(BAD)
    change(shop, RULE)
    with pytest.raises(WriteError):
        update(shop, BAD, {**BAD, "x": 1})
    assert update(shop, BAD, {**BAD, "n": 5})


def test_moderate_lets_a_document_that_never_matched_stay_so(shop: Shop) -> None:
    create(shop, {}, validationLevel="moderate")
    shop.insert(BAD)
    change(shop, RULE)
    assert update(shop, BAD, {**BAD, "x": 1})
    assert shop.documents() == [{**BAD, "x": 1}]


def test_moderate_holds_a_document_that_matched_to_the_rule(shop: Shop) -> None:
    create(shop, validationLevel="moderate")
    shop.insert(GOOD)
    with pytest.raises(WriteError):
        update(shop, GOOD, BAD)
    assert shop.documents() == [GOOD]


def test_moderate_refuses_inserts(shop: Shop) -> None:
    create(shop, validationLevel="moderate")
    with pytest.raises(WriteError):
        shop.insert(BAD)


def test_document_once_made_right_stays_right_in_moderate(shop: Shop) -> None:
    create(shop, {}, validationLevel="moderate")
    shop.insert(BAD)
    change(shop, RULE)
    assert update(shop, BAD, GOOD)
    with pytest.raises(WriteError):
        update(shop, GOOD, BAD)


@pytest.mark.parametrize("action", ["error", "warn"])
def test_level_off_asks_nothing(shop: Shop, action: str) -> None:
    create(shop, validationLevel="off", validationAction=action)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shop.insert(BAD)
        update(shop, BAD, {"_id": 1, "n": "x"})
    assert shop.documents() == [{"_id": 1, "n": "x"}]


def test_action_warn_stores_the_document_and_warns(shop: Shop) -> None:
    create(shop, validationAction="warn")
    with pytest.warns(UserWarning, match=r"failed validation: collection shop\.orders"):
        shop.insert(BAD)
    with pytest.warns(UserWarning, match="failed validation"):
        update(shop, BAD, {**BAD, "x": 1})
    assert shop.documents() == [{**BAD, "x": 1}]


def test_action_warn_is_silent_about_documents_that_match(shop: Shop) -> None:
    create(shop, validationAction="warn")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shop.insert(GOOD)


def test_warn_and_moderate_are_silent_about_old_mistakes(shop: Shop) -> None:
    create(shop, {}, validationLevel="moderate", validationAction="warn")
    shop.insert(BAD)
    change(shop, RULE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        update(shop, BAD, {**BAD, "x": 1})


def test_action_error_and_log_refuses(shop: Shop) -> None:
    create(shop, validationAction="errorAndLog")
    with pytest.raises(WriteError):
        shop.insert(BAD)


def test_writer_that_skips_validation_stores_anything(shop: Shop) -> None:
    create(shop)

    def work(writers: CollectionWriters) -> None:
        writer = writers.find_or_create("shop", "orders")
        writer.skips_validation = True
        writer.insert(bson.encode(BAD))

    shop.write(work)
    assert update(shop, BAD, {**BAD, "x": 1}, skips=True)
    with pytest.raises(WriteError):
        update(shop, {**BAD, "x": 1}, BAD)


def test_update_that_changes_nothing_is_not_asked(shop: Shop) -> None:
    shop.insert(BAD)
    change(shop, RULE)
    assert update(shop, BAD, BAD) is False


def test_delete_is_not_asked(shop: Shop) -> None:
    shop.insert(BAD)
    change(shop, RULE)
    shop.write(lambda writers: writers.find_or_create("shop", "orders").delete(1, bson.encode(BAD)))
    assert shop.documents() == []


def test_validator_is_asked_before_unique_indexes(shop: Shop) -> None:
    create(shop)
    shop.insert(GOOD)
    with pytest.raises(OperationFailure) as raised:
        shop.insert(BAD)
    assert raised.value.code == 121


def test_expression_may_compare_fields(shop: Shop) -> None:
    create(shop, {"$expr": {"$lt": ["$low", "$high"]}})
    shop.insert({"_id": 1, "low": 1, "high": 2})
    with pytest.raises(WriteError) as raised:
        shop.insert({"_id": 2, "low": 2, "high": 1})
    assert raised.value.details is not None
    assert raised.value.details["errInfo"]["details"]["operatorName"] == "$expr"


def test_validator_stays_with_a_renamed_collection(shop: Shop) -> None:
    create(shop)
    entry = shop.entry()
    shop.write(lambda w: w.catalog.rename(w.txn, entry, "shop", "sales", False))
    with pytest.raises(WriteError):
        shop.insert(BAD, name="sales")
    shop.insert(BAD, name="orders")


def test_validator_is_compiled_again_when_the_entry_is_read_anew(shop: Shop) -> None:
    create(shop)
    shop.catalog._entries.clear()
    with pytest.raises(WriteError):
        shop.insert(BAD)


@pytest.mark.parametrize("validator", [{"$nonsense": 1}, {"a": {"$gt": 1, "b": 2}}, {"$or": []}])
def test_validator_that_is_no_filter_makes_no_collection(
    shop: Shop, validator: dict[str, Any]
) -> None:
    with pytest.raises(OperationFailure) as raised:
        create(shop, validator)
    assert raised.value.code == 2
    assert shop.entry() is None
