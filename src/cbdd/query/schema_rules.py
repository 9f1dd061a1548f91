"""The rules of JSON schemas: questions about one value, asked where it lies in the document.

A compiled schema is a tree of rules. Leaves ask for something only some values can have and say no
to all others, and to what is missing:

    HasTypes(string)   Length(0, 5)   Count(array, 1, 3)   Multiple(5)   Properties({a: ...})

A schema means less by them: `maxLength` says nothing of a number. `OnlyFor(types, rule)` makes that
of a leaf. Nothing here looks into an array unless its rule is about the elements. The exception is
`AtPath`, for names with dots, which are paths in MongoDB's schemas as everywhere else.

`JsonSchema` makes a match expression of the tree. Rules are immutable, threads may share them.
Recursion goes as deep as the schema, which its parser limits.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i32_le
from mypy_extensions import i64

from cbdd.document.raw import TYPE_ARRAY, TYPE_DOCUMENT, find_field, skip_name, skip_value
from cbdd.expression.pattern import Pattern
from cbdd.query.array_match import array_length
from cbdd.query.matcher import MatchExpression
from cbdd.query.path import FieldPath, ValuePredicate, any_value
from cbdd.query.predicate import Exists

NO_LIMIT: Final = (1 << 63) - 1
"""As the most a count may be: any number."""


class TypeSet:
    """Some of the BSON types; immutable."""

    def __init__(self, types: list[int], is_single: bool = True) -> None:
        """
        :param types: at least one.
        :param is_single: one name stands for them; "number" is one name of four types.
        """
        table = bytearray(256)
        for bson_type in types:
            table[bson_type] = 1
        self.table = bytes(table)
        self.first = types[0]
        self.is_single = is_single

    def includes(self, bson_type: int) -> bool:
        """Tell whether a type is one of them; MISSING never is."""
        return self.table[bson_type] != 0


class JsonSchema(MatchExpression):
    """$jsonSchema: the whole document is as the schema wants it."""

    def __init__(self, rule: ValuePredicate) -> None:
        self.rule = rule

    def matches_at(self, data: bytes, start: int) -> bool:
        size: int = read_i32_le(data, start)
        return self.rule.matches_value(data, TYPE_DOCUMENT, start, start + size)

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        return bson_type == TYPE_DOCUMENT and self.matches_at(data, start)


class AllOf(ValuePredicate):
    """Every rule holds; without rules, for everything."""

    def __init__(self, rules: list[ValuePredicate]) -> None:
        self.rules = rules

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        for rule in self.rules:
            if not rule.matches_value(data, bson_type, start, end):
                return False
        return True


class AnyOf(ValuePredicate):
    """Some rule holds; without rules, for nothing."""

    def __init__(self, rules: list[ValuePredicate]) -> None:
        self.rules = rules

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        for rule in self.rules:
            if rule.matches_value(data, bson_type, start, end):
                return True
        return False


class OneOf(ValuePredicate):
    """Exactly one rule holds."""

    def __init__(self, rules: list[ValuePredicate]) -> None:
        self.rules = rules

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        has_matched = False
        for rule in self.rules:
            if rule.matches_value(data, bson_type, start, end):
                if has_matched:
                    return False
                has_matched = True
        return has_matched


class NotRule(ValuePredicate):
    """The rule does not hold."""

    def __init__(self, rule: ValuePredicate) -> None:
        self.rule = rule

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        return not self.rule.matches_value(data, bson_type, start, end)


class Dependency(ValuePredicate):
    """Where `condition` holds, `rule` holds too."""

    def __init__(self, condition: ValuePredicate, rule: ValuePredicate) -> None:
        self.condition = condition
        self.rule = rule

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        if not self.condition.matches_value(data, bson_type, start, end):
            return True
        return self.rule.matches_value(data, bson_type, start, end)


class HasTypes(ValuePredicate):
    """The value has one of these types."""

    def __init__(self, types: TypeSet) -> None:
        self.table = types.table

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        return self.table[bson_type] != 0


class OnlyFor(ValuePredicate):
    """A rule for values of some types; all others pass."""

    def __init__(self, types: TypeSet, rule: ValuePredicate) -> None:
        self.table = types.table
        self.rule = rule

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        if self.table[bson_type] == 0:
            return True
        return self.rule.matches_value(data, bson_type, start, end)


class AtPath(ValuePredicate):
    """The value is a document in which the rule holds for some value at the path."""

    def __init__(self, path: FieldPath, rule: ValuePredicate) -> None:
        self.path = path
        self.rule = rule

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        return bson_type == TYPE_DOCUMENT and any_value(data, start, self.path, 0, self.rule)


class Count(ValuePredicate):
    """The array, or the document, has so many elements."""

    def __init__(self, bson_type: int, least: int, most: int) -> None:
        self.bson_type = bson_type
        self.least = least
        self.most = most

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        if bson_type != self.bson_type:
            return False
        return self.least <= int(array_length(data, start)) <= self.most


class HasFields(ValuePredicate):
    """The value is a document that has all of these fields, or paths."""

    def __init__(self, names: list[str]) -> None:
        self.paths = [FieldPath(name, expands_leaf=False) for name in names]
        self.present = Exists(FieldPath(""))

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        if bson_type != TYPE_DOCUMENT:
            return False
        for path in self.paths:
            if not any_value(data, start, path, 0, self.present):
                return False
        return True


class Properties(ValuePredicate):
    """The value is a document where each field that has a rule follows it.

    `rules` are of fields by name, `others` of the document: what names with dots make.
    """

    def __init__(self, rules: dict[bytes, ValuePredicate], others: list[ValuePredicate]) -> None:
        self.rules = rules
        self.others = others

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        if bson_type != TYPE_DOCUMENT:
            return False
        if self.rules and not self._fields_match(data, start, end):
            return False
        for other in self.others:
            if not other.matches_value(data, bson_type, start, end):
                return False
        return True

    def _fields_match(self, data: bytes, start: int, end: int) -> bool:
        element: i64 = start + 4
        last: i64 = end - 1
        while element < last:
            bson_type: i64 = data[element]
            value: i64 = skip_name(data, element + 1)
            name = data[element + 1 : value - 1]
            after: i64 = skip_value(data, bson_type, value)
            rule = self.rules.get(name)
            if (
                rule is not None
                and not rule.matches_value(data, int(bson_type), int(value), int(after))
                and find_field(data, start, name) == element  # a repeated name: the first counts
            ):
                return False
            element = after
        return True


class OtherProperties(ValuePredicate):
    """The value is a document whose fields follow the rules of the patterns in their names.

    A field without such a pattern and not among `known` follows `others`; None allows anything.
    """

    def __init__(
        self,
        known: set[bytes],
        patterns: list[Pattern],
        rules: list[ValuePredicate],
        others: ValuePredicate | None,
    ) -> None:
        """
        :param rules: one for each pattern.
        """
        self.known = known
        self.patterns = patterns
        self.rules = rules
        self.others = others

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        if bson_type != TYPE_DOCUMENT:
            return False
        element: i64 = start + 4
        last: i64 = end - 1
        while element < last:
            field_type: i64 = data[element]
            value: i64 = skip_name(data, element + 1)
            name = data[element + 1 : value - 1]
            element = skip_value(data, field_type, value)
            if not self._field_matches(name, data, int(field_type), int(value), int(element)):
                return False
        return True

    def _field_matches(
        self, name: bytes, data: bytes, bson_type: int, start: int, end: int
    ) -> bool:
        is_known = name in self.known
        if self.patterns:
            text = name.decode("utf-8")
            for i in range(len(self.patterns)):
                if self.patterns[i].is_in(text):
                    is_known = True
                    if not self.rules[i].matches_value(data, bson_type, start, end):
                        return False
        if is_known or self.others is None:
            return True
        return self.others.matches_value(data, bson_type, start, end)


class Items(ValuePredicate):
    """The value is an array whose elements at `first` up to, but not at, `last` follow the rule."""

    def __init__(self, first: int, last: int, rule: ValuePredicate) -> None:
        self.first = first
        self.last = last
        self.rule = rule

    def matches_value(self, data: bytes, bson_type: int, start: int, end: int) -> bool:
        if bson_type != TYPE_ARRAY:
            return False
        first: i64 = self.first
        last: i64 = self.last
        position: i64 = 0
        element: i64 = start + 4
        final: i64 = end - 1
        while element < final and position < last:
            element_type: i64 = data[element]
            value: i64 = skip_name(data, element + 1)
            element = skip_value(data, element_type, value)
            if position >= first and not self.rule.matches_value(
                data, int(element_type), int(value), int(element)
            ):
                return False
            position += 1
        return True
