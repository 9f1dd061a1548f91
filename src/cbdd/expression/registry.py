"""Every operator that is a function of its operands, and the codes of what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cbdd.catalog.refusal import FAILED_TO_PARSE
from cbdd.expression.accumulation import ACCUMULATION, NAMED_ACCUMULATION
from cbdd.expression.arithmetic import ARITHMETIC
from cbdd.expression.arrays import ARRAYS
from cbdd.expression.conversion import CONVERSION, NAMED_CONVERSION
from cbdd.expression.dates import DATE_PARTS, DATES, NAMED_DATES, date_part
from cbdd.expression.logic import LOGIC
from cbdd.expression.mathematics import MATHEMATICS
from cbdd.expression.objects import NAMED_OBJECTS, OBJECTS
from cbdd.expression.text import NAMED_TEXT, TEXT
from cbdd.expression.value import Value

Function = Callable[[str, list[Value]], Value]
NamedFunction = Callable[[str, dict[str, Value]], Value]

POSITIONAL: Final[dict[str, tuple[int, int, Function]]] = {
    **LOGIC,
    **ARITHMETIC,
    **MATHEMATICS,
    **TEXT,
    **ARRAYS,
    **OBJECTS,
    **CONVERSION,
    **DATES,
    **ACCUMULATION,
}
"""Operator -> fewest operands, most (-1: any number), function."""

NAMED: Final[dict[str, tuple[list[str], list[str], NamedFunction]]] = {
    **NAMED_TEXT,
    **NAMED_OBJECTS,
    **NAMED_CONVERSION,
    **NAMED_DATES,
    **NAMED_ACCUMULATION,
}
"""Operator -> operands that must be given, operands that may be, function."""

for _part in DATE_PARTS:
    NAMED[_part] = (["date"], ["timezone"], date_part)


class OperandCodes:
    """MongoDB's codes for operands that are no document, unknown, or not given."""

    def __init__(
        self, not_document: int, unknown: int, missing: int, by_name: dict[str, int] | None = None
    ) -> None:
        self.not_document = not_document
        self.unknown = unknown
        self.missing = missing
        self.by_name: dict[str, int] = by_name or {}

    def missing_code(self, name: str) -> int:
        """Return the code for an operand that is not given."""
        return self.by_name.get(name, self.missing)


_TRIM: Final = OperandCodes(50696, 50694, 50695)
_REPLACE: Final = OperandCodes(
    51751, 51750, 51749, {"input": 51749, "find": 51748, "replacement": 51747}
)
_REGEX: Final = OperandCodes(51103, 31024, 31022, {"regex": 31023})
_DATE_ADD: Final = OperandCodes(5166400, 5166401, 5166402)
_SET_FIELD: Final = OperandCodes(4161100, 4161101, 4161102, {"input": 4161109, "value": 4161103})
_SOME: Final = OperandCodes(5787801, 5787901, 5787906, {"input": 5787907})
OPERAND_CODES: Final[dict[str, OperandCodes]] = {
    "$trim": _TRIM,
    "$ltrim": _TRIM,
    "$rtrim": _TRIM,
    "$replaceOne": _REPLACE,
    "$replaceAll": _REPLACE,
    "$regexMatch": _REGEX,
    "$regexFind": _REGEX,
    "$regexFindAll": _REGEX,
    "$convert": OperandCodes(FAILED_TO_PARSE, FAILED_TO_PARSE, FAILED_TO_PARSE),
    "$dateToString": OperandCodes(18629, 18534, 18628),
    "$dateFromString": OperandCodes(40540, 40541, 40542),
    "$dateToParts": OperandCodes(40524, 40520, 40522),
    "$dateFromParts": OperandCodes(40519, 40518, 40516),
    "$dateAdd": _DATE_ADD,
    "$dateSubtract": _DATE_ADD,
    "$dateDiff": OperandCodes(5166301, 5166302, 5166303),
    "$dateTrunc": OperandCodes(5439007, 5439008, 5439009),
    "$getField": OperandCodes(3041700, 3041701, 3041702, {"input": 3041703}),
    "$setField": _SET_FIELD,
    "$unsetField": _SET_FIELD,
    "$firstN": _SOME,
    "$lastN": _SOME,
    "$minN": _SOME,
    "$maxN": _SOME,
}
DATE_PART_CODES: Final = OperandCodes(40536, 40535, 40539)

GRADUAL: Final = frozenset(
    {
        "$add",
        "$multiply",
        "$concat",
        "$concatArrays",
        "$mergeObjects",
        "$setUnion",
        "$setIntersection",
        "$bitAnd",
        "$bitOr",
        "$bitXor",
    }
)
"""Operators that look at each operand before they evaluate the next."""

UNSUPPORTED: Final = frozenset(
    {
        "$meta",
        "$function",
        "$accumulator",
        "$toUUID",
        "$toHashedIndexKey",
        "$encStrStartsWith",
        "$encStrContains",
        "$median",
        "$percentile",
    }
)
"""What MongoDB has and this release has not."""
