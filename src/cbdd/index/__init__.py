"""Indexes as ordered bytes: key strings, what a document contributes, what a query must scan."""

from cbdd.index.key_string import (
    KEY_STRING_VERSION,
    MAX_KEY,
    MIN_KEY,
    NULL_KEY,
    encode_python,
    encode_value,
    invert,
    type_bracket,
)

__all__ = [
    "KEY_STRING_VERSION",
    "MAX_KEY",
    "MIN_KEY",
    "NULL_KEY",
    "encode_python",
    "encode_value",
    "invert",
    "type_bracket",
]
