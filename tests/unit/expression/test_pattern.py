"""Regular expressions: engines, options, cost, and patterns that are refused."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from bson.regex import Regex
from pymongo.errors import OperationFailure

from cbdd.expression.pattern import ENGINES, compile_pattern, regex_parts
from cbdd.expression.value import value_of

HOSTILE = "(a+)+$"


@pytest.fixture(params=["with RE2", "without RE2"])
def engine(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Both ways, whether google-re2 is installed or not."""
    installed = ENGINES.linear
    if request.param == "without RE2":
        ENGINES.linear = None
    elif installed is None:
        pytest.skip("google-re2 is not installed")
    yield ENGINES.linear is not None
    ENGINES.linear = installed


@pytest.mark.parametrize(
    ("pattern", "options", "text", "expected"),
    [
        ("^b", "m", "a\nb", True),
        ("^b", "", "a\nb", False),
        ("a.*b", "s", "a\nb", True),
        ("a.*b", "", "a\nb", False),
        ("\u00c9+", "i", "\u00e9", True),
        ("a b", "x", "ab", True),
        ("a +b", "x", "aab", True),
        (r"^\w+$", "", "\u00e9", False),
        (r"^\d+$", "", "\u0663", False),
        ("a+$", "", "a\n", True),
        ("a+$", "", "a\n\n", False),
        ("a+$", "m", "a\nb", True),
        ("^x.*[0-9]$", "", "x7", True),
        ("(a|b)*c", "", "ababc", True),
        (r"(a)\1+", "", "aaa", True),
        (r"a(?=b+)", "", "ab", True),
        (r"(?<!a)b+", "", "ab", False),
        ("", "", "", True),
        ("a{2,40}", "", "a", False),
    ],
)
def test_matches(engine: bool, pattern: str, options: str, text: str, expected: bool) -> None:
    assert compile_pattern(pattern, options).is_in(text) is expected


@pytest.mark.parametrize(
    ("pattern", "options", "code"),
    [("(", "", 51091), ("a\0b", "", 51091), ("a", "q", 51108), ("a{99999999999}", "", 51091)],
)
def test_refusals(engine: bool, pattern: str, options: str, code: int) -> None:
    with pytest.raises(OperationFailure) as raised:
        compile_pattern(pattern, options)
    assert raised.value.code == code


@pytest.mark.parametrize(
    "pattern", [HOSTILE, "(a|aa)+$", "(a*)*b", "^(([a-z])+.)+[A-Z]([a-z])+$", "(?:a?){30}a{30}"]
)
def test_a_hostile_pattern_takes_linear_time_or_is_refused(engine: bool, pattern: str) -> None:
    text = "a" * 100_000 + "!"
    if engine:
        compile_pattern(pattern, "").is_in(text)
        return
    with pytest.raises(OperationFailure, match="could take too long") as raised:
        compile_pattern(pattern, "").is_in(text)
    assert raised.value.code == 51156
    compile_pattern(pattern, "").is_in("a" * 20 + "!")


def test_what_only_backtracking_knows_is_bounded_always(engine: bool) -> None:
    compiled = compile_pattern(r"(a+)\1+b", "")
    assert compiled.is_in("aaaab")
    with pytest.raises(OperationFailure) as raised:
        compiled.is_in("a" * 100_000)
    assert raised.value.code == 51156


def test_polynomial_patterns_are_bounded_by_the_text(engine: bool) -> None:
    compiled = compile_pattern(".*.*.*=x", "")
    assert not compiled.is_in("y" * 60)
    if engine:
        assert not compiled.is_in("y" * 100_000)
    else:
        with pytest.raises(OperationFailure):
            compiled.is_in("y" * 1000)


def test_harmless_patterns_read_any_text(engine: bool) -> None:
    text = "x" * 5_000_000
    for pattern in ("^x", "y", "[a-z]{3}y", "(foo|bar)", "x$", "a?b?c?y"):
        compile_pattern(pattern, "").is_in(text)


def test_parts_of_a_text(engine: bool) -> None:
    assert compile_pattern(", *", "").pieces("a, b,c", 0) == ["a", "b", "c"]
    assert compile_pattern(", *", "").pieces("a, b,c", 1) == ["a", "b,c"]
    found = compile_pattern("(l+)(x)?o", "").find("h\u00e9llo")
    assert (found.group(), found.start(), found.groups()) == ("llo", 2, ("ll", None))
    assert [each.group() for each in compile_pattern("[0-9]+", "").find_all("1a22")] == ["1", "22"]


def test_both_engines_agree() -> None:
    if ENGINES.linear is None:
        pytest.skip("google-re2 is not installed")
    source = random.Random(8)
    atoms = ["a", "b", ".", "[ab]", "[^a]", r"\w", r"\d", r"\s", "(a|b)", "(?:ab)", "^", "$", r"\b"]
    linear = ENGINES.linear
    try:
        for _ in range(2000):
            pattern = "".join(
                source.choice(atoms) + source.choice(["", "", "*", "+", "?", "{1,2}", "+?"])
                if (atom := source.random()) < 0.8
                else source.choice("ab")
                for _ in range(source.randrange(1, 5))
            )
            options = source.choice(["", "i", "m", "s"])
            answers = []
            for engine in (linear, None):
                ENGINES.linear = engine
                try:
                    compiled = compile_pattern(pattern, options)
                except OperationFailure as error:
                    answers.append([error.code])
                    continue
                texts = ["", "a", "ab", "ba\n", "a\nb", "1 b", "AB", "aab\n\n"]
                answers.append([compiled.is_in(text) for text in texts])
            assert answers[0] == answers[1] or 51091 in (answers[0][0], answers[1][0]), (
                pattern,
                options,
                atom,
            )
    finally:
        ENGINES.linear = linear


def test_stored_parts() -> None:
    assert regex_parts(value_of(Regex("a/b", "im"))) == ("a/b", "im")
