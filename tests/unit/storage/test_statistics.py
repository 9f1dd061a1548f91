"""Statistics: each number is what it says."""

from __future__ import annotations

import json

from cbdd.storage.report import Finding, RecoveryReport
from tests.unit.storage.conftest import PATH, Bench, fill

TREE = 10


def test_numbers_of_an_open_database(bench: Bench) -> None:
    engine = bench.open(durability="normal")
    fill(engine, TREE, {b"%05d" % i: bytes(100) for i in range(1000)})
    facts = engine.statistics()
    assert facts["path"] == PATH
    assert facts["page_size_bytes"] == 8192
    assert facts["file_size_bytes"] == len(bench.disk.names[PATH].data)
    assert (facts["lsn"], facts["visible_lsn"], facts["durable_lsn"]) == (1, 1, 0)
    assert facts["log_bytes"] == engine._state.tip_position.offset - 4096
    assert facts["cache_dirty_bytes"] > 100_000  # type: ignore[operator]
    assert facts["trees"] == 3
    assert facts["durability"] == "normal"
    assert not facts["is_clean"]
    engine.checkpoint()
    facts = engine.statistics()
    assert facts["cache_dirty_bytes"] == facts["log_bytes"] == 0
    assert facts["durable_lsn"] == 1
    used = facts["page_count"] * 8192  # type: ignore[operator]
    assert facts["file_size_bytes"] == used + facts["preallocated_bytes"]  # type: ignore[operator]
    fill(engine, TREE, {b"%05d" % i: bytes(99) for i in range(1000)})
    engine.checkpoint()
    facts = engine.statistics()
    report = engine.check()
    assert facts["free_pages"] == report.free_pages > 0
    assert facts["lsn"] == report.lsn == 2
    json.dumps(facts)


def test_a_report_reads_as_json() -> None:
    report = RecoveryReport()
    report.add("WAL_TORN_TAIL", "info", "some bytes", {"lsn": 7})
    assert json.loads(json.dumps(report.to_dict()))["findings"] == [
        {
            "code": "WAL_TORN_TAIL",
            "severity": "info",
            "message": "some bytes",
            "details": {"lsn": 7},
        }
    ]
    assert Finding("A", "SEV-1", "m", {}).to_dict()["severity"] == "SEV-1"
