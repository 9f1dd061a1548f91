"""`connect`: a path opens a file, a MongoDB URI opens PyMongo's client."""

from __future__ import annotations

import os
from typing import Any, Final, cast

from pymongo import MongoClient
from pymongo.errors import ConfigurationError

from cbdd.client.client import Client
from cbdd.client.options import STORAGE_OPTIONS

_OF_FILES: Final = ("default_database", "mode", "slow_operation_seconds")
_URI_SCHEMES: Final = ("mongodb://", "mongodb+srv://")


def connect(path_or_uri: str | os.PathLike[str], **options: Any) -> Client[dict[str, Any]]:
    """Open a database file, or connect to a MongoDB deployment.

    A file that does not exist is created. The same code then runs on a cluster by changing the
    argument: ``mongodb://`` and ``mongodb+srv://`` URIs return PyMongo's `MongoClient`, which has
    the same methods. Options that tune the file are left out there.

    :param path_or_uri: path of the file, or a MongoDB URI.
    :param options: of the file: ``page_size_bytes``, ``cache_size_bytes``, ``durability``
        (``"full"``, ``"normal"`` or ``"off"``), ``checkpoint_log_bytes``,
        ``lock_timeout_seconds``, ``must_exist``, ``archive``; ``mode``: ``"rw"``, ``"ro"`` for
        reading only, ``"salvage"`` for reading what is left of a damaged file (also as
        ``read_only`` and ``salvage``); ``slow_operation_seconds``;
        ``default_database``, else the name of the file without its ending; and of PyMongo's
        client: ``event_listeners``, ``document_class``, ``tz_aware``, ``tzinfo``,
        ``type_registry``, ``uuidRepresentation``, ``datetime_conversion``, ``w``, ``journal``.
    :raises NotADatabaseError: the file is something else.

    >>> import cbdd
    >>> with cbdd.connect("shop.cbdd") as client:
    ...     orders = client.get_default_database().orders
    ...     orders.insert_one({"_id": 1, "item": "tea", "qty": 2}).inserted_id
    ...     orders.find_one({"item": "tea"})
    1
    {'_id': 1, 'item': 'tea', 'qty': 2}
    """
    target = os.fspath(path_or_uri)
    if not isinstance(target, str):
        raise TypeError(f"path_or_uri must be a str or a path, not {type(path_or_uri)}")
    if target.startswith(_URI_SCHEMES):
        return cast("Client[dict[str, Any]]", _connect_to_cluster(target, options))
    return Client(target, **options)


def _connect_to_cluster(uri: str, options: dict[str, Any]) -> MongoClient[dict[str, Any]]:
    if options.get("read_only") or options.get("mode") not in (None, "rw"):
        raise ConfigurationError("read_only=True opens a file for reading, not a MongoDB URI")
    if options.get("default_database") is not None:
        raise ConfigurationError("name the default database in the URI: mongodb://host/name")
    driver = {
        name: value
        for name, value in options.items()
        if name not in STORAGE_OPTIONS and name not in _OF_FILES
    }
    if options.get("durability") == "full":
        driver.setdefault("journal", True)
    return MongoClient(uri, **driver)
