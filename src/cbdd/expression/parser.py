"""Reading expressions: BSON in, a compiled tree out, with MongoDB's refusals.

Source of the grammar, and of what is refused with which code: MongoDB's manual, "Aggregation
Operators", and the answers of a server.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from pymongo.errors import OperationFailure

from cbdd.catalog.refusal import FAILED_TO_PARSE, not_supported, refusal
from cbdd.document.raw import (
    TYPE_ARRAY,
    TYPE_BOOLEAN,
    TYPE_DOCUMENT,
    TYPE_DOUBLE,
    TYPE_STRING,
)
from cbdd.expression.dates import DATE_PARTS
from cbdd.expression.lambdas import Filter, Map, Random, Reduce, SortArray, SortKey, Zip
from cbdd.expression.logic import AllTrue, AnyTrue, Choice, FirstGiven, Let
from cbdd.expression.node import (
    CURRENT,
    MISSING_VALUE,
    NOW,
    REMOVE,
    ROOT,
    ArrayExpression,
    Call,
    Constant,
    DocumentExpression,
    Environment,
    Expression,
    FieldReference,
    GradualCall,
    NamedCall,
    array_of,
    document_of,
    fields_of,
    items_of,
)
from cbdd.expression.registry import (
    DATE_PART_CODES,
    GRADUAL,
    NAMED,
    OPERAND_CODES,
    POSITIONAL,
    UNSUPPORTED,
    OperandCodes,
)
from cbdd.expression.value import Value

UNKNOWN_OPERATOR: Final = 168
UNDEFINED_VARIABLE: Final = 17276
WRONG_COUNT: Final = 16020
NOT_ONE_FIELD: Final = 15983
SYSTEM_VARIABLES: Final = frozenset({ROOT, CURRENT, NOW, REMOVE})
_NO_ENVIRONMENT: Final = Environment({})
_SPECIAL: Final = frozenset(
    {
        "$and",
        "$or",
        "$cond",
        "$switch",
        "$ifNull",
        "$let",
        "$literal",
        "$const",
        "$rand",
        "$map",
        "$filter",
        "$reduce",
        "$sortArray",
        "$zip",
        "$getField",
        "$unsetField",
        "$setField",
    }
)


def is_expression_operator(name: str) -> bool:
    """Tell whether `name` is an operator of expressions."""
    return name in POSITIONAL or name in NAMED or name in _SPECIAL


class ExpressionParser:
    """Compiles expressions that may use some variables.

    :param variables: names that are bound when the expression is evaluated, besides MongoDB's own.
    :param random: 8 unpredictable bytes at each call, for $rand.
    :param failures: receives the errors of operators whose operands are constants: whoever
        compiles raises the first when everything has been read, as MongoDB does.
    """

    def __init__(
        self,
        variables: frozenset[str],
        random: Callable[[int], bytes],
        failures: list[OperationFailure],
    ) -> None:
        self._variables = variables
        self._random = random
        self._failures = failures

    def parse(self, value: Value) -> Expression:
        """Compile one expression.

        :raises OperationFailure: it is malformed.
        """
        if value.bson_type == TYPE_STRING:
            text = value.data[4:-1]
            return self._path(text) if text[:1] == b"$" else Constant(value)
        if value.bson_type == TYPE_ARRAY:
            return _folded_array([self.parse(item) for item in items_of(value)])
        if value.bson_type == TYPE_DOCUMENT:
            return self._document(value)
        return Constant(value)

    def _folded(self, expression: Expression, operands: list[Expression]) -> Expression:
        """Compute what does not depend on a document once, here; note an error in it."""
        for operand in operands:
            if operand.constant() is None:
                return expression
        try:
            return Constant(expression.evaluate(_NO_ENVIRONMENT))
        except OperationFailure as error:
            self._failures.append(error)
            return expression

    def with_variables(self, names: list[str]) -> ExpressionParser:
        """Return a parser for the inside of an operator that binds variables."""
        variables = self._variables | frozenset(names)
        return ExpressionParser(variables, self._random, self._failures)

    # -- paths and documents ---------------------------------------------------------------

    def _path(self, text: bytes) -> Expression:
        if text == b"$":
            raise refusal(16872, "'$' by itself is not a valid FieldPath")
        if text[:2] != b"$$":
            return FieldReference(CURRENT, field_names(text[1:]))
        parts = text[2:].split(b".", 1)
        name = parts[0].decode("utf-8")
        if not name:
            raise refusal(FAILED_TO_PARSE, "empty variable names are not allowed")
        names = field_names(parts[1]) if len(parts) > 1 else []
        if name == REMOVE:
            return Constant(MISSING_VALUE)
        if name not in SYSTEM_VARIABLES and name not in self._variables:
            raise refusal(UNDEFINED_VARIABLE, f"Use of undefined variable: {name}")
        return FieldReference(name, names)

    def _document(self, value: Value) -> Expression:
        fields = fields_of(value)
        if fields and fields[0][0][:1] == b"$":
            if len(fields) != 1:
                raise refusal(
                    NOT_ONE_FIELD,
                    "an expression specification must contain exactly one field, the name of the"
                    f" expression. Found {len(fields)} fields in an expression",
                )
            return self.operator(fields[0][0].decode("utf-8"), fields[0][1])
        names: list[bytes] = []
        inner: list[Expression] = []
        for name, field in fields:
            _require_plain_name(name)
            names.append(name)
            inner.append(self.parse(field))
        return _folded_document(names, inner)

    # -- operators -------------------------------------------------------------------------

    def operator(self, name: str, operand: Value) -> Expression:
        """Compile {name: operand}."""
        if name in _SPECIAL:
            return self._special(name, operand)
        if name in POSITIONAL:
            fewest, most, function = POSITIONAL[name]
            operands = self._operands(operand)
            _require_count(name, len(operands), fewest, most)
            kind = GradualCall if name in GRADUAL else Call
            return self._folded(kind(name, operands, function), operands)
        if name in DATE_PARTS:
            return self._date_part(name, operand)
        if name in NAMED:
            return self._named_call(name, self._named(name, operand, *NAMED[name][:2]))
        if name in UNSUPPORTED:
            raise not_supported(UNKNOWN_OPERATOR, name, "in expressions")
        raise refusal(UNKNOWN_OPERATOR, f"Unrecognized expression '{name}'")

    def _operands(self, operand: Value) -> list[Expression]:
        """An array is the list of operands, anything else the only one."""
        if operand.bson_type == TYPE_ARRAY:
            return [self.parse(item) for item in items_of(operand)]
        return [self.parse(operand)]

    def _named(
        self, name: str, operand: Value, required: list[str], optional: list[str]
    ) -> dict[str, Expression]:
        codes = OPERAND_CODES.get(name, DATE_PART_CODES)
        fields = named_operands(name, operand, required, optional, codes)
        return {key: self.parse(field) for key, field in fields.items()}

    def _named_call(self, name: str, operands: dict[str, Expression]) -> Expression:
        if name == "$dateFromParts":
            _require_date_parts(operands)
        call = NamedCall(name, operands, NAMED[name][2])
        return self._folded(call, list(operands.values()))

    def _date_part(self, name: str, operand: Value) -> Expression:
        if operand.bson_type == TYPE_DOCUMENT:
            fields = fields_of(operand)
            if not fields or fields[0][0][:1] != b"$":
                required, optional, _ = NAMED[name]
                return self._named_call(name, self._named(name, operand, required, optional))
        if operand.bson_type == TYPE_ARRAY:
            items = items_of(operand)
            if len(items) != 1:
                raise refusal(
                    DATE_PART_CODES.not_document,
                    f"{name} accepts exactly one argument if given an array, but was given"
                    f" {len(items)}",
                )
            operand = items[0]
        return self._named_call(name, {"date": self.parse(operand)})

    def _special(self, name: str, operand: Value) -> Expression:
        if name == "$and":
            return _simplified(AllTrue(self._operands(operand)))
        if name == "$or":
            return _simplified(AnyTrue(self._operands(operand)))
        if name == "$literal" or name == "$const":
            return Constant(operand)
        if name == "$cond":
            return self._cond(operand)
        if name == "$switch":
            return self._switch(operand)
        if name == "$ifNull":
            operands = self._operands(operand)
            if len(operands) < 2:
                raise refusal(
                    1257300, f"$ifNull needs at least two arguments, had: {len(operands)}"
                )
            return self._folded(FirstGiven(operands), operands)
        if name == "$let":
            return self._let(operand)
        if name == "$rand":
            if operand.bson_type not in (TYPE_DOCUMENT, TYPE_ARRAY) or fields_of(operand):
                raise refusal(3040501, "$rand not allowed to have arguments")
            return Random(self._random_double)
        if name in ("$getField", "$setField", "$unsetField"):
            return self._field_operator(name, operand)
        return self._over_array(name, operand)

    def _random_double(self) -> Value:
        number = int.from_bytes(self._random(8), "little") >> 11
        return Value(TYPE_DOUBLE, struct.pack("<d", number / (1 << 53)))

    def _cond(self, operand: Value) -> Expression:
        if operand.bson_type == TYPE_DOCUMENT:
            codes = OperandCodes(17080, 17083, 17080, {"then": 17081, "else": 17082})
            fields = named_operands("$cond", operand, ["if", "then", "else"], [], codes)
            parts = [self.parse(fields[key]) for key in ("if", "then", "else")]
        else:
            parts = self._operands(operand)
            _require_count("$cond", len(parts), 3, 3)
        return _simplified(Choice([parts[0]], [parts[1]], parts[2]))

    def _switch(self, operand: Value) -> Expression:
        codes = OperandCodes(40060, 40067, 40068)
        fields = named_operands("$switch", operand, ["branches"], ["default"], codes)
        if fields["branches"].bson_type != TYPE_ARRAY:
            raise refusal(
                40061,
                "$switch expected an array for 'branches', found:"
                f" {fields['branches'].type_name()}",
            )
        cases: list[Expression] = []
        results: list[Expression] = []
        branch_codes = OperandCodes(40062, 40063, 40064, {"then": 40065})
        for branch in items_of(fields["branches"]):
            parts = named_operands("$switch", branch, ["case", "then"], [], branch_codes)
            cases.append(self.parse(parts["case"]))
            results.append(self.parse(parts["then"]))
        if not cases:
            raise refusal(40068, "$switch requires at least one branch.")
        otherwise = self.parse(fields["default"]) if "default" in fields else None
        return _simplified(Choice(cases, results, otherwise))

    def _let(self, operand: Value) -> Expression:
        codes = OperandCodes(16874, 16875, 16876, {"in": 16877})
        fields = named_operands("$let", operand, ["vars", "in"], [], codes)
        if fields["vars"].bson_type != TYPE_DOCUMENT:
            raise refusal(10065, "invalid parameter: expected an object (vars)")
        names: list[str] = []
        values: list[Expression] = []
        for name, value in fields_of(fields["vars"]):
            names.append(user_variable(name.decode("utf-8")))
            values.append(self.parse(value))
        return Let(names, values, self.with_variables(names).parse(fields["in"]))

    def _field_operator(self, name: str, operand: Value) -> Expression:
        required = ["field", "input", "value"] if name == "$setField" else ["field", "input"]
        operands: dict[str, Expression] = {}
        fields = fields_of(operand) if operand.bson_type == TYPE_DOCUMENT else []
        is_short = operand.bson_type != TYPE_DOCUMENT or (fields and fields[0][0][:1] == b"$")
        if name == "$getField" and is_short:
            operands = {
                "field": self.parse(operand),
                "input": FieldReference(CURRENT, []),
            }
        else:
            operands = self._named(name, operand, required, [])
        field = operands["field"].constant()
        if field is None or field.bson_type != TYPE_STRING:
            code = 5654602 if name == "$getField" else 4161107
            if field is None:
                code = 5654601 if name == "$getField" else 4161106
            raise refusal(
                code, f"{name} requires 'field' to be a constant that evaluates to type String"
            )
        return self._named_call(name, operands)

    # -- operators over arrays -------------------------------------------------------------

    def _over_array(self, name: str, operand: Value) -> Expression:
        if name == "$filter":
            codes = OperandCodes(28646, 28647, 28648, {"cond": 28650})
            fields = named_operands(name, operand, ["input", "cond"], ["as", "limit"], codes)
            variable = _variable_of(fields)
            return Filter(
                self.parse(fields["input"]),
                variable,
                self.with_variables([variable]).parse(fields["cond"]),
                self.parse(fields["limit"]) if "limit" in fields else None,
            )
        if name == "$map":
            codes = OperandCodes(16878, 16879, 16880, {"in": 16882})
            fields = named_operands(name, operand, ["input", "in"], ["as"], codes)
            variable = _variable_of(fields)
            inner = self.with_variables([variable]).parse(fields["in"])
            return Map(self.parse(fields["input"]), variable, inner)
        if name == "$reduce":
            codes = OperandCodes(40075, 40076, 40077, {"initialValue": 40078, "in": 40079})
            fields = named_operands(name, operand, ["input", "initialValue", "in"], [], codes)
            return Reduce(
                self.parse(fields["input"]),
                self.parse(fields["initialValue"]),
                self.with_variables(["this", "value"]).parse(fields["in"]),
            )
        if name == "$sortArray":
            codes = OperandCodes(2942500, 2942501, 2942502, {"sortBy": 2942503})
            fields = named_operands(name, operand, ["input", "sortBy"], [], codes)
            return SortArray(self.parse(fields["input"]), _sort_keys(fields["sortBy"]))
        return self._zip(operand)

    def _zip(self, operand: Value) -> Expression:
        codes = OperandCodes(34460, 34464, 34465)
        fields = named_operands(
            "$zip", operand, ["inputs"], ["useLongestLength", "defaults"], codes
        )
        if fields["inputs"].bson_type != TYPE_ARRAY:
            raise refusal(34461, "inputs must be an array of expressions")
        inputs = [self.parse(item) for item in items_of(fields["inputs"])]
        if not inputs:
            raise refusal(34465, "$zip requires at least one input array")
        is_longest = False
        if "useLongestLength" in fields:
            if fields["useLongestLength"].bson_type != TYPE_BOOLEAN:
                raise refusal(34463, "useLongestLength must be a bool")
            is_longest = fields["useLongestLength"].is_true()
        defaults: list[Expression] = []
        if "defaults" in fields:
            if fields["defaults"].bson_type != TYPE_ARRAY:
                raise refusal(34462, "defaults must be an array of expressions")
            defaults = [self.parse(item) for item in items_of(fields["defaults"])]
            if not is_longest:
                raise refusal(34466, "cannot specify defaults unless useLongestLength is true")
            if len(defaults) != len(inputs):
                raise refusal(34467, "defaults and inputs must have the same length")
        return Zip(inputs, defaults, is_longest)


# -- parts -----------------------------------------------------------------------------------


def named_operands(
    name: str, operand: Value, required: list[str], optional: list[str], codes: OperandCodes
) -> dict[str, Value]:
    """Return the named operands of an operator.

    :raises OperationFailure: there is no document of them, one is unknown, or one is not given.
    """
    if operand.bson_type != TYPE_DOCUMENT:
        raise refusal(
            codes.not_document,
            f"{name} only supports an object as its argument, found {operand.type_name()}",
        )
    found: dict[str, Value] = {}
    for raw, value in fields_of(operand):
        key = raw.decode("utf-8")
        if key not in required and key not in optional:
            raise refusal(codes.unknown, f"{name} found an unknown argument: {key}")
        found[key] = value
    for key in required:
        if key not in found:
            raise refusal(codes.missing_code(key), f"Missing '{key}' parameter to {name}")
    return found


def field_names(path: bytes) -> list[bytes]:
    """Return the names of a dotted path.

    :raises OperationFailure: a name is empty or begins with `$`.
    """
    if not path:
        raise refusal(40352, "FieldPath cannot be constructed with empty string")
    if path[-1:] == b".":
        raise refusal(40353, "FieldPath must not end with a '.'.")
    names = path.split(b".")
    for name in names:
        if not name:
            raise refusal(15998, "FieldPath field names may not be empty strings.")
        if name[:1] == b"$":
            raise refusal(
                16410,
                "FieldPath field names may not start with '$'. Consider using $getField or"
                " $setField.",
            )
        if b"\0" in name:
            raise refusal(16411, "FieldPath field names may not contain '\\0'.")
    return names


def user_variable(name: str) -> str:
    """Return the name of a variable that an expression binds.

    :raises OperationFailure: it is not one that may be bound.
    """
    if not name:
        raise refusal(FAILED_TO_PARSE, "empty variable names are not allowed")
    if name == CURRENT:
        return name
    first = name[0]
    if not ("a" <= first <= "z" or first > "\x7f"):
        raise refusal(
            FAILED_TO_PARSE, f"'{name}' starts with an invalid character for a user variable name"
        )
    for letter in name:
        if not (letter.isalnum() or letter == "_" or letter > "\x7f"):
            raise refusal(
                FAILED_TO_PARSE,
                f"'{name}' contains an invalid character for a variable name: '{letter}'",
            )
    return name


def _variable_of(fields: dict[str, Value]) -> str:
    if "as" not in fields:
        return "this"
    if fields["as"].bson_type != TYPE_STRING:
        raise refusal(FAILED_TO_PARSE, "'as' must be a string")
    return user_variable(fields["as"].text())


def _require_plain_name(name: bytes) -> None:
    if name[:1] == b"$":
        raise refusal(
            16410,
            "FieldPath field names may not start with '$'. Consider using $getField or $setField.",
        )
    if b"." in name:
        raise refusal(16412, "FieldPath field names may not contain '.'.")


def _require_count(name: str, count: int, fewest: int, most: int) -> None:
    if fewest <= count and (most < 0 or count <= most):
        return
    if fewest == most:
        raise refusal(
            WRONG_COUNT,
            f"Expression {name} takes exactly {fewest} arguments. {count} were passed in.",
        )
    raise refusal(
        28667,
        f"Expression {name} takes at least {fewest} arguments, and at most {most}, but {count}"
        " were passed in.",
    )


def _require_date_parts(operands: dict[str, Expression]) -> None:
    is_iso = "isoWeekYear" in operands
    if not is_iso and "year" not in operands:
        raise refusal(40516, "$dateFromParts requires either 'year' or 'isoWeekYear' to be present")
    others = ("year", "month", "day") if is_iso else ("isoWeek", "isoDayOfWeek")
    for part in others:
        if part in operands:
            raise refusal(
                40489 if is_iso else 40525,
                "$dateFromParts does not allow mixing natural dates with ISO dates",
            )


def _sort_keys(spec: Value) -> list[SortKey]:
    direction = spec.integer() if spec.is_number() else None
    if direction in (1, -1):
        return [SortKey([], direction == -1)]
    if spec.bson_type != TYPE_DOCUMENT:
        raise refusal(
            2942507,
            f"The $sort element value must be an object or 1 or -1, found {spec.type_name()}",
        )
    keys: list[SortKey] = []
    for name, value in fields_of(spec):
        wanted = value.integer()
        if wanted not in (1, -1):
            raise refusal(
                15975, "$sort key ordering must be 1 (for ascending) or -1 (for descending)"
            )
        keys.append(SortKey(field_names(name), wanted == -1))
    if not keys:
        raise refusal(15976, "$sort stage must have at least one sort key")
    return keys


# -- constants -------------------------------------------------------------------------------


def _simplified(expression: Expression) -> Expression:
    value = expression.constant()
    return expression if value is None else Constant(value)


def _folded_array(items: list[Expression]) -> Expression:
    values: list[Value] = []
    for item in items:
        value = item.constant()
        if value is None:
            return ArrayExpression(items)
        values.append(value)
    return Constant(array_of(values))


def _folded_document(names: list[bytes], fields: list[Expression]) -> Expression:
    values: list[Value] = []
    for field in fields:
        value = field.constant()
        if value is None:
            return DocumentExpression(names, fields)
        values.append(value)
    return Constant(document_of(names, values))
