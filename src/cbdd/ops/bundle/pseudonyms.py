"""Names that stand for names: the same for the same name and key, and nothing without the key.

A pseudonym is a letter for the kind and 12 hexadecimal digits of HMAC-SHA256 over kind and name.
The key stays with whoever made the bundle; with it and the file they can say which is which.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
from typing import Final

from cbdd.errors import UsageError

KEY_BYTES: Final = 32
KINDS: Final = {"database": "d", "collection": "c", "index": "i", "field": "f", "uuid": "u"}
_DIGITS: Final = 12


class Pseudonyms:
    """Makes pseudonyms with one key, and remembers what they stand for."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.names: dict[str, str] = {}

    def of(self, kind: str, name: str) -> str:
        """The pseudonym of a name; empty for an empty one.

        :param kind: one of `KINDS`.
        """
        if not name:
            return ""
        message = f"{kind}\0{name}".encode("utf-8", "surrogatepass")
        digest = hmac.new(self._key, message, "sha256").hexdigest()[:_DIGITS]
        made = f"{KINDS[kind]}-{digest}"
        self.names[made] = name
        return made

    def of_path(self, path: str) -> str:
        """A field path with a pseudonym for each part; wildcards and numbers stay."""
        return ".".join(
            part if part == "$**" or part.isdigit() or part == "_id" else self.of("field", part)
            for part in path.split(".")
        )


def new_key() -> bytes:
    """A new key."""
    return secrets.token_bytes(KEY_BYTES)


def save_key(path: str, key: bytes) -> None:
    """Keep a key in a new file that only its owner may read.

    :raises UsageError: the file is there already.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise UsageError(
            "OUTPUT_EXISTS", f"{path} is there already", "name another, or use it with --key"
        ) from error
    try:
        os.write(fd, key.hex().encode() + b"\n")
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    finally:
        os.close(fd)


def load_key(path: str) -> bytes:
    """The key in a file.

    :raises UsageError: the file holds none.
    """
    try:
        with open(path, encoding="ascii") as file:
            key = bytes.fromhex(file.read(4 * KEY_BYTES).strip())
    except (ValueError, UnicodeDecodeError):
        key = b""
    if len(key) != KEY_BYTES:
        raise UsageError(
            "BUNDLE_KEY", f"{path} holds no key of {KEY_BYTES} bytes", "name the file `bundle` made"
        )
    return key
