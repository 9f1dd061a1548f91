"""Checking and shaping arguments as PyMongo does, with its classes of errors.

`TypeError` and `ValueError` come from here, before anything is read or written.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence, Set
from typing import Any

from bson.codec_options import CodecOptions
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import ASCENDING
from pymongo.collation import Collation

from cbdd.catalog.index_options import check_collation as catalog_check
from cbdd.catalog.refusal import BAD_VALUE, refusal
from cbdd.document.encoding import encode_document

IndexKeys = str | Sequence[str | tuple[str, Any]] | Mapping[str, Any]
"""What PyMongo takes for the keys of an index, a sort or a hint."""


def check_mapping(option: str, value: object) -> None:
    """Raise `TypeError` unless the value is a mapping."""
    if type(value) is not dict and not isinstance(value, Mapping):
        raise TypeError(
            f"{option} must be an instance of dict, bson.son.SON, or any other type that inherits "
            f"from collections.Mapping, not {type(value)}"
        )


def check_document(option: str, value: object) -> None:
    """Raise `TypeError` unless the value can be stored as a document."""
    if type(value) is dict:
        return  # what nearly every document is; asking an abstract class takes ten times as long
    if not isinstance(value, (MutableMapping, RawBSONDocument)):
        raise TypeError(
            f"{option} must be an instance of dict, bson.son.SON, bson.raw_bson.RawBSONDocument, "
            f"or a type that inherits from collections.MutableMapping, not {type(value)}"
        )


def check_list(option: str, value: object) -> None:
    """Raise `TypeError` unless the value is a list."""
    if not isinstance(value, list):
        raise TypeError(f"{option} must be a list, not {type(value)}")


def check_boolean(option: str, value: object) -> None:
    """Raise `TypeError` unless the value is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{option} must be True or False, was: {option}={value!r}")


def check_int(option: str, value: object) -> None:
    """Raise `TypeError` unless the value is an int."""
    if not isinstance(value, int):
        raise TypeError(f"{option} must be an integer, not {type(value)}")


def check_not_negative(option: str, value: int) -> None:
    """Raise unless the value is an int that is not below 0."""
    check_int(option, value)
    if value < 0:
        raise ValueError(f"{option} must be >= 0")


def check_time(milliseconds: Any) -> Any:
    """Return a time limit; raise the server's error for one below 0."""
    if milliseconds is not None and milliseconds < 0:
        raise refusal(BAD_VALUE, f"{milliseconds} value for maxTimeMS is out of range")
    return milliseconds


def check_replacement(replacement: object) -> None:
    """Raise unless this is a document without update operators."""
    check_mapping("replacement", replacement)
    assert isinstance(replacement, Mapping)
    if replacement and not isinstance(replacement, RawBSONDocument):
        if str(next(iter(replacement))).startswith("$"):
            raise ValueError("replacement can not include $ operators")


def check_update(update: object) -> None:
    """Raise unless this is a document of update operators or a list of pipeline stages."""
    is_mapping = type(update) is dict or isinstance(update, Mapping)
    if not is_mapping and not isinstance(update, list):
        raise TypeError(
            "update must either be a list or an instance of dict, bson.son.SON, or any other type "
            f"that inherits from collections.Mapping, not {type(update)}"
        )
    if not update:
        raise ValueError("update cannot be empty")
    if is_mapping and not str(next(iter(update))).startswith("$"):  # type: ignore[call-overload]
        raise ValueError("update only works with $ operators")


def index_pairs(keys: object, direction: int | str | None = None) -> list[tuple[str, Any]]:
    """Return the (field, direction) pairs of an index or sort specification.

    >>> index_pairs("price")
    [('price', 1)]
    >>> index_pairs(["city", ("price", -1)])
    [('city', 1), ('price', -1)]
    """
    if direction is not None:
        if not isinstance(keys, str):
            raise TypeError(f"Expected a string and a direction, not {type(keys)}")
        return [(keys, direction)]
    if isinstance(keys, str):
        return [(keys, ASCENDING)]
    if isinstance(keys, Mapping):
        return list(keys.items())
    if not isinstance(keys, (list, tuple)):
        raise TypeError(
            "if no direction is specified, key_or_list must be an instance of list, "
            f"not {type(keys)}"
        )
    return [(each, ASCENDING) if isinstance(each, str) else each for each in keys]


def index_document(keys: object) -> dict[str, Any]:
    """Return an index or sort specification as the document MongoDB's commands hold."""
    if not isinstance(keys, (list, tuple, Mapping)):
        raise TypeError(f"must use a dictionary or a list of (key, direction) pairs, not: {keys!r}")
    if not keys:
        raise ValueError("key_or_list must not be empty")
    document: dict[str, Any] = {}
    for field, direction in index_pairs(keys):
        if not isinstance(field, str):
            raise TypeError(
                f"first item in each key pair must be an instance of str, not {type(field)}"
            )
        if not isinstance(direction, (str, int, Mapping)):
            raise TypeError(
                "second item in each key pair must be 1, -1, '2d', or another valid MongoDB index "
                f"specifier., not {type(direction)}"
            )
        document[field] = direction
    return document


def hint_of(hint: object) -> str | dict[str, Any] | None:
    """Return a hint as an index name or a key document."""
    if hint is None or isinstance(hint, str):
        return hint
    return index_document(hint)


def check_let(let: object) -> None:
    """Raise `TypeError` unless the variables of a statement are a mapping or None."""
    if let is not None:
        check_mapping("let", let)


def check_collation(collation: object) -> None:
    """Accept None and the simple collation, which compares bytes; refuse every other by name."""
    if collation is None:
        return
    if isinstance(collation, Collation):
        collation = collation.document
    catalog_check(collation, "a query")


def projection_of(projection: object) -> Mapping[str, Any] | None:
    """Return a projection as a mapping; a list of names includes those fields."""
    if projection is None or isinstance(projection, Mapping):
        return projection
    if isinstance(projection, (Sequence, Set)):
        if not all(isinstance(field, str) for field in projection):
            raise TypeError("projection must be a list of key names, each an instance of str")
        return dict.fromkeys(projection, 1)
    raise TypeError("projection must be a mapping or list of key names")


def give_id(document: Any) -> Any:
    """Add an `_id` to a document that has none and return it; None for a `RawBSONDocument`."""
    if type(document) is not dict and isinstance(document, RawBSONDocument):
        return None
    if "_id" not in document:
        document["_id"] = ObjectId()
    return document["_id"]


encode = encode_document


def encode_update(
    update: Mapping[str, Any] | Sequence[Mapping[str, Any]], codec_options: CodecOptions[Any]
) -> bytes | Sequence[Mapping[str, Any]]:
    """Return an update as BSON; a pipeline is left as it is, to be refused."""
    if type(update) is dict or isinstance(update, Mapping):
        return encode(update, codec_options)
    return update
