"""consumers.toml: which packages use CBDD, and how their own tests are run.

    [[consumer]]
    name = "orders-service"            # how it is called in reports
    path = "orders_service"            # a folder with pyproject.toml, or a wheel
    tests = "checkout/tests"           # only where `path` is a wheel: the folder of its tests
    command = "python -m pytest -q"    # a line, or a list of arguments; default: python -m pytest
    requirements = ["pytest>=8"]       # what its tests need beside its own requirements
    timeout_seconds = 600              # for one run of its tests

Paths are relative to the file. In the command ``{junit}`` stands for the file its test report goes
to; pytest is given it without being asked to.
"""

from __future__ import annotations

import difflib
import math
import re
import shlex
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from packaging.requirements import InvalidRequirement, Requirement

from cbdd.errors import UsageError

DEFAULT_COMMAND: Final = ("python", "-m", "pytest")
DEFAULT_TIMEOUT_SECONDS: Final = 600.0
JUNIT: Final = "{junit}"

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_KEYS: Final = ("name", "path", "tests", "command", "requirements", "timeout_seconds")


class Consumer:
    """A package that uses CBDD: its folder, or its wheel and the folder of its tests."""

    def __init__(
        self,
        name: str,
        path: Path,
        command: Sequence[str] = DEFAULT_COMMAND,
        requirements: Sequence[str] = (),
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        tests: Path | None = None,
    ) -> None:
        self.name = name
        self.path = path
        self.command = tuple(command)
        self.requirements = tuple(requirements)
        self.timeout_seconds = timeout_seconds
        self.tests = tests

    @property
    def is_wheel(self) -> bool:
        """Whether it is installed from a wheel and not from its folder."""
        return self.path.suffix == ".whl"

    @property
    def tests_folder(self) -> Path:
        """The folder that is copied, and in whose copy the command is run."""
        return self.path if self.tests is None else self.tests

    def to_dict(self) -> dict[str, object]:
        """The consumer for JSON."""
        return {
            "name": self.name,
            "path": str(self.path),
            "tests": None if self.tests is None else str(self.tests),
            "command": list(self.command),
            "requirements": list(self.requirements),
            "timeout_seconds": self.timeout_seconds,
        }


def read_consumers(path: str | Path) -> list[Consumer]:
    """Read the file that names the consumers.

    :raises UsageError: ``CONSUMERS_FILE``: what is wrong, and where.
    """
    path = Path(path)
    try:
        tables = tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise UsageError(
            "CONSUMERS_FILE",
            f"{path}: it cannot be read: {error.strerror or error}",
            "name the file with --consumers; docs/consumers.md describes it",
            {"path": str(path)},
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _mistake(path, f"it is no TOML: {error}") from error
    for key in tables.keys() - {"consumer"}:
        raise _mistake(path, f"unknown key {key!r}{_like(key, ['consumer'])}")
    entries = tables.get("consumer")
    if not isinstance(entries, list) or not entries:
        raise _mistake(path, "expected [[consumer]] for each consumer, found none")
    found: list[Consumer] = []
    for number, entry in enumerate(entries, 1):
        consumer = _Entry(path, number, entry).read()
        if consumer.name in [each.name for each in found]:
            raise _mistake(path, f"two consumers are named {consumer.name!r}")
        found.append(consumer)
    return found


def select(consumers: Sequence[Consumer], names: Sequence[str]) -> list[Consumer]:
    """The consumers with these names, in the order of the file; all where none is named.

    :raises UsageError: ``CONSUMER_UNKNOWN``.
    """
    there = [each.name for each in consumers]
    for name in names:
        if name not in there:
            raise UsageError(
                "CONSUMER_UNKNOWN",
                f"no consumer {name!r}{_like(name, there)}",
                f"name one of {', '.join(there)}",
                {"expected": there, "found": name},
            )
    return [each for each in consumers if not names or each.name in names]


class _Entry:
    """One ``[[consumer]]`` while it is read."""

    def __init__(self, file: Path, number: int, entry: object) -> None:
        self.file = file
        self.who = f"consumer {number}"
        if not isinstance(entry, dict):
            raise _mistake(file, f"{self.who}: expected a table, found {_text(entry)}")
        self.entry: dict[str, Any] = entry

    def read(self) -> Consumer:
        name = self._string("name", required=True)
        if _NAME.fullmatch(name) is None:
            self._refuse("name", "letters, digits, '.', '_' and '-'", name)
        self.who = f"consumer {name!r}"
        for key in self.entry.keys() - set(_KEYS):
            raise _mistake(self.file, f"{self.who}: unknown key {key!r}{_like(key, _KEYS)}")
        path, tests = self._paths()
        return Consumer(
            name,
            path,
            self._command(),
            self._requirements(),
            self._timeout(),
            tests,
        )

    def _paths(self) -> tuple[Path, Path | None]:
        path = self._path(self._string("path", required=True))
        if path.suffix != ".whl":
            if not (path / "pyproject.toml").is_file():
                self._refuse("path", "a folder with a pyproject.toml, or a wheel", str(path))
            if "tests" in self.entry:
                self._refuse("tests", "nothing, as the path is no wheel", self.entry["tests"])
            return path, None
        if not path.is_file():
            self._refuse("path", "a wheel that is there", str(path))
        tests = self._path(self._string("tests", required=True))
        if not tests.is_dir():
            self._refuse("tests", "a folder with the tests of the wheel", str(tests))
        return path, tests

    def _command(self) -> tuple[str, ...]:
        value = self.entry.get("command", list(DEFAULT_COMMAND))
        if isinstance(value, str):
            try:
                value = shlex.split(value)
            except ValueError as error:
                self._refuse("command", f"a line as a shell reads it ({error})", value)
        if not _is_strings(value) or not value or not value[0]:
            self._refuse("command", "a line or a list of texts", value)
        return tuple(value)

    def _requirements(self) -> tuple[str, ...]:
        value = self.entry.get("requirements", [])
        if not _is_strings(value):
            self._refuse("requirements", "a list of texts", value)
        return tuple(self._requirement(each) for each in value)

    def _requirement(self, text: str) -> str:
        """A wheel by its path, or a requirement as pip knows it."""
        if text.endswith(".whl") and "://" not in text:
            path = self._path(text)
            if not path.is_file():
                self._refuse("requirements", "a wheel that is there", str(path))
            return str(path)
        try:
            Requirement(text)
        except InvalidRequirement:
            self._refuse("requirements", "a requirement such as 'flask>=3'", text)
        return text

    def _timeout(self) -> float:
        value = self.entry.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or not 0 < value <= 86400:
            self._refuse("timeout_seconds", "a number above 0, at most 86400", value)
        return float(value)

    def _string(self, key: str, required: bool) -> str:
        value = self.entry.get(key)
        if value is None and required:
            self._refuse(key, "a text", None)
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            self._refuse(key, "a text that is not empty", value)
        return value

    def _path(self, text: str) -> Path:
        return (self.file.absolute().parent / text).resolve()

    def _refuse(self, key: str, expected: str, found: object) -> NoReturn:
        text = "nothing" if found is None else _text(found)
        raise _mistake(
            self.file,
            f"{self.who}, key {key!r}: expected {expected}, found {text}",
            {"consumer": self.who, "key": key, "expected": expected, "found": text},
        )


def _is_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _text(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _like(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; is it {close[0]!r}?" if close else f"; known: {', '.join(known)}"


def _mistake(path: Path, what: str, details: dict[str, object] | None = None) -> UsageError:
    return UsageError(
        "CONSUMERS_FILE",
        f"{path}: {what}",
        "correct the file; docs/consumers.md describes it",
        {"path": str(path), **(details or {})},
    )
