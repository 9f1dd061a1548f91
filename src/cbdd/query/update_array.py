"""The modifiers that change an array: $push $addToSet $pop $pull $pullAll."""

from __future__ import annotations

from typing import Final

from cbdd.catalog.refusal import BAD_VALUE, FAILED_TO_PARSE, TYPE_MISMATCH, refusal
from cbdd.document.raw import TYPE_ARRAY, TYPE_DOCUMENT
from cbdd.expression.describe import describe, describe_field
from cbdd.expression.value import TYPE_NAMES, Value, wrap
from cbdd.index.key_string import NULL_KEY, invert
from cbdd.query.matcher import MatchExpression
from cbdd.query.mutable import EMPTY, MutableValue
from cbdd.query.update_tree import LeafNode, UpdateContext, check_viable, new_value

_EACH: Final = "$each"
_PUSH_CLAUSES: Final = (_EACH, "$slice", "$sort", "$position")


class PushLeaf(LeafNode):
    """$push: adds elements, then sorts, then cuts."""

    def __init__(self, path: str, operand: Value) -> None:
        self.values = [operand]
        self.position: int | None = None
        self.slice: int | None = None
        self.sort: list[tuple[list[bytes], int]] | None = None
        if operand.bson_type == TYPE_DOCUMENT:
            clauses = operand.fields()
            if _EACH in [name for name, _ in clauses]:
                for name, value in clauses:
                    self._read_clause(name, value)

    def _read_clause(self, name: str, value: Value) -> None:
        if name not in _PUSH_CLAUSES:
            raise refusal(BAD_VALUE, f"Unrecognized clause in $push: {name}")
        if name == _EACH:
            if value.bson_type != TYPE_ARRAY:
                raise refusal(
                    BAD_VALUE,
                    "The argument to $each in $push must be an array but it was of type:"
                    f" {value.type_name()}",
                )
            self.values = [element for _, element in value.fields()]
        elif name == "$sort":
            self.sort = _read_sort(value)
        else:
            number = value.integer()
            if number is None:
                raise refusal(
                    BAD_VALUE,
                    f"The value for {name} must be an integer value but was given type:"
                    f" {value.type_name()}",
                )
            if name == "$slice":
                self.slice = number
            else:
                self.position = number

    def change(self, value: MutableValue, context: UpdateContext) -> None:
        if value.bson_type != TYPE_ARRAY:
            name = context.taken[len(context.taken) - 1].decode("utf-8")
            raise refusal(
                BAD_VALUE,
                f"The field '{name}' must be an array but is of type"
                f" {TYPE_NAMES[value.bson_type]} in document {context.id_text()}",
            )
        value.open()
        children = value.children
        at = len(children)
        if self.position is not None:
            at = self.position if self.position >= 0 else max(0, at + self.position)
        children[at:at] = [new_value(element) for element in self.values]
        if self.sort is not None:
            children = sorted_elements(children, self.sort)
            context.is_rewritten = True
        if self.slice is not None:
            children = _cut(children, self.slice)
        value.set_elements(children)

    def initial(self, context: UpdateContext) -> MutableValue | None:
        array = MutableValue(TYPE_ARRAY, EMPTY)
        self.change(array, context)
        return array


def _read_sort(value: Value) -> list[tuple[list[bytes], int]]:
    """Return the sort of $push: paths with directions; no path means the element itself."""
    if value.bson_type != TYPE_DOCUMENT:
        return [([], _read_direction(value))]
    sort: list[tuple[list[bytes], int]] = []
    for path, direction in value.fields():
        names = path.split(".")
        if "" in names:
            raise refusal(
                BAD_VALUE, f"The $sort field is a dotted field but has an empty part: {path}"
            )
        parts = [name.encode("utf-8") for name in names]
        sort.append((parts, _read_direction(direction)))
    if not sort:
        raise refusal(BAD_VALUE, "The $sort pattern is empty when it should be a set of fields.")
    return sort


def _read_direction(value: Value) -> int:
    direction = value.integer()
    if direction != 1 and direction != -1:
        raise refusal(
            BAD_VALUE,
            "The $sort is invalid: use 1/-1 to sort the whole element, or {field:1/-1} to sort"
            " embedded fields",
        )
    return direction


def _cut(children: list[MutableValue], count: int) -> list[MutableValue]:
    if count >= 0:
        return children[:count]
    return children[max(0, len(children) + count) :]


def sorted_elements(
    children: list[MutableValue], sort: list[tuple[list[bytes], int]]
) -> list[MutableValue]:
    """Return the elements in order; equal ones keep theirs."""
    keyed: list[tuple[bytes, int, MutableValue]] = []
    for place in range(len(children)):
        keyed.append((_sort_key(children[place], sort), place, children[place]))
    keyed.sort(key=_first_two)
    return [entry[2] for entry in keyed]


def _first_two(entry: tuple[bytes, int, MutableValue]) -> tuple[bytes, int]:
    return entry[0], entry[1]


def _sort_key(element: MutableValue, sort: list[tuple[list[bytes], int]]) -> bytes:
    parts: list[bytes] = []
    for names, direction in sort:
        found: MutableValue | None = element
        if names and element.bson_type != TYPE_DOCUMENT:
            found = None
        for name in names:
            if found is None:
                break
            place = found.find(name)
            found = found.children[place] if place >= 0 else None
        key = NULL_KEY if found is None else found.value().key()
        parts.append(key if direction > 0 else invert(key))
    return b"".join(parts)


class AddToSetLeaf(LeafNode):
    """$addToSet: adds what no element is equal to."""

    def __init__(self, path: str, operand: Value) -> None:
        self.values = [operand]
        if operand.bson_type == TYPE_DOCUMENT:
            fields = operand.fields()
            if fields and fields[0][0] == _EACH:
                self.values = _read_each(fields)

    def change(self, value: MutableValue, context: UpdateContext) -> None:
        if value.bson_type != TYPE_ARRAY:
            name = context.taken[len(context.taken) - 1].decode("utf-8")
            raise refusal(
                BAD_VALUE,
                f"Cannot apply $addToSet to non-array field. Field named '{name}' has non-array"
                f" type {TYPE_NAMES[value.bson_type]}",
            )
        value.open()
        keys = {child.value().key() for child in value.children}
        for element in self.values:
            key = element.key()
            if key not in keys:
                keys.add(key)
                value.append(b"", new_value(element))

    def initial(self, context: UpdateContext) -> MutableValue | None:
        array = MutableValue(TYPE_ARRAY, EMPTY)
        self.change(array, context)
        return array


def _read_each(fields: list[tuple[str, Value]]) -> list[Value]:
    each = fields[0][1]
    if each.bson_type != TYPE_ARRAY:
        raise refusal(
            TYPE_MISMATCH,
            "The argument to $each in $addToSet must be an array but it was of type"
            f" {each.type_name()}",
        )
    if len(fields) > 1:
        raise refusal(
            BAD_VALUE, f"Found unexpected fields after $each in $addToSet: {fields[1][0]}"
        )
    return [element for _, element in each.fields()]


class ShrinkingLeaf(LeafNode):
    """A modifier that only takes away: nothing to do where nothing is, if the path could be."""

    def apply_missing(
        self, parent: MutableValue, missing: list[bytes], context: UpdateContext
    ) -> None:
        check_viable(parent, missing, context)


class PopLeaf(ShrinkingLeaf):
    """$pop: takes the last element (1) or the first (-1)."""

    def __init__(self, path: str, operand: Value) -> None:
        if not operand.is_number():
            text = describe_field(path, operand)[1:-1]
            raise refusal(FAILED_TO_PARSE, f"Expected a number in: {text}")
        number = operand.integer()
        if number != 1 and number != -1:
            raise refusal(FAILED_TO_PARSE, f"$pop expects 1 or -1, found: {describe(operand)}")
        self.is_first = number == -1

    def change(self, value: MutableValue, context: UpdateContext) -> None:
        if value.bson_type != TYPE_ARRAY:
            raise refusal(
                TYPE_MISMATCH,
                f"Path '{context.path_text()}' contains an element of non-array type"
                f" '{TYPE_NAMES[value.bson_type]}'",
            )
        value.open()
        if value.children:
            value.remove(0 if self.is_first else len(value.children) - 1)


class RemovingLeaf(ShrinkingLeaf):
    """$pull and $pullAll: takes the elements away that `is_removed` picks."""

    def __init__(self, operator: str) -> None:
        self.operator = operator

    def is_removed(self, element: Value) -> bool:
        """Tell whether `element` goes."""
        raise NotImplementedError

    def change(self, value: MutableValue, context: UpdateContext) -> None:
        if value.bson_type != TYPE_ARRAY:
            raise refusal(BAD_VALUE, f"Cannot apply {self.operator} to a non-array value")
        value.open()
        kept = [child for child in value.children if not self.is_removed(child.value())]
        if len(kept) < len(value.children):
            value.set_elements(kept)


class PullAllLeaf(RemovingLeaf):
    """$pullAll: elements equal to one of a list."""

    def __init__(self, path: str, operand: Value) -> None:
        super().__init__("$pullAll")
        if operand.bson_type != TYPE_ARRAY:
            raise refusal(
                BAD_VALUE,
                f"$pullAll requires an array argument but was given a {operand.type_name()}",
            )
        self.keys = {element.key() for _, element in operand.fields()}

    def is_removed(self, element: Value) -> bool:
        return element.key() in self.keys


class PullEqualLeaf(RemovingLeaf):
    """$pull with a plain value: elements equal to it."""

    def __init__(self, operand: Value) -> None:
        super().__init__("$pull")
        self.key = operand.key()

    def is_removed(self, element: Value) -> bool:
        return element.key() == self.key


class PullMatchLeaf(RemovingLeaf):
    """$pull with a condition: a filter for elements that are documents, or operators for any."""

    def __init__(self, condition: MatchExpression, is_filter: bool) -> None:
        super().__init__("$pull")
        self.condition = condition
        self.is_filter = is_filter

    def is_removed(self, element: Value) -> bool:
        if self.is_filter:
            return element.bson_type == TYPE_DOCUMENT and self.condition.matches(element.data)
        return self.condition.matches(wrap(element))
