"""$jsonSchema: reading a schema, from BSON to a tree of rules (`cbdd.query.schema_rules`).

The language is JSON Schema draft 4 as MongoDB has it: with `bsonType`, without references. A
keyword speaks only of values of its type and only of fields that are there; an array is a value of
its own, nothing looks into it but `items`.

Names with dots are paths, as in MongoDB: a schema under `properties: {"a.b": ...}` is about what
is found at a.b, and when that leads through an array, each rule of it about any of the values
there. Then the value that the rules are asked about is the document the path begins in, and
`SchemaParser.path` is the path.

Source: MongoDB's manual, "$jsonSchema", and the answers of its parser.
"""

from __future__ import annotations

from typing import Final

from cbdd.catalog.refusal import BAD_VALUE, FAILED_TO_PARSE, TYPE_MISMATCH, refusal
from cbdd.document.raw import TYPE_ARRAY, TYPE_BOOLEAN, TYPE_DOCUMENT, TYPE_STRING
from cbdd.expression.pattern import Pattern
from cbdd.expression.value import Value
from cbdd.query.comparison import GT, GTE, LT, LTE, ordering
from cbdd.query.matcher import MatchExpression
from cbdd.query.path import FieldPath, ValuePredicate
from cbdd.query.regex import Regex
from cbdd.query.schema_operands import (
    ARRAYS,
    NUMBERS,
    OBJECTS,
    STRINGS,
    keyword_refusal,
    read_dependency,
    read_divisor,
    read_entries,
    read_flag,
    read_keywords,
    read_name_pattern,
    read_required,
    read_schemas,
    read_size,
    read_types,
    require_finite,
    require_number,
    require_object,
)
from cbdd.query.schema_rules import (
    NO_LIMIT,
    AllOf,
    AnyOf,
    AtPath,
    Count,
    Dependency,
    HasFields,
    HasTypes,
    Items,
    JsonSchema,
    NotRule,
    OneOf,
    OnlyFor,
    OtherProperties,
    Properties,
    TypeSet,
)
from cbdd.query.schema_values import EqualsAny, Length, Multiple, UniqueItems, unordered_key

MAX_SCHEMA_DEPTH: Final = 100
"""How deep schemas nest, the filters around them counted."""


def parse_json_schema(schema: Value, depth: int) -> MatchExpression:
    """Compile the operand of a $jsonSchema that is `depth` filters deep.

    :raises OperationFailure: the operand is no schema, or not one that MongoDB or this release has.
    """
    if schema.bson_type != TYPE_DOCUMENT:
        raise refusal(TYPE_MISMATCH, "$jsonSchema must be an object")
    return JsonSchema(SchemaParser(schema, depth, "", True).parse())


class SchemaParser:
    """Compiles one schema; a new one for each schema inside."""

    def __init__(self, schema: Value, depth: int, path: str, is_root: bool) -> None:
        """
        :param path: where the value is, in the document the rules are asked about; "": they are
            asked about the value.
        :param is_root: the value is the whole document.
        """
        if depth > MAX_SCHEMA_DEPTH:
            raise refusal(BAD_VALUE, f"exceeded maximum query tree depth of {MAX_SCHEMA_DEPTH}")
        self.depth = depth
        self.path = path
        self.is_root = is_root
        self.operands = read_keywords(schema)
        self.types: TypeSet | None = None
        self.rules: list[ValuePredicate] = []

    def parse(self) -> ValuePredicate:
        """Return the rule the schema is."""
        self._add_type()
        self._add_string_rules()
        self._add_number_rules()
        self._add_array_rules()
        self._add_object_rules()
        self._add_logical_rules()
        return self.rules[0] if len(self.rules) == 1 else AllOf(self.rules)

    def _same(self, schema: Value) -> ValuePredicate:
        """Compile a schema inside that is about the same value."""
        return SchemaParser(schema, self.depth + 1, self.path, self.is_root).parse()

    def _inner(self, schema: Value, path: str = "") -> ValuePredicate:
        """Compile a schema inside that is about a value in this one."""
        return SchemaParser(schema, self.depth + 1, path, False).parse()

    def _placed(self, rule: ValuePredicate, opens_arrays: bool = False) -> ValuePredicate:
        """Return the rule where the value is.

        :param opens_arrays: at the end of a path, the elements of an array count as well.
        """
        return AtPath(FieldPath(self.path, opens_arrays), rule) if self.path else rule

    def _add_for(self, types: TypeSet, rule: ValuePredicate, opens_arrays: bool = False) -> None:
        """Add a rule for values of some types, which others pass."""
        if not self.path:
            if not self.is_root or types.includes(TYPE_DOCUMENT):
                self.rules.append(OnlyFor(types, rule))
            return
        stated = self.types
        placed = self._placed(rule, opens_arrays)
        if stated is None or not stated.is_single:
            placed = AnyOf([NotRule(self._placed(HasTypes(types))), placed])
        elif not types.includes(stated.first):
            return
        self.rules.append(placed)

    def _add_type(self) -> None:
        for keyword in ("type", "bsonType"):
            operand = self.operands.get(keyword)
            if operand is not None:
                self.types = read_types(keyword, operand)
                self.rules.append(self._placed(HasTypes(self.types)))

    def _add_string_rules(self) -> None:
        operand = self.operands.get("pattern")
        if operand is not None:
            if operand.bson_type != TYPE_STRING:
                raise keyword_refusal(TYPE_MISMATCH, "pattern", "must be a string")
            if not self.is_root:
                regex = Regex(FieldPath(self.path), operand.text(), "")
                self._add_for(STRINGS, regex, opens_arrays=True)
        operand = self.operands.get("maxLength")
        if operand is not None:
            rule = Length(0, read_size("maxLength", operand))
            self._add_for(STRINGS, rule, opens_arrays=True)
        operand = self.operands.get("minLength")
        if operand is not None:
            rule = Length(read_size("minLength", operand), NO_LIMIT)
            self._add_for(STRINGS, rule, opens_arrays=True)

    def _add_number_rules(self) -> None:
        operand = self.operands.get("multipleOf")
        if operand is not None:
            divisor = read_divisor(operand)
            if not self.is_root:
                require_finite(divisor)
                self._add_for(NUMBERS, Multiple(divisor), opens_arrays=True)
        self._add_limit("maximum", "exclusiveMaximum", LTE, LT)
        self._add_limit("minimum", "exclusiveMinimum", GTE, GT)

    def _add_limit(self, keyword: str, exclusive: str, operator: str, strict: str) -> None:
        limit = self.operands.get(keyword)
        flag = self.operands.get(exclusive)
        if limit is None:
            if flag is not None:
                raise keyword_refusal(
                    FAILED_TO_PARSE, keyword, f"must be a present if {exclusive} is present"
                )
            return
        if flag is not None and read_flag(exclusive, flag):
            operator = strict
        require_number(keyword, limit)
        rule = ordering(FieldPath(self.path), operator, limit)
        self._add_for(NUMBERS, rule, opens_arrays=True)

    def _add_counts(self, least: str, most: str, types: TypeSet) -> None:
        operand = self.operands.get(least)
        if operand is not None:
            self._add_for(types, Count(types.first, read_size(least, operand), NO_LIMIT))
        operand = self.operands.get(most)
        if operand is not None:
            self._add_for(types, Count(types.first, 0, read_size(most, operand)))

    def _add_array_rules(self) -> None:
        self._add_counts("minItems", "maxItems", ARRAYS)
        operand = self.operands.get("uniqueItems")
        if operand is not None and read_flag("uniqueItems", operand):
            self._add_for(ARRAYS, UniqueItems())
        positions = self._add_items()
        operand = self.operands.get("additionalItems")
        if operand is not None:
            if operand.bson_type == TYPE_DOCUMENT:
                rule = self._inner(operand)
            elif operand.bson_type == TYPE_BOOLEAN:
                rule = AllOf([]) if operand.is_true() else AnyOf([])
            else:
                raise keyword_refusal(
                    TYPE_MISMATCH,
                    "additionalItems",
                    f"must be either an object or a boolean, but got a {operand.type_name()}",
                )
            if positions >= 0:
                self._add_for(ARRAYS, Items(positions, NO_LIMIT, rule))

    def _add_items(self) -> int:
        """Add what `items` says; return how many positions it lists, -1 when it lists none."""
        operand = self.operands.get("items")
        if operand is None:
            return -1
        if operand.bson_type == TYPE_DOCUMENT:
            self._add_for(ARRAYS, Items(0, NO_LIMIT, self._inner(operand)))
            return -1
        if operand.bson_type != TYPE_ARRAY:
            raise keyword_refusal(
                TYPE_MISMATCH, "items", f"must be an array or an object, not {operand.type_name()}"
            )
        position = 0
        for _, schema in operand.fields():
            if schema.bson_type != TYPE_DOCUMENT:
                raise keyword_refusal(
                    TYPE_MISMATCH,
                    "items",
                    "requires that each element of the array is an object, but found a "
                    + schema.type_name(),
                )
            self._add_for(ARRAYS, Items(position, position + 1, self._inner(schema)))
            position += 1
        return position

    def _add_object_rules(self) -> None:
        required: list[str] = []
        operand = self.operands.get("required")
        if operand is not None:
            required = read_required(operand)
        self._add_properties(required)
        self._add_other_properties()
        if required:
            self._add_for(OBJECTS, HasFields(required))
        self._add_counts("minProperties", "maxProperties", OBJECTS)
        operand = self.operands.get("dependencies")
        if operand is not None:
            self._add_dependencies(operand)

    def _add_properties(self, required: list[str]) -> None:
        operand = self.operands.get("properties")
        if operand is None:
            return
        require_object("properties", operand)
        rules: dict[bytes, ValuePredicate] = {}
        others: list[ValuePredicate] = []
        for name, schema in operand.fields():
            if schema.bson_type != TYPE_DOCUMENT:
                raise refusal(
                    TYPE_MISMATCH,
                    f"Nested schema for $jsonSchema property '{name}' must be an object",
                )
            key = name.encode("utf-8")
            is_path = "." in name
            rule = self._inner(schema, name if is_path else "")
            if is_path:
                is_wanted = name in required
                others.append(rule if is_wanted else Dependency(HasFields([name]), rule))
            elif self.path and name in required:
                # Asked also where the field is missing: at the end of a path, this document may
                # answer here and another one what is required.
                others.append(AtPath(FieldPath(name, expands_leaf=False), rule))
            else:
                rules[key] = AllOf([rules[key], rule]) if key in rules else rule
        if rules or others:
            self._add_for(OBJECTS, Properties(rules, others))

    def _add_other_properties(self) -> None:
        """Add what `patternProperties` and `additionalProperties` say."""
        by_pattern = self.operands.get("patternProperties")
        operand = self.operands.get("additionalProperties")
        if by_pattern is None and operand is None:
            return
        known: set[bytes] = set()
        if "properties" in self.operands:
            known.update([name.encode("utf-8") for name, _ in self.operands["properties"].fields()])
        patterns: list[Pattern] = []
        rules: list[ValuePredicate] = []
        if by_pattern is not None:
            self._read_patterns(by_pattern, patterns, rules)
        others: ValuePredicate | None = None
        if operand is not None:
            if operand.bson_type == TYPE_DOCUMENT:
                others = self._inner(operand)
            elif operand.bson_type != TYPE_BOOLEAN:
                raise keyword_refusal(
                    TYPE_MISMATCH, "additionalProperties", "must be an object or a boolean"
                )
            elif not operand.is_true():
                others = AnyOf([])
        self._add_for(OBJECTS, OtherProperties(known, patterns, rules, others))

    def _read_patterns(
        self, operand: Value, patterns: list[Pattern], rules: list[ValuePredicate]
    ) -> None:
        require_object("patternProperties", operand)
        for pattern, schema in operand.fields():
            if schema.bson_type != TYPE_DOCUMENT:
                raise keyword_refusal(
                    TYPE_MISMATCH,
                    "patternProperties",
                    f"has property '{pattern}' which is not an object",
                )
            rules.append(self._inner(schema))
            patterns.append(read_name_pattern(pattern))

    def _add_dependencies(self, operand: Value) -> None:
        require_object("dependencies", operand)
        for name, dependency in operand.fields():
            if dependency.bson_type == TYPE_DOCUMENT:
                rule = self._same(dependency)
            elif dependency.bson_type == TYPE_ARRAY:
                names = read_dependency(name, dependency)
                rule = AllOf([self._placed(HasFields([each])) for each in names])
            elif dependency.bson_type == TYPE_STRING and name in ("title", "description"):
                continue
            else:
                raise refusal(
                    TYPE_MISMATCH,
                    f"property '{name}' in $jsonSchema keyword 'dependencies' must be either an"
                    " object or an array",
                )
            self.rules.append(Dependency(self._placed(HasFields([name])), rule))

    def _add_logical_rules(self) -> None:
        operand = self.operands.get("allOf")
        if operand is not None:
            self.rules += [self._same(schema) for schema in read_schemas("allOf", operand)]
        operand = self.operands.get("anyOf")
        if operand is not None:
            schemas = read_schemas("anyOf", operand)
            self.rules.append(AnyOf([self._same(schema) for schema in schemas]))
        operand = self.operands.get("oneOf")
        if operand is not None:
            schemas = read_schemas("oneOf", operand)
            self.rules.append(OneOf([self._same(schema) for schema in schemas]))
        operand = self.operands.get("not")
        if operand is not None:
            if operand.bson_type != TYPE_DOCUMENT:
                raise keyword_refusal(
                    TYPE_MISMATCH,
                    "not",
                    f"must be an object, but found an element of type {operand.type_name()}",
                )
            self.rules.append(NotRule(self._same(operand)))
        operand = self.operands.get("enum")
        if operand is not None:
            self._add_enum(operand)

    def _add_enum(self, operand: Value) -> None:
        entries = read_entries("enum", operand)
        if not entries:
            raise keyword_refusal(FAILED_TO_PARSE, "enum", "cannot be an empty array")
        keys: set[bytes] = set()
        for entry in entries:
            key = unordered_key(entry.data, entry.bson_type, 0, len(entry.data), 0)
            if key in keys:
                raise keyword_refusal(
                    FAILED_TO_PARSE, "enum", "array cannot contain duplicate values."
                )
            keys.add(key)
        self.rules.append(self._placed(EqualsAny(keys)))
