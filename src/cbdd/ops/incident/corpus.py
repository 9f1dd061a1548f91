"""The tests of closed incidents, which CI replays: each is a file of its own with fake values."""

from __future__ import annotations

import os
from typing import Final

from cbdd.errors import UsageError
from cbdd.ops.incident.record import Incident

FOLDER: Final = "tests/incidents"


def corpus_name(incident: Incident) -> str:
    """The name of the file an incident's test has in the corpus; empty when it has none.

    Tests by name are in the suite already.
    """
    facts = incident.reproduction
    if facts.get("tests") or not facts.get("test"):
        return ""
    return f"test_incident_{incident.number}_{str(facts['sha256'])[:8]}.py"


def add_to_corpus(folder: str, name: str, source: bytes) -> str:
    """Write a test into the corpus; the same test again is left as it is. Returns its path.

    :raises UsageError: OUTPUT_EXISTS: another test has this name.
    """
    path = os.path.join(folder, name)
    try:
        with open(path, "xb") as file:
            file.write(source)
    except FileExistsError as error:
        with open(path, "rb") as file:
            if file.read() != source:
                raise UsageError(
                    "OUTPUT_EXISTS", f"{path} is there already", "move it away"
                ) from error
    return path
