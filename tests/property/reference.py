"""MongoDB's filters, sorts and common updates on Python values, as simply as they can be written.

Slow, and meant to be read: one function per rule. It knows null, booleans, numbers, strings, dates,
arrays and documents.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from datetime import datetime
from functools import cmp_to_key
from typing import Any

MISSING = object()


# -- order -----------------------------------------------------------------------------------


def bracket(value: Any) -> int:
    """The place of a value's type in the order of types."""
    if value is MISSING or value is None:
        return 1
    if isinstance(value, bool):
        return 7
    if isinstance(value, int | float):
        return 2
    if isinstance(value, str):
        return 3
    if isinstance(value, dict):
        return 4
    if isinstance(value, list):
        return 5
    assert isinstance(value, datetime)
    return 8


def compare(a: Any, b: Any) -> int:
    """-1, 0 or 1, across all types."""
    if bracket(a) != bracket(b):
        return -1 if bracket(a) < bracket(b) else 1
    if bracket(a) == 1:
        return 0
    if isinstance(a, dict):
        return compare_lists(
            [x for k, v in a.items() for x in (bracket(v), k, v)],
            [x for k, v in b.items() for x in (bracket(v), k, v)],
        )
    if isinstance(a, list):
        return compare_lists(a, b)
    if isinstance(a, str):
        a, b = a.encode(), b.encode()
    if isinstance(a, float) and math.isnan(a):
        return 0 if isinstance(b, float) and math.isnan(b) else -1
    if isinstance(b, float) and math.isnan(b):
        return 1
    return (a > b) - (a < b)


def compare_lists(a: list[Any], b: list[Any]) -> int:
    for x, y in zip(a, b):
        result = compare(x, y)
        if result:
            return result
    return (len(a) > len(b)) - (len(a) < len(b))


# -- paths -----------------------------------------------------------------------------------


def values_at(value: Any, names: list[str]) -> list[Any]:
    """Every value a path leads to; MISSING where it leads nowhere."""
    if not names:
        return [*value, value] if isinstance(value, list) else [value]
    return values_below(value, names)


def values_below(value: Any, names: list[str]) -> list[Any]:
    name, rest = names[0], names[1:]
    if isinstance(value, dict):
        return values_at(value[name], rest) if name in value else [MISSING]
    if not isinstance(value, list):
        return [MISSING]
    found: list[Any] = []
    for position, item in enumerate(value):
        if isinstance(item, dict):
            found += values_below(item, names)
        if str(position) == name:
            if not rest:
                found.append(item)  # reached by its number: an array is not opened
            elif isinstance(item, dict | list):
                found += values_below(item, rest)
    return found or [MISSING]


# -- filters ---------------------------------------------------------------------------------


def matches(document: dict[str, Any], filter: dict[str, Any]) -> bool:
    for name, condition in filter.items():
        if name == "$and":
            holds = all(matches(document, each) for each in condition)
        elif name == "$or":
            holds = any(matches(document, each) for each in condition)
        elif name == "$nor":
            holds = not any(matches(document, each) for each in condition)
        else:
            holds = path_holds(document, name, condition)
        if not holds:
            return False
    return True


def path_holds(document: Any, path: str, condition: Any) -> bool:
    if not is_operators(condition):
        condition = {"$eq": condition}
    return all(operator_holds(document, path, name, operand) for name, operand in condition.items())


def is_operators(condition: Any) -> bool:
    return isinstance(condition, dict) and any(name.startswith("$") for name in condition)


def operator_holds(document: Any, path: str, name: str, operand: Any) -> bool:
    names = path.split(".")
    if name == "$not":
        return not path_holds(document, path, operand)
    if name == "$ne":
        return not operator_holds(document, path, "$eq", operand)
    if name == "$nin":
        return not operator_holds(document, path, "$in", operand)
    if name == "$exists":
        return any(v is not MISSING for v in values_at(document, names)) == operand
    if name == "$all":
        return bool(operand) and all(
            operator_holds(document, path, "$eq", each) for each in operand
        )
    if name == "$size":
        return any(isinstance(v, list) and len(v) == operand for v in arrays_at(document, names))
    if name == "$elemMatch":
        return any(
            element_holds(item, operand)
            for array in arrays_at(document, names)
            if isinstance(array, list)
            for item in array
        )
    return any(value_holds(value, name, operand) for value in values_at(document, names))


def arrays_at(document: Any, names: list[str]) -> list[Any]:
    """Like `values_at`, but arrays at the end of the path stay whole."""
    if len(names) == 1 and isinstance(document, dict):
        return [document.get(names[0], MISSING)]
    name, rest = names[0], names[1:]
    if isinstance(document, dict):
        return arrays_at(document[name], rest) if name in document else [MISSING]
    if not isinstance(document, list):
        return [MISSING]
    found: list[Any] = []
    for position, item in enumerate(document):
        if isinstance(item, dict):
            found += arrays_at(item, names)
        if str(position) == name:
            if not rest:
                found.append(item)
            elif isinstance(item, dict | list):
                found += arrays_at(item, rest)
    return found


def element_holds(item: Any, condition: dict[str, Any]) -> bool:
    if is_operators(condition):
        return all(value_holds(item, name, operand) for name, operand in condition.items())
    if isinstance(item, list):
        item = {str(position): each for position, each in enumerate(item)}
    return isinstance(item, dict) and matches(item, condition)


def value_holds(value: Any, name: str, operand: Any) -> bool:
    if name == "$in":
        return any(value_holds(value, "$eq", each) for each in operand)
    if name == "$ne":
        return not value_holds(value, "$eq", operand)
    if name == "$exists":
        return (value is not MISSING) == operand
    if name == "$type":
        return type_name(value) == operand or (operand == "number" and bracket(value) == 2)
    if name == "$mod":
        return is_whole_number(value) and math.fmod(int(value), operand[0]) == operand[1]
    if bracket(value) != bracket(operand):
        return False
    if is_nan(value) or is_nan(operand):
        return is_nan(value) and is_nan(operand) and name in ("$eq", "$gte", "$lte")
    result = compare(value, operand)
    return {
        "$eq": result == 0,
        "$gt": result > 0,
        "$gte": result >= 0,
        "$lt": result < 0,
        "$lte": result <= 0,
    }[name]


def is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def is_whole_number(value: Any) -> bool:
    return bracket(value) == 2 and math.isfinite(value)


def type_name(value: Any) -> str:
    if value is MISSING:
        return "missing"
    if isinstance(value, int) and not isinstance(value, bool):
        return "int" if -(2**31) <= value < 2**31 else "long"
    names: dict[type, str] = {
        type(None): "null",
        bool: "bool",
        float: "double",
        str: "string",
        dict: "object",
        list: "array",
        datetime: "date",
    }
    return names[type(value)]


# -- sorting ---------------------------------------------------------------------------------


def sort_value(document: dict[str, Any], path: str, direction: int) -> Any:
    """Of all values at a path, the one that comes first."""
    candidates = sort_values(document, path.split("."))
    key = cmp_to_key(compare_for_sort)
    return min(candidates, key=key) if direction > 0 else max(candidates, key=key)


EMPTY = "(an empty array)"


def compare_for_sort(a: Any, b: Any) -> int:
    """As `compare`; an empty array comes before null."""
    if a is EMPTY or b is EMPTY:
        return (b is EMPTY) - (a is EMPTY)
    return compare(a, b)


def sort_values(value: Any, names: list[str], by_number: bool = False) -> list[Any]:
    """The values at a path; those of an array at its end, unless a number led to that array."""
    if not names:
        if value == []:
            return [EMPTY]
        return value if isinstance(value, list) and not by_number else [value]
    name, rest = names[0], names[1:]
    if isinstance(value, dict):
        return sort_values(value.get(name, MISSING), rest)
    if isinstance(value, list):
        if name.isdigit() and int(name) < len(value):
            return sort_values(value[int(name)], rest, by_number=True)
        documents = [item if isinstance(item, dict) else {} for item in value]
        return [each for item in documents for each in sort_values(item, names)] or [MISSING]
    return [MISSING]


def sorted_ids(documents: list[dict[str, Any]], sort: list[tuple[str, int]]) -> list[Any]:
    """The ids in an order that has `_id` last, so that no two documents are equal in it."""

    def order(a: dict[str, Any], b: dict[str, Any]) -> int:
        for path, direction in sort:
            result = compare_for_sort(
                sort_value(a, path, direction), sort_value(b, path, direction)
            )
            if result:
                return result * direction
        return 0

    return [document["_id"] for document in sorted(documents, key=cmp_to_key(order))]


# -- updates ---------------------------------------------------------------------------------


def updated(document: dict[str, Any], update: dict[str, Any]) -> dict[str, Any]:
    """What a document becomes: fields in the order of their paths, which lead through documents."""
    result = copy.deepcopy(document)
    changes = [
        (path, operator, operand)
        for operator, fields in update.items()
        for path, operand in fields.items()
    ]
    for path, operator, operand in sorted(changes, key=lambda each: each[0]):
        change(result, path.split("."), OPERATORS[operator], operand)
    return result


def change(
    holder: dict[str, Any], names: list[str], apply: Callable[[Any, Any], Any], operand: Any
) -> None:
    name, rest = names[0], names[1:]
    if rest:
        inner = holder.get(name, MISSING)
        if inner is MISSING:
            if apply is unset:
                return
            inner = holder[name] = {}
        change(inner, rest, apply, operand)
        return
    value = apply(holder.get(name, MISSING), operand)
    if value is MISSING:
        holder.pop(name, None)
    else:
        holder[name] = value


def unset(_old: Any, _operand: Any) -> Any:
    return MISSING


def push(old: Any, operand: Any) -> Any:
    return [operand] if old is MISSING else [*old, operand]


def add_to_set(old: Any, operand: Any) -> Any:
    old = [] if old is MISSING else old
    return old if any(compare(each, operand) == 0 for each in old) else [*old, operand]


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "$set": lambda _old, operand: operand,
    "$unset": unset,
    "$inc": lambda old, operand: operand if old is MISSING else old + operand,
    "$mul": lambda old, operand: 0 * operand if old is MISSING else old * operand,
    "$min": lambda old, operand: operand if old is MISSING or compare(operand, old) < 0 else old,
    "$max": lambda old, operand: operand if old is MISSING or compare(operand, old) > 0 else old,
    "$push": push,
    "$addToSet": add_to_set,
}
