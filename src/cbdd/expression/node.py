"""Expressions: trees that compute one value from a document.

    {$add: ["$price", {$multiply: ["$qty", 2]}]}

A string that begins with `$` is a path, one that begins with `$$` a variable, a document with one
name that begins with `$` an operator; everything else is a constant or a document or array of
expressions. Values are BSON (`Value`), so that types and numbers stay what they are; a value that
is not there has the type MISSING.

Most operators are functions of the values of their operands (`Call`, `NamedCall`); those that
evaluate some operands only, or bind variables, have classes of their own. An operator whose
operands are all constant is computed when it is compiled, and an error in it is raised then, as in
MongoDB.

Concurrency: expressions are immutable; an `Environment` belongs to one evaluation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pymongo.errors import OperationFailure

from cbdd.document.raw import (
    TYPE_ARRAY,
    TYPE_BOOLEAN,
    TYPE_DOCUMENT,
    TYPE_NULL,
    TYPE_UNDEFINED,
    elements,
    find_field,
    skip_value,
    value_start,
)
from cbdd.expression.value import MISSING, Value

MISSING_VALUE: Final = Value(MISSING, b"")
NULL_VALUE: Final = Value(TYPE_NULL, b"")
TRUE_VALUE: Final = Value(TYPE_BOOLEAN, b"\x01")
FALSE_VALUE: Final = Value(TYPE_BOOLEAN, b"\x00")
_MISSING_KEY: Final = b"\x04\x01"
"""Between MinKey (04) and undefined (08): a value that is not there sorts before null."""

ROOT: Final = "ROOT"
CURRENT: Final = "CURRENT"
NOW: Final = "NOW"
REMOVE: Final = "REMOVE"


class Environment:
    """The variables that are bound while an expression is evaluated, $$ROOT among them."""

    def __init__(self, names: dict[str, Value]) -> None:
        self.names = names

    def bound(self, name: str, value: Value) -> Environment:
        """Return a copy in which `name` is bound to `value`."""
        names = dict(self.names)
        names[name] = value
        return Environment(names)


def environment_of(document: bytes, shared: dict[str, Value]) -> Environment:
    """Return the environment for a document.

    :param shared: variables that are the same for all documents, $$NOW among them.
    """
    root = Value(TYPE_DOCUMENT, document)
    names = dict(shared)
    names[ROOT] = root
    names[CURRENT] = root
    return Environment(names)


class Expression:
    """One node of a compiled expression."""

    def evaluate(self, environment: Environment) -> Value:
        """Return the value for the environment's document; MISSING_VALUE for none.

        :raises OperationFailure: an operand is of a type the operator has no answer for.
        """
        raise NotImplementedError

    def constant(self) -> Value | None:
        """Return the value when it is the same for every document, else None."""
        return None


class Constant(Expression):
    """A value that was given."""

    def __init__(self, value: Value) -> None:
        self.value = value

    def evaluate(self, environment: Environment) -> Value:
        return self.value

    def constant(self) -> Value | None:
        return self.value


class FieldReference(Expression):
    """A variable and the fields below it: `$a.b` is `$$CURRENT.a.b`."""

    def __init__(self, variable: str, names: list[bytes]) -> None:
        self.variable = variable
        self.names = names

    def evaluate(self, environment: Environment) -> Value:
        value = environment.names.get(self.variable, MISSING_VALUE)
        if not self.names:
            return value
        if value.bson_type == TYPE_DOCUMENT:
            return _field_below(value, self.names, 0)
        if value.bson_type == TYPE_ARRAY:
            return _fields_of_elements(value, self.names, 0)
        return MISSING_VALUE


def _field_below(document: Value, names: list[bytes], depth: int) -> Value:
    value = field_of(document, names[depth])
    depth += 1
    if depth == len(names):
        return value
    if value.bson_type == TYPE_DOCUMENT:
        return _field_below(value, names, depth)
    if value.bson_type == TYPE_ARRAY:
        return _fields_of_elements(value, names, depth)
    return MISSING_VALUE


def _fields_of_elements(array: Value, names: list[bytes], depth: int) -> Value:
    """The field of every document in the array; other elements, arrays among them, are left out."""
    found: list[Value] = []
    for element in items_of(array):
        if element.bson_type == TYPE_DOCUMENT:
            value = _field_below(element, names, depth)
            if value.bson_type != MISSING:
                found.append(value)
    return array_of(found)


class DocumentExpression(Expression):
    """A document whose fields are expressions; a field without a value is left out."""

    def __init__(self, names: list[bytes], fields: list[Expression]) -> None:
        self.names = names
        self.fields = fields

    def evaluate(self, environment: Environment) -> Value:
        return document_of(
            self.names, [expression.evaluate(environment) for expression in self.fields]
        )


class ArrayExpression(Expression):
    """An array of expressions; an element without a value is null."""

    def __init__(self, items: list[Expression]) -> None:
        self.items = items

    def evaluate(self, environment: Environment) -> Value:
        return array_of([item.evaluate(environment) for item in self.items])


class Call(Expression):
    """An operator that is a function of the values of its operands."""

    def __init__(
        self, name: str, operands: list[Expression], function: Callable[[str, list[Value]], Value]
    ) -> None:
        self.name = name
        self.operands = operands
        self.function = function

    def evaluate(self, environment: Environment) -> Value:
        return self.function(
            self.name, [operand.evaluate(environment) for operand in self.operands]
        )


class GradualCall(Call):
    """An operator that looks at each operand as soon as it is evaluated, so that one it refuses,
    or a null that settles the matter, comes before an error in a later operand.
    """

    def evaluate(self, environment: Environment) -> Value:
        values: list[Value] = []
        for operand in self.operands:
            try:
                values.append(operand.evaluate(environment))
            except OperationFailure:
                result = self.function(self.name, values)
                if is_nullish(result):
                    return result
                raise
        return self.function(self.name, values)


class NamedCall(Expression):
    """An operator that is a function of named operands; one not given is MISSING_VALUE."""

    def __init__(
        self,
        name: str,
        operands: dict[str, Expression],
        function: Callable[[str, dict[str, Value]], Value],
    ) -> None:
        self.name = name
        self.operands = operands
        self.function = function

    def evaluate(self, environment: Environment) -> Value:
        return self.function(
            self.name,
            {name: operand.evaluate(environment) for name, operand in self.operands.items()},
        )


# -- values ----------------------------------------------------------------------------------


def is_nullish(value: Value) -> bool:
    """Tell whether a value is null, undefined or not there."""
    bson_type = value.bson_type
    return bson_type == TYPE_NULL or bson_type == MISSING or bson_type == TYPE_UNDEFINED


def is_truthy(value: Value) -> bool:
    """Tell whether a value counts as true: everything but null, missing, 0 and false."""
    return value.bson_type != MISSING and value.is_true()


def truth(flag: bool) -> Value:
    """Return a BSON boolean."""
    return TRUE_VALUE if flag else FALSE_VALUE


def order_key(value: Value) -> bytes:
    """Return bytes that sort as expressions compare values: across types, missing before null."""
    return _MISSING_KEY if value.bson_type == MISSING else value.key()


def field_of(document: Value, name: bytes) -> Value:
    """Return a field of a document value, MISSING_VALUE when it has none of that name."""
    data = document.data
    element = int(find_field(data, 0, name))
    if element < 0:
        return MISSING_VALUE
    start = int(value_start(data, element))
    return Value(data[element], data[start : int(skip_value(data, data[element], start))])


def items_of(array: Value) -> list[Value]:
    """List the elements of an array value."""
    data = array.data
    return [Value(bson_type, data[start:end]) for bson_type, _, start, end in elements(data, 0)]


def fields_of(document: Value) -> list[tuple[bytes, Value]]:
    """List the names and values of a document value."""
    data = document.data
    return [
        (name, Value(bson_type, data[start:end]))
        for bson_type, name, start, end in elements(data, 0)
    ]


def array_of(items: list[Value]) -> Value:
    """Return an array value; what is missing becomes null."""
    parts: list[bytes] = []
    for position in range(len(items)):
        item = items[position]
        if item.bson_type == MISSING:
            item = NULL_VALUE
        parts.append(bytes([item.bson_type]) + str(position).encode("ascii") + b"\0" + item.data)
    return Value(TYPE_ARRAY, _framed(parts))


def document_of(names: list[bytes], values: list[Value]) -> Value:
    """Return a document value; what is missing is left out, the last of equal names counts."""
    parts: dict[bytes, bytes] = {}
    for position in range(len(names)):
        value = values[position]
        name = names[position]
        if value.bson_type != MISSING:
            parts[name] = bytes([value.bson_type]) + name + b"\0" + value.data
    return Value(TYPE_DOCUMENT, _framed(list(parts.values())))


def _framed(parts: list[bytes]) -> bytes:
    body = b"".join(parts)
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"
