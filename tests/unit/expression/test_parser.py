"""Reading expressions: paths, variables, literals, and what is malformed."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.errors import OperationFailure

from cbdd.expression.parser import is_expression_operator, user_variable
from cbdd.expression.registry import NAMED, POSITIONAL, UNSUPPORTED
from tests.unit.expression.evaluating import GONE, assert_value, date, evaluated, refusal_code

DOCUMENT = {
    "a": {"b": {"c": 1}},
    "list": [{"x": 1}, {"x": [2]}, {"y": 3}, 4, [{"x": 5}]],
    "n": None,
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$a.b.c", 1),
        ("$a.b.c.d", GONE),
        ("$a.q", GONE),
        ("$n.q", GONE),
        ("$list.x", [1, [2]]),
        ("$list.0", []),
        ("$$ROOT.a.b.c", 1),
        ("$$CURRENT.a.b", {"c": 1}),
        ("$$NOW", date(1970, 1, 1)),
        ("$$REMOVE", GONE),
        ("plain", "plain"),
        ("", ""),
        ({"x": "$a.b.c", "y": {"z": "$gone", "w": 1}}, {"x": 1, "y": {"w": 1}}),
        (["$a.b.c", "$gone"], [1, None]),
        ({}, {}),
        ({"$literal": "$a"}, "$a"),
        ({"$literal": {"$add": [1, 2]}}, {"$add": [1, 2]}),
        ({"$const": 5}, 5),
        ({"$abs": [-1]}, 1),
        ({"$not": [[False]]}, False),
    ],
)
def test_values(expression: Any, expected: Any) -> None:
    if expected == GONE:
        assert evaluated(expression, DOCUMENT) == GONE
    else:
        assert_value(expression, expected, DOCUMENT)


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("$", 16872),
        ("$$", 9),
        ("$$nobody", 17276),
        ("$$nobody.x", 17276),
        ("$a.", 40353),
        ("$.a", 15998),
        ("$a..b", 15998),
        ("$a.$b", 16410),
        ("$a\0b", 16411),
        ({"$bogus": 1}, 168),
        ({"$add": [1], "$sum": 1}, 15983),
        ({"$add": [1], "x": 1}, 15983),
        ({"x": 1, "$add": [1]}, 16410),
        ({"x.y": 1}, 16412),
        ({"x": {"$bogus": 1}}, 168),
        (["$a", {"$bogus": 1}], 168),
        ({"$meta": "textScore"}, 168),
    ],
)
def test_refusals(expression: Any, code: int) -> None:
    assert refusal_code(expression, DOCUMENT) == code


def test_what_is_not_there_yet_says_so() -> None:
    for name in UNSUPPORTED:
        assert not is_expression_operator(name)
        with pytest.raises(OperationFailure, match="not supported in expressions by this release"):
            evaluated({name: 1})


def test_every_operator_is_known_and_named_once() -> None:
    assert not set(POSITIONAL) & set(NAMED)
    for name in [*POSITIONAL, *NAMED]:
        assert name.startswith("$")
        assert is_expression_operator(name)
    assert is_expression_operator("$cond")
    assert not is_expression_operator("$bogus")


@pytest.mark.parametrize("name", ["x", "xY_9", "é", "CURRENT"])
def test_names_of_variables(name: str) -> None:
    assert user_variable(name) == name


@pytest.mark.parametrize("name", ["", "X", "1", "_x", "a-b", "a.b", "ROOT"])
def test_names_no_variable_has(name: str) -> None:
    with pytest.raises(OperationFailure) as raised:
        user_variable(name)
    assert raised.value.code == 9
