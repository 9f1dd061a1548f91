"""Refusing by name what PyMongo has and this release has not.

An argument that would change the result and is not carried out would make the result wrong without
anyone noticing, so every such argument raises when it is given. What changes no result on one
machine (comments, read preferences, whether a sort may use the disk) is accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo.errors import OperationFailure

from cbdd.catalog.refusal import NOT_SUPPORTED, refusal


def unsupported(what: str) -> OperationFailure:
    """Return (not raise) the error for something this release does not do."""
    return refusal(NOT_SUPPORTED, f"{what} is not supported by this release of CBDD")


def refuse_arguments(method: str, **arguments: object) -> None:
    """Raise for the first argument that was given, that is, is neither None nor False."""
    for name, value in arguments.items():
        if value is not None and value is not False:
            raise unsupported(f"{method}: the argument {name!r}")


def refuse_keywords(method: str, keywords: Mapping[str, Any]) -> None:
    """Raise for keywords that are left over once the known ones are taken out."""
    for name in keywords:
        raise unsupported(f"{method}: the argument {name!r}")
