"""The coverage gate: lines and branches that the tests have run, against thresholds.

    python scripts/coverage_check.py [--json] [--worst 5]

`make coverage` runs the tests that are measured and then this. Thresholds and the files they hold
for are in pyproject.toml, [tool.cbdd.coverage]: one for everything, higher ones for the core. The
data is read through the library `coverage`, several files of data (one for each process that was
measured) are joined first.

Exit codes: 0 every threshold is kept, 1 some are not, 2 it cannot be judged: no data, data of other
source than is there now, or thresholds that make no sense.

Invariants: a file that no test imports counts with all its lines; a pattern that matches no file is
an error, so a renamed module cannot leave its group unseen.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from coverage import Coverage
from coverage.exceptions import CoverageException
from rich.console import Console
from rich.table import Table

ROOT: Final = Path(__file__).resolve().parents[1]
KEPT: Final = 0
BELOW: Final = 1
UNKNOWN: Final = 2
KINDS: Final = ("lines", "branches")


class CannotJudge(Exception):
    """The coverage cannot be compared; the message says why and what to do."""


@dataclass
class Group:
    """Files that share thresholds, in percent."""

    name: str
    patterns: list[str]
    thresholds: dict[str, float]
    files: list[str] = field(default_factory=list)


@dataclass
class FileCoverage:
    """What was run of one file; ``missing`` are its lines and jumps that were not, for people."""

    path: str
    run: dict[str, int]
    all: dict[str, int]
    missing: str

    @property
    def missed(self) -> int:
        """Lines and branches that were not run."""
        return sum(self.all.values()) - sum(self.run.values())


@dataclass
class Verdict:
    """One group, measured."""

    group: Group
    files: list[FileCoverage]

    def percent(self, kind: str) -> float:
        """Percent that was run; of nothing, all was."""
        total = sum(each.all[kind] for each in self.files)
        return 100.0 * sum(each.run[kind] for each in self.files) / total if total else 100.0

    @property
    def is_kept(self) -> bool:
        """Whether no threshold is above what was measured."""
        return all(self.percent(kind) >= self.group.thresholds[kind] for kind in KINDS)

    def worst(self, count: int) -> list[FileCoverage]:
        """The files with most that was not run."""
        ranked = sorted(self.files, key=lambda each: (-each.missed, each.path))
        return [each for each in ranked[:count] if each.missed]

    def to_dict(self, count: int) -> dict[str, object]:
        """The verdict for JSON."""
        return {
            "group": self.group.name,
            "files": len(self.files),
            "is_kept": self.is_kept,
            **{kind: round(self.percent(kind), 2) for kind in KINDS},
            "thresholds": self.group.thresholds,
            "worst": [
                {"file": each.path, "missed": each.missed, "missing": each.missing}
                for each in self.worst(count)
            ],
        }


# -- what is asked for -----------------------------------------------------------------------


def groups_of(pyproject: Path) -> list[Group]:
    """The groups of [tool.cbdd.coverage], each with its files.

    :raises CannotJudge: there are none, a threshold is no percentage, or a pattern matches nothing.
    """
    try:
        settings = tomllib.loads(pyproject.read_text())["tool"]["cbdd"]["coverage"]
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise CannotJudge(f"{pyproject} has no [tool.cbdd.coverage]: {error!r}") from error
    groups = [_group(name, entry) for name, entry in settings.items()]
    if not groups:
        raise CannotJudge(f"[tool.cbdd.coverage] in {pyproject} names no group")
    for group in groups:
        for pattern in group.patterns:
            found = sorted(pyproject.parent.glob(pattern))
            if not found:
                raise CannotJudge(
                    f"group {group.name!r}: {pattern} matches no file; correct the pattern in "
                    f"[tool.cbdd.coverage]"
                )
            group.files += [path.relative_to(pyproject.parent).as_posix() for path in found]
        group.files = sorted(set(group.files))
    return groups


def _group(name: str, entry: object) -> Group:
    if not isinstance(entry, dict) or entry.keys() != {"files", *KINDS}:
        raise CannotJudge(f"group {name!r} must have `files`, `lines` and `branches`: {entry!r}")
    for kind in KINDS:
        if not isinstance(entry[kind], int | float) or not 0 <= entry[kind] <= 100:
            raise CannotJudge(f"group {name!r}: {kind} = {entry[kind]!r} is no percentage")
    if not isinstance(entry["files"], list) or not entry["files"]:
        raise CannotJudge(f"group {name!r}: `files` must be a list of patterns")
    return Group(name, entry["files"], {kind: float(entry[kind]) for kind in KINDS})


# -- what was measured -----------------------------------------------------------------------


def measured(pyproject: Path, data: Path | None) -> dict[str, FileCoverage]:
    """The coverage of each file, by its path in the repository.

    :param data: the file of data; default: the one that [tool.coverage.run] names.
    :raises CannotJudge: there is no data, or a file has changed since it was measured.
    """
    options: dict[str, Any] = {} if data is None else {"data_file": str(data)}
    try:
        coverage = Coverage(config_file=str(pyproject), messages=False, **options)
        source = Path(str(coverage.get_option("run:data_file"))) if data is None else data
        if any(source.parent.glob(f"{source.name}.*")):
            coverage.combine()
        coverage.load()
        measured_at = source.stat().st_mtime if source.exists() else 0.0
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.json"
            # Tests run other copies, too, which are gone by now.
            coverage.json_report(outfile=str(report), include=[f"{pyproject.parent}/*"])
            found = json.loads(report.read_text())
    except CoverageException as error:
        raise CannotJudge(
            f"there is no coverage to judge ({error}); run `make coverage`"
        ) from error
    root = pyproject.parent.resolve()
    result: dict[str, FileCoverage] = {}
    for name, entry in found["files"].items():
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            continue
        if path.exists() and path.stat().st_mtime > measured_at:
            raise CannotJudge(f"{name} has changed since it was measured; run `make coverage`")
        relative = path.relative_to(root).as_posix()
        result[relative] = _file_coverage(relative, entry)
    return result


def _file_coverage(path: str, entry: dict[str, Any]) -> FileCoverage:
    summary = entry["summary"]
    lines = set(entry["missing_lines"])
    jumps = [
        f"{first}->{'exit' if then < 0 else then}"
        for first, then in entry.get("missing_branches", [])
        if first not in lines and then not in lines
    ]
    return FileCoverage(
        path,
        {"lines": summary["covered_lines"], "branches": summary.get("covered_branches", 0)},
        {"lines": summary["num_statements"], "branches": summary.get("num_branches", 0)},
        ", ".join([*ranges(sorted(lines)), *jumps]),
    )


def ranges(numbers: list[int]) -> list[str]:
    """Ascending numbers as ranges.

    >>> ranges([1, 2, 3, 7])
    ['1-3', '7']
    """
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return [str(first) if first == last else f"{first}-{last}" for first, last in found]


def judge(groups: list[Group], files: dict[str, FileCoverage]) -> list[Verdict]:
    """Each group against what was measured.

    :raises CannotJudge: a file of a group was not measured.
    """
    verdicts: list[Verdict] = []
    for group in groups:
        unseen = [path for path in group.files if path not in files]
        if unseen:
            raise CannotJudge(
                f"group {group.name!r}: {', '.join(unseen[:5])} was not measured; "
                "run `make coverage`"
            )
        verdicts.append(Verdict(group, [files[path] for path in group.files]))
    return verdicts


# -- what is told ----------------------------------------------------------------------------


def show(verdicts: list[Verdict], worst: int, console: Console) -> None:
    """The table, and the worst files of each group with what they miss."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("group", "files", "lines %", "at least", "branches %", "at least", ""):
        table.add_column(name, justify="left" if name in ("group", "") else "right")
    for each in verdicts:
        cells = [
            text
            for kind in KINDS
            for text in (f"{each.percent(kind):.2f}", f"{each.group.thresholds[kind]:g}")
        ]
        verdict = "kept" if each.is_kept else "[red]BELOW[/red]"
        table.add_row(each.group.name, str(len(each.files)), *cells, verdict)
    console.print(table)
    for each in verdicts:
        for file in each.worst(worst):
            console.print(
                f"\n{each.group.name}: {file.path}, {file.missed} not run\n    {file.missing}",
                markup=False,
            )


def main(arguments: list[str] | None = None) -> int:
    """Judge, tell, and return the exit code."""
    parser = argparse.ArgumentParser(description="Compare coverage with its thresholds.")
    parser.add_argument("--pyproject", type=Path, default=ROOT / "pyproject.toml")
    parser.add_argument("--data", type=Path, help="file of coverage data")
    parser.add_argument("--worst", type=int, default=3, help="files to name for each group")
    parser.add_argument("--json", action="store_true", help="one object for programs")
    chosen = parser.parse_args(arguments)
    try:
        groups = groups_of(chosen.pyproject)
        verdicts = judge(groups, measured(chosen.pyproject, chosen.data))
    except CannotJudge as error:
        if chosen.json:
            print(json.dumps({"error": str(error), "exit_code": UNKNOWN}))
        else:
            sys.stderr.write(f"coverage: {error}\n")
        return UNKNOWN
    is_kept = all(each.is_kept for each in verdicts)
    if chosen.json:
        found = [each.to_dict(chosen.worst) for each in verdicts]
        print(json.dumps({"is_kept": is_kept, "groups": found}))
    else:
        show(verdicts, chosen.worst, Console(highlight=False, soft_wrap=True))
    return KEPT if is_kept else BELOW


if __name__ == "__main__":
    sys.exit(main())
