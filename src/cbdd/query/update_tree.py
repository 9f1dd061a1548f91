"""The tree of an update: which path gets which modifier, and how a document is walked by it.

An update names paths; two of its paths may not be the same or one inside the other. So they form a
tree, and each document is walked once, in the order of the tree: names ascending, numbers by value.

    {$set: {"a.b": 1, "c": 2}, $inc: {"a.n": 1}, $push: {"d.$[x].t": 9}}

    ObjectNode  a: ObjectNode  b: $set 1
                               n: $inc 1
                c: $set 2
                d: ArrayNode   x: ObjectNode  t: $push 9

A node meets either an existing value (`apply`) or the end of what exists (`apply_missing`, with the
names that are still to go). Only leaves decide whether to create what is missing.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, write_i32_le
from mypy_extensions import mypyc_attr

from cbdd.catalog.refusal import (
    BAD_VALUE,
    CONFLICTING_UPDATE_OPERATORS,
    IMMUTABLE_FIELD,
    PATH_NOT_VIABLE,
    refusal,
)
from cbdd.document.raw import (
    TYPE_ARRAY,
    TYPE_BOOLEAN,
    TYPE_DATE,
    TYPE_DECIMAL128,
    TYPE_DOCUMENT,
    TYPE_DOUBLE,
    TYPE_INT32,
    TYPE_INT64,
    TYPE_NULL,
    TYPE_OBJECT_ID,
    TYPE_TIMESTAMP,
    find_field,
    skip_value,
    value_start,
)
from cbdd.expression.describe import describe, describe_field, describe_id
from cbdd.expression.value import Value, id_element, wrap
from cbdd.query.matcher import MatchExpression
from cbdd.query.mutable import EMPTY, MutableValue
from cbdd.query.path import array_position

ID: Final = b"_id"
MATCHED: Final = b"$"
"""The part of a path that stands for the array element the filter has matched."""

_MOST_SPLICED: Final = 8
"""Fields of one update that are cut out one by one; more are cheaper all at once."""

_FLAT_TYPES: Final = (
    TYPE_DOUBLE,
    TYPE_INT32,
    TYPE_INT64,
    TYPE_BOOLEAN,
    TYPE_DATE,
    TYPE_NULL,
    TYPE_OBJECT_ID,
    TYPE_TIMESTAMP,
    TYPE_DECIMAL128,
)
"""Types whose values are valid whatever their bytes."""

MAX_BACKFILL: Final = 1_500_000
"""How many nulls an update may put into an array to reach a position behind its end."""


@mypyc_attr(acyclic=True)
class UpdateContext:
    """One application of an update to one document."""

    def __init__(
        self,
        document: bytes,
        is_insert: bool,
        now_milliseconds: int,
        filter: MatchExpression | None = None,
    ) -> None:
        self.document = document
        self._filter = filter
        self.is_insert = is_insert
        self.now_milliseconds = now_milliseconds
        self.root = MutableValue(TYPE_DOCUMENT, document)
        self.has_rich_values = False
        """Whether `ObjectNode.splice` wrote a value other than numbers, dates and the like."""
        self.is_rewritten = False
        """Whether this counts as a modification even if the bytes stay the same."""
        self.taken: list[bytes] = []
        """The path walked so far, names that do not exist yet included."""

    def matched_position(self) -> bytes:
        """Return what the positional operator stands for in this document.

        :raises OperationFailure: the filter has not matched by an element of an array.
        """
        position = -1
        if self._filter is not None and not self.is_insert:
            position = self._filter.position_at(self.document, 0)
        if position < 0:
            raise refusal(
                BAD_VALUE,
                "The positional operator did not find the match needed from the query.",
            )
        return str(position).encode("ascii")

    def path_text(self) -> str:
        """Return the path walked so far as text."""
        return b".".join(self.taken).decode("utf-8")

    def id_text(self) -> str:
        """Return the document's `_id` as text, for messages."""
        return describe_id(self.document)

    def check_id(self) -> None:
        """Raise `OperationFailure` 66 when the document had an `_id` and it is not the same."""
        identity = id_element(self.document)
        if not identity:
            return
        place = self.root.find(ID)
        if place >= 0:
            now = self.root.children[place]
            if bytes([now.bson_type]) + ID + b"\0" + now.to_bytes() == identity:
                return
        raise refusal(
            IMMUTABLE_FIELD,
            "Performing an update on the path '_id' would modify the immutable field '_id'",
        )


class UpdateNode:
    """One node of the tree; immutable once the update is compiled."""

    def apply(self, parent: MutableValue, place: int, context: UpdateContext) -> None:
        """Change the existing value parent.children[place]."""
        raise NotImplementedError

    def apply_missing(
        self, parent: MutableValue, missing: list[bytes], context: UpdateContext
    ) -> None:
        """Do what is right when names `missing` do not exist below `parent`."""
        raise NotImplementedError

    def merged(self, other: UpdateNode, path: str) -> UpdateNode:
        """Return both nodes as one; refused where both change the same value."""
        raise refusal(CONFLICTING_UPDATE_OPERATORS, f"Update created a conflict at '{path}'")


class ObjectNode(UpdateNode):
    """Changes fields of a document, or elements of an array by position."""

    def __init__(self) -> None:
        self.children: dict[bytes, UpdateNode] = {}
        self.order: list[bytes] = []
        self.is_flat = False
        """Whether each child changes nothing but the value of its field, and `_id` is not one."""

    def seal(self) -> None:
        """Fix the order in which children are applied, once all are there."""
        self.order = sorted(self.children, key=_field_order)
        self.is_flat = len(self.order) <= _MOST_SPLICED
        for name in self.order:
            child = self.children[name]
            is_local = isinstance(child, LeafNode) and child.is_local()
            if not is_local or name == ID or name == MATCHED:
                self.is_flat = False

    def splice(self, context: UpdateContext) -> bytes:
        """Return the document with every child applied, where `is_flat` and nothing is inserted.

        The values that change are cut out and put in, without taking the document apart.
        """
        document = context.document
        for name in self.order:
            leaf = self.children[name]
            assert isinstance(leaf, LeafNode)
            context.taken.append(name)
            document = _spliced(document, name, leaf, context)
            context.taken.pop()
        return document

    def apply(self, parent: MutableValue, place: int, context: UpdateContext) -> None:
        self.apply_fields(parent.children[place], context)

    def apply_fields(self, target: MutableValue, context: UpdateContext) -> None:
        """Apply every child to the field of `target` it belongs to."""
        for name in self.order:
            self._apply_child(name, target, [], context)

    def apply_missing(
        self, parent: MutableValue, missing: list[bytes], context: UpdateContext
    ) -> None:
        for name in self.order:
            # An earlier child may have created the path that is missing here.
            target = parent
            walked = 0
            while walked < len(missing):
                place = target.find(missing[walked])
                if place < 0:
                    break
                target = target.children[place]
                walked += 1
            self._apply_child(name, target, missing[walked:], context)

    def _apply_child(
        self, name: bytes, target: MutableValue, missing: list[bytes], context: UpdateContext
    ) -> None:
        child = self.children[name]
        if name == MATCHED:
            name = context.matched_position()
            fixed = self.children.get(name)
            if fixed is not None:
                child = child.merged(fixed, context.path_text() + "." + name.decode("ascii"))
        context.taken.append(name)
        place = target.find(name) if not missing else -1
        if place >= 0:
            child.apply(target, place, context)
        else:
            child.apply_missing(target, [*missing, name], context)
        if name == ID and len(context.taken) == 1:
            context.check_id()
        context.taken.pop()

    def merged(self, other: UpdateNode, path: str) -> UpdateNode:
        if not isinstance(other, ObjectNode):
            return super().merged(other, path)
        result = ObjectNode()
        result.children.update(self.children)
        for name, child in other.children.items():
            own = result.children.get(name)
            inner_path = f"{path}.{name.decode('utf-8')}"
            result.children[name] = child if own is None else own.merged(child, inner_path)
        result.seal()
        return result


class ArrayNode(UpdateNode):
    """Changes elements of an array: all of them ($[]) or those an array filter picks ($[x])."""

    def __init__(self, filters: dict[str, MatchExpression]) -> None:
        self.filters = filters
        self.children: dict[str, UpdateNode] = {}

    def apply(self, parent: MutableValue, place: int, context: UpdateContext) -> None:
        array = parent.children[place]
        if array.bson_type != TYPE_ARRAY:
            name = context.taken[len(context.taken) - 1].decode("utf-8")
            raise refusal(
                BAD_VALUE,
                "Cannot apply array updates to non-array element "
                f"{name}: {describe(array.value())}",
            )
        array.open()
        nodes = [self._node_for(element, context) for element in array.children]
        for position in range(len(nodes)):
            node = nodes[position]
            if node is not None:
                context.taken.append(str(position).encode("ascii"))
                node.apply(array, position, context)
                context.taken.pop()

    def _node_for(self, element: MutableValue, context: UpdateContext) -> UpdateNode | None:
        """Return what applies to `element`; several identifiers may pick the same one."""
        found: UpdateNode | None = None
        for identifier in sorted(self.children):
            if identifier:
                name = identifier.encode("utf-8")
                if not self.filters[identifier].matches(wrap(element.value(), name)):
                    continue
            child = self.children[identifier]
            found = child if found is None else found.merged(child, context.path_text())
        return found

    def apply_missing(
        self, parent: MutableValue, missing: list[bytes], context: UpdateContext
    ) -> None:
        raise refusal(
            BAD_VALUE,
            f"The path '{context.path_text()}' must exist in the document in order to apply array"
            " updates.",
        )

    def merged(self, other: UpdateNode, path: str) -> UpdateNode:
        if not isinstance(other, ArrayNode):
            return super().merged(other, path)
        result = ArrayNode(self.filters)
        result.children.update(self.children)
        for identifier, child in other.children.items():
            own = result.children.get(identifier)
            inner_path = f"{path}.$[{identifier}]"
            result.children[identifier] = child if own is None else own.merged(child, inner_path)
        return result


class LeafNode(UpdateNode):
    """A modifier at the end of a path. Subclasses change a value and may create one.

    `initial` is what a missing value becomes; None leaves it missing.
    """

    def is_local(self) -> bool:
        """Tell whether nothing but the value itself is read, changed or created."""
        return False

    def apply(self, parent: MutableValue, place: int, context: UpdateContext) -> None:
        self.change(parent.children[place], context)

    def change(self, value: MutableValue, context: UpdateContext) -> None:
        """Change an existing value in place."""
        raise NotImplementedError

    def initial(self, context: UpdateContext) -> MutableValue | None:
        """Return what a missing value becomes, or None."""
        return None

    def apply_missing(
        self, parent: MutableValue, missing: list[bytes], context: UpdateContext
    ) -> None:
        value = self.initial(context)
        if value is not None:
            create_path(parent, missing, value, context)


class Placeholder(LeafNode):
    """Holds a path that another modifier uses, so that nothing else changes it."""

    def change(self, value: MutableValue, context: UpdateContext) -> None:
        pass


def _spliced(document: bytes, name: bytes, leaf: LeafNode, context: UpdateContext) -> bytes:
    """Return the document with a leaf applied to a field of its top level."""
    element = int(find_field(document, 0, name))
    if element < 0:
        value = leaf.initial(context)
        if value is None:
            return document
        element = end = len(document) - 1
    else:
        start = int(value_start(document, element))
        end = int(skip_value(document, document[element], start))
        value = MutableValue(document[element], document[start:end])
        leaf.change(value, context)
    if value.bson_type not in _FLAT_TYPES:
        context.has_rich_values = True
    data = value.to_bytes()
    size = element + 2 + len(name) + len(data) + len(document) - end
    writer = BytesWriter()
    write_i32_le(writer, size)
    writer.write(document[4:element])
    writer.append(value.bson_type)
    writer.write(name)
    writer.append(0)
    writer.write(data)
    writer.write(document[end:])
    return writer.getvalue()


def create_path(
    parent: MutableValue, missing: list[bytes], value: MutableValue, context: UpdateContext
) -> None:
    """Put `value` below `parent` under the names `missing`, making documents on the way."""
    for name in reversed(missing[1:]):
        outer = MutableValue(TYPE_DOCUMENT, EMPTY)
        outer.append(name, value)
        value = outer
    name = missing[0]
    if parent.bson_type == TYPE_DOCUMENT:
        parent.append(name, value)
        return
    position = array_position(name) if parent.bson_type == TYPE_ARRAY else -1
    if position < 0:
        raise refusal(
            PATH_NOT_VIABLE,
            f"Cannot create field '{name.decode('utf-8')}' in element "
            + _parent_text(parent, missing, context),
        )
    parent.open()
    if position - len(parent.children) > MAX_BACKFILL:
        raise refusal(BAD_VALUE, f"can't backfill more than {MAX_BACKFILL} elements")
    while len(parent.children) < position:
        parent.append(b"", MutableValue(TYPE_NULL, b""))
    parent.append(b"", value)


def check_viable(parent: MutableValue, missing: list[bytes], context: UpdateContext) -> None:
    """Raise `OperationFailure` 28 unless `missing` could be created below `parent`."""
    if parent.bson_type == TYPE_DOCUMENT:
        return
    if parent.bson_type == TYPE_ARRAY and array_position(missing[0]) >= 0:
        return
    raise refusal(
        PATH_NOT_VIABLE,
        f"Cannot use the part ({missing[0].decode('utf-8')}) of ({context.path_text()}) to"
        f" traverse the element ({_parent_text(parent, missing, context)})",
    )


def _parent_text(parent: MutableValue, missing: list[bytes], context: UpdateContext) -> str:
    at = len(context.taken) - len(missing) - 1
    name = context.taken[at].decode("utf-8") if at >= 0 else ""
    return describe_field(name, parent.value())


def _field_order(name: bytes) -> tuple[int, int, bytes]:
    position = array_position(name)
    return (0, position, name) if position >= 0 else (1, 0, name)


def new_value(value: Value) -> MutableValue:
    """Return a fresh mutable copy of `value`."""
    return MutableValue(value.bson_type, value.data)
