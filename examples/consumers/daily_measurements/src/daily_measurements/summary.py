"""What each station measured on a day."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from daily_measurements.records import Measurement


@dataclass
class Summary:
    """One station's day; the mean is of all measurements, however they are spread."""

    station: str
    count: int = 0
    lowest: float = math.inf
    highest: float = -math.inf
    total: float = 0.0

    @property
    def mean(self) -> float:
        return self.total / self.count

    def add(self, celsius: float) -> None:
        self.count += 1
        self.total += celsius
        self.lowest = min(self.lowest, celsius)
        self.highest = max(self.highest, celsius)


def summarize(measurements: Iterable[Measurement]) -> list[Summary]:
    """One summary for each station, by name."""
    found: dict[str, Summary] = {}
    for each in measurements:
        found.setdefault(each.station, Summary(each.station)).add(each.celsius)
    return [found[station] for station in sorted(found)]


def to_text(summaries: Iterable[Summary]) -> str:
    """The summaries as a table."""
    lines = [f"{'station':<20}{'count':>8}{'lowest':>9}{'mean':>9}{'highest':>9}"]
    lines += [
        f"{each.station:<20}{each.count:>8}{each.lowest:>9.1f}{each.mean:>9.1f}{each.highest:>9.1f}"
        for each in summaries
    ]
    return "\n".join(lines)
