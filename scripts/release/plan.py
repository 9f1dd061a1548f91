"""The steps of a release, in order, and what is remembered between them.

A step that is done is noted with what it found in `state.json` in the folder of the release, so a
release that stopped goes on where it stopped. What is noted holds for one commit, one version and
one kind of build: with another, everything is done anew.

Invariants: a step runs only after all before it are done; one that fails is noted nowhere; nothing
is built of a tree that has changed since it was looked at.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

STATE_FILE: Final = "state.json"
VERSION_FILE: Final = "src/cbdd/storage/version.py"
_VERSION: Final = re.compile(r'VERSION: Final = "([^"]+)"')
_LAST_LINES: Final = 30


class ReleaseError(Exception):
    """Something is not as a release needs it; the message says what, where and what to do."""


@dataclass
class Release:
    """One release: where it is made, of what, and how."""

    root: Path
    output: Path
    version: str
    commit: str
    is_pure: bool = False  # a wheel without the compiled core, which is fast and never published
    is_offline: bool = False  # environments take their dependencies from the running one
    tests: str = "quick"
    tell: Callable[[str], None] = print

    @property
    def dist(self) -> Path:
        """Where the files to publish are."""
        return self.output / "dist"

    @property
    def kept(self) -> Path:
        """Where the files that this release has written are kept."""
        return self.root / "tests" / "format" / self.version

    def wheel(self) -> Path:
        """The wheel.

        :raises ReleaseError: there is none, or more than one.
        """
        return self._only("*.whl")

    def sdist(self) -> Path:
        """The source distribution."""
        return self._only("*.tar.gz")

    def _only(self, pattern: str) -> Path:
        found = sorted(self.dist.glob(pattern))
        if len(found) != 1:
            raise ReleaseError(
                f"{self.dist} holds {len(found)} files {pattern}, not one; build again with "
                "--restart"
            )
        return found[0]


def version_of(root: Path) -> str:
    """The version that the source says it is.

    :raises ReleaseError: it cannot be read.
    """
    path = root / VERSION_FILE
    try:
        found = _VERSION.search(path.read_text())
    except OSError as error:
        raise ReleaseError(f"{path} cannot be read: {error.strerror}") from error
    if found is None:
        raise ReleaseError(f'{path} has no line `VERSION: Final = "..."`')
    return found[1]


def run(
    arguments: Sequence[str | Path], cwd: Path, environment: Mapping[str, str] | None = None
) -> str:
    """Run a program; returns its standard output.

    :raises ReleaseError: it is not there, or its exit code is not 0; with the end of its output.
    """
    words = [str(word) for word in arguments]
    try:
        done = subprocess.run(
            words, cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise ReleaseError(f"{words[0]} cannot be run: {error.strerror}") from error
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()[-_LAST_LINES:]
        raise ReleaseError(
            f"exit code {done.returncode} of `{' '.join(words)}` in {cwd}:\n  " + "\n  ".join(said)
        )
    return done.stdout


@dataclass
class Step:
    """One step. ``run`` returns facts for people and for later steps.

    One that ``repeats`` is done in every run: what it looks at may have changed meanwhile.
    """

    name: str
    what: str
    run: Callable[[Release], dict[str, Any]]
    repeats: bool = False


@dataclass
class Progress:
    """Which steps are done, on disk."""

    release: Release
    done: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def _identity(self) -> dict[str, object]:
        release = self.release
        return {
            "commit": release.commit,
            "version": release.version,
            "pure": release.is_pure,
            "offline": release.is_offline,
            "tests": release.tests,
        }

    def read(self) -> None:
        """Take up what an earlier run has noted, if it holds for this release."""
        path = self.release.output / STATE_FILE
        if not path.exists():
            return
        try:
            noted = json.loads(path.read_text())
            if noted["release"] == self._identity:
                self.done = dict(noted["done"])
            else:
                self.release.tell("what was done before is of another commit or build: all anew")
        except (ValueError, KeyError, TypeError) as error:
            raise ReleaseError(
                f"{path} makes no sense ({error!r}); remove it to begin anew"
            ) from error

    def note(self, step: Step, facts: dict[str, Any]) -> None:
        """Note a step as done."""
        self.done[step.name] = facts
        path = self.release.output / STATE_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        noted = {"release": self._identity, "done": self.done}
        unfinished = path.with_suffix(".new")
        unfinished.write_text(json.dumps(noted, indent=1) + "\n")
        unfinished.replace(path)


def run_steps(
    release: Release, steps: Sequence[Step], only: str = "", dry_run: bool = False
) -> dict[str, dict[str, Any]]:
    """Run what is not done yet; returns what every step found.

    :param only: the one step to run, done before or not; those before it must be done.
    :raises ReleaseError: a step found something that must not be released.
    """
    progress = Progress(release)
    progress.read()
    for number, step in enumerate(steps, 1):
        place = f"[{number}/{len(steps)}] {step.name}"
        if only and step.name != only and not step.repeats:
            if step.name not in progress.done:
                raise ReleaseError(f"step {only} needs step {step.name}, which is not done")
            continue
        if step.name in progress.done and not only and not step.repeats:
            release.tell(f"{place}: done before")
            continue
        if dry_run:
            release.tell(f"{place}: would {step.what}")
        else:
            release.tell(f"{place}: {step.what}")
            started = time.monotonic()
            facts = step.run(release)
            progress.note(step, facts)
            release.tell(f"    done in {time.monotonic() - started:.1f} s{_text(facts)}")
        if step.name == only:
            break
    return progress.done


def _text(facts: Mapping[str, Any]) -> str:
    """Facts that are short, for people."""
    short = [f"{name} {value}" for name, value in facts.items() if isinstance(value, str | int)]
    return f": {', '.join(short)}" if short else ""
