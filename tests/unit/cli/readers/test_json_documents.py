"""A JSON array read as a stream."""

from __future__ import annotations

import io
import json
from typing import Any

import bson
import pytest
from bson.int64 import Int64
from bson.objectid import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from cbdd.cli.readers.json_documents import read_json_documents


class Trickle(io.BytesIO):
    """A stream that gives a few bytes at a time, as a pipe may."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(data)
        self._size = size

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._size)


def read(text: str | bytes, size: int = 1 << 16) -> list[Any]:
    data = text if isinstance(text, bytes) else text.encode()
    return [
        (record.place, record.error) if record.error else bson.decode(record.document)
        for record in read_json_documents(Trickle(data, size))
    ]


def test_an_array_gives_its_documents() -> None:
    assert read('[{"a": 1}, {"a": [1, {"b": "}]"}]}]') == [{"a": 1}, {"a": [1, {"b": "}]"}]}]


def test_documents_one_after_another_need_no_array() -> None:
    assert read('{"a": 1}\n{\n "a": 2\n}{"a":3}') == [{"a": 1}, {"a": 2}, {"a": 3}]


def test_extended_json_keeps_its_types() -> None:
    text = '[{"_id": {"$oid": "507f1f77bcf86cd799439011"}, "n": {"$numberLong": "5"}}]'
    (document,) = read(text)
    assert document == {"_id": ObjectId("507f1f77bcf86cd799439011"), "n": 5}
    assert type(document["n"]) is Int64


def test_a_bad_document_is_named_by_its_line_and_the_next_is_read() -> None:
    found = read('[\n{"a": 1},\n{"a": oops},\n{"a": 3}\n]')
    assert found[0] == {"a": 1}
    assert found[1][0] == "line 3"
    assert found[2] == {"a": 3}


@pytest.mark.parametrize("value", ["5", '"x"', "null", "[1, 2]", "true"])
def test_a_value_that_is_no_object_is_bad(value: str) -> None:
    found = read(f'[{value}, {{"a": 1}}]')
    assert "expected an object" in found[0][1]
    assert found[1:] == [{"a": 1}]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[{"a": 1}', "the array does not end"),
        ('[{"a": 1', "the text ends inside"),
        ('[{"a": "x', "the text ends inside"),
        ('[{"a": 1}] {"b": 2}', "after the end"),
    ],
)
def test_text_that_ends_in_the_wrong_place_is_said_so(text: str, complaint: str) -> None:
    records = list(read_json_documents(io.BytesIO(text.encode())))
    assert complaint in records[-1].error
    assert records[-1].is_last


def test_nothing_and_an_empty_array_hold_nothing() -> None:
    for text in ("", "  \n", "[]", " [ ] \n"):
        assert read(text) == []


def test_not_a_number_is_refused() -> None:
    assert "NaN" in read('[{"a": NaN}]')[0][1]


def test_numbers_beyond_64_bits_are_refused() -> None:
    assert read('[{"a": 99999999999999999999}]')[0][0] == "line 1"


def test_nesting_without_end_is_refused_not_followed() -> None:
    found = read('[{"a": ' + "[" * 100_000 + "]" * 100_000 + "}]")
    assert len(found) == 1
    assert found[0][1]


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0$"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", 'q"', "\\", "{", "ü"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.property
@given(
    documents=st.lists(st.dictionaries(st.sampled_from(["x", "[", "\\\\"]), _VALUES), max_size=4),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
    size=st.integers(1, 40),
)
def test_any_documents_come_back_whatever_the_pieces(
    documents: list[Any], indent: int | None, ascii_only: bool, size: int
) -> None:
    text = json.dumps(documents, indent=indent, ensure_ascii=ascii_only)
    assert read(text, size) == documents
