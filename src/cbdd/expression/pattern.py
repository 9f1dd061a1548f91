r"""Regular expressions of filters and expressions, which cannot hang the process.

    pattern                               matched by
    without a repetition of open length   Python's `re`, which is faster and then takes linear time
    any other, where google-re2 is        RE2, in linear time
    any other                             `re`, if pattern and text are short enough that it ends

How long `re` may take is estimated from the pattern: n repetitions one after the other take up to
length ** (n + 1) steps, one inside the other up to 2 ** length. A text for which that is more than
`MAX_STEPS` is refused (code 51156), never cut and never passed over.

A pattern neither engine understands is refused, never reinterpreted. Differences from MongoDB's
PCRE that are handled here: `\w`, `\d`, `\s` and `\b` mean ASCII unless case is ignored (where
Python would stop folding the case of other letters), and `$` also matches before a last newline.

Source: Cox, "Regular Expression Matching Can Be Simple And Fast" (2007).
"""

from __future__ import annotations

import importlib
import math
import re
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any, Final

from cbdd.catalog.refusal import refusal
from cbdd.document.raw import skip_name
from cbdd.expression.value import Value

INVALID_PATTERN: Final = 51091
INVALID_OPTION: Final = 51108
TOO_COSTLY: Final = 51156
MAX_STEPS: Final = 50_000_000
_NESTED: Final = -1
"""The degree of a pattern that may take exponential time."""
_SHORT_REPETITION: Final = 16
_MAX_CHOICES: Final = 16.0
_FLAGS: Final = {
    "i": re.IGNORECASE,
    "m": re.MULTILINE,
    "s": re.DOTALL,
    "x": re.VERBOSE,
    "u": re.UNICODE,
}


def _linear_engine() -> Any:
    try:
        return importlib.import_module("re2")
    except ImportError:
        return None


class Engines:
    """Which engines there are; a test takes one away."""

    def __init__(self, linear: Any) -> None:
        self.linear = linear


ENGINES: Final = Engines(_linear_engine())
_CACHE_SIZE: Final = 256
_cache: Final[dict[tuple[str, str, bool], Pattern]] = {}


class Pattern:
    """A compiled pattern. Made by `compile_pattern`; immutable, may be shared."""

    def __init__(self, engine: Any, degree: int, also_before_newline: bool) -> None:
        """
        :param degree: how the steps grow with the text, see the module; 0: in proportion.
        :param also_before_newline: the engine's `$` must be told of a last newline.
        """
        self._engine = engine
        self._degree = degree
        self._also_before_newline = also_before_newline

    def is_in(self, text: str) -> bool:
        """Tell whether the pattern is found in a text.

        :raises OperationFailure: finding out could take too long.
        """
        return self.find(text) is not None

    def find(self, text: str) -> Any:
        """Return the first match as `re.Match` has it, or None."""
        self._require_affordable(text)
        found = self._engine.search(text)
        if found is None and self._also_before_newline and text.endswith("\n"):
            return self._engine.search(text[:-1])
        return found

    def find_all(self, text: str) -> list[Any]:
        """List the matches that do not overlap."""
        self._require_affordable(text)
        return list(self._engine.finditer(text))

    def pieces(self, text: str, most: int) -> list[str]:
        """Return what is before, between and after the first `most` matches (0: all)."""
        pieces: list[str] = []
        end = 0
        for found in self.find_all(text)[: most or None]:
            pieces.append(text[end : found.start()])
            end = found.end()
        pieces.append(text[end:])
        return pieces

    def _require_affordable(self, text: str) -> None:
        degree = self._degree
        if degree == 0:
            return
        length = len(text)
        if degree == _NESTED:
            is_affordable = length < MAX_STEPS.bit_length()
        else:
            is_affordable = length ** (degree + 1) <= MAX_STEPS
        if not is_affordable:
            raise refusal(
                TOO_COSTLY,
                f"the regular expression could take too long on a text of {length} characters;"
                " install google-re2, with which the time grows with the text only",
            )


def compile_pattern(pattern: str, options: str) -> Pattern:
    """Compile a pattern; the last ones are remembered.

    :raises OperationFailure: the pattern (51091) or an option (51108) is not understood.
    """
    key = (pattern, options, ENGINES.linear is None)
    known = _cache.get(key)
    if known is None:
        known = _compile(pattern, options)
        if len(_cache) >= _CACHE_SIZE:
            _cache.clear()
        _cache[key] = known
    return known


def _compile(pattern: str, options: str) -> Pattern:
    if "\0" in pattern:
        raise refusal(INVALID_PATTERN, "Regular expression cannot contain an embedded null byte")
    flags = 0
    for option in options:
        flag = _FLAGS.get(option)
        if flag is None:
            raise refusal(INVALID_OPTION, f"invalid flag in regex options: {option}")
        flags |= int(flag)
    if "i" not in options:
        flags |= int(re.ASCII)
        flags &= ~int(re.UNICODE)
    problem: Exception | None = None
    degree = 0
    try:
        parsed = _parser.parse(pattern, flags)
        degree = _NESTED if _choices_of(parsed) > _MAX_CHOICES else _degree_of(parsed)
        backtracking = re.compile(pattern, flags)
    except re.error as error:
        problem = error  # RE2 knows some of what PCRE knows and Python does not
    except (OverflowError, RecursionError) as error:
        raise refusal(INVALID_PATTERN, f"Regular expression is invalid: {error}") from error
    if problem is None and degree == 0:
        return Pattern(backtracking, 0, False)
    linear = None if "x" in options else _compile_linear(pattern, options)
    if linear is not None:
        return Pattern(linear, 0, "$" in pattern and "m" not in options)
    if problem is not None:
        raise refusal(INVALID_PATTERN, f"Regular expression is invalid: {problem}") from problem
    return Pattern(backtracking, degree, False)


def _compile_linear(pattern: str, options: str) -> Any:
    """Return the pattern compiled by RE2; None when it is not installed or does not know it."""
    engine = ENGINES.linear
    if engine is None:
        return None
    settings = engine.Options()
    settings.log_errors = False
    flags = "".join([option for option in "ims" if option in options])
    try:
        return engine.compile(f"(?{flags}){pattern}" if flags else pattern, settings)
    except engine.error:
        return None


def _degree_of(items: Any) -> int:
    """Return how many repetitions of open length follow one another, `_NESTED` for inside."""
    degree = 0
    for kind, operand in items:
        below = 0
        if kind in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            low, high, inner = operand
            below = _degree_of(inner)
            if high - low > _SHORT_REPETITION or high is _constants.MAXREPEAT:
                if below or _is_ambiguous(inner):
                    return _NESTED
                below = 1
            elif below and high > 1:
                return _NESTED
        elif kind is _constants.SUBPATTERN:
            below = _degree_of(operand[-1])
        elif kind is _constants.BRANCH:
            branches = [_degree_of(branch) for branch in operand[1]]
            below = _NESTED if _NESTED in branches else max(branches)
        elif kind in (_constants.ASSERT, _constants.ASSERT_NOT):
            below = _degree_of(operand[1])
        elif kind in (_constants.POSSESSIVE_REPEAT, _constants.ATOMIC_GROUP):
            inner = operand[-1] if kind is _constants.POSSESSIVE_REPEAT else operand
            below = _degree_of(inner)
            if below == 0 and kind is _constants.POSSESSIVE_REPEAT:
                below = 1
        elif kind is _constants.GROUPREF_EXISTS:
            return _NESTED
        if below == _NESTED:
            return _NESTED
        degree += below
    return degree


def _choices_of(items: Any) -> float:
    """Return how often, in powers of two, repetitions of bounded length and alternatives multiply
    the ways to take a text apart.
    """
    choices = 0.0
    for kind, operand in items:
        if kind in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            low, high, inner = operand
            is_open = high - low > _SHORT_REPETITION
            choices += 0.0 if is_open else math.log2(high - low + 1)
            choices += _choices_of(inner) * (1 if high is _constants.MAXREPEAT else high)
        elif kind is _constants.SUBPATTERN:
            choices += _choices_of(operand[-1])
        elif kind is _constants.BRANCH:
            choices += math.log2(len(operand[1]))
            choices += max([_choices_of(branch) for branch in operand[1]])
        elif kind in (_constants.ASSERT, _constants.ASSERT_NOT):
            choices += _choices_of(operand[1])
    return choices


def _is_ambiguous(items: Any) -> bool:
    """Tell whether what is repeated has alternatives or optional parts, so that a text may be
    taken apart in several ways.
    """
    for kind, operand in items:
        if kind is _constants.BRANCH or kind in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            return True
        if kind is _constants.SUBPATTERN and _is_ambiguous(operand[-1]):
            return True
    return False


def regex_parts(value: Value) -> tuple[str, str]:
    """Return pattern and options of a BSON regular expression."""
    middle = int(skip_name(value.data, 0))
    return value.data[: middle - 1].decode("utf-8"), value.data[middle:-1].decode("utf-8")
