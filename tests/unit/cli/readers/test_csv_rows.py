"""CSV as documents, and what makes a row a bad record."""

from __future__ import annotations

import io
from typing import Any

import bson

from cbdd.cli.readers.csv_rows import CsvOptions, read_csv


def read(text: str | bytes, options: CsvOptions | None = None) -> list[Any]:
    """The documents, and (place, error) for what is bad."""
    data = text if isinstance(text, bytes) else text.encode()
    return [
        (record.place, record.error) if record.error else bson.decode(record.document)
        for record in read_csv(io.BytesIO(data), options or CsvOptions())
    ]


def test_a_row_becomes_a_document_with_the_names_of_the_header() -> None:
    assert read("name,qty\ntea,2\nfig,1.5\n") == [
        {"name": "tea", "qty": 2},
        {"name": "fig", "qty": 1.5},
    ]


def test_empty_cells_are_no_fields() -> None:
    assert read("a,b\n,1\n2,\n") == [{"b": 1}, {"a": 2}]


def test_texts_named_missing_are_no_fields() -> None:
    assert read("a,b\nNA,NAN\n", CsvOptions(missing=["NA"])) == [{"b": "NAN"}]


def test_columns_named_text_stay_text() -> None:
    assert read("zip,n\n12345,1\n", CsvOptions(text_fields=["zip"])) == [{"zip": "12345", "n": 1}]


def test_without_inference_everything_is_text() -> None:
    assert read("a\n1\n", CsvOptions(infer_types=False)) == [{"a": "1"}]


def test_dotted_names_make_documents_inside_documents() -> None:
    assert read("id,address.city,address.zip\n1,Bern,3000\n2,,\n") == [
        {"id": 1, "address": {"city": "Bern", "zip": 3000}},
        {"id": 2},
    ]


def test_quoted_cells_may_hold_line_ends_and_the_places_still_agree() -> None:
    assert read('a,b\n"x\ny",1\nz\n') == [
        {"a": "x\ny", "b": 1},
        ("line 4", "1 cells where the header has 2"),
    ]


def test_a_row_of_another_length_is_bad_and_the_next_is_read() -> None:
    assert read("a,b\n1\n2,3\n4,5,6\n") == [
        ("line 2", "1 cells where the header has 2"),
        {"a": 2, "b": 3},
        ("line 4", "3 cells where the header has 2"),
    ]


def test_a_line_that_is_not_utf8_is_bad_and_the_next_is_read() -> None:
    found = read(b"a\n\xff\nx\n")
    assert found[0][0] == "line 2"
    assert "not UTF-8" in found[0][1]
    assert found[1] == {"a": "x"}


def test_a_quote_that_does_not_end_is_bad() -> None:
    found = read('a\n"x\n')
    assert len(found) == 1
    assert "not CSV" in found[0][1]


def test_a_byte_order_mark_is_not_part_of_the_first_name() -> None:
    assert read(b"\xef\xbb\xbfa\r\n1\r\n") == [{"a": 1}]


def test_names_can_be_given_for_a_file_without_a_header() -> None:
    assert read("1;2\n", CsvOptions(delimiter=";", fields=["x", "y"])) == [{"x": 1, "y": 2}]


def test_a_header_that_cannot_be_used_ends_the_reading() -> None:
    for header in ("a,,b", "a,a", "a,a.b", "a..b", ".a"):
        records = list(read_csv(io.BytesIO(f"{header}\n1,2,3\n".encode()), CsvOptions()))
        assert [record.is_last for record in records] == [True], header


def test_an_empty_file_and_empty_lines_hold_nothing() -> None:
    assert read("") == []
    assert read("a\n\n1\n\n") == [{"a": 1}]
