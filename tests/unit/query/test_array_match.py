"""$elemMatch and $size."""

from __future__ import annotations

from tests.unit.query.asking import matches


def test_one_element_must_meet_all_conditions() -> None:
    assert matches({"a": {"$elemMatch": {"$gt": 1, "$lt": 5}}}, {"a": [0, 3, 9]})
    assert not matches({"a": {"$elemMatch": {"$gt": 1, "$lt": 5}}}, {"a": [0, 9]})
    filter = {"a": {"$elemMatch": {"x": 1, "y": 2}}}
    assert matches(filter, {"a": [{"x": 1}, {"x": 1, "y": 2}]})
    assert not matches(filter, {"a": [{"x": 1}, {"y": 2}]})


def test_only_arrays_have_elements() -> None:
    assert not matches({"a": {"$elemMatch": {"$gt": 1}}}, {"a": 3})
    assert not matches({"a": {"$elemMatch": {}}}, {"a": {"x": 1}})
    assert not matches({"a": {"$elemMatch": {"$exists": False}}}, {})


def test_empty_condition_wants_a_document_or_array() -> None:
    assert matches({"a": {"$elemMatch": {}}}, {"a": [5, {}]})
    assert matches({"a": {"$elemMatch": {}}}, {"a": [[]]})
    assert not matches({"a": {"$elemMatch": {}}}, {"a": [5]})


def test_elements_that_are_arrays_are_not_opened() -> None:
    assert not matches({"a": {"$elemMatch": {"$eq": 1}}}, {"a": [[1]]})
    assert matches({"a": {"$elemMatch": {"$eq": [1]}}}, {"a": [[1]]})
    assert matches({"a": {"$elemMatch": {"$elemMatch": {"$eq": 1}}}}, {"a": [[1]]})
    assert matches({"a": {"$elemMatch": {"0": 1}}}, {"a": [[1]]})


def test_combining_operators_inside_speak_of_documents() -> None:
    filter = {"a": {"$elemMatch": {"$or": [{"x": 1}, {"y": 2}]}}}
    assert matches(filter, {"a": [{"y": 2}]})
    assert not matches(filter, {"a": [1, 2]})


def test_negation_inside_speaks_of_one_element() -> None:
    assert matches({"a": {"$elemMatch": {"$ne": 1}}}, {"a": [1, 2]})
    assert not matches({"a": {"$elemMatch": {"$nin": [1, 2]}}}, {"a": [1, 2]})
    assert matches({"a": {"$elemMatch": {"$not": {"$gt": 1}}}}, {"a": [1, 2]})


def test_size_counts_the_elements_of_the_array_itself() -> None:
    assert matches({"a": {"$size": 2}}, {"a": [1, [2, 3]]})
    assert not matches({"a": {"$size": 2}}, {"a": [[1, 2]]})
    assert matches({"a": {"$size": 0}}, {"a": []})
    assert matches({"a.b": {"$size": 1.0}}, {"a": [{"b": [1]}]})
    assert not matches({"a": {"$size": 0}}, {})
