"""Virtual environments with one release of CBDD in each, to run somebody's code with that release.

`build_environment` makes one from requirements: wheels by their path, or ``cbdd==1.2.3``.

- Normally pip resolves what they depend on from its configured index, or the one that is named.
- ``offline=True`` touches no network. What is required beside the wheels comes from the
  site-packages of the running interpreter: a folder of links to them, which a ``.pth`` file puts
  on the path behind the environment's own. There is no link to a package that was installed from a
  wheel, CBDD above all: neither code nor entry points of another version are to be seen. What the
  running interpreter lacks, or has in a version that does not do, is an error and no surprise
  later. Packages that it has as editable are not seen.

pip itself is never installed into an environment: the running interpreter's pip works on it from
outside. Either way the environment is asked afterwards what it imports as ``cbdd``.

A command in an environment gets the caller's variables without those that would lead it out of the
environment (`PYTHONPATH`, another `VIRTUAL_ENV`, settings of pip and pytest), and finds
``python`` there first. Names and passwords in the addresses of an index reach pip by its own
variables and no error.

Needs the extra ``cbdd[incident]``.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from cbdd.errors import UsageError
from cbdd.ops.processes import OUTPUT_BYTES, Completed, Stop, run_command
from cbdd.ops.wheels import OURS, Wheel, read_wheel

INSTALL_SECONDS: Final = 900.0
"""So long pip may take."""

_LEADING_OUT: Final = re.compile(
    r"PYTHON(PATH|HOME|STARTUP|USERBASE|EXECUTABLE|PLATLIBDIR|SAFEPATH|NOUSERSITE|INSPECT)"
    r"|__PYVENV_LAUNCHER__|VIRTUAL_ENV(_PROMPT)?|CONDA_PREFIX"
    r"|(PIP|PYTEST|COV_CORE|COVERAGE|HATCH|UV)_.*"
)
_SETTINGS_OF_AN_INDEX: Final = re.compile(
    r"PIP_(INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|TRUSTED_HOST|CERT|CLIENT_CERT|PROXY"
    r"|CACHE_DIR|NO_CACHE_DIR|CONFIG_FILE|TIMEOUT|DEFAULT_TIMEOUT|RETRIES|KEYRING_PROVIDER)"
)
_LOGIN: Final = re.compile(r"(\w+://)[^/\s@]+@")
_ERROR_LINES: Final = 6
_PTH: Final = "zz_running_interpreter.pth"

_SURVEY: Final = """
import importlib.metadata, json, sys
found = {}
for each in importlib.metadata.distributions():
    name = each.metadata["Name"]
    if name and name not in found:
        found[name] = [each.version, str(each.locate_file(""))]
facts = {"installed": found, "prefix": sys.prefix, "cbdd": None}
try:
    import cbdd
    from cbdd.storage.version import VERSION
    facts["cbdd"] = [VERSION, cbdd.__file__]
except ModuleNotFoundError as error:
    if error.name != "cbdd":
        facts["error"] = f"{type(error).__name__}: {error}"
except Exception as error:
    facts["error"] = f"{type(error).__name__}: {error}"
print(json.dumps(facts))
"""


class Installed:
    """A package an environment has.

    ``sha256`` is that of the archive it was installed from, empty for what is the running
    interpreter's.
    """

    def __init__(self, name: str, version: str, sha256: str, is_own: bool) -> None:
        self.name = name
        self.version = version
        self.sha256 = sha256
        self.is_own = is_own

    def to_dict(self) -> dict[str, object]:
        """The package for JSON."""
        return {
            "name": self.name,
            "version": self.version,
            "sha256": self.sha256,
            "own": self.is_own,
        }


class Environment:
    """A virtual environment that was built; its folder belongs to whoever had it built."""

    def __init__(self, folder: Path, installed: Sequence[Installed]) -> None:
        self.folder = folder
        self.installed = list(installed)

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return _python_of(self.folder)

    def find(self, name: str) -> Installed | None:
        """A package it has, by name."""
        wanted = canonicalize_name(name)
        return next((each for each in self.installed if each.name == wanted), None)

    def variables(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The variables a command in this environment gets."""
        found = plain_variables()
        found["VIRTUAL_ENV"] = str(self.folder)
        found["PATH"] = os.pathsep.join([str(self.python.parent), found.get("PATH", os.defpath)])
        return {**found, **(more or {})}

    def run(
        self,
        command: Sequence[str],
        folder: Path | None = None,
        timeout_seconds: float = 600.0,
        variables: Mapping[str, str] | None = None,
        limit_bytes: int = OUTPUT_BYTES,
        stop: Stop | None = None,
    ) -> Completed:
        """Run a command in it; ``python`` is its interpreter.

        :param variables: in addition to, or in the place of, the caller's.
        :raises UsageError: ``COMMAND_FAILED``: the command cannot be started.
        """
        found = self.variables(variables)
        return run_command(command, folder, found, timeout_seconds, limit_bytes, stop)


class Source:
    """Where pip gets packages from.

    :param offline: from no network; see the module.
    :param index_url: an index in the place of the configured one; may hold a login.
    :param find_links: folders of wheels, in addition to it.
    """

    def __init__(
        self,
        offline: bool = False,
        index_url: str | None = None,
        find_links: Sequence[str | Path] = (),
    ) -> None:
        if offline and index_url is not None:
            raise UsageError("OPTION", "an index was named, and no network is allowed")
        self.offline = offline
        self.index_url = index_url
        self.find_links = [str(Path(each).absolute()) for each in find_links]

    def arguments(self) -> list[str]:
        """Options of pip."""
        found = [f"--find-links={each}" for each in self.find_links]
        if self.offline:
            found += ["--no-index", "--no-deps"]
        return found

    def variables(self) -> dict[str, str]:
        """Variables of pip: its own settings of an index, and none that says where to install."""
        found = plain_variables()
        if self.offline:
            found["PIP_CONFIG_FILE"] = os.devnull
        else:
            found |= {
                name: value
                for name, value in os.environ.items()
                if _SETTINGS_OF_AN_INDEX.fullmatch(name)
            }
        if self.index_url is not None:
            found["PIP_INDEX_URL"] = self.index_url  # on a command line everybody could read it
            found.pop("PIP_NO_INDEX", None)
            found.pop("PIP_EXTRA_INDEX_URL", None)
        return found


def build_environment(
    folder: str | Path,
    requirements: Iterable[str | Path],
    source: Source | None = None,
    stop: Stop | None = None,
) -> Environment:
    """Make a virtual environment that has the requirements, and see that it has them.

    :param folder: its folder, which must not be there yet.
    :param requirements: wheels by their path (with a slash, or a `Path`), or requirements as pip
        knows them: ``cbdd==1.2.3``. Offline, one that is no wheel may name what ``find_links`` has
        or what the running interpreter has.
    :raises UsageError: ``WHEEL_INVALID``; ``ENVIRONMENT_FAILED``: pip could not install them, or
        something required is missing; ``ENVIRONMENT_FOREIGN``: ``cbdd`` is not what was asked for.
    """
    folder = Path(folder).absolute()
    source = source if source is not None else Source()
    wheels, named = _sort_out(requirements)
    _make_empty(folder, stop)
    targets = [str(wheel.path) for wheel in wheels]
    hashes: dict[str, str] = {}
    if source.offline:
        own = [each for each in named if _comes_from_links(each, source)]
    else:
        own = named
    targets += [str(each) for each in own]
    if targets:
        hashes = _install(folder, targets, source, stop)
    if source.offline:
        _link_running(folder, set(hashes) | {OURS})
    environment = _surveyed(folder, hashes, wheels, named, stop)
    _require_all(environment, wheels, named)
    return environment


def _sort_out(requirements: Iterable[str | Path]) -> tuple[list[Wheel], list[Requirement]]:
    """Tell wheels from requirements."""
    wheels: list[Wheel] = []
    named: list[Requirement] = []
    for each in requirements:
        if not isinstance(each, Path) and "://" in each.partition("@")[0]:
            raise UsageError(
                "ENVIRONMENT_FAILED",
                f"{without_logins(each)} is an address",
                "name a wheel by its path, or say whose address it is: 'package @ https://...'",
            )
        if isinstance(each, Path) or _is_path(each):
            wheels.append(read_wheel(each))
            continue
        try:
            named.append(Requirement(each))
        except InvalidRequirement as error:
            raise UsageError(
                "ENVIRONMENT_FAILED",
                f"{each!r} is no requirement: {str(error).splitlines()[0]}",
                "name a wheel by its path, or a package as in 'cbdd==1.2.3'",
            ) from error
    return wheels, named


def _is_path(text: str) -> bool:
    """Whether it is a path and no requirement, which has slashes only in an address."""
    return os.sep in text.partition("@")[0] or (text.endswith(".whl") and "://" not in text)


def _comes_from_links(requirement: Requirement, source: Source) -> bool:
    """Whether a folder of wheels has the package, so the running interpreter's is not meant."""
    wanted = canonicalize_name(requirement.name)
    if wanted == OURS:
        return True
    return any(
        canonicalize_name(path.name.partition("-")[0]) == wanted
        for folder in source.find_links
        for path in Path(folder).glob("*.whl")
    )


def _make_empty(folder: Path, stop: Stop | None) -> None:
    """An environment with nothing in it: a tenth of a second."""
    if os.path.lexists(folder):
        raise UsageError(
            "ENVIRONMENT_FAILED", f"{folder} is there already", "name a folder that is not"
        )
    done = run_command(
        [sys.executable, "-m", "venv", "--without-pip", str(folder)],
        environment=plain_variables(),
        stop=stop,
    )
    if not done.is_success:
        raise _failed(f"python -m venv {folder}", done)


def _install(folder: Path, targets: list[str], source: Source, stop: Stop | None) -> dict[str, str]:
    """Let pip install; returns the SHA-256 of each archive by the name of its package."""
    report = folder / "installed.json"
    run_pip(
        [
            *("--python", str(_python_of(folder)), "install", "--quiet", "--no-compile"),
            *("--report", str(report), *source.arguments(), *targets),
        ],
        source,
        stop,
    )
    found: dict[str, str] = {}
    for each in json.loads(report.read_text())["install"]:
        name = canonicalize_name(each["metadata"]["name"])
        found[name] = str(_hash_of(each.get("download_info", {})))
    report.unlink()
    return found


def _hash_of(download: dict[str, Any]) -> str:
    archive = download.get("archive_info", {})
    return str(archive.get("hashes", {}).get("sha256", ""))


def run_pip(arguments: Sequence[str], source: Source, stop: Stop | None = None) -> None:
    """Run the running interpreter's pip.

    :raises UsageError: ``ENVIRONMENT_FAILED``: it is not there, or did not do what it was told.
    """
    if importlib.util.find_spec("pip") is None:
        raise UsageError(
            "ENVIRONMENT_FAILED",
            f"{sys.executable} has no pip",
            "install it: python -m ensurepip",
        )
    done = run_command(
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"),
            *arguments,
        ],
        environment=source.variables(),
        timeout_seconds=INSTALL_SECONDS,
        stop=stop,
    )
    if not done.is_success:
        raise _failed("pip " + " ".join(arguments), done)


def _failed(what: str, done: Completed) -> UsageError:
    lines = [line for line in without_logins(done.output).splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    if not errors or errors == ["ERROR: Exception:"]:  # the reason is at the end of a traceback
        errors = lines[-_ERROR_LINES:] if not errors else lines[-1:]
    how = "took too long" if done.is_timed_out else f"exit code {done.exit_code}"
    return UsageError(
        "ENVIRONMENT_FAILED",
        f"{without_logins(what)}: {how}: {'; '.join(errors[-_ERROR_LINES:])}",
        "see to it that what is missing can be installed, or is in the running interpreter",
        {"output": "\n".join(lines)[-4000:]},
    )


def without_logins(text: str) -> str:
    """Text without the logins of addresses in it.

    >>> without_logins("https://me:secret@example.org/simple")
    'https://****@example.org/simple'
    """
    return _LOGIN.sub(r"\1****@", text)


def _surveyed(
    folder: Path,
    hashes: dict[str, str],
    wheels: list[Wheel],
    named: list[Requirement],
    stop: Stop | None,
) -> Environment:
    """Ask the environment what it has, and whether its CBDD is the one that was asked for."""
    environment = Environment(folder, [])
    done = environment.run(["python", "-c", _SURVEY], folder=folder, stop=stop)
    try:
        facts = json.loads(done.last_line if done.is_success else "")
    except ValueError as error:
        raise _failed("asking the environment what it has", done) from error
    own = os.path.realpath(_own_site_packages(folder))
    for name, (version, place) in sorted(facts["installed"].items()):
        plain = canonicalize_name(name)
        is_own = os.path.realpath(place) == own
        sha256 = hashes.get(plain, "") if is_own else ""
        environment.installed.append(Installed(plain, version, sha256, is_own))
    _require_ours(environment, facts, wheels, named)
    return environment


def _require_ours(
    environment: Environment, facts: dict[str, Any], wheels: list[Wheel], named: list[Requirement]
) -> None:
    """`import cbdd` must give what was asked for, from the environment itself."""
    wheel = next((each for each in wheels if each.name == OURS), None)
    asked = next((each for each in named if canonicalize_name(each.name) == OURS), None)
    if "error" in facts:
        raise _foreign(environment, "a CBDD that can be imported", str(facts["error"]))
    if wheel is None and asked is None:
        return
    wanted = f"CBDD {wheel.version}" if wheel is not None else without_logins(str(asked))
    if facts["cbdd"] is None:
        raise _foreign(environment, wanted, "none")
    version, place = facts["cbdd"]
    inside = os.path.realpath(_own_site_packages(environment.folder))
    if not os.path.realpath(place).startswith(inside + os.sep):
        raise _foreign(environment, wanted, f"CBDD {version} of {os.path.dirname(place)}")
    is_right = (
        _is_version(str(version), wheel.version)
        if wheel is not None
        else asked is not None and _meets(str(version), asked)
    )
    if not is_right:
        raise _foreign(environment, wanted, f"CBDD {version}")


def _is_version(text: str, version: Version) -> bool:
    try:
        return Version(text) == version
    except InvalidVersion:
        return False


def _meets(version: str, requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return not requirement.specifier


def _foreign(environment: Environment, expected: str, found: str) -> UsageError:
    return UsageError(
        "ENVIRONMENT_FOREIGN",
        f"`import cbdd` in {environment.folder} is not what was installed "
        f"(expected {expected}, found {found})",
        "see that the wheel's version is that of its code, and that no .pth file of the "
        "environment puts another CBDD first",
        {"folder": str(environment.folder), "expected": expected, "found": found},
    )


def _require_all(environment: Environment, wheels: list[Wheel], named: list[Requirement]) -> None:
    """Whatever was asked for, and what the wheels need, must be there in a version that does."""
    missing: list[str] = []
    needed = [(None, each) for each in named] + [
        (wheel.name, Requirement(each)) for wheel in wheels for each in wheel.requires
    ]
    for who, requirement in needed:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        found = environment.find(requirement.name)
        if found is not None and _meets(found.version, requirement):
            continue
        has = "none" if found is None else found.version
        needs = f"{who} needs " if who is not None else ""
        wanted = f"{requirement.name}{requirement.specifier}"
        missing.append(f"{needs}{wanted}, found {has}")
    if missing:
        raise UsageError(
            "ENVIRONMENT_FAILED",
            f"{environment.folder} lacks something: {'; '.join(missing)}",
            "install it where cbdd runs, or leave out --offline",
            {"missing": missing},
        )


def _link_running(folder: Path, own: set[str]) -> None:
    """Let an environment see the running interpreter's packages, but for those of its own."""
    links = folder / "running" / "site-packages"
    links.mkdir(parents=True)
    for place in _site_packages_of_running():
        entries = sorted(place.iterdir())
        hidden = {name for each in entries if _is_of(each, own) for name in _top_level_of(each)}
        for each in entries:
            if each.suffix != ".pth" and each.name not in hidden and not _is_of(each, own):
                link = links / each.name
                if not os.path.lexists(link):  # the first on the path wins
                    link.symlink_to(each)
    _own_site_packages(folder).joinpath(_PTH).write_text(f"{links}\n")


def _is_of(path: Path, names: set[str]) -> bool:
    """Whether a folder describes the installation of one of these packages."""
    is_description = path.suffix in (".dist-info", ".egg-info")
    return is_description and canonicalize_name(path.name.partition("-")[0]) in names


def _top_level_of(description: Path) -> set[str]:
    """The modules and packages of an installation; not a namespace that others have a part in."""
    files = importlib.metadata.PathDistribution(description).files or []
    place = description.parent
    names = {each.parts[0] for each in files} - {"..", "__pycache__"}
    return {
        name
        for name in names
        if not (place / name).is_dir() or (place / name / "__init__.py").exists()
    }


def _site_packages_of_running() -> list[Path]:
    """Where the running interpreter has its packages, the first first."""
    paths = sysconfig.get_paths()
    candidates = [
        *[each for each in sys.path if Path(each).name in ("site-packages", "dist-packages")],
        *(paths["purelib"], paths["platlib"]),
    ]
    real = dict.fromkeys(Path(os.path.realpath(each)) for each in candidates)
    return [each for each in real if each.is_dir()]


def _python_of(folder: Path) -> Path:
    return folder / "bin" / "python"


def _own_site_packages(folder: Path) -> Path:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return folder / "lib" / version / "site-packages"


def plain_variables() -> dict[str, str]:
    """The variables of this process without those that would lead a command astray."""
    return {name: value for name, value in os.environ.items() if not _LEADING_OUT.fullmatch(name)}
