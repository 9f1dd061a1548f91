"""Updates: compiled once, applied to documents; replacements and upserts.

`Update.apply` takes a document and returns the document it becomes; the same object means that
nothing changed. It reads no clock but the one it was given: all documents of an update get the same
$currentDate.

Invariants: `_id` never changes (code 66); the result is a document storage accepts; fields that are
not touched keep their bytes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bson.codec_options import CodecOptions
from bson.errors import InvalidBSON, InvalidDocument
from bson.objectid import ObjectId
from pymongo.errors import DocumentTooLarge

from cbdd.catalog.refusal import (
    FAILED_TO_PARSE,
    IMMUTABLE_FIELD,
    NOT_SINGLE_VALUE_FIELD,
    OVERFLOW,
    not_supported,
    refusal,
)
from cbdd.catalog.stored_document import TimestampSource, with_timestamps
from cbdd.document.raw import (
    TYPE_OBJECT_ID,
    find_field,
)
from cbdd.document.validate import (
    MAX_DOCUMENT_BYTES,
    check_document_id,
    check_replacement,
    validate_document,
)
from cbdd.expression.describe import describe_field
from cbdd.expression.value import Value, document_value, encode_document, id_element
from cbdd.query.comparison import EQ, Comparison, In
from cbdd.query.matcher import And, MatchExpression, Or
from cbdd.query.mutable import EMPTY
from cbdd.query.update_parser import parse_array_filters, parse_update
from cbdd.query.update_tree import ID, ObjectNode, UpdateContext, create_path, new_value

_TOO_LARGE: Final = 17419
_MOST_REMEMBERED: Final = 256
_MOST_REMEMBERED_BYTES: Final = 512

UpdateSpec = Mapping[str, Any] | Sequence[Mapping[str, Any]] | bytes

_ROOTS: Final[dict[bytes, ObjectNode]] = {}
"""What updates were compiled to, by their bytes: a program repeats few."""


def _remember(spec: bytes, root: ObjectNode) -> None:
    if len(spec) <= _MOST_REMEMBERED_BYTES:
        if len(_ROOTS) >= _MOST_REMEMBERED:
            _ROOTS.clear()
        _ROOTS[spec] = root


class Update:
    """A compiled update: a tree of modifiers, or a replacement. Immutable, may be shared."""

    def __init__(self, root: ObjectNode | None, replacement: bytes, now_milliseconds: int) -> None:
        self.root = root
        self.replacement = replacement
        self.now_milliseconds = now_milliseconds

    @staticmethod
    def compile(
        spec: UpdateSpec,
        array_filters: Sequence[Mapping[str, Any] | bytes] | None = None,
        codec_options: CodecOptions[Any] | None = None,
        now_milliseconds: int | None = None,
    ) -> Update:
        """Compile a document of modifiers ($set, $inc, ...).

        :param now_milliseconds: the time $currentDate means; default: now.
        """
        if not isinstance(spec, (bytes, Mapping)):
            raise not_supported(FAILED_TO_PARSE, "an aggregation pipeline", "as an update")
        known = _ROOTS.get(spec) if isinstance(spec, bytes) and not array_filters else None
        try:
            if known is None:
                filters = parse_array_filters(array_filters, codec_options)
                known = parse_update(document_value(encode_document(spec, codec_options)), filters)
                if isinstance(spec, bytes) and not array_filters:
                    _remember(spec, known)
        except InvalidBSON as error:
            raise refusal(OVERFLOW, f"update is nested too deeply: {error}") from error
        if now_milliseconds is None:
            now_milliseconds = int(time.time() * 1000)
        return Update(known, b"", now_milliseconds)

    @staticmethod
    def compile_replacement(
        document: Mapping[str, Any] | bytes, codec_options: CodecOptions[Any] | None = None
    ) -> Update:
        """Compile a whole document that takes the place of another one (which keeps its _id)."""
        data = encode_document(document, codec_options)
        check_replacement(data)
        return Update(None, data, 0)

    def apply(
        self,
        document: bytes,
        is_insert: bool = False,
        filter: MatchExpression | None = None,
    ) -> bytes:
        """Return what `document` becomes.

        The very same object (`is`) means that the document does not count as modified; equal bytes
        in another object do ($push with $sort always modifies, as in MongoDB).

        :param is_insert: the document is the one an upsert is about to insert.
        :param filter: what the document has matched; the positional operator `$` asks it.
        """
        is_rewritten = False
        if self.root is None:
            result = self._replace(document)
        else:
            context = UpdateContext(document, is_insert, self.now_milliseconds, filter)
            if self.root.is_flat and not is_insert:
                return _checked(document, self.root.splice(context), context)
            self.root.apply_fields(context.root, context)
            context.check_id()
            result = context.root.to_bytes()
            is_rewritten = context.is_rewritten
        if result == document and not is_rewritten:
            return document
        if not is_insert:
            check_result(result)
        return result

    def touched(self) -> list[bytes] | None:
        """List the top-level fields that may change; None where they are not known."""
        return self.root.order if self.root is not None and self.root.is_flat else None

    def _replace(self, document: bytes) -> bytes:
        own = id_element(document)
        new = id_element(self.replacement)
        if not own:
            return self.replacement
        if new and _id_value(own).key() != _id_value(new).key():
            raise refusal(
                IMMUTABLE_FIELD,
                "After applying the update, the (immutable) field '_id' was found to have been"
                f" altered to {describe_field('_id', _id_value(new))}",
            )
        return with_id_first(self.replacement, new or own)

    def insert_document(self, filter: MatchExpression) -> bytes:
        """Return the document an upsert inserts when nothing matches `filter`.

        It has the fields the filter compares for equality, then the update's; `_id` comes first
        and is a new ObjectId when nobody gave one.
        """
        if self.root is None:
            base = upsert_document(filter, only_id=True)
        else:
            base = upsert_document(filter, only_id=False)
        result = self.apply(base, is_insert=True)
        identity = id_element(result)
        if not identity:
            identity = bytes([TYPE_OBJECT_ID]) + ID + b"\0" + ObjectId().binary
        result = with_id_first(result, identity)
        check_document_id(result)
        check_result(result)
        return result


def compile_update(
    update: Sequence[Mapping[str, Any]] | bytes,
    is_replacement: bool,
    array_filters: Sequence[Mapping[str, Any]] | None,
    codec_options: CodecOptions[Any],
    timestamps: TimestampSource,
) -> Update:
    """Compile what becomes of a document, by modifiers or by a replacement.

    :param update: encoded, or a pipeline, which is refused.
    """
    if is_replacement:
        assert isinstance(update, bytes)
        return Update.compile_replacement(with_timestamps(update, timestamps))
    return Update.compile(update, array_filters, codec_options)


def upsert_document(filter: MatchExpression, only_id: bool = False) -> bytes:
    """Return a document of the values that `filter` compares for equality."""
    found: list[tuple[str, Value]] = []
    _collect_equalities(filter, found)
    _check_unambiguous(found)
    context = UpdateContext(EMPTY, True, 0)
    for path, value in found:
        if only_id and path != "_id":
            continue
        holder = context.root
        names = [name.encode("utf-8") for name in path.split(".")]
        context.taken = names
        walked = 0
        while walked < len(names) - 1:
            place = holder.find(names[walked])
            if place < 0:
                break
            holder = holder.children[place]
            walked += 1
        create_path(holder, names[walked:], new_value(value), context)
    return context.root.to_bytes()


def _collect_equalities(expression: MatchExpression, found: list[tuple[str, Value]]) -> None:
    if isinstance(expression, And):
        for child in expression.children:
            _collect_equalities(child, found)
    elif isinstance(expression, Or):
        if len(expression.children) == 1:
            _collect_equalities(expression.children[0], found)
    elif isinstance(expression, Comparison):
        if expression.operator == EQ:
            found.append((expression.path.text, expression.value))
    elif isinstance(expression, In) and len(expression.values) == 1 and not expression.patterns:
        found.append((expression.path.text, expression.values[0]))


def _check_unambiguous(found: list[tuple[str, Value]]) -> None:
    paths: list[str] = []
    for path, _ in found:
        for other in paths:
            if path == other:
                raise refusal(
                    NOT_SINGLE_VALUE_FIELD,
                    f"cannot infer query fields to set, path '{path}' is matched twice",
                )
            if path.startswith(other + ".") or other.startswith(path + "."):
                raise refusal(
                    NOT_SINGLE_VALUE_FIELD,
                    f"cannot infer query fields to set, both paths '{other}' and '{path}' are"
                    " matched",
                )
        paths.append(path)


def _id_value(element: bytes) -> Value:
    return Value(element[0], element[5:])


def with_id_first(document: bytes, identity: bytes) -> bytes:
    """Return `document` with the element `identity` in front, in place of its own `_id`."""
    element = int(find_field(document, 0, ID))
    if element < 0:
        body = identity + document[4:]
    else:
        end = element + len(id_element(document))
        body = identity + document[4:element] + document[end:]
    return (len(body) + 4).to_bytes(4, "little") + body


def _checked(document: bytes, result: bytes, context: UpdateContext) -> bytes:
    """Return the result of `ObjectNode.splice`, or the document itself when nothing changed."""
    if result == document:
        return document
    if context.has_rich_values or len(result) > MAX_DOCUMENT_BYTES:
        check_result(result)
    return result


def check_result(document: bytes) -> None:
    """Raise `OperationFailure` when an update made a document that cannot be stored."""
    try:
        validate_document(document)
    except DocumentTooLarge as error:
        raise refusal(
            _TOO_LARGE,
            f"Resulting document after update is larger than {MAX_DOCUMENT_BYTES}",
        ) from error
    except InvalidDocument as error:
        raise refusal(
            OVERFLOW, f"the update makes a document that cannot be stored: {error}"
        ) from error
