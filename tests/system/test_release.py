"""A release of this very tree is made in a copy of it, but for compiling and publishing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from scripts.release import __main__ as command
from scripts.release import trial
from scripts.release.plan import version_of

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(
    not (ROOT / ".git").exists(), reason="a release is made of a checkout"
)


def commit(root: Path) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    for words in (["add", "--all"], ["commit", "--message", "A change"]):
        subprocess.run(["git", *identity, *words], cwd=root, check=True, capture_output=True)


def copy_of_this_tree(folder: Path) -> Path:
    """This tree, as it would be committed, with a dated changelog."""
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout.split(b"\0")
    for name in filter(None, files):
        source, target = ROOT / name.decode(), folder / name.decode()
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
            target.chmod(source.stat().st_mode)
    version = version_of(folder)
    changelog = folder / "CHANGELOG.md"
    text = changelog.read_text().replace(f"{version} (unreleased)", f"{version} (2026-01-31)")
    changelog.write_text(text)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    commit(folder)
    return folder


def test_a_release_of_this_tree_is_made_but_for_compiling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(
        trial.SELECTIONS, "quick", ["tests/format", "tests/unit/storage/test_meta.py"]
    )
    root = copy_of_this_tree(tmp_path / "tree")
    words = ["--root", str(root), "--pure", "--offline", "--tests", "quick"]
    assert command.main(words) == 0, capsys.readouterr()
    said = capsys.readouterr().out
    assert said.count("done in") == len(command.STEPS)
    version = version_of(root)
    output = root / "build" / "release" / version
    names = sorted(path.name for path in (output / "dist").iterdir())
    assert names == ["SHA256SUMS", f"cbdd-{version}-py3-none-any.whl", f"cbdd-{version}.tar.gz"]
    kept = root / "tests" / "format" / version
    assert json.loads((kept / "expected.json").read_text())["version"] == version
    assert sorted(path.name for path in kept.iterdir()) == [
        "clean.zip", "expected.json", "logged.zip",
    ]  # fmt: skip
    noted = json.loads((output / "state.json").read_text())["done"]
    assert noted["test-wheel"]["mode"] == "interpreted"
    assert noted["test-wheel"]["passed"] == noted["test-sdist"]["passed"] > 15
    assert command.main(words) == 0
    assert capsys.readouterr().out.count("done before") == len(command.STEPS) - 1
    assert command.main([*words, "--step", "sums"]) == 0
    subprocess.run(["git", "tag", f"v{version}"], cwd=root, check=True)
    capsys.readouterr()
    assert command.main(words) == 1
    assert f"not newer than the tag v{version}" in capsys.readouterr().err
    subprocess.run(["git", "tag", "--delete", f"v{version}"], cwd=root, check=True)
    (root / "src" / "cbdd" / "stray.txt").write_text("x")
    assert command.main([*words, "--step", "check"]) == 1
    assert capsys.readouterr().err.startswith("release: the tree is not clean")
