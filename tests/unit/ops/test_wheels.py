"""A wheel is what its name says, or it is refused with what is wrong with it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from packaging.version import Version

from cbdd.errors import UsageError
from cbdd.ops.wheels import Wheel, list_wheels, read_wheel, requirements_of_extra
from tests.unit.ops.small_wheels import small_wheel


def test_a_wheel_is_read_with_its_version_requirements_and_hash(tmp_path: Path) -> None:
    path = small_wheel(tmp_path, "1.2.3", requires=["pymongo>=4"])
    wheel = read_wheel(path, "cbdd")
    assert str(wheel.version) == "1.2.3"
    assert wheel.requires == ("pymongo>=4",)
    assert wheel.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert wheel.to_dict()["file"] == "cbdd-1.2.3-py3-none-any.whl"


def test_wheels_are_sorted_by_version_and_not_by_name(tmp_path: Path) -> None:
    for version in ("0.10.0", "0.9.0", "1.0.0", "1.0.0rc1"):
        small_wheel(tmp_path, version)
    small_wheel(tmp_path, "5.0.0", name="other")
    (tmp_path / "notes.txt").write_text("")
    found = [str(wheel.version) for wheel in list_wheels(tmp_path)]
    assert found == ["0.9.0", "0.10.0", "1.0.0rc1", "1.0.0"]


def test_a_bad_wheel_among_good_ones_is_not_passed_over(tmp_path: Path) -> None:
    small_wheel(tmp_path, "1.0.0")
    (tmp_path / "cbdd-2.0.0-py3-none-any.whl").write_bytes(b"")
    with pytest.raises(UsageError, match=r"2\.0\.0"):
        list_wheels(tmp_path)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file") as caught:
        list_wheels(tmp_path / "none")
    assert caught.value.code == "WHEEL_INVALID"


def damaged(folder: Path) -> Path:
    """A wheel of which one stored byte has changed."""
    path = small_wheel(folder, files={"cbdd/data.txt": "payload of the wheel"})
    path.write_bytes(path.read_bytes().replace(b"payload", b"payl0ad"))
    return path


def cut(folder: Path) -> Path:
    path = small_wheel(folder)
    path.write_bytes(path.read_bytes()[:-30])
    return path


def text(folder: Path) -> Path:
    path = folder / "cbdd-1.0.0-py3-none-any.whl"
    path.write_text("not found")
    return path


def without_metadata(folder: Path) -> Path:
    path = small_wheel(folder)
    path.write_bytes(path.read_bytes().replace(b"METADATA", b"METADATE"))
    return path


def renamed(folder: Path) -> Path:
    return small_wheel(folder).rename(folder / "cbdd-1.0.0.zip")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (damaged, "checksum"),
        (cut, "zip"),
        (text, "zip"),
        (without_metadata, "METADATA"),
        (renamed, "its name"),
        (lambda folder: folder / "cbdd-1.0.0-py3-none-any.whl", "No such file"),
        (lambda folder: small_wheel(folder, "1.0.0", metadata_version="1.0.1"), r"found 1\.0\.1"),
        (lambda folder: small_wheel(folder, "1.0.0", metadata_version="x"), "found x"),
        (lambda folder: small_wheel(folder, requires=["=1"]), "no requirement"),
        (lambda folder: small_wheel(folder, "1.0.0", name="other"), "another package"),
        (
            lambda folder: small_wheel(folder, name="other").rename(
                folder / "cbdd-1.0.0-py3-none-any.whl"
            ),
            "found other",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_no_wheel_of_cbdd_is_refused(tmp_path: Path, make, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        read_wheel(make(tmp_path), "cbdd")
    assert caught.value.code == "WHEEL_INVALID"


def test_what_an_extra_needs_is_read_through_extras_it_names(tmp_path: Path) -> None:
    wheel = Wheel(
        tmp_path / "a.whl",
        "cbdd",
        Version("1.0"),
        "",
        [
            "rich>=13",
            'httpx<1,>=0.27; extra == "incident"',
            'cbdd[incident]; extra == "test"',
            'pytest>=8; extra == "test"',
            'nothing; extra == "test" and python_version < "3"',
        ],
    )
    assert sorted(requirements_of_extra(wheel, "test")) == ["httpx<1,>=0.27", "pytest>=8"]
    assert requirements_of_extra(wheel, "incident") == ["httpx<1,>=0.27"]
    assert requirements_of_extra(wheel, "unheard-of") == []
