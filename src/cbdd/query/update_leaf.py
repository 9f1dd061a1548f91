"""The modifiers that change one value: $set $unset $inc $mul $min $max $bit $rename
$setOnInsert $currentDate."""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, write_i64_le

from cbdd.catalog.refusal import BAD_VALUE, TYPE_MISMATCH, refusal
from cbdd.document.raw import (
    TYPE_ARRAY,
    TYPE_BOOLEAN,
    TYPE_DATE,
    TYPE_DOCUMENT,
    TYPE_INT32,
    TYPE_INT64,
    TYPE_NULL,
    TYPE_STRING,
    TYPE_TIMESTAMP,
)
from cbdd.expression.describe import describe, describe_field
from cbdd.expression.number import add, bitwise, int32_value, multiply
from cbdd.expression.value import TYPE_NAMES, Value
from cbdd.query.mutable import MutableValue
from cbdd.query.update_tree import LeafNode, UpdateContext, create_path, new_value

_BIT_OPERATIONS: Final = ("and", "or", "xor")


class SetLeaf(LeafNode):
    """$set: the value becomes the operand."""

    def __init__(self, path: str, operand: Value) -> None:
        self.operand = operand

    def is_local(self) -> bool:
        return True

    def change(self, value: MutableValue, context: UpdateContext) -> None:
        value.replace(self.operand)

    def initial(self, context: UpdateContext) -> MutableValue | None:
        return new_value(self.operand)


class SetOnInsertLeaf(SetLeaf):
    """$setOnInsert: as $set when an upsert inserts, nothing otherwise."""

    def change(self, value: MutableValue, context: UpdateContext) -> None:
        if context.is_insert:
            value.replace(self.operand)

    def initial(self, context: UpdateContext) -> MutableValue | None:
        return new_value(self.operand) if context.is_insert else None


class UnsetLeaf(LeafNode):
    """$unset: the field goes; an array element becomes null, so that the others stay in place."""

    def __init__(self, path: str, operand: Value) -> None:
        pass

    def apply(self, parent: MutableValue, place: int, context: UpdateContext) -> None:
        if parent.bson_type == TYPE_ARRAY:
            parent.children[place].replace(Value(TYPE_NULL, b""))
        else:
            parent.remove(place)


class ArithmeticLeaf(LeafNode):
    """$inc and $mul."""

    def __init__(self, path: str, operand: Value, is_product: bool) -> None:
        self.operand = operand
        self.is_product = is_product
        if not operand.is_number():
            verb = "multiply" if is_product else "increment"
            raise refusal(
                TYPE_MISMATCH,
                f"Cannot {verb} with non-numeric argument: {describe_field(path, operand)}",
            )

    def is_local(self) -> bool:
        return True

    def change(self, value: MutableValue, context: UpdateContext) -> None:
        current = value.value()
        name = "$mul" if self.is_product else "$inc"
        if not current.is_number():
            raise refusal(
                TYPE_MISMATCH,
                f"Cannot apply {name} to a value of non-numeric type. {context.id_text()} has the"
                f" field '{_last_name(context)}' of non-numeric type {current.type_name()}",
            )
        operand = self.operand
        result = multiply(current, operand) if self.is_product else add(current, operand)
        if result is None:
            raise refusal(
                BAD_VALUE,
                f"Failed to apply {name} operations to current value ({describe(current)}) for"
                f" document {context.id_text()}",
            )
        value.replace(result)

    def initial(self, context: UpdateContext) -> MutableValue | None:
        if not self.is_product:
            return new_value(self.operand)
        product = multiply(int32_value(0), self.operand)  # NaN for infinity, -0.0 for negatives
        assert product is not None
        return new_value(product)


class ExtremeLeaf(LeafNode):
    """$min and $max, in the order of all values of all types."""

    def __init__(self, path: str, operand: Value, is_max: bool) -> None:
        self.operand = operand
        self.key = operand.key()
        self.is_max = is_max

    def is_local(self) -> bool:
        return True

    def change(self, value: MutableValue, context: UpdateContext) -> None:
        current = value.value().key()
        if self.key > current if self.is_max else self.key < current:
            value.replace(self.operand)

    def initial(self, context: UpdateContext) -> MutableValue | None:
        return new_value(self.operand)


class BitLeaf(LeafNode):
    """$bit: and, or, xor of whole numbers, in the order they are written."""

    def __init__(self, path: str, operand: Value) -> None:
        self.operations: list[tuple[str, Value]] = []
        if operand.bson_type != TYPE_DOCUMENT:
            raise refusal(
                BAD_VALUE,
                f"The $bit modifier is not compatible with a {operand.type_name()}. You must pass"
                " in an embedded document: {$bit: {field: {and/or/xor: #}}",
            )
        for name, number in operand.fields():
            text = describe_field(name, number)
            if name not in _BIT_OPERATIONS:
                raise refusal(
                    BAD_VALUE,
                    f"The $bit modifier only supports 'and', 'or', and 'xor', not '{name}' which"
                    f" is an unknown operator: {text}",
                )
            if number.bson_type != TYPE_INT32 and number.bson_type != TYPE_INT64:
                raise refusal(
                    BAD_VALUE,
                    "The $bit modifier field must be an Integer(32/64 bit); a "
                    f"'{number.type_name()}' is not supported here: {text}",
                )
            self.operations.append((name, number))
        if not self.operations:
            raise refusal(
                BAD_VALUE,
                "You must pass in at least one bitwise operation. The format is: "
                "{$bit: {field: {and/or/xor: #}}",
            )

    def is_local(self) -> bool:
        return True

    def change(self, value: MutableValue, context: UpdateContext) -> None:
        if value.bson_type != TYPE_INT32 and value.bson_type != TYPE_INT64:
            raise refusal(
                BAD_VALUE,
                f"Cannot apply $bit to a value of non-integral type. {context.id_text()} has the"
                f" field {_last_name(context)} of non-integer type"
                f" {TYPE_NAMES[value.bson_type]}",
            )
        value.replace(self._result(value.value()))

    def initial(self, context: UpdateContext) -> MutableValue | None:
        return new_value(self._result(int32_value(0)))

    def _result(self, current: Value) -> Value:
        for operator, operand in self.operations:
            current = bitwise(operator, current, operand)
        return current


class CurrentDateLeaf(LeafNode):
    """$currentDate: the time of the update, as a date or a timestamp."""

    def __init__(self, path: str, operand: Value) -> None:
        self.is_timestamp = False
        if operand.bson_type == TYPE_BOOLEAN:
            return
        kind = ""
        if operand.bson_type == TYPE_DOCUMENT:
            for name, value in operand.fields():
                if name != "$type":
                    raise refusal(BAD_VALUE, f"Unrecognized $currentDate option: {name}")
                kind = value.text() if value.bson_type == TYPE_STRING else ""
        if kind != "date" and kind != "timestamp":
            raise refusal(
                BAD_VALUE,
                f"{operand.type_name()} is not valid type for $currentDate. Please use a boolean"
                " ('true') or a $type expression ({$type: 'timestamp/date'}).",
            )
        self.is_timestamp = kind == "timestamp"

    def is_local(self) -> bool:
        return True

    def change(self, value: MutableValue, context: UpdateContext) -> None:
        value.replace(self._now(context))

    def initial(self, context: UpdateContext) -> MutableValue | None:
        return new_value(self._now(context))

    def _now(self, context: UpdateContext) -> Value:
        milliseconds = context.now_milliseconds
        writer = BytesWriter()
        if self.is_timestamp:
            write_i64_le(writer, (milliseconds // 1000) << 32 | 1)
            return Value(TYPE_TIMESTAMP, writer.getvalue())
        write_i64_le(writer, milliseconds)
        return Value(TYPE_DATE, writer.getvalue())


class RenameLeaf(LeafNode):
    """$rename, standing at the target path: the source's value moves here, if there is one."""

    def __init__(self, source: str, target: str) -> None:
        self.source = [name.encode("utf-8") for name in source.split(".")]
        self.source_text = source

    def apply(self, parent: MutableValue, place: int, context: UpdateContext) -> None:
        target = parent.children[place]  # taking the source away may move it to another place
        moved = self._take_source(context)
        if moved is not None:
            self._check_target(context)
            target.become(moved)

    def apply_missing(
        self, parent: MutableValue, missing: list[bytes], context: UpdateContext
    ) -> None:
        moved = self._take_source(context)
        if moved is not None:
            self._check_target(context)
            create_path(parent, missing, moved, context)

    def _take_source(self, context: UpdateContext) -> MutableValue | None:
        """Remove the source from the document and return it; None when it is not there."""
        holder = context.root
        for name in self.source[:-1]:
            place = holder.find(name)
            if place < 0:
                return None
            holder = holder.children[place]
            self._refuse_array(holder, self.source_text, "source", name, context)
        place = holder.find(self.source[len(self.source) - 1])
        if place < 0:
            return None
        source = holder.children[place]
        moved = MutableValue(source.bson_type, source.to_bytes())
        holder.remove(place)
        return moved

    def _check_target(self, context: UpdateContext) -> None:
        holder = context.root
        for name in context.taken[:-1]:
            place = holder.find(name)
            if place < 0:
                return
            holder = holder.children[place]
            self._refuse_array(holder, context.path_text(), "destination", name, context)

    def _refuse_array(
        self, holder: MutableValue, path: str, role: str, name: bytes, context: UpdateContext
    ) -> None:
        if holder.bson_type == TYPE_ARRAY:
            raise refusal(
                BAD_VALUE,
                f"The {role} field cannot be an array element, '{path}' in doc with"
                f" {context.id_text()} has an array field called '{name.decode('utf-8')}'",
            )


def rename_target(source: str, operand: Value) -> str:
    """Return the target path of {$rename: {source: operand}}, or refuse."""
    text = describe_field(source, operand)[1:-1]
    if operand.bson_type != TYPE_STRING:
        raise refusal(BAD_VALUE, f"The 'to' field for $rename must be a string: {text}")
    target = operand.text()
    if "\0" in target:
        raise refusal(BAD_VALUE, "The 'to' field for $rename cannot contain an embedded null byte")
    if source == target:
        raise refusal(BAD_VALUE, f"The source and target field for $rename must differ: {text}")
    if source.startswith(target + ".") or target.startswith(source + "."):
        raise refusal(
            BAD_VALUE,
            f"The source and target field for $rename must not be on the same path: {text}",
        )
    for role, path in (("source", source), ("destination", target)):
        if "$" in path.split(".") or "$[" in path:
            raise refusal(BAD_VALUE, f"The {role} field for $rename may not be dynamic: {path}")
    return target


def _last_name(context: UpdateContext) -> str:
    return context.taken[len(context.taken) - 1].decode("utf-8")
