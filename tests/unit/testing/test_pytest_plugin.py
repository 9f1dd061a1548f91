"""The fixtures, as somebody else's tests use them."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import pytest
import cbdd

def test_a_database(cbdd_database):
    cbdd_database.shop.orders.insert_one({"_id": 1})
    assert cbdd_database.shop.orders.count_documents({}) == 1

def test_crashes(cbdd_crashing):
    with cbdd_crashing.connect() as client:
        for number in range(1, 4):
            client.shop.orders.insert_one({"_id": number})
            cbdd_crashing.acknowledged(number)
    states = 0
    for state in cbdd_crashing.states():
        with state.connect() as client:
            assert client.shop.orders.count_documents({}) >= state.acknowledged, state
        states += 1
    assert states > 100

def test_a_wrong_promise_is_found(cbdd_crashing):
    with cbdd_crashing.connect(durability="normal") as client:
        for number in range(1, 4):
            client.shop.orders.insert_one({"_id": number})
            cbdd_crashing.acknowledged(number)  # of what a power cut may take
    with pytest.raises(AssertionError):
        for state in cbdd_crashing.states():
            with state.connect() as client:
                assert client.shop.orders.count_documents({}) >= state.acknowledged, state

def test_a_slow_disk(cbdd_slow_disk):
    cbdd_slow_disk.seconds = 0.0
    with cbdd_slow_disk.connect() as client:
        client.shop.orders.insert_one({})

def test_a_full_disk(cbdd_full_disk):
    with cbdd_full_disk.connect() as client:
        client.shop.orders.insert_one({"_id": 1})
        cbdd_full_disk.fill()
        with pytest.raises(cbdd.DiskFullError):
            client.shop.orders.insert_one({"x": bytes(500_000)})
        client.shop.orders.delete_one({"_id": 1})
        cbdd_full_disk.free()
        client.shop.orders.insert_one({"x": bytes(500_000)})
"""


def test_the_fixtures_work_in_tests_of_others(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("-q")
    result.assert_outcomes(passed=5)


def test_a_database_that_a_test_has_damaged_fails_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_damage(cbdd_database):
            cbdd_database.a.b.insert_many([{"x": "y" * 100} for _ in range(500)])
            path = cbdd_database.path
            cbdd_database.close()
            with open(path, "r+b") as file:
                file.seek(65536 + 100)
                file.write(b"damage" * 2000)
        """
    )
    result = pytester.runpytest_subprocess("-q")
    result.assert_outcomes(passed=1, errors=1)


def test_pytest_starts_without_importing_the_database() -> None:
    code = "import sys, cbdd_pytest; sys.exit('cbdd' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
