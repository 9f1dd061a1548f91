"""The examples in the command line's docstrings are true."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "module", ["cbdd.cli.arguments", "cbdd.cli.output", "cbdd.cli.readers.formats"]
)
def test_examples_run(module: str) -> None:
    failures, examples = doctest.testmod(importlib.import_module(module))
    assert examples > 0
    assert failures == 0
