"""Hidden, partial, hashed and wildcard indexes: used where they hold every match, else not."""

from __future__ import annotations

import random
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from cbdd.index.definition import IndexDefinition
from cbdd.index.key_pattern import HASHED
from cbdd.query import compile_sort, parse_filter
from cbdd.query.bounds_of import conjuncts_of
from cbdd.query.index_choice import index_choices, promising_choices
from tests.unit.query.conftest import Items


@pytest.fixture
def many(items: Items) -> Items:
    items.insert(
        *[
            {"_id": i, "a": i % 40, "b": {"c": f"s{i % 40:02}"}, "t": ["x", i % 3]}
            for i in range(400)
        ],
        {"_id": 400, "a": None},
        {"_id": 401, "b": {"c": {"d": 1}}},
    )
    return items


def uses_index(items: Items, filter: dict[str, Any], **query: Any) -> bool:
    """Tell whether an index is read, having made sure that the answer is that of a scan."""
    scanned = items.ids(filter, hint={"$natural": 1})
    assert sorted(items.ids(filter, **query)) == sorted(scanned)
    assert items.count(filter) == len(scanned)
    return "IXSCAN" in items.stages(filter, **query)


def test_hidden_index_is_kept_up_and_not_used(many: Items) -> None:
    many.create_index({"a": 1}, hidden=True)
    assert not uses_index(many, {"a": 5})
    with pytest.raises(OperationFailure) as raised:
        many.ids({"a": 5}, hint="a_1")
    assert raised.value.code == 2


@pytest.mark.plan
@pytest.mark.parametrize(
    ("filter", "is_used"),
    [
        ({"a": 35}, True),
        ({"a": {"$gt": 34}}, True),
        ({"a": {"$gte": 30}}, False),
        ({"a": 5}, False),
        ({"a": {"$in": [31, 35]}}, True),
        ({"a": {"$in": [5, 35]}}, False),
        ({"a": None}, False),
        ({"$or": [{"a": 31}, {"a": 33}]}, True),
    ],
)
def test_partial_index_is_used_for_what_it_holds(
    many: Items, filter: dict[str, Any], is_used: bool
) -> None:
    many.create_index({"a": 1}, partialFilterExpression={"a": {"$gt": 30}})
    assert uses_index(many, filter) is is_used


def test_hint_on_a_partial_index_finds_what_is_in_it(many: Items) -> None:
    many.create_index({"a": 1}, partialFilterExpression={"a": {"$gt": 38}})
    assert len(many.ids({}, hint="a_1")) == 10


@pytest.mark.plan
def test_indexes_on_one_key_may_have_different_filters(many: Items) -> None:
    many.create_index({"a": 1}, partialFilterExpression={"a": {"$gt": 30}})
    many.create_index({"a": 1}, name="low", partialFilterExpression={"a": {"$lt": 10}})
    assert uses_index(many, {"a": 35}) and uses_index(many, {"a": 5})
    with pytest.raises(OperationFailure) as raised:
        many.create_index({"a": 1}, name="other", partialFilterExpression={"a": {"$lt": 10}})
    assert raised.value.code == 85
    with pytest.raises(OperationFailure) as raised:
        many.create_index({"a": 1}, partialFilterExpression={"a": {"$lt": 9}})
    assert raised.value.code == 86


def test_partial_unique_index_only_minds_its_own(items: Items) -> None:
    items.create_index({"a": 1}, unique=True, partialFilterExpression={"b": {"$exists": True}})
    items.insert({"_id": 1, "a": 1}, {"_id": 2, "a": 1}, {"_id": 3, "a": 1, "b": 1})
    with pytest.raises(OperationFailure) as raised:
        items.insert({"_id": 4, "a": 1, "b": 2})
    assert raised.value.code == 11000


@pytest.mark.plan
@pytest.mark.parametrize(
    ("filter", "is_used"),
    [
        ({"a": 5}, True),
        ({"a": 5.0}, True),
        ({"a": {"$in": [5, 6, 7]}}, True),
        ({"a": None}, True),
        ({"a": {"$in": [None, 3]}}, True),
        ({"a": {"$gt": 38}}, False),
        ({"a": {"$ne": 5}}, False),
        ({"a": {"$exists": False}}, True),
        ({"b": 5}, False),
        ({"$or": [{"a": 1}, {"a": 2}]}, True),
    ],
)
def test_hashed_index_answers_equality(many: Items, filter: dict[str, Any], is_used: bool) -> None:
    many.create_index({"a": "hashed"})
    assert uses_index(many, filter) is is_used


def test_hashed_index_orders_nothing(many: Items) -> None:
    many.create_index({"a": "hashed"})
    assert "SORT" in many.stages({}, sort=[("a", 1)], hint={"a": "hashed"})
    assert "SORT" in many.stages({"a": {"$in": [1, 2]}}, sort=[("a", 1)])


@pytest.mark.plan
def test_compound_hashed_index(many: Items) -> None:
    many.create_index({"b.c": 1, "a": "hashed"})
    assert uses_index(many, {"b.c": "s05", "a": 5})
    assert uses_index(many, {"b.c": {"$gt": "s38"}})
    assert not uses_index(many, {"a": 5})


@pytest.mark.plan
@pytest.mark.parametrize(
    ("filter", "is_used"),
    [
        ({"a": 5}, True),
        ({"a": {"$gt": 38}}, True),
        ({"b.c": "s05"}, True),
        ({"b.c": {"$in": ["s05", "s06"]}}, True),
        ({"b.c": {"$regex": "^s3"}}, True),
        ({"t": 2}, True),
        ({"t": "x", "a": 5}, True),
        ({"a": 5, "b.c": "s05"}, True),
        ({"a": None}, False),
        ({"a": {"$ne": 5}}, False),
        ({"a": {"$exists": False}}, False),
        ({"b": {"c": "s05"}}, False),
        ({"b.c": {"d": 1}}, False),
        ({"t": ["x", 1]}, False),
        ({"t.1": 2}, False),
        ({"_id": {"$gt": 398}, "nothing": 1}, True),
        ({"$or": [{"a": 5}, {"b.c": "s06"}]}, True),
    ],
)
def test_wildcard_index_answers_for_any_path(
    many: Items, filter: dict[str, Any], is_used: bool
) -> None:
    many.create_index({"$**": 1})
    scanned = many.ids(filter, hint={"$natural": 1})
    assert sorted(many.ids(filter)) == sorted(scanned)
    stages = many.stages(filter)
    assert ("IXSCAN" in stages or "OR" in stages) is is_used


@pytest.mark.plan
def test_wildcard_index_is_shown_as_one_on_the_path(many: Items) -> None:
    many.create_index({"$**": 1})
    plan = many.explain({"a": 5})["queryPlanner"]["winningPlan"]["inputStage"]
    assert plan["keyPattern"] == {"$_path": 1, "a": 1}
    assert plan["indexName"] == "$**_1"


@pytest.mark.plan
def test_wildcard_index_orders_the_values_of_its_path(many: Items) -> None:
    many.create_index({"b.$**": 1})
    query: dict[str, Any] = {"sort": [("b.c", -1)], "limit": 5}
    assert "SORT" not in many.stages({"b.c": {"$gte": "s38"}}, **query)
    found = many.find({"b.c": {"$gte": "s38"}}, **query)
    assert [each["b"]["c"] for each in found] == ["s39"] * 5


def test_hint_on_a_wildcard_index_needs_a_path(many: Items) -> None:
    many.create_index({"$**": 1})
    assert len(many.ids({"a": 5}, hint="$**_1")) == 10
    with pytest.raises(OperationFailure) as raised:
        many.ids({}, hint="$**_1")
    assert raised.value.code == 291


@pytest.mark.plan
@pytest.mark.parametrize("options", [{}, {"sparse": True}])
def test_union_of_indexes_gives_each_document_once(many: Items, options: dict[str, Any]) -> None:
    many.create_index({"a": 1}, **options)
    many.create_index({"t": 1})
    filter = {"$or": [{"a": 5}, {"t": 2, "_id": {"$lt": 60}}, {"a": {"$gt": 38}}]}
    assert many.stages(filter)[:2] == ["FETCH", "OR"]
    scanned = many.ids(filter, hint={"$natural": 1})
    found = many.ids(filter)
    assert len(found) == len(set(found)) and sorted(found) == scanned
    assert many.ids(filter, sort=[("_id", 1)]) == scanned
    assert many.ids(filter, sort=[("_id", 1)], skip=2, limit=3) == scanned[2:5]
    explained = many.explain(filter)["executionStats"]
    inner = explained["executionStages"]["inputStage"]["inputStages"]
    assert len(inner) == 3 and {stage["stage"] for stage in inner} == {"IXSCAN"}
    assert explained["totalKeysExamined"] >= explained["nReturned"] == len(scanned)


@pytest.mark.plan
def test_skip_in_an_index_range_visits_nothing(many: Items) -> None:
    many.create_index({"a": 1, "_id": 1})
    for query in ({"sort": [("a", 1), ("_id", 1)]}, {"sort": [("a", -1), ("_id", -1)]}):
        everything = many.ids({"a": {"$gte": 10}}, **query)
        for skip in (0, 1, 57, 299, 300, 1000):
            found = many.ids({"a": {"$gte": 10}}, skip=skip, limit=4, **query)
            assert found == everything[skip : skip + 4]
        stats = many.explain({"a": {"$gte": 10}}, skip=250, limit=1, **query)["executionStats"]
        assert stats["totalKeysExamined"] == 1
    points = {"a": {"$in": [3, 9, 21]}}
    everything = many.ids(points, sort=[("a", 1)])
    assert many.ids(points, sort=[("a", 1)], skip=15) == everything[15:]


def test_what_a_hash_cannot_answer_is_asked_of_the_document(items: Items) -> None:
    items.insert(*[{"_id": i, "a": 1, "b": [0] * (i % 3)} for i in range(3)])
    items.create_index({"a": 1, "c": "hashed"})
    for filter in ({"a": 1, "c": {"$size": 0}}, {"a": 1, "c": {"$gt": 5}}):
        assert items.ids(filter) == [] and items.count(filter) == 0


CONDITIONS: list[Any] = [
    5,
    {"$gt": 5},
    {"$in": [1, 2]},
    {"$ne": 5},
    {"$exists": False},
    {"$mod": [2, 0]},
]
INDEXES = [
    IndexDefinition("a", [("a", 1)]),
    IndexDefinition("b, a", [("b", -1), ("a", 1)]),
    IndexDefinition("c, d", [("c", 1), ("d", 1)], options={"sparse": True}),
    IndexDefinition("hashed", [("d", HASHED)]),
]


@pytest.mark.parametrize("seed", range(10))
def test_an_index_that_is_not_promising_has_nothing_to_give(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(50):
        names = source.sample("abcd", source.randrange(3))
        conjuncts = conjuncts_of(parse_filter({name: source.choice(CONDITIONS) for name in names}))
        sort = compile_sort({name: source.choice([1, -1]) for name in source.sample("abcd", 2)})
        for wanted in (sort, None):
            every = [each for index in INDEXES for each in index_choices(index, conjuncts, wanted)]
            useful = [each for each in every if each.has_bounds() or each.provides_sort]
            found = promising_choices(INDEXES, conjuncts, wanted)
            assert [
                each.definition.name for each in found if each.has_bounds() or each.provides_sort
            ] == [each.definition.name for each in useful]
