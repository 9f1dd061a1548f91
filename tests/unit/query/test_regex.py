"""Patterns in filters."""

from __future__ import annotations

import re

from bson import Regex

from tests.unit.query.asking import matches, refusal_of


def test_pattern_is_searched_in_strings() -> None:
    assert matches({"a": {"$regex": "b"}}, {"a": "abc"})
    assert matches({"a": re.compile("B", re.IGNORECASE)}, {"a": "abc"})
    assert matches({"a": Regex("^b", "m")}, {"a": "a\nb"})
    assert matches({"a": {"$regex": "a.b", "$options": "s"}}, {"a": "a\nb"})
    assert matches({"a": {"$regex": "a b # spaced", "$options": "x"}}, {"a": "ab"})
    assert not matches({"a": {"$regex": "^b"}}, {"a": "abc"})
    assert not matches({"a": {"$regex": "1"}}, {"a": 1})


def test_pattern_matches_elements_and_the_same_pattern_stored() -> None:
    assert matches({"a": Regex("^b")}, {"a": ["x", "bc"]})
    assert matches({"a": Regex("^b", "i")}, {"a": Regex("^b", "i")})
    assert not matches({"a": Regex("^b", "i")}, {"a": Regex("^b")})


def test_equality_with_a_pattern_as_operand_wants_the_pattern_itself() -> None:
    assert matches({"a": {"$eq": Regex("^b")}}, {"a": Regex("^b")})
    assert not matches({"a": {"$eq": Regex("^b")}}, {"a": "bc"})


def test_classes_are_ascii_and_case_folding_is_not() -> None:
    assert not matches({"a": {"$regex": r"^\w$"}}, {"a": "é"})
    assert matches({"a": {"$regex": "É", "$options": "i"}}, {"a": "é"})


def test_null_in_a_pattern_is_refused() -> None:
    assert refusal_of({"a": {"$regex": "a\0b"}})[0] == 51091
