"""Encoding gives what the codec gives, whatever the options."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import bson
import pytest
from bson.binary import UuidRepresentation
from bson.codec_options import DEFAULT_CODEC_OPTIONS, CodecOptions, TypeEncoder, TypeRegistry
from bson.errors import InvalidDocument
from bson.raw_bson import RawBSONDocument
from bson.son import SON

from cbdd.document.encoding import _known, _options_of, encode_document, encode_documents


class Celsius:
    def __init__(self, degrees: int) -> None:
        self.degrees = degrees


class CelsiusEncoder(TypeEncoder):
    @property
    def python_type(self) -> type:
        return Celsius

    def transform_python(self, value: Any) -> Any:
        return value.degrees


DOCUMENT: dict[str, Any] = {
    "_id": 1,
    "nested": {"a": [1, {"b": None}], "when": datetime.datetime(2024, 5, 1)},
    "son": SON([("z", 1), ("a", 2)]),
    "raw": RawBSONDocument(bson.encode({"inside": True})),
}
OPTIONS: list[CodecOptions[Any]] = [
    DEFAULT_CODEC_OPTIONS,
    CodecOptions(tz_aware=True),
    CodecOptions(document_class=SON),
    CodecOptions(uuid_representation=UuidRepresentation.STANDARD),
    CodecOptions(uuid_representation=UuidRepresentation.JAVA_LEGACY),
    CodecOptions(type_registry=TypeRegistry([CelsiusEncoder()])),
    CodecOptions(type_registry=TypeRegistry(fallback_encoder=str)),
]


EXTRAS: list[dict[str, Any]] = [{}, {"u": uuid.UUID(int=5)}, {"c": Celsius(30)}, {"o": 1j}]


@pytest.mark.parametrize("options", range(len(OPTIONS)))
@pytest.mark.parametrize("extra", range(len(EXTRAS)))
def test_it_is_what_the_codec_encodes(options: int, extra: int) -> None:
    given = OPTIONS[options]
    document = {**DOCUMENT, **EXTRAS[extra]}
    for _ in range(2):  # options that were just used, and others
        try:
            expected = bson.encode(document, codec_options=given)
        except (InvalidDocument, ValueError) as error:
            with pytest.raises(type(error)):
                encode_document(document, given)
        else:
            assert encode_document(document, given) == expected
            assert encode_documents([document], 0, given, 10, 1 << 20) == ([expected], True)
        assert encode_document({"a": 1}, DEFAULT_CODEC_OPTIONS) == bson.encode({"a": 1})


def test_raw_documents_are_taken_as_they_are() -> None:
    raw = bson.encode({"_id": 1})
    assert encode_document(RawBSONDocument(raw), DEFAULT_CODEC_OPTIONS) == raw
    assert encode_documents([RawBSONDocument(raw), {}], 1, DEFAULT_CODEC_OPTIONS, 9, 99) == (
        [bson.encode({})],
        False,
    )


def test_options_are_made_once_for_clients_in_turn() -> None:
    others = [CodecOptions(tz_aware=True) for _ in range(3)]
    used = [_options_of(each) for each in others]
    for _ in range(3):
        assert all(_options_of(a) is b for a, b in zip(others, used, strict=True))
    for _ in range(100):
        _options_of(CodecOptions(tz_aware=True))
    assert len(_known) == 16
