"""What a filter says about the fields of an index."""

from __future__ import annotations

from typing import Any

import pytest

from cbdd.index.definition import IndexDefinition
from cbdd.query import parse_filter
from cbdd.query.bounds_of import common_path, conjuncts_of, index_bounds, literal_prefix
from tests.unit.query.conftest import Items

PLAIN = IndexDefinition("n", [("a", 1), ("b", 1)])
MULTIKEY = IndexDefinition("n", [("a", 1), ("b", 1)], is_multikey=True)


def bounds(filter: dict[str, Any], definition: IndexDefinition = PLAIN) -> Any:
    return index_bounds(definition, conjuncts_of(parse_filter(filter)))


@pytest.mark.parametrize(
    ("pattern", "options", "prefix"),
    [
        ("^abc", "", "abc"),
        ("^ab.*c", "", "ab"),
        ("^ab*", "", "a"),
        ("^ab?", "", "a"),
        ("^ab{0}", "", "a"),
        ("^ab+", "", "ab"),
        ("^ab|c", "", ""),
        ("^ab", "i", ""),
        ("^ab", "m", ""),
        ("^a b", "x", ""),
        ("^ab", "s", "ab"),
        ("ab", "", ""),
        ("^[ab]", "", ""),
        ("^é", "", "é"),
    ],
)
def test_literal_prefix_is_what_every_match_begins_with(
    pattern: str, options: str, prefix: str
) -> None:
    assert literal_prefix(pattern, options) == prefix


def test_conjunctions_are_opened() -> None:
    filter = {"a": {"$gt": 1, "$lt": 5}, "$and": [{"b": 1}, {"$and": [{"c": 1}, {"d": 1}]}]}
    assert len(conjuncts_of(parse_filter(filter))) == 5
    assert conjuncts_of(parse_filter({})) == []


def test_common_path_is_that_of_all_parts() -> None:
    assert common_path(parse_filter({"$or": [{"a": 1}, {"a": {"$gt": 5}}]})) == "a"
    assert common_path(parse_filter({"$or": [{"a": 1}, {"b": 1}]})) == ""
    assert common_path(parse_filter({"a": {"$not": {"$gt": 1, "$lt": 5}}})) == "a"


def test_filter_is_complete_when_every_part_is_used() -> None:
    assert bounds({"a": 1, "b": 2}).is_complete
    assert not bounds({"a": 1, "c": 2}).is_complete
    assert bounds({"a": {"$gt": 1, "$lt": 5}}).is_complete


def test_two_ranges_join_unless_arrays_may_meet_them_apart() -> None:
    filter = {"a": {"$gt": 1, "$lt": 5}}
    joined = bounds(filter).fields[0].intervals
    assert len(joined) == 1 and joined[0].low is not None and joined[0].high is not None
    apart = bounds(filter, MULTIKEY)
    assert not apart.is_complete
    assert len(apart.expressions[0]) == 1


def test_points_are_preferred_where_only_one_part_counts() -> None:
    chosen = bounds({"a": {"$gt": 1, "$in": [3, 4]}}, MULTIKEY)
    assert chosen.fields[0].is_points
    assert len(chosen.fields[0].intervals) == 2


def test_ranges_on_one_element_join_even_in_arrays() -> None:
    filter = {"a": {"$elemMatch": {"$gt": 1, "$lt": 5}}}
    interval = bounds(filter, MULTIKEY).fields[0].intervals[0]
    assert interval.low is not None and interval.high is not None


def test_elements_of_an_array_reached_by_number_are_no_keys(items: Items) -> None:
    items.insert({"_id": 1, "a": [["b", 1]]}, {"_id": 2, "a": [1]})
    items.create_index({"a.0": 1})
    filter = {"a.0": {"$elemMatch": {"$eq": "b"}}}
    assert items.ids(filter) == items.ids(filter, hint={"$natural": 1}) == [1]
    assert items.ids(filter, hint="a.0_1") == [1]
