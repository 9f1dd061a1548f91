"""Reading a projection document.

Source of what is refused with which code: MongoDB's manual, "Project Fields to Return from Query",
and the answers of a server.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from bson.codec_options import CodecOptions

from cbdd.catalog.refusal import BAD_VALUE, not_supported, refusal
from cbdd.document.raw import TYPE_ARRAY, TYPE_BOOLEAN, TYPE_DOCUMENT
from cbdd.expression.context import ExpressionContext
from cbdd.expression.node import CURRENT, Expression, FieldReference
from cbdd.expression.value import Value, document_value, encode_document
from cbdd.query.computed import require_no_expression
from cbdd.query.matcher import And, MatchExpression
from cbdd.query.parser import is_operator_document, parse_document, parse_operators
from cbdd.query.path import is_plain_path
from cbdd.query.projection import (
    ArrayCut,
    ElementProjection,
    Positional,
    Projection,
    ProjectionNode,
    Slice,
)

_INCLUSION_IN_EXCLUSION: Final = 31253
_EXCLUSION_IN_INCLUSION: Final = 31254
_COMPUTED_IN_EXCLUSION: Final = 31252
_COLLISION_BELOW: Final = 31249
_COLLISION_ABOVE: Final = 31250
_MAX_DEPTH: Final = 100
_MOST_FIELDS: Final = 64
_MOST_COMPILED: Final = 256
_COMPILED: Final[dict[tuple[tuple[str, int], ...], Projection]] = {}
"""Plain projections that were asked for, by what was asked; any thread may add one."""
_INT32_LOW: Final = -(1 << 31)
_INT32_HIGH: Final = (1 << 31) - 1


def parse_projection(
    spec: Mapping[str, Any] | bytes | None,
    codec_options: CodecOptions[Any] | None = None,
    filter: MatchExpression | None = None,
    context: ExpressionContext | None = None,
) -> Projection | None:
    """Compile a projection document; None when it asks for whole documents.

    :param filter: what the documents have matched; the positional operator asks it.
    :param context: what computed fields are evaluated in; default: without variables.
    :raises OperationFailure: mixed rules, colliding paths, malformed operands.
    """
    if spec is None:
        return None
    surroundings = context or ExpressionContext()
    builder = _ProjectionBuilder(filter or And([]), surroundings)
    builder.add_document("", document_value(encode_document(spec, codec_options)), 0)
    projection = builder.build()
    if context is None:
        surroundings.require_sound()
    return projection


def plain_projection(spec: object) -> Projection | None:
    """Compile a projection that names fields with 1 or 0, or find it compiled; None if it is other.

    What a program asks for is asked for again and again, with nothing in it that changes.

    :raises OperationFailure: as `parse_projection`.
    """
    if type(spec) is not dict or not 0 < len(spec) <= _MOST_FIELDS:
        return None
    for path, value in spec.items():
        if type(path) is not str or "$" in path or not is_plain_path(path):
            return None
        if (type(value) is not int and type(value) is not bool) or not 0 <= value <= 1:
            return None
    key = tuple(spec.items())
    known = _COMPILED.get(key)
    if known is None:
        known = parse_projection(spec)
        if known is not None:
            if len(_COMPILED) >= _MOST_COMPILED:
                _COMPILED.clear()
            _COMPILED[key] = known
    return known


class _ProjectionBuilder:
    """Collects the fields of a projection document and finds out which rule it follows."""

    def __init__(self, filter: MatchExpression, context: ExpressionContext) -> None:
        self.root = ProjectionNode()
        self.rule: bool | None = None
        self.keeps_id: bool | None = None
        self._filter = filter
        self._context = context
        self._slices: list[tuple[str, ArrayCut]] = []
        self._positional: ArrayCut | None = None
        self._has_element_match = False

    def add_document(self, prefix: str, spec: Value, depth: int) -> None:
        """Add the fields of a projection document, or of one nested in it."""
        if depth > _MAX_DEPTH:
            raise refusal(BAD_VALUE, "projection is nested too deeply")
        for name, value in spec.fields():
            path = prefix + name
            if path.endswith(".$") or path == "$":
                self._add_positional(path, value)
            elif value.bson_type == TYPE_DOCUMENT:
                self._add_nested(path, value, depth)
            elif value.is_number() or value.bson_type == TYPE_BOOLEAN:
                self._add(path, value.is_true())
            else:
                self._add_computed(path, self._context.compile(value))

    def _add_nested(self, path: str, value: Value, depth: int) -> None:
        fields = value.fields()
        if not fields:
            raise refusal(51270, "An empty sub-projection is not a valid value")
        name, operand = fields[0]
        if not name.startswith("$"):
            self.add_document(path + ".", value, depth + 1)
            return
        if len(fields) > 1:
            raise refusal(
                40181,
                "an expression specification must contain exactly one field, the name of the"
                " expression",
            )
        if name == "$slice" and _is_find_slice(operand):
            self._add_slice(path, operand)
        elif name == "$elemMatch":
            self._add_element_match(path, operand)
        elif name == "$meta":
            raise not_supported(BAD_VALUE, name, f"in a projection (field '{path}')")
        else:
            self._add_computed(path, self._context.compile(value))

    def _add(self, path: str, is_kept: bool) -> None:
        _check_path(path)
        if path == "_id":
            self.keeps_id = is_kept
            return
        self._follow(path, is_kept)
        leaf = self._insert(path)
        leaf.is_kept = is_kept

    def _follow(self, path: str, is_kept: bool) -> None:
        """Let a field decide the rule, or refuse it when it goes against it."""
        if self.rule is None:
            self.rule = is_kept
        elif self.rule != is_kept:
            if is_kept:
                raise refusal(
                    _INCLUSION_IN_EXCLUSION,
                    f"Cannot do inclusion on field {path} in exclusion projection",
                )
            raise refusal(
                _EXCLUSION_IN_INCLUSION,
                f"Cannot do exclusion on field {path} in inclusion projection",
            )

    def _add_computed(self, path: str, expression: Expression) -> None:
        _check_path(path)
        if self.rule is False:
            raise refusal(
                _COMPUTED_IN_EXCLUSION,
                "Cannot use expression other than $meta in exclusion projection",
            )
        self.rule = True
        self._compute(path, expression)

    def _compute(self, path: str, expression: Expression) -> None:
        names = [name.encode("utf-8") for name in path.split(".")]
        node = self.root
        for name in names[:-1]:
            if name not in node.computing:
                node.computing.append(name)
            node = self._child(node, name, path)
        last = names[-1]
        if last in node.children or last in node.computed:
            raise refusal(_COLLISION_ABOVE, f"Path collision at {path}")
        node.computed[last] = expression
        node.computing.append(last)

    def _add_slice(self, path: str, operand: Value) -> None:
        _check_path(path)
        names = [name.encode("utf-8") for name in path.split(".")]
        if operand.bson_type == TYPE_ARRAY:
            skip, limit = [_bounded(value) for _, value in operand.fields()]
            if limit <= 0:
                raise refusal(31274, f"The limit to $slice must be positive, got {limit}")
            self._slices.append((path, Slice(names, skip, limit)))
        else:
            self._slices.append((path, Slice(names, None, _bounded(operand))))

    def _add_element_match(self, path: str, operand: Value) -> None:
        if operand.bson_type != TYPE_DOCUMENT:
            raise refusal(31274, "elemMatch: Invalid argument, object required")
        if "." in path:
            raise refusal(31255, "Cannot use $elemMatch projection on a nested field")
        if self._positional is not None:
            raise refusal(31256, "Cannot specify positional operator and $elemMatch.")
        _check_path(path)
        self._has_element_match = True
        source = FieldReference(CURRENT, [path.encode("utf-8")])
        fields = operand.fields()
        is_object = not is_operator_document(operand) or fields[0][0] in ("$and", "$or", "$nor")
        if is_object:
            condition = parse_document(operand, 0)
        else:
            condition = And(parse_operators("", operand, 0))
        self._compute(path, ElementProjection(source, condition, is_object))

    def _add_positional(self, path: str, value: Value) -> None:
        if path == "$":
            raise refusal(16410, "FieldPath field names may not start with '$', given '$'.")
        above = path[:-2]
        _check_path(above)
        if not (value.is_number() or value.bson_type == TYPE_BOOLEAN):
            raise refusal(31271, "positional projection cannot be used with a literal")
        if not value.is_true() or self.rule is False:
            raise refusal(31395, "positional projection cannot be used with exclusion")
        if self._positional is not None:
            raise refusal(31276, "Cannot specify more than one positional projection per query.")
        if self._has_element_match:
            raise refusal(31256, "Cannot specify positional operator and $elemMatch.")
        require_no_expression(self._filter, "in this context")
        self._add(above, True)
        names = [name.encode("utf-8") for name in above.split(".")]
        self._positional = Positional(names, self._filter)

    # -- the tree --------------------------------------------------------------------------

    def _child(self, node: ProjectionNode, name: bytes, path: str) -> ProjectionNode:
        if node.is_leaf or name in node.computed:
            raise refusal(_COLLISION_BELOW, f"Path collision at {path}")
        child = node.children.get(name)
        if child is None:
            child = ProjectionNode()
            node.children[name] = child
        if child.is_leaf:
            raise refusal(_COLLISION_BELOW, f"Path collision at {path}")
        return child

    def _insert(self, path: str) -> ProjectionNode:
        """Make the leaf of a path."""
        names = [name.encode("utf-8") for name in path.split(".")]
        node = self.root
        for name in names[:-1]:
            node = self._child(node, name, path)
        last = names[-1]
        if last in node.children or last in node.computed:
            raise refusal(_COLLISION_ABOVE, f"Path collision at {path}")
        leaf = ProjectionNode()
        leaf.is_leaf = True
        node.children[last] = leaf
        return leaf

    def build(self) -> Projection | None:
        """Return the projection, None when it asks for whole documents."""
        is_empty = not self._slices and not self.root.computing
        if self.rule is None and self.keeps_id is None and is_empty:
            return None
        is_inclusion = self.rule
        if is_inclusion is None:
            is_inclusion = self.keeps_id is True or self._has_element_match
        for path, _ in self._slices:
            leaf = self._insert(path)
            leaf.is_kept = True
        if b"_id" not in self.root.computed and b"_id" not in self.root.children:
            if self.keeps_id is not None or is_inclusion:
                self._insert("_id").is_kept = self.keeps_id is not False
        elif self.keeps_id is not None:
            raise refusal(_COLLISION_ABOVE, "Path collision at _id")
        cuts: list[ArrayCut] = [] if self._positional is None else [self._positional]
        cuts.extend([cut for _, cut in self._slices])
        return Projection(self.root, is_inclusion, cuts, self._context)


def _is_find_slice(operand: Value) -> bool:
    """Tell the $slice of projections, of numbers alone, from the one of expressions."""
    if operand.is_number():
        return True
    if operand.bson_type != TYPE_ARRAY:
        raise refusal(31273, "$slice only supports numbers and [skip, limit] arrays")
    fields = operand.fields()
    return len(fields) == 2 and fields[0][1].is_number() and fields[1][1].is_number()


def _bounded(value: Value) -> int:
    """Return a number as an int32, cut at its ends."""
    number = value.number()
    if number is None or math.isnan(number):
        return 0
    return int(min(max(number, _INT32_LOW), _INT32_HIGH))


def _check_path(path: str) -> None:
    if not path:
        raise refusal(40352, "FieldPath cannot be constructed with empty string")
    if path.endswith("."):
        raise refusal(40353, "FieldPath must not end with a '.'.")
    names = path.split(".")
    if "" in names:
        raise refusal(15998, "FieldPath field names may not be empty strings.")
    if len(names) > _MAX_DEPTH:
        raise refusal(BAD_VALUE, f"projection path of more than {_MAX_DEPTH} fields")
    for name in names:
        if name == "$":
            raise refusal(
                31394, "it is illegal to specify the positional operator in the middle of a path"
            )
        if name.startswith("$"):
            raise refusal(16410, f"FieldPath field names may not start with '$', given '{name}'.")
