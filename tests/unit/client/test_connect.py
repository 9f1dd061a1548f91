"""Opening a file, its options, and MongoDB URIs."""

from __future__ import annotations

import pathlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pymongo
import pytest
from bson import SON
from bson.binary import UuidRepresentation
from bson.codec_options import DatetimeConversion
from pymongo.errors import ConfigurationError, InvalidName, InvalidOperation
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

import cbdd
from tests.unit.client.conftest import OPTIONS


def test_connect_makes_the_file_and_closing_leaves_it(path: str) -> None:
    with cbdd.connect(path, **OPTIONS) as client:
        client.shop.orders.insert_one({"_id": 1})
    assert [each.name for each in pathlib.Path(path).parent.iterdir()] == ["shop.cbdd"]
    with cbdd.connect(pathlib.Path(path), **OPTIONS) as client:
        assert client.shop.orders.find_one() == {"_id": 1}
        assert client.recovery_report.was_clean


def test_file_opened_twice_shows_both_the_same(path: str) -> None:
    with cbdd.connect(path, **OPTIONS) as first, cbdd.connect(path, **OPTIONS) as second:
        first.shop.orders.insert_one({"_id": 1})
        assert second.shop.orders.count_documents({}) == 1
        assert first == second and first is not second
        assert hash(first) == hash(second)
        assert first.shop.orders == second.shop.orders
        first.close()
        second.shop.orders.insert_one({"_id": 2})
        assert second.shop.orders.count_documents({}) == 2


class CountingDisk(cbdd.storage.Io):
    """Counts the syncs of files."""

    def __init__(self) -> None:
        super().__init__()
        self.syncs = 0

    def sync(self, fd: int) -> None:
        self.syncs += 1
        super().sync(fd)


def test_each_client_of_a_file_has_its_own_durability(path: str) -> None:
    disk = CountingDisk()
    options = {**OPTIONS, "io": disk}
    with (
        cbdd.connect(path, **{**options, "durability": "off"}) as careless,
        cbdd.connect(path, **{**options, "durability": "full"}) as careful,
    ):
        careless.shop.orders.insert_one({})
        before = disk.syncs
        careless.shop.orders.insert_one({})
        assert disk.syncs == before
        careful.shop.orders.insert_one({})
        assert disk.syncs == before + 1
        with careful.start_session() as session, session.start_transaction():
            careful.shop.orders.insert_one({}, session=session)
        assert disk.syncs == before + 2
        with careless.start_session() as session, session.start_transaction():
            careless.shop.orders.insert_one({}, session=session)
        assert disk.syncs == before + 2


def test_options_that_disagree_with_the_open_file_are_refused(path: str) -> None:
    with cbdd.connect(path, **OPTIONS, cache_size_bytes=32 << 20) as first:
        with pytest.raises(cbdd.errors.UsageError, match="cache_size_bytes=33554432") as caught:
            cbdd.connect(path, **OPTIONS, cache_size_bytes=64 << 20)
        assert caught.value.code == "OPTION"
        first.shop.orders.insert_one({"_id": 1})
        with cbdd.connect(path, **OPTIONS) as second, cbdd.connect(path, **OPTIONS) as third:
            assert second.shop.orders.find_one() == third.shop.orders.find_one() == {"_id": 1}
    with cbdd.connect(path, **OPTIONS, cache_size_bytes=64 << 20) as alone:
        assert alone.shop.orders.find_one() == {"_id": 1}


def test_closed_client_cannot_be_used(path: str) -> None:
    client = cbdd.connect(path, **OPTIONS)
    client.shop.orders.insert_many({"_id": n} for n in range(500))
    cursor = client.shop.orders.find()
    next(cursor)
    session = client.start_session()
    client.close()
    client.close()
    for call in (
        lambda: client.shop.orders.find_one(),
        lambda: client.shop.orders.insert_one({}),
        lambda: client.list_database_names(),
        lambda: client.start_session(),
        lambda: client.checkpoint(),
        lambda: client.check(),
        lambda: client.server_info(),
        lambda: client.shop.command("ping"),
        lambda: list(cursor),
        lambda: client.shop.orders.find_one({}, session=session),
    ):
        with pytest.raises(InvalidOperation, match="after close"):
            call()


def test_transaction_that_is_open_at_close_is_given_up(path: str) -> None:
    client = cbdd.connect(path, **OPTIONS)
    session = client.start_session()
    session.start_transaction()
    client.shop.orders.insert_one({"_id": 1}, session=session)
    client.close()
    session.end_session()
    with cbdd.connect(path, **OPTIONS) as again:
        assert again.list_database_names() == []


def test_unknown_option_is_named(path: str) -> None:
    with pytest.raises(ConfigurationError, match="Unknown option nonsense"):
        cbdd.connect(path, nonsense=1)


@pytest.mark.parametrize(
    "options",
    [
        {"durability": "maybe"},
        {"page_size_bytes": 1000},
        {"cache_size_bytes": 5},
    ],
)
def test_impossible_storage_option_is_refused(path: str, options: dict[str, Any]) -> None:
    with pytest.raises(cbdd.UsageError):
        cbdd.connect(path, **options)


def test_something_else_as_a_path_is_refused() -> None:
    with pytest.raises(TypeError):
        cbdd.connect(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        cbdd.connect(b"shop.cbdd")  # type: ignore[arg-type]


def test_must_exist_and_read_only_make_nothing(path: str) -> None:
    for options in ({"must_exist": True}, {"read_only": True}):
        with pytest.raises(cbdd.NotADatabaseError):
            cbdd.connect(path, **options)
    assert not pathlib.Path(path).exists()


def test_file_of_something_else_is_not_a_database(path: str) -> None:
    pathlib.Path(path).write_bytes(b"hello " * 10_000)
    with pytest.raises(cbdd.NotADatabaseError):
        cbdd.connect(path)


def test_read_only_client_reads_and_refuses_to_write(path: str) -> None:
    with cbdd.connect(path, **OPTIONS) as client:
        client.shop.orders.insert_one({"_id": 1})
    with cbdd.connect(path, read_only=True) as client:
        assert client.shop.orders.find_one() == {"_id": 1}
        assert not client.is_primary
        with pytest.raises(cbdd.ReadOnlyError):
            client.shop.orders.insert_one({"_id": 2})


def test_default_database_is_named_after_the_file(path: str, tmp_path: pathlib.Path) -> None:
    with cbdd.connect(path, **OPTIONS) as client:
        assert client.get_default_database().name == "shop"
        assert client.get_database().name == "shop"
        assert client.get_default_database("other").name == "other"
    with cbdd.connect(path, default_database="mine", **OPTIONS) as client:
        assert client.get_default_database("other").name == "mine"
    with cbdd.connect(str(tmp_path / "not a name.v2.cbdd"), **OPTIONS) as client:
        with pytest.raises(ConfigurationError, match="No default database"):
            client.get_default_database()
        with pytest.raises(ConfigurationError, match="No default database"):
            client.get_database()
        assert client.get_default_database("fine").name == "fine"
    with pytest.raises(InvalidName):
        cbdd.connect(path, default_database="not a name")


def test_options_of_pymongos_client_set_codec_and_concerns(path: str) -> None:
    zone = timezone(timedelta(hours=2))
    with cbdd.connect(
        path,
        document_class=SON,
        tz_aware=True,
        tzinfo=zone,
        uuidRepresentation="standard",
        datetime_conversion="DATETIME_AUTO",
        unicode_decode_error_handler="replace",
        w="majority",
        journal=True,
        readConcernLevel="majority",
        readPreference="secondaryPreferred",
        retryWrites=True,
        serverSelectionTimeoutMS=5,
        **OPTIONS,
    ) as client:
        options = client.codec_options
        assert options.document_class is SON
        assert options.tzinfo is zone
        assert options.uuid_representation == UuidRepresentation.STANDARD
        assert options.datetime_conversion == DatetimeConversion.DATETIME_AUTO
        assert options.unicode_decode_error_handler == "replace"
        assert client.write_concern == WriteConcern("majority", j=True)
        assert client.read_concern == ReadConcern("majority")
        assert client.read_preference == ReadPreference.SECONDARY_PREFERRED
        orders = client.shop.orders
        assert orders.codec_options is options
        orders.insert_one({"_id": 1, "at": datetime(2024, 5, 1, tzinfo=UTC)})
        found = orders.find_one()
        assert type(found) is SON
        assert found["at"].utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize(
    "options",
    [{"uuidRepresentation": "nonsense"}, {"readPreference": "nonsense"}, {"w": -1}],
)
def test_impossible_value_of_a_pymongo_option_is_refused(
    path: str, options: dict[str, Any]
) -> None:
    with pytest.raises((ValueError, ConfigurationError)):
        cbdd.connect(path, **options)


@pytest.mark.parametrize("scheme", ["mongodb://localhost:1/shop"])
def test_uri_returns_pymongos_client(scheme: str) -> None:
    client: Any = cbdd.connect(
        scheme, connect=False, cache_size_bytes=1 << 24, durability="full", tz_aware=True
    )
    assert isinstance(client, pymongo.MongoClient)
    assert client.get_default_database().name == "shop"
    assert client.write_concern.document == {"j": True}
    assert client.codec_options.tz_aware
    client.close()


def test_uri_refuses_what_only_a_file_can_do() -> None:
    with pytest.raises(ConfigurationError, match="read_only"):
        cbdd.connect("mongodb://localhost:1", connect=False, read_only=True)
    with pytest.raises(ConfigurationError, match="in the URI"):
        cbdd.connect("mongodb://localhost:1", connect=False, default_database="shop")
    with pytest.raises(ConfigurationError):
        cbdd.connect("mongodb+srv://", connect=False)


def test_check_and_checkpoint_and_statistics(path: str) -> None:
    with cbdd.connect(path, **OPTIONS) as client:
        client.shop.orders.insert_many({"_id": n} for n in range(100))
        client.checkpoint()
        report = client.check()
        assert report.is_clean
        assert report.entries > 200
        assert client.statistics()["path"] == path
        assert client.path == path
