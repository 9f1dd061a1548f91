"""The options of `connect`: those of the file, and those PyMongo's client has."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final

from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo.errors import ConfigurationError, PyMongoError
from pymongo.monitoring import CommandListener, _EventListener
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from cbdd.catalog.namespace import check_database_name
from cbdd.client.operations import SLOW_SECONDS
from cbdd.client.settings import ReadPreferenceMode
from cbdd.errors import UsageError
from cbdd.storage import StorageEngine, StorageOptions

STORAGE_OPTIONS: Final = (
    "page_size_bytes",
    "cache_size_bytes",
    "durability",
    "checkpoint_log_bytes",
    "lock_timeout_seconds",
    "sync_interval_seconds",
    "read_only",
    "salvage",
    "must_exist",
    "background",
    "flight_recorder",
    "max_transaction_bytes",
    "reserve_bytes",
    "log_allocation_bytes",
    "archive",
    "archive_retention_seconds",
)

_MODES: Final = ("rw", "ro", "salvage")
_PER_CLIENT: Final = frozenset(
    ["durability", "must_exist", "page_size_bytes", "read_only", "salvage"]
)

_UUID_REPRESENTATIONS: Final = {
    "unspecified": 0,
    "pythonlegacy": 3,
    "standard": 4,
    "javalegacy": 5,
    "csharplegacy": 6,
}

_WITHOUT_EFFECT: Final = frozenset(
    [
        "appname",
        "compressors",
        "connect",
        "connecttimeoutms",
        "directconnection",
        "driver",
        "heartbeatfrequencyms",
        "localthresholdms",
        "loadbalanced",
        "maxconnecting",
        "maxidletimems",
        "maxpoolsize",
        "maxstalenessseconds",
        "minpoolsize",
        "replicaset",
        "retryreads",
        "retrywrites",
        "servermonitoringmode",
        "serverselectiontimeoutms",
        "sockettimeoutms",
        "waitqueuetimeoutms",
        "wtimeoutms",
        "zlibcompressionlevel",
    ]
)
"""PyMongo's options about connections and servers: there are none."""


class ClientOptions:
    """The options of a client, sorted out."""

    def __init__(self, path: str, options: Mapping[str, Any]) -> None:
        storage: dict[str, Any] = {}
        driver: dict[str, Any] = {}
        for name, value in options.items():
            if name in STORAGE_OPTIONS:
                storage[name] = value
            else:
                driver[name.lower().replace("_", "")] = (name, value)
        _apply_mode(_take(driver, "mode"), storage)
        if storage.get("archive") is False:
            storage["archive"] = ""
            storage["ends_archive"] = True
        elif "archive" in storage:
            storage["archive"] = os.path.abspath(os.fspath(storage["archive"]))
        self.storage = StorageOptions(**storage)
        self._chosen = frozenset(storage)
        self.named_database = _named_database(_take(driver, "defaultdatabase"))
        self.stem_database = _stem_database(path)
        self.slow_seconds = _slow_seconds(_take(driver, "slowoperationseconds"))
        self.event_listeners = _event_listeners(_take(driver, "eventlisteners"))
        self.codec_options = _codec_options(driver)
        self.write_concern = _write_concern(driver)
        self.read_concern = _read_concern(driver)
        self.read_preference = _read_preference(driver)
        for folded, (name, _) in driver.items():
            if folded not in _WITHOUT_EFFECT:
                raise ConfigurationError(f"Unknown option {name}")

    def require_agreement(self, engine: StorageEngine) -> None:
        """Refuse options that another client of this process has chosen otherwise.

        One file has one engine in a process. Its durability is each client's own; page size and
        `must_exist` are about creating the file.

        :raises UsageError: an option given here is not the one the file is open with.
        """
        for name in STORAGE_OPTIONS:
            if name not in self._chosen or name in _PER_CLIENT:
                continue
            wanted, given = getattr(self.storage, name), getattr(engine.options, name)
            if wanted != given:
                raise UsageError(
                    "OPTION",
                    f"{engine.path} is already open in this process with {name}={given!r}, "
                    f"not {wanted!r}",
                    "leave the option out or give the same value everywhere",
                    {"path": engine.path, "option": name, "expected": given, "found": wanted},
                )


def _take(driver: dict[str, Any], name: str) -> Any:
    """Take an option out and return its value, None when it was not given."""
    return driver.pop(name, ("", None))[1]


def _apply_mode(mode: object, storage: dict[str, Any]) -> None:
    """Read ``mode``: ``"rw"``, ``"ro"`` for reading only, ``"salvage"`` for what is not damaged."""
    if mode is None:
        return
    if mode not in _MODES:
        raise UsageError("OPTION", f"mode is {mode!r}", "use 'rw', 'ro' or 'salvage'")
    if "read_only" in storage or "salvage" in storage:
        raise UsageError("OPTION", "mode with read_only or salvage", "give one of them")
    storage["read_only"] = mode != "rw"
    storage["salvage"] = mode == "salvage"


def _slow_seconds(value: object) -> float:
    if value is None:
        return SLOW_SECONDS
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise ValueError(f"slow_operation_seconds must be 0 or more, not {value!r}")
    return float(value)


def _event_listeners(value: object) -> list[CommandListener]:
    """Return the command listeners; those of servers and connections have nothing to hear here."""
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"event_listeners must be a list or a tuple, not {type(value)}")
    for each in value:
        if not isinstance(each, _EventListener):
            raise TypeError(
                "Listeners for event_listeners must be either a CommandListener, "
                "ServerHeartbeatListener, ServerListener, TopologyListener, or "
                f"ConnectionPoolListener, not {type(each)}"
            )
    return [each for each in value if isinstance(each, CommandListener)]


def _named_database(name: object) -> str | None:
    if name is None:
        return None
    if not isinstance(name, str):
        raise TypeError(f"default_database must be an instance of str, not {type(name)}")
    check_database_name(name)
    return name


def _stem_database(path: str) -> str | None:
    """Return the file name without its ending, None when no database may be called so."""
    stem = PurePath(path).stem
    try:
        check_database_name(stem)
    except PyMongoError:
        return None
    return stem


def _codec_options(driver: dict[str, Any]) -> CodecOptions[Any]:
    arguments: dict[str, Any] = {}
    for option, argument in (
        ("documentclass", "document_class"),
        ("tzaware", "tz_aware"),
        ("tzinfo", "tzinfo"),
        ("typeregistry", "type_registry"),
        ("unicodedecodeerrorhandler", "unicode_decode_error_handler"),
    ):
        value = _take(driver, option)
        if value is not None:
            arguments[argument] = value
    representation = _take(driver, "uuidrepresentation")
    if representation is not None:
        arguments["uuid_representation"] = _uuid_representation(representation)
    conversion = _take(driver, "datetimeconversion")
    if conversion is not None:
        arguments["datetime_conversion"] = _datetime_conversion(conversion)
    return CodecOptions(**arguments)


def _uuid_representation(value: object) -> int:
    if isinstance(value, int):
        return value
    found = _UUID_REPRESENTATIONS.get(str(value).lower())
    if found is None:
        raise ValueError(
            f"{value} is an invalid UUID representation. Must be one of "
            f"{tuple(_UUID_REPRESENTATIONS)}"
        )
    return found


def _datetime_conversion(value: Any) -> DatetimeConversion:
    return DatetimeConversion[value] if isinstance(value, str) else DatetimeConversion(value)


def _write_concern(driver: dict[str, Any]) -> WriteConcern:
    journal = _take(driver, "j")
    if journal is None:
        journal = _take(driver, "journal")
    return WriteConcern(w=_take(driver, "w"), j=journal)


def _read_concern(driver: dict[str, Any]) -> ReadConcern:
    level = _take(driver, "readconcernlevel")
    return ReadConcern(level) if level is not None else ReadConcern()


def _read_preference(driver: dict[str, Any]) -> ReadPreferenceMode:
    given = _take(driver, "readpreference")
    if given is None:
        primary: ReadPreferenceMode = ReadPreference.PRIMARY
        return primary
    if isinstance(given, str):
        for mode in (
            ReadPreference.PRIMARY,
            ReadPreference.PRIMARY_PREFERRED,
            ReadPreference.SECONDARY,
            ReadPreference.SECONDARY_PREFERRED,
            ReadPreference.NEAREST,
        ):
            if mode.mongos_mode.lower() == given.lower():
                found: ReadPreferenceMode = mode
                return found
        raise ValueError(f"{given} is not a valid read preference")
    preference: ReadPreferenceMode = given
    return preference
