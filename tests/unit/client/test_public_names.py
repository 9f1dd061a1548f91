"""What ``import cbdd`` gives."""

from __future__ import annotations

import importlib.metadata
import pathlib
import subprocess
import sys

import pymongo.errors

import cbdd
import cbdd.client
import cbdd.errors


def test_all_names_what_there_is() -> None:
    assert sorted(cbdd.__all__) == cbdd.__all__
    assert all(hasattr(cbdd, name) for name in cbdd.__all__)
    assert set(cbdd.__all__) == {
        *cbdd.client.__all__,
        *cbdd.errors.__all__,
        "__version__",
    }


def test_errors_are_pymongos() -> None:
    for name in cbdd.errors.__all__:
        if name.endswith("Warning"):
            assert issubclass(getattr(cbdd, name), UserWarning)
            continue
        assert issubclass(getattr(cbdd, name), pymongo.errors.PyMongoError)


def test_package_is_typed() -> None:
    assert (pathlib.Path(cbdd.__file__).parent / "py.typed").exists()


def test_version_is_a_version() -> None:
    assert [part.isdigit() for part in cbdd.__version__.split(".")[:2]] == [True, True]
    assert importlib.metadata.version("pymongo")


def test_import_opens_no_connection_and_starts_no_thread() -> None:
    code = "import threading, cbdd; assert threading.active_count() == 1, threading.enumerate()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
