"""One table of codes: complete, nothing in it for nothing, and the same in docs and on screen."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import cbdd
import cbdd.errors
from cbdd.cli.app import app
from cbdd.codes import CODES, GROUPS, SEV_1, SEVERITIES, Code, severity_of, to_markdown

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "cbdd"
NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
COMMAND = re.compile(r"`cbdd ([a-z-]+)")
NOT_CODES = {"F_FULLFSYNC", "F_OFD_SETLK"}  # names of the system, looked up by name


def capitals(tree: ast.AST) -> set[str]:
    """Strings that could be codes."""
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and len(node.value) > 3
        and NAME.fullmatch(node.value)
    }


def passed(tree: ast.AST) -> set[str]:
    """Such strings that a call is given, or a constant or a result is made of."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for argument in [*node.args, *[keyword.value for keyword in node.keywords]]:
                if not isinstance(argument, ast.Call):
                    found |= capitals(argument)
        elif isinstance(node, ast.Return) and node.value is not None:
            found |= capitals(node.value)
    return found


def errors_of(tree: ast.AST) -> set[str]:
    """Codes of errors that are made here, whatever layer it is."""
    classes = {*cbdd.errors.__all__, "CommandError"}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "CommandError":
                found |= {
                    text
                    for argument in [*node.args[2:], *[word.value for word in node.keywords]]
                    for text in capitals(argument)
                }
            elif node.func.id in classes and node.args:
                found |= capitals(node.args[0])
    return found


def trees() -> dict[Path, ast.AST]:
    return {
        path: ast.parse(path.read_text())
        for path in sorted(SOURCE.rglob("*.py"))
        if path.parent.name != "codes"
    }


def test_every_code_that_is_used_is_in_the_table() -> None:
    unknown: dict[str, str] = {}
    count = 0
    for path, tree in trees().items():
        names = errors_of(tree)
        if path.relative_to(SOURCE).parts[0] in ("storage", "catalog", "client"):
            names |= passed(tree) - NOT_CODES
        count += len(names)
        unknown |= dict.fromkeys(names - CODES.keys(), path.name)
    assert not unknown
    assert count > 80


def test_every_code_in_the_table_is_used() -> None:
    used: set[str] = set()
    for tree in trees().values():
        used |= capitals(tree)
    assert not CODES.keys() - used


@pytest.mark.parametrize("code", CODES.values(), ids=list(CODES))
def test_a_code_is_described(code: Code) -> None:
    assert NAME.fullmatch(code.name)
    assert code.group in GROUPS
    assert code.severity in SEVERITIES
    for text in (code.meaning, code.next_step):
        assert text.endswith((".", ")"))
        assert text[0].isupper() or text[0] == "`"
        assert "|" not in text


def test_next_steps_name_commands_that_exist() -> None:
    there = {command.name for command in app.registered_commands}
    there |= {group.typer_instance.info.name for group in app.registered_groups}
    named = {name for code in CODES.values() for name in COMMAND.findall(code.next_step)}
    assert "check" in named
    assert not named - there


def test_names_are_unique() -> None:
    text = "".join(path.read_text() for path in sorted((SOURCE / "codes").glob("*.py")))
    names = re.findall(r'^    Code\(\s*"([A-Z0-9_]+)"', text, re.M)
    assert sorted(names) == sorted(CODES)


def test_the_document_is_the_table() -> None:
    assert (ROOT / "docs" / "codes.md").read_text() == to_markdown(), "run `make codes`"


def test_an_error_knows_its_severity() -> None:
    assert cbdd.errors.CorruptDataError("PAGE_CHECKSUM", "a page").severity == SEV_1
    assert cbdd.errors.DiskFullError("DISK_FULL", "no space").severity == "SEV-2"


def test_what_nobody_knows_counts_as_the_worst() -> None:
    assert severity_of("NO_SUCH_CODE") == SEV_1
