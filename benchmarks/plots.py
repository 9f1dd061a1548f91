"""The table as pictures: for each kind of documents, how many times as long each rival takes."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Final

_COLOURS: Final = {
    "sqlite3": "#4c72b0",
    "lmdb": "#dd8452",
    "tinydb": "#8c8c8c",
    "montydb": "#c0c0c0",
    "mongomock": "#937860",
}


def draw(report: dict[str, Any], folder: Path) -> list[Path]:
    """Draw one PNG for each kind; returns their paths."""
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    folder.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    for kind, content in report["kinds"].items():
        rows = [row for row in content["rows"] if row["ratios"]]
        names = [name for name in _COLOURS if any(name in row["ratios"] for row in rows)]
        figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.32 * len(rows)))
        height = 0.8 / max(1, len(names))
        for number, name in enumerate(names):
            places = [
                at - 0.4 + height * (number + 0.5)
                for at, row in enumerate(rows)
                if name in row["ratios"]
            ]
            values = [row["ratios"][name] for row in rows if name in row["ratios"]]
            axes.barh(places, values, height, label=name, color=_COLOURS[name])
        axes.axvline(1.0, color="black", linewidth=1)
        axes.set_xscale("log")
        axes.set_yticks(range(len(rows)), [row["row"] for row in rows])
        axes.invert_yaxis()
        axes.set_xlabel("times as long as CBDD (right of the line CBDD is faster)")
        axes.set_title(f"{kind}: {content['documents']:,} documents")
        axes.legend(loc="lower right", fontsize=8)
        figure.tight_layout()
        path = folder / f"{kind}.png"
        figure.savefig(path, dpi=110)
        pyplot.close(figure)
        made.append(path)
    return made
