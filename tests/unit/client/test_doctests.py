"""The examples in the client's docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import cbdd
import cbdd.client

MODULES = [
    "cbdd",
    *[f"cbdd.client.{each.name}" for each in pkgutil.iter_modules(cbdd.client.__path__)],
]


def examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name))]
    return [test for test in found if test.examples]


@pytest.mark.parametrize("example", examples(), ids=lambda test: test.name)
def test_example_in_docstring_runs(
    example: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    failures, _ = doctest.DocTestRunner().run(example)
    assert failures == 0


def test_the_methods_people_start_with_have_examples() -> None:
    names = {test.name.rpartition(".")[2] for test in examples()}
    assert {"connect", "insert_one", "find", "update_one", "create_index", "ClientSession"} <= names
