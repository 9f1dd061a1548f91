"""What client, database and collection have in common: how to decode, and how durable to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bson.codec_options import CodecOptions
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import (
    Nearest,
    Primary,
    PrimaryPreferred,
    Secondary,
    SecondaryPreferred,
)
from pymongo.write_concern import WriteConcern

from cbdd.catalog.refusal import BAD_VALUE, refusal

if TYPE_CHECKING:
    from cbdd.client.session import ClientSession

ReadPreferenceMode = Primary | PrimaryPreferred | Secondary | SecondaryPreferred | Nearest
FULL = "full"


class Settings:
    """Codec options, read preference, write concern and read concern of a client object.

    Read preference and read concern are kept for the code that reads them back: one file has one
    state, and every read sees what was acknowledged.
    """

    def __init__(
        self,
        codec_options: CodecOptions[Any],
        read_preference: ReadPreferenceMode,
        write_concern: WriteConcern,
        read_concern: ReadConcern,
    ) -> None:
        if not isinstance(codec_options, CodecOptions):
            raise TypeError("codec_options must be an instance of bson.codec_options.CodecOptions")
        if not isinstance(read_preference, ReadPreferenceMode):
            raise TypeError(
                f"{read_preference!r} is not valid for read_preference. See "
                "pymongo.read_preferences for valid options."
            )
        if not isinstance(write_concern, WriteConcern):
            raise TypeError(
                "write_concern must be an instance of pymongo.write_concern.WriteConcern, not "
                f"{type(write_concern)}"
            )
        if not isinstance(read_concern, ReadConcern):
            raise TypeError(
                "read_concern must be an instance of pymongo.read_concern.ReadConcern, not "
                f"{type(read_concern)}"
            )
        self._codec_options = codec_options
        self._read_preference = read_preference
        self._write_concern = write_concern
        self._read_concern = read_concern

    @property
    def codec_options(self) -> CodecOptions[Any]:
        """How documents are encoded and decoded."""
        return self._codec_options

    @property
    def read_preference(self) -> ReadPreferenceMode:
        """The read preference; changes nothing on one machine."""
        return self._read_preference

    @property
    def write_concern(self) -> WriteConcern:
        """The write concern: ``j=True`` asks for durability ``full``."""
        return self._write_concern

    @property
    def read_concern(self) -> ReadConcern:
        """The read concern; every read sees what was acknowledged."""
        return self._read_concern

    def _write_concern_for(self, session: ClientSession | None) -> WriteConcern:
        """Return the write concern of a statement: inside a transaction the commit has its own."""
        if session is not None and session.in_transaction:
            return WriteConcern()
        return self._write_concern


def durability_of(write_concern: WriteConcern) -> str | None:
    """Return the durability a write concern asks for, None for the one the file was opened with.

    :raises OperationFailure: it asks for more than one server, and there is only one.
    """
    document = write_concern.document
    nodes = document.get("w")
    if isinstance(nodes, int) and nodes > 1:
        raise refusal(BAD_VALUE, "cannot use 'w' > 1 when a host is not replicated")
    if document.get("j") or document.get("fsync"):
        return FULL
    return None
