"""The results as Markdown, for docs/performance.md."""

from __future__ import annotations

from typing import Any


def to_markdown(report: dict[str, Any], plots: str = "") -> str:
    """One table for each kind of documents.

    :param plots: the folder of the plots as the document names it; empty for none.
    """
    machine = report["machine"]
    versions = ", ".join(f"{name} {text}" for name, text in machine["versions"].items())
    where = f"Python {machine['python']}, {machine['system']}, {machine['processors']} processors"
    lines = [f"{versions}; {where}."]
    for kind, content in report["kinds"].items():
        names = list(dict.fromkeys(n for row in content["rows"] for n in row["medians"]))
        lines += ["", f"### {kind.capitalize()}: {content['documents']:,} documents", ""]
        if plots:
            lines += [f"![How many times as long rivals take]({plots}/{kind}.png)", ""]
        lines.append(f"| row | {' | '.join(names)} | floor | {_rivals(names)} |")
        lines.append("|---|" + "---|" * (2 * len(names)))
        for row in content["rows"]:
            cells = [_name(row), *(_number(row["medians"].get(name)) for name in names)]
            cells.append(_number(row["floor"]))
            cells += [_number(row["ratios"].get(name)) for name in names[1:]]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _rivals(names: list[str]) -> str:
    return " | ".join(f"{name} / {names[0]}" for name in names[1:])


def _name(row: dict[str, Any]) -> str:
    name = str(row["row"]).replace("$inc", "`$inc`").replace("_id", "`_id`")
    name = name.replace("update_many", "`update_many`")
    return name if row["unit"] == "us" else f"{name} ({row['unit']})"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"
