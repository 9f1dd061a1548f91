"""Random transactions over threads, processes and crashes; then their history is checked.

    python -m tests.isolation.run --seconds 60 --seed 1 --processes 2 --threads 3 [--json]

Rounds of a few seconds each, every other one with SIGKILLs. Prints transactions, reads, and the
anomalies by name; the exit code is 1 when there is one that snapshot isolation forbids.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from cbdd.testing.histories import FAIL, OK, READ, check_history, forbidden
from tests.isolation.append_workload import run_history

ROUND_SECONDS = 4.0


def run_rounds(
    seconds: float, seed: int, processes: int, threads: int, round_seconds: float = ROUND_SECONDS
) -> tuple[Counter[str], Counter[str], list[str]]:
    """Counts, anomalies by name, and the forbidden ones in words."""
    counts: Counter[str] = Counter()
    names: Counter[str] = Counter()
    bad: list[str] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end and not bad:
        with tempfile.TemporaryDirectory(prefix="cbdd-isolation-") as folder:
            history, kills = run_history(
                str(Path(folder) / "app.cbdd"),
                min(round_seconds, max(0.5, end - time.monotonic())),
                seed,
                processes,
                threads,
                counts["rounds"] % 2 == 1,
            )
        counts["rounds"] += 1
        counts["kills"] += kills
        counts["transactions"] += len(history)
        for t in history:
            counts[{OK: "committed", FAIL: "conflicts"}.get(t.status, "unknown")] += 1
            counts["reads"] += sum(action[0] == READ for action in t.actions)
        anomalies = check_history(history)
        names.update(anomaly.name for anomaly in anomalies)
        bad += [f"seed {seed}: {anomaly!r}" for anomaly in forbidden(anomalies)]
        seed += 1
    return counts, names, bad


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    counts, names, bad = run_rounds(chosen.seconds, chosen.seed, chosen.processes, chosen.threads)
    if chosen.json:
        print(json.dumps({"counts": counts, "anomalies": names, "forbidden": bad}))
    else:
        print(", ".join(f"{count} {name}" for name, count in counts.items()))
        print("anomalies: " + (", ".join(f"{n} {name}" for name, n in names.items()) or "none"))
        for text in bad:
            print(f"FORBIDDEN, {text}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
