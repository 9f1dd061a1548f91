"""What consumers are told: the pin to the last known-good release, and why another is withdrawn."""

from __future__ import annotations

from typing import Final

from cbdd.ops.incident.record import Incident

PACKAGE: Final = "cbdd"


def pins(version: str, bad: list[str]) -> dict[str, str]:
    """Files with the pin, by name, each with how to use it.

    :param version: the last known-good release.
    :param bad: releases that must not be used.
    """
    excluded = f"{PACKAGE}=={version}"
    why = f"# {', '.join(bad) or 'later releases'}: withdrawn, see YANK.txt"
    return {
        "constraints.txt": f"{why}\n# pip install -c constraints.txt ...\n{excluded}\n",
        "uv.toml": (
            f"{why}\n# into pyproject.toml as [tool.uv], or as uv.toml beside it, then: uv lock\n"
            f'constraint-dependencies = ["{excluded}"]\n'
        ),
        "poetry.toml.txt": (
            f"{why}\n# into pyproject.toml, then: poetry lock\n"
            f'[tool.poetry.dependencies]\n{PACKAGE} = "{version}"\n'
        ),
    }


def yank_reason(incident: Incident, last_good: str, bad: list[str]) -> str:
    """One line for the index that withdraws the bad releases."""
    codes = sorted({code for each in incident.signals for code, _ in each.codes})
    areas = sorted({area for each in incident.signals for area in each.areas if area})
    what = ", ".join(codes) or ", ".join(areas) or incident.title
    use = f"; use {PACKAGE} {last_good}" if last_good else ""
    which = f"{PACKAGE} {', '.join(bad)}: " if bad else ""
    return f"{which}{incident.severity} incident {incident.number} ({what}){use}"


def rollback_steps(last_good: str, file: str, is_readable: bool) -> str:
    """The steps of docs/deployment.md, filled in."""
    name = file or "FILE"
    lines = [
        f"Rollback to {PACKAGE} {last_good} (docs/deployment.md, Rollback procedure)",
        "",
        "1. Stop every process that writes.",
        f"2. Keep a copy: cbdd backup {name} {name}-before-rollback",
        f"3. Install the earlier release: pip install -c constraints.txt {PACKAGE}=={last_good}",
    ]
    if is_readable:
        lines.append(f"4. See that it reads the file: cbdd check {name}")
    else:
        lines.append(
            f"4. The earlier release must not read this file: restore a backup that it can read: "
            f"cbdd restore BACKUP {name}-restored"
        )
    lines += [
        "5. Start the processes again, one first.",
        "6. See that it is well: cbdd doctor " + name,
    ]
    return "\n".join(lines) + "\n"
