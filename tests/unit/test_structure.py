"""Rules about the source itself: layers, sizes, names, docstrings, and who may call the system."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TypeGuard

import pytest

import cbdd

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "cbdd"
LAYERS = [
    ("codes",),
    ("errors",),
    ("storage",),
    ("document",),
    ("index",),
    ("catalog",),
    ("expression",),
    ("query",),
    ("aggregation",),
    ("client", "build_info"),
    ("cli", "ops", "server", "testing", "__init__", "__main__"),
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 70
FORBIDDEN_NAMES = {
    "manager",
    "handler",
    "helper",
    "helpers",
    "util",
    "utils",
    "common",
    "base",
    "misc",
}
SYSTEM_MODULES = {
    "os",
    "time",
    "random",
    "fcntl",
    "socket",
    "mmap",
    "shutil",
    "tempfile",
    "secrets",
}
FILES = sorted(SOURCE.rglob("*.py"))


def layer_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_modules(tree: ast.AST) -> list[str]:
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names.append(node.module or "")
    return names


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function after its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_keeps_the_rules(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "no module docstring"
    assert text.count("\n") <= MAX_FILE_LINES
    assert path.stem not in FORBIDDEN_NAMES
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = body_lines(node)
            assert lines < MAX_FUNCTION_LINES, f"{node.name} has {lines} lines"
    mine = RANK[layer_of(path)]
    for name in imported_modules(tree):
        if name == "cbdd":
            assert mine >= RANK["cli"], "imports the package from below"
        if name.startswith("cbdd."):
            other = name.split(".")[1]
            assert RANK[other] <= mine, f"{name} is above {layer_of(path)}"


@pytest.mark.parametrize(
    "path",
    [p for p in FILES if layer_of(p) == "storage"],
    ids=lambda path: path.stem,
)
def test_storage_calls_the_system_only_through_io(path: Path) -> None:
    names = imported_modules(ast.parse(path.read_text()))
    used = {name.split(".")[0] for name in names}
    assert path.stem in ("io", "brief_calls") or not used & SYSTEM_MODULES
    assert path.stem == "io" or "cbdd.storage.brief_calls" not in names


def test_every_public_name_exists() -> None:
    assert sorted(cbdd.__all__) == sorted(set(cbdd.__all__))
    for name in cbdd.__all__:
        assert getattr(cbdd, name) is not None


def documents() -> list[Path]:
    return [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_links_in_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def _is_of_i64(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Name) and node.id == "i64"


def _is_of_constants(choice: ast.IfExp) -> bool:
    return all(
        isinstance(each, ast.Name) and each.id.isupper() for each in (choice.body, choice.orelse)
    )


def test_no_choice_between_native_integers_is_an_expression() -> None:
    """Compiled, it makes objects of both, and nobody looks whether there was memory for them."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            choices: list[ast.expr | None] = []
            if isinstance(node, ast.FunctionDef) and _is_of_i64(node.returns):
                choices = [each.value for each in ast.walk(node) if isinstance(each, ast.Return)]
            elif isinstance(node, ast.AnnAssign) and _is_of_i64(node.annotation):
                choices = [node.value]
            for each in choices:
                if isinstance(each, ast.IfExp) and not _is_of_constants(each):
                    found.append(f"{path}:{each.lineno}")
    assert found == []


def test_no_attribute_of_a_base_class_is_set_before_it_is_initialised() -> None:
    """Compiled, the base takes it for the first value and does not let go of the one there."""
    classes = {
        node.name: node
        for path in FILES
        if RANK[layer_of(path)] <= RANK["query"]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    }
    found = []
    for name, node in classes.items():
        init = initialiser_of(node)
        calls = [each.lineno for each in ast.walk(init) if is_super_init(each)] if init else []
        if init is None or not calls:
            continue
        early = {each for each, line in attributes_set(init) if line < min(calls)}
        bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
        while bases:
            above = classes.get(bases.pop())
            if above is None:
                continue
            bases += [base.id for base in above.bases if isinstance(base, ast.Name)]
            other = initialiser_of(above)
            late = {each for each, _ in attributes_set(other)} if other else set()
            found += [f"{name}.{each}" for each in sorted(early & late)]
    assert found == []


def initialiser_of(node: ast.ClassDef) -> ast.FunctionDef | None:
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and each.name == "__init__":
            return each
    return None


def is_super_init(node: ast.AST) -> TypeGuard[ast.Call]:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "__init__"
    )


def attributes_set(function: ast.FunctionDef) -> list[tuple[str, int]]:
    """Names and lines of what is assigned to attributes of ``self``."""
    return [
        (node.attr, node.lineno)
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    ]


def test_what_is_left_to_the_compiled_suite_is_not_skipped_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    found = re.search(r"^COMPILED_ONLY := ((?:.*\\\n)*.*)", makefile, re.MULTILINE)
    assert found is not None
    paths = [ROOT / name for name in found[1].replace("\\\n", " ").split()]
    assert len(paths) > 8
    for path in paths:
        for each in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            assert 'build_kind() == "compiled"' not in each.read_text(), each
