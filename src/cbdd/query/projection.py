"""Projections: which fields of a found document are returned, applied to raw BSON.

A projection either includes (the named fields and `_id`) or excludes (everything but the named
ones); `_id` may go against the rule. Paths go through documents and arrays alike: {"a.b": 1} keeps
b of every document in the array a. Values without fields on the way are dropped by an inclusion and
kept by an exclusion. Fields stay in the order of the document, kept values are copied as bytes.

    {"a.b": 1, "c": 1}   ->   tree   _id: keep, a: {b: keep}, c: keep

Then computed fields are set, in the order of the projection, each from the whole document; and then
$slice and the positional operator cut arrays of what is there.
"""

from __future__ import annotations

from mypy_extensions import i64

from cbdd.catalog.refusal import refusal
from cbdd.document.raw import (
    TYPE_ARRAY,
    TYPE_DOCUMENT,
    elements,
    skip_name,
    skip_value,
)
from cbdd.expression.context import EMPTY_DOCUMENT, ExpressionContext
from cbdd.expression.node import (
    MISSING_VALUE,
    Environment,
    Expression,
    array_of,
    document_of,
    fields_of,
    items_of,
)
from cbdd.expression.value import Value
from cbdd.query.matcher import MatchExpression


class ProjectionNode:
    """What happens to the fields of one document; a field without an entry follows the rule."""

    def __init__(self) -> None:
        self.children: dict[bytes, ProjectionNode] = {}
        self._first_letters = b""
        self.is_leaf = False
        self.is_kept = False
        self.computed: dict[bytes, Expression] = {}
        self.computing: list[bytes] = []
        """Names of computed fields, and of children that have some, in order."""

    def first_letters(self) -> bytes:
        """Return, for each byte, 1 if a child's name begins with it (0: is empty), else 0.

        Most fields of a document can be passed over by it, without an object for their name.
        """
        if not self._first_letters:
            letters = bytearray(256)
            for name in self.children:
                letters[name[0] if name else 0] = 1
            self._first_letters = bytes(letters)
        return self._first_letters

    def compute(self, environment: Environment, document: Value) -> Value:
        """Return `document` with the computed fields set."""
        names: list[bytes] = []
        values: list[Value] = []
        places: dict[bytes, int] = {}
        for name, value in fields_of(document):
            places[name] = len(names)
            names.append(name)
            values.append(value)
        for name in self.computing:
            place = places.get(name)
            before = MISSING_VALUE if place is None else values[place]
            expression = self.computed.get(name)
            if expression is not None:
                value = expression.evaluate(environment)
            else:
                value = self.children[name].compute_value(environment, before)
            if place is None:
                places[name] = len(names)
                names.append(name)
                values.append(value)
            else:
                values[place] = value
        return document_of(names, values)

    def compute_value(self, environment: Environment, value: Value) -> Value:
        """The same for what stands at this place; what is no document becomes one."""
        if value.bson_type == TYPE_DOCUMENT:
            return self.compute(environment, value)
        if value.bson_type == TYPE_ARRAY:
            return array_of([self.compute_value(environment, item) for item in items_of(value)])
        return self.compute(environment, Value(TYPE_DOCUMENT, EMPTY_DOCUMENT))


class ElementProjection(Expression):
    """$elemMatch: an array of the first element that matches; nothing when none does."""

    def __init__(self, source: Expression, condition: MatchExpression, is_object: bool) -> None:
        """
        :param is_object: the condition is a filter for documents, else operators for any value.
        """
        self.source = source
        self.condition = condition
        self.is_object = is_object

    def evaluate(self, environment: Environment) -> Value:
        array = self.source.evaluate(environment)
        if array.bson_type != TYPE_ARRAY:
            return MISSING_VALUE
        data = array.data
        for bson_type, _, start, end in elements(data, 0):
            if self.is_object:
                is_match = bson_type in (TYPE_DOCUMENT, TYPE_ARRAY) and self.condition.matches_at(
                    data, start
                )
            else:
                is_match = self.condition.matches_value(data, bson_type, start, end)
            if is_match:
                return array_of([Value(bson_type, data[start:end])])
        return MISSING_VALUE


class ArrayCut:
    """What cuts an array at a path once the fields are chosen."""

    def __init__(self, names: list[bytes]) -> None:
        self.names = names

    def apply(self, value: Value, depth: int, original: bytes) -> Value:
        """Return a value with the arrays below self.names[depth:] cut.

        :param original: the document as it was found.
        """
        raise NotImplementedError

    def _below(self, document: Value, depth: int, original: bytes) -> Value:
        """Cut what stands in the field self.names[depth] of a document."""
        name = self.names[depth]
        names: list[bytes] = []
        values: list[Value] = []
        for key, value in fields_of(document):
            names.append(key)
            values.append(self.apply(value, depth + 1, original) if key == name else value)
        return document_of(names, values)


class Slice(ArrayCut):
    """$slice: some elements of every array at the path."""

    def __init__(self, names: list[bytes], skip: int | None, limit: int) -> None:
        super().__init__(names)
        self.skip = skip
        self.limit = limit

    def apply(self, value: Value, depth: int, original: bytes) -> Value:
        if depth == len(self.names):
            return array_of(self._part(items_of(value))) if value.bson_type == TYPE_ARRAY else value
        if value.bson_type == TYPE_DOCUMENT:
            return self._below(value, depth, original)
        if value.bson_type == TYPE_ARRAY:
            return array_of([self.apply(item, depth, original) for item in items_of(value)])
        return value

    def _part(self, items: list[Value]) -> list[Value]:
        if self.skip is None:
            return items[: self.limit] if self.limit >= 0 else items[self.limit :]
        start = self.skip if self.skip >= 0 else max(0, len(items) + self.skip)
        return items[start : start + self.limit]


class Positional(ArrayCut):
    """`a.$`: of the first array on the path, the element that made the document match."""

    def __init__(self, names: list[bytes], filter: MatchExpression) -> None:
        super().__init__(names)
        self.filter = filter

    def apply(self, value: Value, depth: int, original: bytes) -> Value:
        if value.bson_type == TYPE_ARRAY:
            position = self.filter.position_at(original, 0)
            if position < 0:
                raise refusal(
                    51246,
                    "Executor error during find command :: caused by :: positional operator '.$'"
                    " couldn't find a matching element in the array",
                )
            items = items_of(value)
            if position >= len(items):
                raise refusal(
                    51247,
                    "Executor error during find command :: caused by :: positional operator '.$'"
                    " element mismatch",
                )
            return array_of([items[position]])
        if value.bson_type == TYPE_DOCUMENT and depth < len(self.names):
            return self._below(value, depth, original)
        return value


class Projection:
    """A compiled projection; immutable, shared by all documents of a query."""

    def __init__(
        self,
        root: ProjectionNode,
        is_inclusion: bool,
        cuts: list[ArrayCut],
        context: ExpressionContext,
    ) -> None:
        self.root = root
        self.is_inclusion = is_inclusion
        self.cuts = cuts
        self.context = context

    def included_paths(self) -> list[str] | None:
        """Return the paths that are kept, None when that is not all there is to it."""
        if not self.is_inclusion or self.cuts or self.root.computing:
            return None
        found: list[str] = []
        return found if _add_included(self.root, "", found) else None

    def apply(self, document: bytes) -> bytes:
        """Return the projected document."""
        result = self._document(document, 0, self.root)
        if self.root.computing:
            environment = self.context.environment(document)
            result = self.root.compute(environment, Value(TYPE_DOCUMENT, result)).data
        for cut in self.cuts:
            result = cut.apply(Value(TYPE_DOCUMENT, result), 0, document).data
        return result

    def _document(self, data: bytes, start: i64, node: ProjectionNode) -> bytes:
        parts: list[bytes] = []
        letters = node.first_letters()
        keeps_others = not self.is_inclusion
        kept_from: i64 = -1  # of neighbours that are kept
        element: i64 = start + 4
        while data[element] != 0:
            bson_type: i64 = data[element]
            value: i64 = skip_name(data, element + 1)
            end: i64 = skip_value(data, bson_type, value)
            child: ProjectionNode | None = None
            if letters[data[element + 1]] != 0:
                child = node.children.get(data[element + 1 : value - 1])
            is_kept = keeps_others
            if child is not None:
                if child.is_leaf:
                    is_kept = child.is_kept
                elif bson_type == TYPE_DOCUMENT or bson_type == TYPE_ARRAY:
                    if kept_from < 0:
                        kept_from = element
                    parts.append(data[kept_from:value])
                    kept_from = -1
                    if bson_type == TYPE_DOCUMENT:
                        parts.append(self._document(data, value, child))
                    else:
                        parts.append(self._array(data, value, child))
                    element = end
                    continue
                elif child.computing:
                    is_kept = True  # it becomes a document in its place
            if is_kept:
                if kept_from < 0:
                    kept_from = element
            elif kept_from >= 0:
                parts.append(data[kept_from:element])
                kept_from = -1
            element = end
        if kept_from >= 0:
            parts.append(data[kept_from:element])
        return _join(parts)

    def _array(self, data: bytes, start: i64, node: ProjectionNode) -> bytes:
        parts: list[bytes] = []
        count = 0
        element: i64 = start + 4
        while data[element] != 0:
            bson_type: i64 = data[element]
            value: i64 = skip_name(data, element + 1)
            end: i64 = skip_value(data, bson_type, value)
            element = end
            if bson_type == TYPE_DOCUMENT:
                content = self._document(data, value, node)
            elif bson_type == TYPE_ARRAY:
                content = self._array(data, value, node)
            elif self.is_inclusion and not node.computing:
                continue
            else:
                content = data[value:end]
            parts.append(bytes([int(bson_type)]) + str(count).encode("ascii") + b"\0")
            parts.append(content)
            count += 1
        return _join(parts)


def _add_included(node: ProjectionNode, prefix: str, found: list[str]) -> bool:
    """Add the paths kept below a node; False when a field is computed."""
    for name, child in node.children.items():
        path = prefix + name.decode("utf-8")
        if child.computing:
            return False
        if not child.is_leaf:
            if not _add_included(child, path + ".", found):
                return False
        elif child.is_kept:
            found.append(path)
    return True


def _join(parts: list[bytes]) -> bytes:
    body = b"".join(parts)
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"
