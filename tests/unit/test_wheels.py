"""Wheels for tests: the version and the edits that were asked for, and nothing compiled."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.wheels import VERSION_FILE, build_wheel


def test_a_wheel_has_the_version_and_the_edits_it_was_built_with(tmp_path: Path) -> None:
    edits = {"src/cbdd/__init__.py": ("__all__ = [", "PLANTED = True\n__all__ = [")}
    wheel = build_wheel(tmp_path / "made", "7.8.9", edits)
    assert wheel == tmp_path / "made" / "cbdd-7.8.9-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        assert '"7.8.9"' in archive.read(VERSION_FILE.removeprefix("src/")).decode()
        assert "PLANTED = True" in archive.read("cbdd/__init__.py").decode()
        assert "\nVersion: 7.8.9\n" in archive.read("cbdd-7.8.9.dist-info/METADATA").decode()
        assert not [name for name in archive.namelist() if name.endswith(".so")]
    assert list(wheel.parent.iterdir()) == [wheel]


def test_an_edit_that_does_not_apply_is_an_assertion_error(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no such text"):
        build_wheel(tmp_path, "7.8.9", {"src/cbdd/__init__.py": ("no such text", "")})
    assert not list(tmp_path.iterdir())
