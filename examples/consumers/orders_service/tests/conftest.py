"""A store, the application on top of it, and the service as it runs in production."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from orders_service.app import create_app
from orders_service.store import OrderStore

LISTENING = re.compile(r"Listening at: (http://127\.0\.0\.1:\d+) ")
WORKER = re.compile(r"Booting worker with pid: (\d+)")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[OrderStore]:
    opened = OrderStore(str(tmp_path / "orders.cbdd"), durability="off")
    opened.put_product("tea", 450, 10)
    opened.put_product("pot", 2900, 1)
    yield opened
    opened.close()


@pytest.fixture
def client(store: OrderStore) -> FlaskClient:
    return create_app(store).test_client()


class Service:
    """The service in processes of its own, on a port of its own."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0"),
                *("--config", "python:orders_service.gunicorn_conf"),
                "orders_service.app:create_app()",
            ],
            env={**os.environ, "ORDERS_DATABASE": str(database)},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.url = ""
        self._worker_pids = self._new_workers()

    def _new_workers(self) -> list[int]:
        """Read what it says until it is ready with two new workers; returns their ids."""
        found: list[int] = []
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if listening := LISTENING.search(line):
                self.url = listening[1]
            elif worker := WORKER.search(line):
                found.append(int(worker[1]))
            if self.url and len(found) == 2:
                return found
        raise AssertionError(f"the service ended with exit code {self._process.wait()}")

    def kill_workers(self) -> None:
        """Kill its workers, as a lack of memory does, and wait for those that replace them."""
        for pid in self._worker_pids:
            os.kill(pid, signal.SIGKILL)
        self._worker_pids = self._new_workers()

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask it something; returns the status and the JSON of the answer."""
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(
            self.url + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def stop(self) -> int:
        """Stop it gracefully; returns its exit code."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        return self._process.returncode


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    started = Service(tmp_path / "orders.cbdd")
    yield started
    started.stop()
