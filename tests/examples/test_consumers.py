"""The consumers in examples/ keep their own tests, with the CBDD that is running here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cbdd.ops.consumers import Consumer, read_consumers

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "consumers"
CONSUMERS = read_consumers(EXAMPLES / "consumers.toml")


def test_every_consumer_is_named_in_the_file() -> None:
    folders = {path.parent for path in EXAMPLES.glob("*/pyproject.toml")}
    assert {each.path for each in CONSUMERS} == folders


@pytest.mark.parametrize("consumer", CONSUMERS, ids=lambda consumer: consumer.name)
def test_the_tests_of_a_consumer_pass(consumer: Consumer) -> None:
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    }
    done = subprocess.run(
        [sys.executable, *consumer.command[1:], "-p", "no:cacheprovider"],
        cwd=consumer.path,
        env={**variables, "PYTHONPATH": str(consumer.path / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
