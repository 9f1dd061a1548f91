"""What every part of `Collection` stands on: its names, its options and the open file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bson.codec_options import CodecOptions
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from cbdd.catalog.namespace import catalog_key, check_collection_name
from cbdd.catalog.refusal import NOT_IN_TRANSACTION, refusal
from cbdd.client.session import ClientSession, session_for
from cbdd.client.settings import ReadPreferenceMode, Settings, durability_of
from cbdd.client.shortcuts import Reading, Shortcuts
from cbdd.client.store import Store

if TYPE_CHECKING:
    from cbdd.client.database import Database

DocumentT = TypeVar("DocumentT", bound=Mapping[str, Any])


class CollectionCore(Settings, Generic[DocumentT]):
    """Names and options of a collection."""

    def __init__(
        self,
        database: Database[DocumentT],
        name: str,
        codec_options: CodecOptions[Any] | None,
        read_preference: ReadPreferenceMode | None,
        write_concern: WriteConcern | None,
        read_concern: ReadConcern | None,
    ) -> None:
        super().__init__(
            codec_options or database.codec_options,
            read_preference or database.read_preference,
            write_concern or database.write_concern,
            read_concern or database.read_concern,
        )
        if not isinstance(name, str):
            raise TypeError(f"name must be an instance of str, not {type(name)}")
        check_collection_name(name)
        self._database = database
        self._name = name
        self._catalog_key = catalog_key(database.name, name)
        self._shortcuts: Shortcuts | None = None
        self._found_reading: Reading | None = None

    @property
    def database(self) -> Database[DocumentT]:
        """The database this collection is in."""
        return self._database

    @property
    def name(self) -> str:
        """The name of this collection."""
        return self._name

    @property
    def full_name(self) -> str:
        """Database and collection: ``shop.orders``."""
        return f"{self._database.name}.{self._name}"

    @property
    def _store(self) -> Store:
        return self._database.client._store

    def _reading(self) -> Reading:
        """Return what queries need, found when it is first asked for."""
        reading = self._found_reading
        if reading is None:
            reading = Reading(
                self._database.client, self._catalog_key, self.full_name, self._codec_options
            )
            self._found_reading = reading
        return reading

    def _find_shortcuts(self) -> Shortcuts:
        """Return the short way for single documents, made when it is first needed."""
        shortcuts = Shortcuts(
            self._database.client,
            self._database.name,
            self._name,
            self._catalog_key,
            self._codec_options,
            self._write_concern,
        )
        self._shortcuts = shortcuts
        return shortcuts

    def _session(self, session: ClientSession | None) -> ClientSession | None:
        return session_for(self._database.client, session)

    def _session_outside_transaction(
        self, session: ClientSession | None, command: str
    ) -> ClientSession | None:
        """Check a session for a command that MongoDB refuses inside a transaction."""
        session = self._session(session)
        if session is not None and session.in_transaction:
            raise refusal(
                NOT_IN_TRANSACTION, f"Cannot run '{command}' in a multi-document transaction."
            )
        return session

    def _durability(self, session: ClientSession | None) -> str | None:
        return durability_of(self._write_concern_for(session))
