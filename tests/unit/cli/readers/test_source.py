"""Opening sources, and telling formats by names."""

from __future__ import annotations

import gzip
from pathlib import Path

import bson
import pytest

from cbdd.cli.readers import Format, format_of, open_source


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.jsonl", Format.JSONL),
        ("a.ndjson", Format.JSONL),
        ("dir.json/a.JSON", Format.JSON),
        ("a.csv", Format.CSV),
        ("a.tsv", Format.TSV),
        ("dump/a.bson.gz", Format.BSON),
        ("a.gz", None),
        ("a", None),
        ("-", None),
    ],
)
def test_the_name_tells_the_format(name: str, format: Format | None) -> None:
    assert format_of(name) is format


def test_compressed_files_are_read_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'\xef\xbb\xbf{"a": 1}\n\n{"a": 2}\n'))
    with open_source(str(path), Format.JSONL) as source:
        documents = [bson.decode(record.document) for record in source.records()]
        assert source.bytes_read() == source.size_bytes
    assert documents == [{"a": 1}, {"a": 2}]


def test_a_compressed_file_cut_short_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n' * 1000)[:-10])
    with open_source(str(path), Format.JSONL) as source:
        last = list(source.records())[-1]
    assert last.is_last
    assert last.error


def test_a_line_with_a_mistake_is_named_and_the_next_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": \n\xff\n7\n{"a": {"$oid": "no"}}\n{"a": 5}\n')
    with open_source(str(path), Format.JSONL) as source:
        records = list(source.records())
    bad = [record.place for record in records if record.error]
    assert bad == ["line 2", "line 3", "line 4", "line 5"]
    assert bson.decode(records[-1].document) == {"a": 5}
