"""A release: what it refuses, what it finds in the distributions, where it goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripts.release import __main__ as command
from scripts.release.inspection import metadata_faults, sdist_faults, wheel_faults
from scripts.release.keeping import keep_files
from scripts.release.members import SDIST, WHEEL, compiled_modules, source_modules, unexpected
from scripts.release.plan import Release, ReleaseError, Step, run_steps, version_of
from scripts.release.publishing import commands
from scripts.release.sums import write_sums
from scripts.release.tree import changes_of, check_tree, commit_of

ROOT = Path(__file__).resolve().parents[2]
CHANGES = "# Changelog\n\n## 1.2.0 (2026-01-31)\n\n- New.\n\n## 1.1.0 (2025-12-31)\n\n- Old.\n"
METADATA = """\
Metadata-Version: 2.4
Name: cbdd
Version: 1.2.0
Summary: A database
License-Expression: Apache-2.0
License-File: LICENSE
Requires-Python: >=3.11
Requires-Dist: pymongo<5,>=4.10
Description-Content-Type: text/markdown

# CBDD
"""


def git(root: Path, *words: str) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *identity, *words], cwd=root, check=True, capture_output=True)


def commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--message", "A change")


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """A small tree with one commit."""
    root = tmp_path / "tree"
    (root / "src" / "cbdd" / "storage").mkdir(parents=True)
    (root / "src" / "cbdd" / "storage" / "version.py").write_text('VERSION: Final = "1.2.0"\n')
    (root / "src" / "cbdd" / "py.typed").write_text("")
    (root / "CHANGELOG.md").write_text(CHANGES)
    (root / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    git(root, "init", "--quiet")
    commit(root)
    return Release(
        root, tmp_path / "made", "1.2.0", commit_of(root), is_pure=True, tell=lambda _line: None
    )


def refused(check: Callable[[Release], object], release: Release) -> str:
    with pytest.raises(ReleaseError) as caught:
        check(release)
    return str(caught.value)


# -- the tree --------------------------------------------------------------------------------


def test_a_clean_tree_with_a_new_version_may_be_released(release: Release) -> None:
    git(release.root, "tag", "v1.1.0")
    git(release.root, "tag", "vacation")
    assert check_tree(release) == {"lines of changes": 1}
    assert changes_of(release) == "- New."


def test_a_tree_that_is_not_clean_is_refused(release: Release) -> None:
    (release.root / "left over.txt").write_text("x")
    assert "left over.txt" in refused(check_tree, release)
    (release.root / "left over.txt").unlink()
    (release.root / "CHANGELOG.md").write_text(f"{CHANGES}more\n")
    assert "CHANGELOG.md; commit or remove it" in refused(check_tree, release)


def test_what_the_release_itself_keeps_does_not_make_the_tree_unclean(release: Release) -> None:
    release.kept.mkdir(parents=True)
    (release.kept / "expected.json").write_text("{}")
    check_tree(release)
    (release.root / "tests" / "format" / "stray").write_text("x")
    assert "tests/format/stray" in refused(check_tree, release)


@pytest.mark.parametrize("tag", ["v1.2.0", "v1.10.0", "v2.0.0rc1"])
def test_a_version_that_is_not_newer_than_every_tag_is_refused(release: Release, tag: str) -> None:
    git(release.root, "tag", tag)
    assert f"is not newer than the tag {tag}" in refused(check_tree, release)


def test_a_version_older_than_a_kept_file_is_refused(release: Release) -> None:
    (release.root / "tests" / "format" / "1.3.0").mkdir(parents=True)
    assert "older than tests/format/1.3.0" in refused(check_tree, release)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("# Changelog\n\n## 1.1.0 (2025-12-31)\n\n- Old.\n", "no section `## 1.2.0 (date)`"),
        (CHANGES.replace("2026-01-31", "unreleased"), "a release has its date"),
        (CHANGES.replace("- New.", ""), "is empty"),
        (CHANGES.replace("## 1.2.0 ", "## 1.2.00 "), "no section `## 1.2.0 (date)`"),
    ],
)
def test_a_changelog_that_does_not_know_the_version_is_refused(
    release: Release, changes: str, said: str
) -> None:
    (release.root / "CHANGELOG.md").write_text(changes)
    commit(release.root)
    assert said in refused(check_tree, release)


@pytest.mark.parametrize("version", ["1.2", "nonsense", "1.02.0"])
def test_a_version_has_its_normal_form(release: Release, version: str) -> None:
    release.version = version
    if version == "1.2":
        assert "no section" in refused(check_tree, release)
    else:
        assert version in refused(check_tree, release)


def test_a_tree_without_a_version_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refused(
        lambda _: version_of(tmp_path), Release(*[tmp_path] * 2, "", "")
    )


# -- the steps -------------------------------------------------------------------------------


def steps(ran: list[str], failing: str = "") -> list[Step]:
    def step(name: str) -> Step:
        def run(release: Release) -> dict[str, Any]:
            del release
            ran.append(name)
            if name == failing:
                raise ReleaseError(f"{name} failed")
            return {"by": name}

        return Step(name, f"do {name}", run)

    return [step(name) for name in ("one", "two", "three")]


def test_a_release_goes_on_where_it_stopped(release: Release) -> None:
    ran: list[str] = []
    with pytest.raises(ReleaseError, match="two failed"):
        run_steps(release, steps(ran, failing="two"))
    assert ran == ["one", "two"]
    done = run_steps(release, steps(ran))
    assert ran == ["one", "two", "two", "three"]
    assert done == {name: {"by": name} for name in ("one", "two", "three")}


@pytest.mark.parametrize(
    ("field", "value"),
    [("commit", "other"), ("is_pure", False), ("is_offline", True), ("tests", "full")],
)
def test_what_was_done_for_another_build_is_done_anew(
    release: Release, field: str, value: object
) -> None:
    ran: list[str] = []
    run_steps(release, steps(ran))
    setattr(release, field, value)
    run_steps(release, steps(ran))
    assert ran == ["one", "two", "three"] * 2


def test_one_step_runs_again_when_those_before_it_are_done(release: Release) -> None:
    ran: list[str] = []
    with pytest.raises(ReleaseError, match="step two needs step one, which is not done"):
        run_steps(release, steps(ran), only="two")
    run_steps(release, steps(ran))
    run_steps(release, steps(ran), only="two")
    assert ran == ["one", "two", "three", "two"]


def test_a_step_that_repeats_is_done_in_every_run(release: Release) -> None:
    ran: list[str] = []
    chosen = steps(ran)
    chosen[0].repeats = True
    run_steps(release, chosen)
    run_steps(release, chosen)
    run_steps(release, chosen, only="three")
    assert ran == ["one", "two", "three", "one", "one", "three"]


def test_a_dry_run_does_nothing(release: Release) -> None:
    ran: list[str] = []
    told: list[str] = []
    release.tell = told.append
    assert run_steps(release, steps(ran), dry_run=True) == {}
    assert ran == []
    assert told == [
        f"[{n}/3] {each}: would do {each}" for n, each in ((1, "one"), (2, "two"), (3, "three"))
    ]
    assert not release.output.exists()


def test_notes_that_make_no_sense_are_told(release: Release) -> None:
    release.output.mkdir()
    (release.output / "state.json").write_text("[]")
    with pytest.raises(ReleaseError, match="remove it to begin anew"):
        run_steps(release, steps([]))


# -- the distributions -----------------------------------------------------------------------


def wheel_of(release: Release) -> dict[str, bytes]:
    info = "cbdd-1.2.0.dist-info"
    members = dict.fromkeys(source_modules(release.root), b"")
    for name in ("WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"):
        members[f"{info}/{name}"] = b""
    return members | {f"{info}/METADATA": METADATA.encode()}


def test_a_wheel_as_it_should_be_has_no_fault(release: Release) -> None:
    assert wheel_faults(release, wheel_of(release)) == []


@pytest.mark.parametrize(
    "name",
    [
        "cbdd/storage/__pycache__/page.cpython-311.pyc",
        "cbdd/storage/page.py.orig",
        "cbdd/.coverage",
        "cbdd/shop.cbdd",
        "tests/conftest.py",
        "cbdd/storage/page.cpython-311-x86_64-linux-gnu.so",
        "cbdd-1.2.0.dist-info/direct_url.json",
        "build/lib/cbdd/page.py",
    ],
)
def test_what_has_no_business_in_a_pure_wheel_is_found(release: Release, name: str) -> None:
    assert wheel_faults(release, wheel_of(release) | {name: b""}) == [
        f"{name} has no business there"
    ]


@pytest.mark.parametrize("name", ["cbdd/py.typed", "cbdd-1.2.0.dist-info/licenses/LICENSE"])
def test_what_is_missing_in_a_wheel_is_found(release: Release, name: str) -> None:
    members = wheel_of(release)
    del members[name]
    assert wheel_faults(release, members) == [f"{name} is missing"]


def test_a_compiled_wheel_has_an_extension_for_each_module_of_the_core(release: Release) -> None:
    release.is_pure = False
    source = release.root / "src" / "cbdd"
    (source / "storage" / "page.py").write_text("")
    (source / "storage" / "wal.py").write_text("")
    assert compiled_modules(release.root) == ["cbdd/storage/page", "cbdd/storage/wal"]
    ending = ".cpython-311-x86_64-linux-gnu.so"
    members = wheel_of(release) | {f"cbdd/storage/page{ending}": b"", f"0a1b__mypyc{ending}": b""}
    assert wheel_faults(release, members) == ["cbdd/storage/wal is not compiled"]
    members |= {f"cbdd/storage/wal{ending}": b"", f"cbdd/storage/version{ending}": b""}
    assert wheel_faults(release, members) == [
        "cbdd/storage/version is compiled, and pyproject.toml does not say so"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-----BEGIN RSA " + "PRIVATE KEY-----", "line 2, holds what looks like a private key"),
        ("token = 'ghp_" + "a1" * 18 + "'", "a token of a code host"),
        ("pypi-" + "AgEIcHlwaS5vcmc" * 5, "a token of a package index"),
        ("AKIA" + "ABCDEFGH12345678", "a cloud access key"),
        ("https://bob:" + "s3cretpass@example.org/x", "credentials in an address"),
    ],
)
def test_a_secret_in_a_distribution_is_found(release: Release, text: str, said: str) -> None:
    members = wheel_of(release) | {"cbdd/storage/page.py": f"import os\n{text}\n".encode()}
    [fault] = wheel_faults(release, members)
    assert said in fault
    assert text not in fault, "the secret itself must not be told"


def test_traces_of_the_building_machine_are_found(release: Release) -> None:
    path = f"# made in {release.root}/src\n"
    members = wheel_of(release) | {"cbdd/storage/page.py": path.encode()}
    assert wheel_faults(release, members) == [
        "cbdd/storage/page.py names the folder it was built in"
    ]
    members |= {"cbdd/storage/page.py": b"\xff", "cbdd/storage/wal.py": bytes(5 << 20)}
    assert wheel_faults(release, members) == [
        "cbdd/storage/page.py is no UTF-8 text (at byte 0)",
        "cbdd/storage/wal.py has 5,242,880 bytes, allowed are 4,194,304",
    ]


def test_a_source_distribution_has_every_file_of_the_tree(release: Release) -> None:
    names = ["CHANGELOG.md", "pyproject.toml", "src/cbdd/py.typed", "src/cbdd/storage/version.py"]
    members = dict.fromkeys(names, b"") | {"PKG-INFO": METADATA.encode()}
    assert sdist_faults(release, members) == []
    del members["src/cbdd/py.typed"]
    members["tests/unit/.hypothesis/example"] = b""
    assert sdist_faults(release, members) == [
        "tests/unit/.hypothesis/example has no business there",
        "src/cbdd/py.typed is missing",
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("License-Expression: Apache-2.0", "License-Expression: MIT", "license is 'MIT'"),
        ("Requires-Python: >=3.11", "Requires-Python: >=3.9", "requires-python is >=3.9"),
        ("Requires-Python: >=3.11\n", "", "requires-python is None"),
        ("Version: 1.2.0", "Version: 1.1.0", "version is '1.1.0', not '1.2.0'"),
        ("pymongo<5,>=4.10", "pymongo", "pymongo has no range of versions"),
        ("text/markdown", "text/plain", "description type is 'text/plain'"),
        ("# CBDD\n", "", "summary or description is missing"),
        ("Name: cbdd", "Name: -", "name"),
    ],
)
def test_metadata_that_is_not_complete_is_found(
    release: Release, old: str, new: str, said: str
) -> None:
    assert metadata_faults(METADATA.encode(), release) == []
    changed = (
        METADATA.replace(old, new, 1)
        if old != "Version: 1.2.0"
        else METADATA.replace("\nVersion: 1.2.0", "\nVersion: 1.1.0")
    )
    assert any(said in fault for fault in metadata_faults(changed.encode(), release))


def test_every_file_of_this_tree_is_allowed_in_a_source_distribution() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert unexpected(filter(None, listed.stdout.split("\0")), SDIST) == []
    assert unexpected(source_modules(ROOT), WHEEL) == []


def test_sums_are_those_that_sha256sum_checks(release: Release) -> None:
    release.dist.mkdir(parents=True)
    (release.dist / "cbdd-1.2.0-py3-none-any.whl").write_bytes(b"wheel")
    assert "holds 0 files *.tar.gz" in refused(write_sums, release)
    (release.dist / "cbdd-1.2.0.tar.gz").write_bytes(b"sdist")
    write_sums(release)
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=release.dist, check=True)


def test_a_pure_wheel_is_not_for_publishing(release: Release) -> None:
    assert "not for publishing" in refused(commands, release)
    release.is_pure = False
    lines = commands(release)
    assert any(line.startswith(f"git tag --sign v1.2.0 {release.commit}") for line in lines)
    assert any("twine upload" in line for line in lines)


def test_what_is_kept_of_a_tagged_version_is_not_changed(release: Release) -> None:
    git(release.root, "tag", "v1.2.0")
    assert "must not change" in refused(keep_files, release)


def test_a_folder_of_something_else_is_left_alone(
    release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = release.output / "dist" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("x")
    words = ["--root", str(release.root), "--output", str(release.output), "--pure", "--restart"]
    assert command.main(words) == 1
    assert "is no folder of a release" in capsys.readouterr().err
    assert mine.read_text() == "x"


def test_a_folder_that_cannot_be_made_is_told_without_a_traceback(
    release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--root", str(release.root), "--output", "/proc/nowhere", "--pure"]
    assert command.main(words) == 1
    assert capsys.readouterr().err == "release: /proc/nowhere: No such file or directory\n"
