"""Reading an update: from BSON to the tree of `cbdd.query.update_tree`.

`MODIFIERS` is the operator table: a modifier is added by writing a leaf and naming it there.
Each path is checked, its leaf made, and the leaf put into the tree, where conflicts show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bson.codec_options import CodecOptions

from cbdd.catalog.refusal import (
    BAD_VALUE,
    CONFLICTING_UPDATE_OPERATORS,
    DOLLAR_PREFIXED_FIELD_NAME,
    EMPTY_FIELD_NAME,
    FAILED_TO_PARSE,
    refusal,
)
from cbdd.document.raw import TYPE_ARRAY, TYPE_DOCUMENT, TYPE_REGEX
from cbdd.expression.describe import describe
from cbdd.expression.value import Value, document_value, encode_document
from cbdd.query.matcher import And, MatchExpression
from cbdd.query.parser import check_depth, parse_document, parse_operators
from cbdd.query.update_array import (
    AddToSetLeaf,
    PopLeaf,
    PullAllLeaf,
    PullEqualLeaf,
    PullMatchLeaf,
    PushLeaf,
)
from cbdd.query.update_leaf import (
    ArithmeticLeaf,
    BitLeaf,
    CurrentDateLeaf,
    ExtremeLeaf,
    RenameLeaf,
    SetLeaf,
    SetOnInsertLeaf,
    UnsetLeaf,
    rename_target,
)
from cbdd.query.update_tree import ArrayNode, LeafNode, ObjectNode, Placeholder, UpdateNode

_MAX_PATH_PARTS: Final = 200
_REFERENCE_NAMES: Final = ("$ref", "$id", "$db")

# Names of operators that are conditions for $pull; anything else in front makes it a filter.
_PULL_OPERATORS: Final = (
    "$eq",
    "$ne",
    "$gt",
    "$gte",
    "$lt",
    "$lte",
    "$in",
    "$nin",
    "$exists",
    "$type",
    "$size",
    "$all",
    "$elemMatch",
    "$mod",
    "$regex",
    "$options",
    "$bitsAllSet",
    "$bitsAllClear",
    "$bitsAnySet",
    "$bitsAnyClear",
)


def _inc(path: str, operand: Value) -> LeafNode:
    return ArithmeticLeaf(path, operand, is_product=False)


def _mul(path: str, operand: Value) -> LeafNode:
    return ArithmeticLeaf(path, operand, is_product=True)


def _min(path: str, operand: Value) -> LeafNode:
    return ExtremeLeaf(path, operand, is_max=False)


def _max(path: str, operand: Value) -> LeafNode:
    return ExtremeLeaf(path, operand, is_max=True)


def _pull(path: str, operand: Value) -> LeafNode:
    if operand.bson_type == TYPE_DOCUMENT:
        fields = operand.fields()
        if fields and fields[0][0] in _PULL_OPERATORS:
            return PullMatchLeaf(And(parse_operators("", operand, 0)), is_filter=False)
        return PullMatchLeaf(parse_document(operand, 0), is_filter=True)
    if operand.bson_type == TYPE_REGEX:
        body = b"\x0b\0" + operand.data + b"\0"
        filter = (len(body) + 4).to_bytes(4, "little") + body
        return PullMatchLeaf(parse_document(document_value(filter), 0), is_filter=False)
    return PullEqualLeaf(operand)


MODIFIERS: Final[dict[str, Callable[[str, Value], LeafNode]]] = {
    "$set": SetLeaf,
    "$setOnInsert": SetOnInsertLeaf,
    "$unset": UnsetLeaf,
    "$inc": _inc,
    "$mul": _mul,
    "$min": _min,
    "$max": _max,
    "$bit": BitLeaf,
    "$currentDate": CurrentDateLeaf,
    "$push": PushLeaf,
    "$addToSet": AddToSetLeaf,
    "$pop": PopLeaf,
    "$pull": _pull,
    "$pullAll": PullAllLeaf,
}


def parse_update(spec: Value, filters: dict[str, MatchExpression]) -> ObjectNode:
    """Compile a document of modifiers; `filters` are the array filters by identifier."""
    builder = _TreeBuilder(filters)
    for modifier, fields in spec.fields():
        if modifier != "$rename" and modifier not in MODIFIERS:
            raise refusal(
                FAILED_TO_PARSE,
                f"Unknown modifier: {modifier}. Expected a valid update modifier or pipeline-style"
                " update specified as an array",
            )
        if fields.bson_type != TYPE_DOCUMENT:
            raise refusal(
                FAILED_TO_PARSE,
                f"Modifiers operate on fields but we found type {fields.type_name()} instead. For"
                f" example: {{$mod: {{<field>: ...}}}} not {{{modifier}: {describe(fields)}}}",
            )
        for path, operand in fields.fields():
            builder.add_modifier(modifier, path, operand)
    builder.finish(spec)
    return builder.root


class _TreeBuilder:
    """Puts leaves into the tree and refuses what cannot stand side by side."""

    def __init__(self, filters: dict[str, MatchExpression]) -> None:
        self.root = ObjectNode()
        self.filters = filters
        self.used: set[str] = set()
        self.object_nodes = [self.root]

    def add_modifier(self, modifier: str, path: str, operand: Value) -> None:
        _check_path(path)
        if modifier == "$rename":
            target = rename_target(path, operand)
            _check_path(target)
            self._insert(path, Placeholder())
            self._insert(target, RenameLeaf(path, target))
        else:
            self._insert(path, MODIFIERS[modifier](path, operand))

    def finish(self, spec: Value) -> None:
        for node in self.object_nodes:
            node.seal()
        for identifier in self.filters:
            if identifier not in self.used:
                raise refusal(
                    FAILED_TO_PARSE,
                    f"The array filter for identifier '{identifier}' was not used in the update"
                    f" {describe(spec)}",
                )

    def _insert(self, path: str, leaf: LeafNode) -> None:
        parts = path.split(".")
        node: UpdateNode = self.root
        for i in range(len(parts)):
            walked = ".".join(parts[:i])
            existing = self._child(node, parts[i], path, walked)
            if i == len(parts) - 1:
                if existing is not None:
                    raise _conflict(path, path)
                self._attach(node, parts[i], leaf)
            elif existing is None:
                next_node = self._make_node(parts[i + 1])
                self._attach(node, parts[i], next_node)
                node = next_node
            else:
                node = existing

    def _child(self, node: UpdateNode, part: str, path: str, walked: str) -> UpdateNode | None:
        """Return the child of `node` for a path part; refuse when `node` is of the other kind."""
        identifier = _identifier(part)
        if identifier is None:
            if not isinstance(node, ObjectNode):
                raise _conflict(path, walked)
            return node.children.get(part.encode("utf-8"))
        if not isinstance(node, ArrayNode):
            raise _conflict(path, walked)
        if identifier and identifier not in self.filters:
            raise refusal(
                BAD_VALUE,
                f"No array filter found for identifier '{identifier}' in path '{path}'",
            )
        self.used.add(identifier)
        return node.children.get(identifier)

    def _attach(self, node: UpdateNode, part: str, child: UpdateNode) -> None:
        if isinstance(node, ObjectNode):
            node.children[part.encode("utf-8")] = child
        elif isinstance(node, ArrayNode):
            identifier = _identifier(part)
            assert identifier is not None
            node.children[identifier] = child

    def _make_node(self, next_part: str) -> UpdateNode:
        if _identifier(next_part) is None:
            node = ObjectNode()
            self.object_nodes.append(node)
            return node
        return ArrayNode(self.filters)


def _conflict(path: str, at: str) -> Exception:
    return refusal(
        CONFLICTING_UPDATE_OPERATORS,
        f"Updating the path '{path}' would create a conflict at '{at}'",
    )


def _identifier(part: str) -> str | None:
    """Return the identifier of $[identifier] ('' for $[]), None for an ordinary name."""
    if part.startswith("$[") and part.endswith("]"):
        return part[2:-1]
    return None


def _check_path(path: str) -> None:
    if not path:
        raise refusal(EMPTY_FIELD_NAME, "An empty update path is not valid.")
    parts = path.split(".")
    if "" in parts:
        raise refusal(
            EMPTY_FIELD_NAME,
            f"The update path '{path}' contains an empty field name, which is not allowed.",
        )
    if len(parts) > _MAX_PATH_PARTS:
        raise refusal(BAD_VALUE, f"an update path may have {_MAX_PATH_PARTS} parts at most")
    for i in range(len(parts)):
        part = parts[i]
        if part == "$" or _identifier(part) is not None:
            if i == 0:
                raise refusal(
                    BAD_VALUE,
                    f"Cannot have positional (i.e. '$') element in the first position in path"
                    f" '{path}'",
                )
        elif part.startswith("$") and (i == 0 or part not in _REFERENCE_NAMES):
            raise refusal(
                DOLLAR_PREFIXED_FIELD_NAME,
                f"The dollar ($) prefixed field '{part}' in '{path}' is not valid for storage.",
            )


def parse_array_filters(
    filters: Sequence[Mapping[str, Any] | bytes] | None,
    codec_options: CodecOptions[Any] | None = None,
) -> dict[str, MatchExpression]:
    """Compile array filters, by the identifier they speak of."""
    compiled: dict[str, MatchExpression] = {}
    for filter in filters or ():
        spec = document_value(encode_document(filter, codec_options))
        identifier = _filter_identifier(spec, 0)
        if not identifier:
            raise refusal(
                FAILED_TO_PARSE,
                "Cannot use an expression without a top-level field name in arrayFilters",
            )
        if not (identifier.isascii() and identifier.isalnum() and identifier[0].islower()):
            raise refusal(
                BAD_VALUE,
                "Error parsing array filter :: caused by :: The top-level field name must be an"
                f" alphanumeric string beginning with a lowercase letter, found '{identifier}'",
            )
        if identifier in compiled:
            raise refusal(
                FAILED_TO_PARSE,
                f"Found multiple array filters with the same top-level field name {identifier}",
            )
        compiled[identifier] = parse_document(spec, 0)
    return compiled


def _filter_identifier(spec: Value, depth: int) -> str:
    """Return the one name all paths of an array filter begin with, '' when there is no path."""
    check_depth(depth)
    found = ""
    for name, value in spec.fields():
        names: list[str] = []
        if not name.startswith("$"):
            names.append(name.split(".")[0])
        elif value.bson_type == TYPE_ARRAY:
            for _, entry in value.fields():
                if entry.bson_type == TYPE_DOCUMENT:
                    names.append(_filter_identifier(entry, depth + 1))
        for identifier in names:
            if found and identifier and identifier != found:
                raise refusal(
                    FAILED_TO_PARSE,
                    "Error parsing array filter :: caused by :: Expected a single top-level field"
                    f" name, found '{found}' and '{identifier}'",
                )
            found = found or identifier
    return found
