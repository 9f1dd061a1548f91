"""Whatever a service answers, and however it is named, an error is one of ours."""

from __future__ import annotations

import gzip
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

import cbdd
from cbdd.cli.app import app
from cbdd.ops.trackers import TrackerRefusedError, TrackerUnavailableError, tracker_of
from cbdd.ops.trackers.forge import GitHub
from cbdd.ops.trackers.service import ATTEMPTS, MAX_ANSWER_BYTES, Service
from tests.unit.ops.trackers.forge_server import TOKEN
from tests.unit.ops.trackers.setting import ENVIRONMENT, Setting

NOW: Final = 1_800_000_000.0
IN_9_SECONDS: Final = "Fri, 15 Jan 2027 08:00:09 GMT"


class _Peer:
    """Answers every connection with the same bytes; None for no answer at all."""

    def __init__(self, answer: bytes | None) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections: list[socket.socket] = []
        self._is_closing = False
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._is_closing:
                connection.close()
                return
            self.connections.append(connection)
            if self._answer is not None:
                self._tell(connection, self._answer)

    def _tell(self, connection: socket.socket, answer: bytes) -> None:
        try:
            connection.recv(1 << 16)
            connection.sendall(answer)
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it has read enough

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_closing = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        for each in [*self.connections, self._listener]:
            each.close()


@contextmanager
def _peer(answer: bytes | None) -> Iterator[_Peer]:
    peer = _Peer(answer)
    peer.start()
    try:
        yield peer
    finally:
        peer.stop()


def _answer(status: int, *headers: str, body: bytes = b"{}") -> bytes:
    lines = [
        f"HTTP/1.1 {status} X",
        *headers,
        f"Content-Length: {len(body)}",
        "Connection: close",
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1") + body


def _github(port: int, waited: list[float], timeout_seconds: float = 5.0) -> GitHub:
    base = f"http://127.0.0.1:{port}"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    service = Service(base, headers, "github:o/r", waited.append, timeout_seconds, lambda: NOW)
    return GitHub(service, "o/r")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (_answer(200, "Content-Encoding: gzip", body=b"no gzip"), TrackerUnavailableError),
        (_answer(302, "Location: http://[x"), TrackerRefusedError),
        (_answer(200, body=b'{"number": true}'), TrackerRefusedError),
        (_answer(200, body=b'{"number": 0}'), TrackerRefusedError),
        (_answer(200, body=b"[]"), TrackerRefusedError),
        (_answer(200, body=b"\xff\xfe"), TrackerRefusedError),
        (_answer(200, body=b"[" * 100_000), TrackerRefusedError),
        (_answer(204, body=b""), TrackerRefusedError),
        (b"no HTTP\r\n\r\n", TrackerUnavailableError),
        (_answer(200, body=b" " * (MAX_ANSWER_BYTES + 1)), TrackerUnavailableError),
        (
            _answer(
                200,
                "Content-Encoding: gzip",
                body=gzip.compress(b" " * (MAX_ANSWER_BYTES + 1), mtime=0),
            ),
            TrackerUnavailableError,
        ),
    ],
)
def test_an_odd_answer_is_a_coded_error(answer: bytes, error: type[Exception]) -> None:
    with _peer(answer) as peer, pytest.raises(error, match="TRACKER_") as raised:
        _github(peer.port, []).fetch("1")
    assert "_" not in str(raised.value).replace("TRACKER_", ""), "no names of classes of ours"


@pytest.mark.parametrize(
    ("header", "waits"),
    [
        ("Retry-After: 9", [9.0] * 3),
        (f"Retry-After: {IN_9_SECONDS}", [9.0] * 3),
        (f"X-RateLimit-Reset: {int(NOW) + 9}", [9.0] * 3),
        ("Retry-After: Fri, 31 Dec 2100 23:59:59 GMT", []),
        (f"Retry-After: {'9' * 15}", []),
    ],
)
def test_it_waits_as_a_header_says_in_seconds_or_as_a_date(header: str, waits: list[float]) -> None:
    waited: list[float] = []
    with _peer(_answer(429, header)) as peer, pytest.raises(TrackerUnavailableError):
        _github(peer.port, waited).fetch("1")
    assert waited == waits


@pytest.mark.parametrize("header", ["\xb2", "-1", "soon", "9" * 5000, "Fri, 99 Dec 2100"])
def test_a_header_that_says_no_time_counts_for_none(header: str) -> None:
    waited: list[float] = []
    answer = _answer(429, f"Retry-After: {header}", f"X-RateLimit-Reset: {header}")
    with _peer(answer) as peer, pytest.raises(TrackerUnavailableError):
        _github(peer.port, waited).fetch("1")
    assert len(waited) == ATTEMPTS - 1
    assert all(0 < each < 10 for each in waited)


def test_a_service_that_does_not_answer_is_away() -> None:
    with _peer(None) as peer, pytest.raises(TrackerUnavailableError, match="ReadTimeout"):
        _github(peer.port, [], timeout_seconds=0.05).fetch("1")


def test_a_service_that_refuses_connections_is_away() -> None:
    with _peer(None) as peer:
        port = peer.port
    waited: list[float] = []
    with pytest.raises(TrackerUnavailableError, match="ConnectError"):
        _github(port, waited).create("m", "title", "", [])
    assert len(waited) == ATTEMPTS - 1


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_plain_http_to_this_machine_goes_to_no_proxy(
    setting: Setting, variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with _peer(_answer(502)) as proxy, cbdd.connect(str(tmp_path / "a.cbdd")) as client:
        for each in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(each, raising=False)
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        tracker = tracker_of(setting.server.specification, client.a, ENVIRONMENT)
        assert tracker.list_open() == []
        assert proxy.connections == []


def test_a_proxy_that_cannot_be_used_is_a_coded_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ALL_PROXY", "odd://proxy.example")
    with (
        cbdd.connect(str(tmp_path / "a.cbdd")) as client,
        pytest.raises(TrackerRefusedError, match="TRACKER_CONFIG"),
    ):
        tracker_of("github:o/r", client.a, ENVIRONMENT)


@pytest.mark.parametrize(
    "specification",
    [
        "gitea:http://localhost:99999/o/r",
        "gitea:https://host:1:2/o/r",
        "github:o/r@https://[x",
        "github:o/r@https://host:abc/api",
        "github:o/r@https://:443",
    ],
)
def test_an_address_that_is_none_is_refused(specification: str, tmp_path: Path) -> None:
    with (
        cbdd.connect(str(tmp_path / "a.cbdd")) as client,
        pytest.raises(TrackerRefusedError, match="TRACKER_CONFIG"),
    ):
        tracker_of(specification, client.a, ENVIRONMENT)


@pytest.mark.parametrize("reference", ["\xb2", "9" * 5000, "0", "-1", "", "1\n", "../1"])
def test_what_is_no_number_of_an_issue_is_refused(
    setting: Setting, reference: str, tmp_path: Path
) -> None:
    with cbdd.connect(str(tmp_path / "a.cbdd")) as client:
        for tracker in (setting.tracker, tracker_of("local", client.a)):
            with pytest.raises(TrackerRefusedError, match="TRACKER_REFUSED"):
                tracker.fetch(reference)


def test_each_request_names_its_sender_and_the_version_of_the_api(
    setting: Setting, tmp_path: Path
) -> None:
    with cbdd.connect(str(tmp_path / "a.cbdd")) as client:
        tracker = tracker_of(setting.server.specification, client.a, ENVIRONMENT)
        reference = tracker.create("m", "title", "", ["incident"])
        tracker.comment(reference, "c", "said")
        tracker.update(reference, None, None, ["incident"], False)
    is_github = setting.server.forge.kind == "github"
    assert len(setting.server.forge.headers) >= 5
    for headers in setting.server.forge.headers:
        assert headers["user-agent"].startswith("cbdd/")
        if is_github:
            assert headers["accept"] == "application/vnd.github+json"
            assert headers["x-github-api-version"] == "2022-11-28"
            assert headers["authorization"] == f"Bearer {TOKEN}"
        else:
            assert headers["authorization"] == f"token {TOKEN}"


def test_a_comment_is_looked_for_as_the_service_lists_comments(setting: Setting) -> None:
    reference = setting.tracker.create("m", "title", "", ["incident"])
    for number in range(7):
        setting.tracker.comment(reference, f"c-{number}", "said")
    before = len(setting.server.forge.requests)
    setting.tracker.comment(reference, "c-8", "said")
    lookups = [each for each in setting.server.forge.requests[before:] if each[0] == "GET"]
    is_github = setting.server.forge.kind == "github"
    assert len(lookups) == (4 if is_github else 1), "in pages of three; all at once"
    setting.tracker.comment(reference, "c-6", "said")
    assert len(setting.issues[0]["comments"]) == 8


def test_a_pull_request_is_no_incident(setting: Setting) -> None:
    setting.tracker.create("m-1", "an incident", "", ["incident"])
    setting.tracker.create("m-2", "a pull request", "", ["incident"])
    setting.server.forge.issues[2]["is_pull"] = True
    assert [each.title for each in setting.tracker.list_open()] == ["an incident"]


def test_without_the_extra_the_change_is_kept_and_the_extra_is_named(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CBDD_TRACKER_TOKEN", TOKEN)
    (tmp_path / "error.txt").write_text("cbdd.errors.CorruptDataError: WAL_HOLE: gone\n")
    opened = ["incident", "open", "--exception", "error.txt"]
    tracked = [*opened, "--tracker", setting.server.specification]
    assert CliRunner().invoke(app, tracked).exit_code == 0
    monkeypatch.setitem(sys.modules, "httpx", None)
    result = CliRunner().invoke(app, ["incident", "assign", "1", "ada"])
    assert result.exit_code == 0, result.output
    assert "pip install 'cbdd[incident]'" in result.output
    assert "1 messages wait" in result.output
    assert CliRunner().invoke(app, ["incident", "sync"]).exit_code == 1
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CBDD_TRACKER_TOKEN", TOKEN)
    assert "1 messages sent" in CliRunner().invoke(app, ["incident", "sync"]).output
    assert "| owner | ada |" in setting.issues[0]["body"]
