"""The command collMod: other validation, other limits of a capped collection, other index options.

Source of fields, codes and answers: MongoDB's manual, "collMod".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cbdd.catalog import CollectionEntry, CollectionWriters
from cbdd.catalog.collection_options import (
    ERROR,
    MAX,
    SIZE,
    STRICT,
    VALIDATION_ACTION,
    VALIDATION_LEVEL,
    VALIDATOR,
    capped_bytes,
    capped_documents,
    validation_options,
)
from cbdd.catalog.index_options import expire_after
from cbdd.catalog.refusal import (
    BAD_VALUE,
    INDEX_NOT_FOUND,
    INVALID_OPTIONS,
    NAMESPACE_NOT_FOUND,
    TYPE_MISMATCH,
    refusal,
)
from cbdd.client.unsupported import unsupported
from cbdd.index.definition import EXPIRE_AFTER, HIDDEN, IndexDefinition

_VALIDATION: Final = (VALIDATOR, VALIDATION_LEVEL, VALIDATION_ACTION)
_UNKNOWN_FIELD: Final = 40415
_AMBIGUOUS_PATTERN: Final = 181
_IGNORED: Final = ("comment", "writeConcern", "lsid", "$db")


def modify_collection(
    writers: CollectionWriters, database: str, command: Mapping[str, Any]
) -> dict[str, Any]:
    """Run collMod and return its answer.

    :raises OperationFailure: there is no such collection or index, or an option is not one.
    """
    name = str(command[next(iter(command))])
    entry = writers.catalog.find(writers.txn, database, name)
    if entry is None:
        raise refusal(NAMESPACE_NOT_FOUND, "ns does not exist")
    answer: dict[str, Any] = {}
    options = dict(entry.options)
    indexes = entry.indexes
    given = {key: value for key, value in list(command.items())[1:] if key not in _IGNORED}
    for key, value in given.items():
        if key == "index":
            indexes = _modify_index(entry, value, answer)
        elif key == "cappedSize" or key == "cappedMax":
            _modify_cap(entry, key, value, options)
        elif key not in _VALIDATION:
            if key in ("viewOn", "pipeline", "expireAfterSeconds", "timeseries", "dryRun"):
                raise unsupported(f"collMod: the option {key!r}")
            raise refusal(_UNKNOWN_FIELD, f"BSON field 'collMod.{key}' is an unknown field.")
    _modify_validation(given, options)
    writers.catalog.change(writers.txn, entry, options, indexes)
    if "cappedSize" in given or "cappedMax" in given:
        writer = writers.find(database, name)
        assert writer is not None
        writer.drop_oldest(b"")
    answer["ok"] = 1.0
    return answer


def _modify_validation(given: Mapping[str, Any], options: dict[str, Any]) -> None:
    changed = validation_options(given)
    validator = changed.get(VALIDATOR)
    options.update({key: value for key, value in changed.items() if key in given})
    if validator is not None and not validator:
        del options[VALIDATOR]
    if VALIDATOR in options:
        options.setdefault(VALIDATION_LEVEL, STRICT)
        options.setdefault(VALIDATION_ACTION, ERROR)


def _modify_cap(entry: CollectionEntry, key: str, value: object, options: dict[str, Any]) -> None:
    if not entry.is_capped:
        raise refusal(
            INVALID_OPTIONS,
            "Capped collection options are only supported for capped collections: "
            f"{entry.namespace}",
        )
    if key == "cappedSize":
        options[SIZE] = capped_bytes(value, key)
        return
    most = capped_documents(value, key)
    options.pop(MAX, None)
    if most:
        options[MAX] = most


def _modify_index(
    entry: CollectionEntry, spec: object, answer: dict[str, Any]
) -> list[IndexDefinition]:
    """Return the indexes with one of them changed."""
    if not isinstance(spec, Mapping):
        raise refusal(TYPE_MISMATCH, "BSON field 'collMod.index' must be an object")
    found = _find_index(entry, spec)
    options = dict(found.options)
    changes = 0
    for key, value in spec.items():
        if key in ("name", "keyPattern"):
            continue
        changes += 1
        if key == EXPIRE_AFTER:
            _require_expirable(found)
            seconds = expire_after(value)
            if EXPIRE_AFTER in options:
                answer["expireAfterSeconds_old"] = options[EXPIRE_AFTER]
            answer["expireAfterSeconds_new"] = seconds
            options[EXPIRE_AFTER] = seconds
        elif key == HIDDEN:
            _hide(found, value, options, answer)
        elif key in ("unique", "prepareUnique"):
            raise unsupported(f"collMod: the index option {key!r}")
        else:
            raise refusal(_UNKNOWN_FIELD, f"BSON field 'collMod.index.{key}' is an unknown field.")
    if not changes:
        raise refusal(
            INVALID_OPTIONS, "no expireAfterSeconds, hidden, unique, or prepareUnique field"
        )
    changed = found.replaced(options=options)
    return [changed if each is found else each for each in entry.indexes]


def _find_index(entry: CollectionEntry, spec: Mapping[str, Any]) -> IndexDefinition:
    name, pattern = spec.get("name"), spec.get("keyPattern")
    if (name is None) == (pattern is None):
        raise refusal(INVALID_OPTIONS, "must specify either index name or key pattern, not both")
    if name is not None:
        found = [each for each in entry.indexes if each.name == name]
    elif isinstance(pattern, Mapping):
        fields = list(pattern.items())
        found = [each for each in entry.indexes if list(each.key_pattern().items()) == fields]
    else:
        raise refusal(TYPE_MISMATCH, "BSON field 'collMod.index.keyPattern' must be an object")
    wanted = name if name is not None else pattern
    if not found:
        raise refusal(INDEX_NOT_FOUND, f"cannot find index {wanted} for ns {entry.namespace}")
    if len(found) > 1:
        raise refusal(
            _AMBIGUOUS_PATTERN,
            f"index keyPattern {wanted} matches {len(found)} indexes, must use index name",
        )
    return found[0]


def _require_expirable(definition: IndexDefinition) -> None:
    if len(definition.fields) > 1 or definition.is_id_index or definition.is_wildcard:
        raise refusal(
            INVALID_OPTIONS,
            f"TTL is only possible on indexes of a single field other than _id: {definition.name}",
        )


def _hide(
    definition: IndexDefinition, value: object, options: dict[str, Any], answer: dict[str, Any]
) -> None:
    if not isinstance(value, (bool, int, float)):
        raise refusal(TYPE_MISMATCH, "BSON field 'collMod.index.hidden' must be a boolean")
    if definition.is_id_index:
        raise refusal(BAD_VALUE, "can't hide _id index")
    if definition.is_hidden != bool(value):
        answer["hidden_old"] = definition.is_hidden
        answer["hidden_new"] = bool(value)
    options.pop(HIDDEN, None)
    if value:
        options[HIDDEN] = True
