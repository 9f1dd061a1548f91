"""Names of databases and collections, judged by MongoDB's rules.

A name is never a path: it only ever becomes part of a catalog key, ``database NUL collection``, so
the one byte that no name may contain is NUL. What a MongoDB driver refuses raises PyMongo's
`InvalidName`; what a server refuses raises `OperationFailure` with the server's code.
"""

from __future__ import annotations

from typing import Final

from pymongo.errors import InvalidName

from cbdd.catalog.refusal import INVALID_NAMESPACE, refusal

MAX_DATABASE_NAME_BYTES: Final = 63
MAX_NAMESPACE_BYTES: Final = 255

_FORBIDDEN_IN_DATABASE: Final = ' .$/\\\0"'


def check_database_name(name: str) -> None:
    """Raise `InvalidName` or `OperationFailure` unless a database may have this name."""
    if not name:
        raise InvalidName("database name cannot be the empty string")
    for character in _FORBIDDEN_IN_DATABASE:
        if character in name:
            raise InvalidName(f"database names cannot contain the character {character!r}")
    if len(_utf8(name, "database")) > MAX_DATABASE_NAME_BYTES:
        raise refusal(
            INVALID_NAMESPACE,
            f"Invalid database name {name!r}: longer than {MAX_DATABASE_NAME_BYTES} bytes",
        )


def check_collection_name(name: str) -> None:
    """Raise `InvalidName` unless a collection may have this name."""
    if not name or ".." in name:
        raise InvalidName("collection names cannot be empty")
    if "$" in name:
        raise InvalidName(f"collection names must not contain '$': {name!r}")
    if name[0] == "." or name[-1] == ".":
        raise InvalidName(f"collection names must not start or end with '.': {name!r}")
    if "\0" in name:
        raise InvalidName("collection names must not contain the null character")
    _utf8(name, "collection")


def check_new_namespace(database: str, name: str) -> None:
    """Raise unless a collection of this name may be made: the rules above and the server's own."""
    check_database_name(database)
    check_collection_name(name)
    namespace = f"{database}.{name}"
    size = len(namespace.encode("utf-8"))
    if size > MAX_NAMESPACE_BYTES:
        raise refusal(
            INVALID_NAMESPACE,
            f"Fully qualified namespace is too long. Namespace: {namespace} "
            f"Max: {MAX_NAMESPACE_BYTES}",
        )
    if name.startswith("system."):
        raise refusal(INVALID_NAMESPACE, f"Invalid system namespace: {namespace}")


def catalog_key(database: str, name: str) -> bytes:
    """Key of a collection in the catalog tree; sorts by database, then by collection."""
    return database.encode("utf-8") + b"\0" + name.encode("utf-8")


def _utf8(name: str, kind: str) -> bytes:
    try:
        return name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidName(f"{kind} names must be valid Unicode: {name!r}") from error
