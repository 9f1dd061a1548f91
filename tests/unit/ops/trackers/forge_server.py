"""A GitHub and a Gitea on loopback that keep to their published descriptions, or fail as told.

Every request and every answer is validated: path, method, query, body, status, answer. What does
not fit is kept in `faults`, and the test that finds any fails.
"""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jsonschema import Draft202012Validator

HERE = Path(__file__).parent
TOKEN = "t0ken-that-nobody-may-see"
AT = "2026-01-31T12:00:00Z"


class Api:
    """A published description."""

    def __init__(self, text: str) -> None:
        found = _with_null(json.loads(text))
        self._paths = found["paths"]
        self._components = found["components"]

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        for template, operations in self._paths.items():
            pattern = re.sub(r"\\{[a-z_]+\\}", "[^/]+", re.escape(template))
            if re.fullmatch(pattern, path) and method.lower() in operations:
                return dict(operations[method.lower()])
        return None

    def faults_of_request(
        self, operation: dict[str, Any], query: dict[str, str], body: Any
    ) -> list[str]:
        known = {self._resolved(each)["name"] for each in operation.get("parameters", [])}
        found = [f"query has {name}" for name in query if name not in known]
        schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        if schema:
            found += self._faults(schema["schema"], body)
        elif body is not None:
            found.append("a body where none is known")
        return found

    def faults_of_answer(self, operation: dict[str, Any], status: int, answer: Any) -> list[str]:
        told = operation["responses"].get(str(status))
        if told is None:
            return [] if status in (401, 429, 500, 502) else [f"status {status} is not known"]
        schema = self._resolved(told).get("content", {}).get("application/json", {}).get("schema")
        return self._faults(schema, answer) if schema and status < 300 else []

    def _resolved(self, part: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in part:
            return part
        _, _, kind, name = part["$ref"].split("/")
        return dict(self._components[kind][name])

    def _faults(self, schema: dict[str, Any], value: Any) -> list[str]:
        validator = Draft202012Validator({**schema, "components": self._components})
        return [f"{each.json_path}: {each.message[:200]}" for each in validator.iter_errors(value)]


def _with_null(value: Any) -> Any:
    """OpenAPI's nullable as JSON Schema has it."""
    if isinstance(value, list):
        return [_with_null(each) for each in value]
    if not isinstance(value, dict):
        return value
    made = {name: _with_null(each) for name, each in value.items()}
    if made.pop("nullable", False) is True:
        return {"anyOf": [{"type": "null"}, made]}
    return made


class Forge:
    """The state of one repository, and the faults to come."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        source = (
            gzip.decompress((HERE / "github_api.json.gz").read_bytes()).decode()
            if kind == "github"
            else (HERE / "gitea_api.json").read_text()
        )
        self.api = Api(source)
        self.issues: dict[int, dict[str, Any]] = {}
        self.labels: dict[str, int] = {}
        self.to_come: deque[str] = deque()
        self.failing = ""
        """The method whose requests fail as told; empty for all."""
        self.away_after_fault = False
        """After the next fault every request is answered with 503."""
        self.is_away = False
        self.headers: list[dict[str, str]] = []
        self.faults: list[str] = []
        self.requests: list[tuple[str, str]] = []
        self.lock = threading.Lock()
        self.prefix = "" if kind == "github" else "/api/v1"

    def come_back(self) -> None:
        """No more faults."""
        self.is_away = self.away_after_fault = False
        self.to_come.clear()

    # -- what the service does ---------------------------------------------------------------

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        parts = path.split("/")[4:]
        if parts[0] == "labels":
            return self._labels(method, parts[1:], query, body)
        if len(parts) == 1:
            return self._all_issues(method, query, body)
        issue = self.issues.get(int(parts[1]))
        if issue is None:
            return 404, {"message": "Not Found"}
        if len(parts) == 3 and parts[2] == "comments":
            return self._comments(method, issue, query, body)
        if len(parts) == 3:
            issue["labels"] = [self._name(each) for each in body["labels"]]
            return 200, [self._label(each) for each in issue["labels"]]
        if method == "PATCH":
            issue.update({name: body[name] for name in ("title", "body", "state") if name in body})
            if "labels" in body:
                issue["labels"] = list(body["labels"])
            return (200 if self.kind == "github" else 201), self._issue(issue)
        return 200, self._issue(issue)

    def _all_issues(self, method: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        if method == "POST":
            number = len(self.issues) + 1
            labels = [self._name(each) for each in body.get("labels", [])]
            self.issues[number] = {
                "number": number,
                "title": body["title"],
                "body": body.get("body", ""),
                "state": "open",
                "labels": labels,
                "comments": [],
            }
            return 201, self._issue(self.issues[number])
        found = [
            each
            for each in reversed(self.issues.values())
            if query.get("state") in ("all", each["state"])
            and (self.kind == "github" or not each.get("is_pull"))  # Gitea is asked for issues
            and set(query.get("labels", "").split(",")) <= {*each["labels"], ""}
        ]
        return 200, [self._issue(each) for each in self._page(found, query)]

    def _comments(
        self, method: str, issue: dict[str, Any], query: dict[str, str], body: Any
    ) -> tuple[int, Any]:
        if method == "POST":
            issue["comments"].append(body["body"])
            return 201, self._comment(len(issue["comments"]), body["body"])
        listed = list(enumerate(issue["comments"], 1))
        shown = self._page(listed, query) if self.kind == "github" else listed
        return 200, [self._comment(*each) for each in shown]

    def _labels(
        self, method: str, rest: list[str], query: dict[str, str], body: Any
    ) -> tuple[int, Any]:
        if method == "POST":
            if body["name"] in self.labels and self.kind == "github":
                return 422, {"message": "already_exists"}
            self.labels[body["name"]] = len(self.labels) + 11
            return 201, self._label(body["name"])
        if rest:
            known = rest[0] in self.labels
            return (200, self._label(rest[0])) if known else (404, {"message": "Not Found"})
        return 200, [self._label(each) for each in self._page(list(self.labels), query)]

    def _page(self, found: list[Any], query: dict[str, str]) -> list[Any]:
        size = min(int(query.get("per_page") or query.get("limit") or 30), 3)  # small pages
        start = (int(query.get("page", "1")) - 1) * size
        return found[start : start + size]

    def _name(self, label: Any) -> str:
        if isinstance(label, str):
            return label
        return next(name for name, number in self.labels.items() if number == label)

    # -- its answers -------------------------------------------------------------------------

    def _label(self, name: str) -> dict[str, Any]:
        made = {
            "id": self.labels.get(name, 1),
            "name": name,
            "color": "b60205",
            "url": "http://x/l",
        }
        if self.kind == "github":
            made |= {"node_id": "n", "description": None, "default": False}
        return made

    def _comment(self, number: int, body: str) -> dict[str, Any]:
        made: dict[str, Any] = {"id": number, "body": body, "html_url": "http://x/c"}
        made |= {"created_at": AT, "updated_at": AT, "issue_url": "http://x/i"}
        if self.kind == "github":
            made |= {
                "node_id": "n",
                "url": "http://x/c",
                "user": None,
                "author_association": "OWNER",
            }
        return made

    def _issue(self, issue: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {
            "id": issue["number"] + 1000,
            "number": issue["number"],
            "title": issue["title"],
            "body": issue["body"],
            "state": issue["state"],
            "labels": [self._label(each) for each in issue["labels"]],
            "html_url": f"http://x/{issue['number']}",
            "url": "http://x/i",
            "comments": len(issue["comments"]),
            "created_at": AT,
            "updated_at": AT,
        }
        if self.kind == "github":
            names = ("comments_url", "events_url", "labels_url", "repository_url")
            made |= dict.fromkeys(names, "http://x/u") | {"node_id": "n", "locked": False}
            made |= {"assignee": None, "closed_at": None, "milestone": None, "user": None}
            made |= {"author_association": "OWNER"}
            if issue.get("is_pull"):
                made["pull_request"] = dict.fromkeys(
                    ("diff_url", "html_url", "patch_url", "url"), "http://x/p"
                )
        return made


class ForgeServer:
    """A forge that listens; a context manager."""

    def __init__(self, kind: str) -> None:
        self.forge = Forge(kind)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self.forge))
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def specification(self) -> str:
        base = f"http://127.0.0.1:{self.port}"
        return f"github:o/r@{base}" if self.forge.kind == "github" else f"gitea:{base}/o/r"

    def __enter__(self) -> ForgeServer:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler_of(forge: Forge) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # an answer in one piece: none waits for the acknowledgement of its head

        def handle_any(self) -> None:
            with forge.lock:
                _serve(forge, self)

        do_GET = do_POST = do_PATCH = do_PUT = handle_any

        def log_message(self, format: str, *args: object) -> None:
            return

    return Handler


def _serve(forge: Forge, handler: BaseHTTPRequestHandler) -> None:
    address = urlsplit(handler.path)
    path = address.path.removeprefix(forge.prefix)
    query = dict(parse_qsl(address.query))
    data = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    body = json.loads(data) if data else None
    method = handler.command
    forge.requests.append((method, path))
    forge.headers.append({name.lower(): value for name, value in handler.headers.items()})
    is_failing = forge.to_come and forge.failing in ("", method)
    fault = forge.to_come.popleft() if is_failing else ""
    if forge.is_away:
        _send(handler, 503, {})
        return
    forge.is_away = bool(fault) and forge.away_after_fault
    if TOKEN not in handler.headers.get("Authorization", ""):
        _send(handler, 401, {"message": "Bad credentials"})
        return
    operation = forge.api.operation(method, path)
    if operation is None:
        forge.faults.append(f"{method} {path} is no operation")
        _send(handler, 404, {})
        return
    for each in forge.api.faults_of_request(operation, query, body):
        forge.faults.append(f"{method} {path}: {each}")
    if fault == "drop before":
        _drop(handler)
        return
    if fault in _ANSWERS:
        status, headers, answer = _ANSWERS[fault]
        _send(handler, status, answer, headers)
        return
    status, answer = forge.answer(method, path, query, body)
    for each in forge.api.faults_of_answer(operation, status, answer):
        forge.faults.append(f"{method} {path} answers {status}: {each}")
    if fault == "drop after":
        _drop(handler)
    elif fault == "500 after":
        _send(handler, 500, {})
    elif fault == "cut":
        _send(handler, status, answer, {}, cut=True)
    elif fault == "no json":
        _send(handler, status, "<html>", {}, is_raw=True)
    else:
        _send(handler, status, answer)


def _drop(handler: BaseHTTPRequestHandler) -> None:
    """Let the connection go."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


_ANSWERS: dict[str, tuple[int, dict[str, str], Any]] = {
    "500": (500, {}, {}),
    "502": (502, {}, {}),
    "429": (429, {"Retry-After": "7"}, {}),
    "429 long": (429, {"Retry-After": "7200"}, {}),
    "secondary limit": (403, {"Retry-After": "3"}, {"message": "secondary rate limit"}),
    "403": (403, {}, {"message": "Forbidden"}),
    "410": (410, {}, {}),
    "422": (422, {}, {}),
    "redirect": (301, {"Location": "https://elsewhere.example/x"}, {}),
    "wrong shape": (200, {}, {"number": "seven"}),
}


def _send(
    handler: BaseHTTPRequestHandler,
    status: int,
    answer: Any,
    headers: dict[str, str] | None = None,
    cut: bool = False,
    is_raw: bool = False,
) -> None:
    data = answer.encode() if is_raw else json.dumps(answer).encode()
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(data)))
    if cut:
        handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(data[: len(data) // 2] if cut else data)
    if cut:
        handler.wfile.flush()
        _drop(handler)
