"""consumers.toml: what is right is read, and what is wrong is told with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbdd.errors import UsageError
from cbdd.ops.consumers import Consumer, read_consumers, select
from tests.unit.ops.small_wheels import small_wheel

GOOD = '[[consumer]]\nname = "shop"\npath = "shop"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a package `shop`, and a wheel with tests."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "pyproject.toml").write_text("")
    (tmp_path / "tests").mkdir()
    small_wheel(tmp_path, name="tiny")
    return tmp_path


def read(folder: Path, text: str) -> list[Consumer]:
    (folder / "consumers.toml").write_text(text)
    return read_consumers(folder / "consumers.toml")


def test_what_is_left_out_has_a_default(folder: Path) -> None:
    [consumer] = read(folder, GOOD)
    assert consumer.to_dict() == {
        "name": "shop",
        "path": str(folder / "shop"),
        "tests": None,
        "command": ["python", "-m", "pytest"],
        "requirements": [],
        "timeout_seconds": 600.0,
    }
    assert consumer.tests_folder == folder / "shop"


def test_a_command_is_a_line_or_a_list(folder: Path) -> None:
    line = read(folder, GOOD + "command = \"python -m pytest -k 'a or b'\"\n")[0]
    assert line.command == ("python", "-m", "pytest", "-k", "a or b")
    listed = read(folder, GOOD + 'command = ["make", "test"]\n')[0]
    assert listed.command == ("make", "test")


def test_a_wheel_comes_with_the_folder_of_its_tests(folder: Path) -> None:
    text = '[[consumer]]\nname = "tiny"\npath = "tiny-1.0.0-py3-none-any.whl"\n'
    wheel = "tiny-1.0.0-py3-none-any.whl"
    [consumer] = read(folder, text + f'tests = "tests"\nrequirements = ["pytest>=8", "{wheel}"]\n')
    assert consumer.is_wheel
    assert consumer.tests_folder == folder / "tests"
    assert consumer.requirements == ("pytest>=8", str(folder / wheel))
    with pytest.raises(UsageError, match="key 'tests': expected a text, found nothing"):
        read(folder, text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected \\[\\[consumer\\]\\] for each consumer, found none"),
        ("consumer = 5", "expected \\[\\[consumer\\]\\]"),
        ("consumer = [5]", "consumer 1: expected a table, found 5"),
        ("[[consumer", "it is no TOML"),
        ("[[consumers]]\nname = 'a'", "unknown key 'consumers'; is it 'consumer'"),
        ("[[consumer]]\npath = 'shop'", "consumer 1, key 'name': expected a text, found nothing"),
        ("[[consumer]]\nname = 7\npath = 'shop'", "key 'name': .* found 7"),
        ("[[consumer]]\nname = '../x'\npath = 'shop'", "key 'name': expected letters"),
        ("[[consumer]]\nname = 'a'", "consumer 'a', key 'path'"),
        ("[[consumer]]\nname = 'a'\npath = 'none'", "key 'path': expected a folder with a pyproj"),
        ("[[consumer]]\nname = 'a'\npath = 'x.whl'", "key 'path': expected a wheel that is there"),
        (GOOD + GOOD, "two consumers are named 'shop'"),
        (GOOD + "tests = 'tests'", "key 'tests': expected nothing"),
        (GOOD + "comand = 'x'", "unknown key 'comand'; is it 'command'"),
        (GOOD + "command = ''", "key 'command': expected a line or a list"),
        (GOOD + "command = []", "key 'command'"),
        (GOOD + "command = ['a', 1]", "key 'command'"),
        (GOOD + 'command = "a \'b"', "key 'command': expected a line as a shell reads it"),
        (GOOD + "requirements = 'pytest'", "key 'requirements': expected a list"),
        (GOOD + "requirements = ['=8']", "key 'requirements': expected a requirement such"),
        (GOOD + "requirements = ['none.whl']", "key 'requirements': expected a wheel that is th"),
        (GOOD + "timeout_seconds = 0", "key 'timeout_seconds': expected a number above 0"),
        (GOOD + "timeout_seconds = true", "key 'timeout_seconds'"),
        (GOOD + "timeout_seconds = nan", "key 'timeout_seconds'"),
        (GOOD + "timeout_seconds = 'long'", "key 'timeout_seconds'"),
    ],
)
def test_a_mistake_is_told_with_its_place(folder: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        read(folder, text)
    assert caught.value.code == "CONSUMERS_FILE"
    assert str(folder / "consumers.toml") in str(caught.value)


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_consumers(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="it is no TOML"):
        read_consumers(tmp_path / "bytes.toml")


def test_consumers_are_selected_by_name(folder: Path) -> None:
    both = read(folder, GOOD + GOOD.replace('name = "shop"', 'name = "store"'))
    assert [each.name for each in select(both, [])] == ["shop", "store"]
    assert [each.name for each in select(both, ["store"])] == ["store"]
    with pytest.raises(UsageError, match="no consumer 'stor'; is it 'store'") as caught:
        select(both, ["shop", "stor"])
    assert caught.value.code == "CONSUMER_UNKNOWN"
