"""A sample of the interrupts and failed allocations that `make interrupts` goes through whole."""

from __future__ import annotations

import pytest

from cbdd.build_info import build_kind
from tests.system.capabilities import needs
from tests.system.interrupts import (
    exhaust,
    exhaust_apart,
    interrupt,
    why_no_memory_faults,
)

pytestmark = pytest.mark.recovery
STEPS = {"insert": 211, "insert_many": 1201, "transaction": 211, "checkpoint": 3001}


@pytest.mark.parametrize("name", [*STEPS])
@pytest.mark.parametrize("durability", ["full", "normal"])
def test_an_interrupt_anywhere_leaves_a_whole_commit_or_none(name: str, durability: str) -> None:
    counts = interrupt(name, durability, STEPS[name], 5)
    assert counts["interrupted"] > (0 if build_kind() == "compiled" else 5)


@needs(why_no_memory_faults())
@pytest.mark.parametrize("name", [*STEPS])
def test_a_lack_of_memory_anywhere_leaves_a_whole_commit_or_none(name: str) -> None:
    if build_kind() == "compiled":
        counts = exhaust_apart(name, "full", 41, 3)
    else:
        counts = exhaust(name, "full", 23, 3)
    assert counts["exhausted"] + counts["ended"] > 3
