"""The published table: codes, areas, and what is unknown."""

from __future__ import annotations

import pytest

from cbdd.ops.incident.severity import AREAS, area_of, judge
from cbdd.ops.incident.validate import selections_of


@pytest.mark.parametrize(
    ("codes", "areas", "severity"),
    [
        ([("WAL_HOLE", "")], [], "SEV-1"),
        ([("PAGE_CHECKSUM", "SEV-2")], [], "SEV-2"),
        ([("PAGE_CHECKSUM", "nonsense")], [], "SEV-1"),
        ([("META_COPY_DAMAGED", "")], [], "SEV-3"),
        ([("READ_ONLY", "")], [], "SEV-3"),
        ([("META_COPY_DAMAGED", ""), ("DISK_FULL", "")], [], "SEV-2"),
        ([("NEVER_HEARD_OF", "")], [], "SEV-1"),
        ([], ["documents"], "SEV-3"),
        ([], ["documents", "query"], "SEV-2"),
        ([], ["query", "recovery"], "SEV-1"),
        ([], [""], "SEV-1"),
        ([], ["unheard of"], "SEV-1"),
        ([], [], "SEV-1"),
    ],
)
def test_the_worst_counts_and_unknown_is_the_worst(
    codes: list[tuple[str, str]], areas: list[str], severity: str
) -> None:
    judged = judge(codes, areas)
    assert judged.severity == severity
    assert judged.reasons


@pytest.mark.parametrize(
    ("name", "area"),
    [
        ("tests/unit/storage/test_wal.py::test_a", "wal"),
        ("tests/crash/test_crash_states.py::test_a", "recovery"),
        ("tests.isolation.test_hermitage::test_g0", "transaction_protocol"),
        ("tests/unit/storage/test_btree.py::test_a", "storage"),
        ("tests/unit/index/test_keys.py::test_a", "index"),
        ("tests/unit/query/test_matcher.py::test_a", "query"),
        ("tests/unit/client/test_collection.py::test_a", "client"),
        ("tests/unit/test_examples.py::test_a", "documents"),
        ("tests/unit/cli/test_find.py::test_a", "command_line"),
        ("elsewhere/test_things.py::test_a", ""),
    ],
)
def test_a_test_belongs_to_an_area(name: str, area: str) -> None:
    assert area_of(name) == area
    assert not area or area in AREAS


@pytest.mark.parametrize("name", sorted(AREAS))
def test_every_area_has_tests_that_validation_can_run(
    name: str, pytestconfig: pytest.Config
) -> None:
    [selection] = selections_of([name])
    if selection[0] == "-m":
        marks = set(selection[1].split(" or "))
        assert marks <= {line.split(":")[0] for line in pytestconfig.getini("markers")}
        return
    assert selection
    for path in selection:
        assert (pytestconfig.rootpath / path).exists()
