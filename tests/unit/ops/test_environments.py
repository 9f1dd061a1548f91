"""An environment has the release it was built with and nothing of the caller's."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import bson
import pytest

from cbdd.errors import UsageError
from cbdd.ops.environments import Environment, Source, build_environment
from tests.unit.ops.small_wheels import small_wheel

pytestmark = pytest.mark.xdist_group("environments")  # one fixture for all of them

OFFLINE = Source(offline=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Environment]:
    """An environment with a small CBDD 1.5.0, and its wheel."""
    folder = tmp_path_factory.mktemp("environment")
    wheel = small_wheel(folder, "1.5.0", requires=["pymongo>=4", "nosuch; extra == 'more'"])
    return wheel, build_environment(folder / "made", [wheel, "pytest>=8"], OFFLINE)


def test_the_environment_imports_the_wheel_and_not_the_running_cbdd(
    built: tuple[Path, Environment],
) -> None:
    _, environment = built
    code = "import cbdd, cbdd.storage.version as v; print(v.VERSION, cbdd.__file__)"
    done = environment.run(["python", "-c", code])
    assert done.is_success, done.output
    version, place = done.last_line.split()
    assert version == "1.5.0"
    assert place.startswith(str(environment.folder))


def test_dependencies_come_from_the_running_interpreter(built: tuple[Path, Environment]) -> None:
    _, environment = built
    done = environment.run(["python", "-c", "import bson, pytest; print(bson.__file__)"])
    assert done.is_success, done.output
    assert Path(done.last_line).resolve() == Path(bson.__file__).resolve()
    pytest_there = environment.find("pytest")
    assert pytest_there is not None
    assert not pytest_there.is_own


def test_entry_points_of_the_running_cbdd_are_not_seen(built: tuple[Path, Environment]) -> None:
    """An older release may have none, or others, and pytest would load those of the newer one."""
    _, environment = built
    code = (
        "import importlib.metadata as m, importlib.util as u; "
        "print([d.version for d in m.distributions() if d.name == 'cbdd'], "
        "[e.value for e in m.entry_points(group='pytest11') if 'cbdd' in e.value], "
        "u.find_spec('cbdd_pytest'))"
    )
    done = environment.run(["python", "-c", code])
    assert done.last_line == "['1.5.0'] [] None", done.output


def test_an_environment_can_be_built_from_within_one(
    built: tuple[Path, Environment], tmp_path: Path
) -> None:
    """As the tests of a consumer that builds environments itself do."""
    _, environment = built
    done = environment.run(["python", "-c", "import sys; print(*sys.path, sep=chr(10))"])
    seen = [line for line in done.output.splitlines() if line.endswith("site-packages")]
    assert seen == [
        str(path)
        for path in (
            next(environment.folder.glob("lib/*/site-packages")),
            environment.folder / "running" / "site-packages",
        )
    ]


def test_what_is_installed_is_known_with_its_hash(built: tuple[Path, Environment]) -> None:
    wheel, environment = built
    found = environment.find("cbdd")
    assert found is not None
    assert found.to_dict() == {
        "name": "cbdd",
        "version": "1.5.0",
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "own": True,
    }
    assert environment.find("no-such-package") is None


def test_variables_that_lead_out_of_the_environment_are_left_out(
    built: tuple[Path, Environment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, environment = built
    (tmp_path / "cbdd.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("VIRTUAL_ENV", "/elsewhere")
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    monkeypatch.setenv("KEPT", "yes")
    code = "import cbdd, os; print([os.environ.get(n) for n in ('KEPT', 'MORE', 'PIP_TARGET')])"
    done = environment.run(["python", "-c", code], variables={"MORE": "too"})
    assert done.last_line == "['yes', 'too', None]"
    assert environment.variables()["VIRTUAL_ENV"] == str(environment.folder)
    assert "PYTEST_ADDOPTS" not in environment.variables()


def test_settings_of_an_index_reach_pip_but_none_that_says_where_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://one.example/simple")
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    found = Source().variables()
    assert found["PIP_EXTRA_INDEX_URL"] == "https://one.example/simple"
    assert "PIP_TARGET" not in found
    named = Source(index_url="https://me:word@two.example/simple")
    assert "PIP_EXTRA_INDEX_URL" not in named.variables()
    assert not [each for each in named.arguments() if "word" in each]  # others can read those
    assert "PIP_EXTRA_INDEX_URL" not in OFFLINE.variables()
    with pytest.raises(UsageError, match="no network"):
        Source(offline=True, index_url="https://two.example/simple")


def test_pip_resolves_dependencies_from_a_folder_of_wheels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    links = tmp_path / "links"
    small_wheel(links, "1.0.0", requires=["tiny>=2"])
    small_wheel(links, "1.1.0", requires=["tiny>=2"])
    tiny = small_wheel(links, "2.1", name="tiny")
    environment = build_environment(tmp_path / "made", ["cbdd==1.0.0"], Source(find_links=[links]))
    assert [each.name for each in environment.installed] == ["cbdd", "tiny"]  # and nothing else
    found = environment.find("tiny")
    assert found is not None
    assert found.sha256 == hashlib.sha256(tiny.read_bytes()).hexdigest()


def test_a_released_version_is_taken_from_a_folder_offline(tmp_path: Path) -> None:
    small_wheel(tmp_path / "links", "1.0.0")
    small_wheel(tmp_path / "links", "1.1.0")
    source = Source(offline=True, find_links=[tmp_path / "links"])
    environment = build_environment(tmp_path / "made", ["cbdd<1.1"], source)
    found = environment.find("cbdd")
    assert found is not None
    assert found.version == "1.0.0"


def refused(tmp_path: Path, requirement: str | Path, source: Source = OFFLINE) -> UsageError:
    with pytest.raises(UsageError) as caught:
        build_environment(tmp_path / "made", [requirement], source)
    return caught.value


def test_what_the_running_interpreter_lacks_is_told(tmp_path: Path) -> None:
    wheel = small_wheel(tmp_path, requires=["pymongo>=900", "no-such-package"])
    error = refused(tmp_path, wheel)
    assert error.code == "ENVIRONMENT_FAILED"
    assert "cbdd needs pymongo>=900, found 4" in str(error)
    assert "cbdd needs no-such-package, found none" in str(error)


def test_a_wheel_whose_code_is_of_another_version_is_found_out(tmp_path: Path) -> None:
    files = {"cbdd/storage/version.py": 'VERSION = "0.9.9"\n'}
    error = refused(tmp_path, small_wheel(tmp_path, "1.0.0", files=files))
    assert error.code == "ENVIRONMENT_FOREIGN"
    assert error.details["found"] == "CBDD 0.9.9"


@pytest.mark.parametrize(
    ("code", "found"), [(None, "none"), ("raise OSError('planted')", "OSError: planted")]
)
def test_a_wheel_whose_code_cannot_be_imported_is_found_out(
    tmp_path: Path, code: str | None, found: str
) -> None:
    files = {"cbdd/__init__.py": code, "cbdd/storage/__init__.py": code}
    files["cbdd/storage/version.py"] = code
    error = refused(tmp_path, small_wheel(tmp_path, "1.0.0", files=files))
    assert error.code == "ENVIRONMENT_FOREIGN"
    assert re.search(found, str(error.details["found"]))


def test_what_pip_says_is_in_the_error_and_no_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_RETRIES", "0")
    source = Source(index_url="http://me:secret@127.0.0.1:9/simple")
    error = refused(tmp_path, "cbdd @ http://me:secret@127.0.0.1:9/cbdd-1-py3-none-any.whl", source)
    assert error.code == "ENVIRONMENT_FAILED"
    assert "ERROR" in str(error)
    assert "secret" not in f"{error}{error.details}"
    assert "secret" not in str(refused(tmp_path / "b", "https://me:secret@127.0.0.1/x.whl"))


@pytest.mark.parametrize("requirement", ["=1", "cbdd==nine", "cbdd==9.9.9"])
def test_a_requirement_that_cannot_be_met_is_a_coded_error(
    tmp_path: Path, requirement: str
) -> None:
    assert refused(tmp_path, requirement).code == "ENVIRONMENT_FAILED"


def test_a_folder_that_is_there_is_not_built_over(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    assert "there already" in str(refused(tmp_path, small_wheel(tmp_path)))
