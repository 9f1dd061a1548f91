"""A package index on loopback, for what installs releases from an index.

It serves wheels by the simple repository API (PEP 503). What CBDD depends on is packed again from
the running interpreter's installation, so nothing else is asked for anything.
"""

from __future__ import annotations

import base64
import hashlib
import html
import importlib.metadata
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename


def pack_installed(name: str, into: Path) -> Path:
    """Make a wheel again of a package that is installed."""
    distribution = importlib.metadata.distribution(name)
    wheel = distribution.read_text("WHEEL") or ""
    tags = [line.split(": ")[1] for line in wheel.splitlines() if line.startswith("Tag: ")]
    stem = f"{name.replace('-', '_')}-{distribution.version}"
    parts = zip(*[tag.split("-") for tag in tags], strict=True)
    tag = "-".join(".".join(dict.fromkeys(part)) for part in parts)
    path = into / f"{stem}-{tag}.whl"
    records: list[str] = []
    record_name = ""
    with zipfile.ZipFile(path, "w") as archive:
        for file in distribution.files or []:
            place = file.as_posix()
            if place.startswith("..") or place.endswith(".pyc"):
                continue  # scripts, which pip makes anew
            if place.endswith(".dist-info/RECORD"):
                record_name = place
                continue
            data = Path(str(file.locate())).read_bytes()
            archive.writestr(place, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            records.append(f"{place},sha256={digest},{len(data)}")
        archive.writestr(record_name, "\n".join([*records, f"{record_name},,"]) + "\n")
    return path


def required_by(name: str) -> set[str]:
    """The packages that one needs here, and what those need."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for text in importlib.metadata.requires(waiting.pop()) or []:
            each = Requirement(text)
            plain = canonicalize_name(each.name)
            is_meant = each.marker is None or each.marker.evaluate({"extra": ""})
            if is_meant and plain not in found:
                found.add(plain)
                waiting.append(plain)
    return found


class PackageIndex:
    """Serves the wheels of a folder; a context manager. ``asked`` are the paths in order."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.asked.append(self.path)
                status, body = index.answer(unquote(self.path), folder)
                self.send_response(status)
                is_page = self.path.endswith("/")
                self.send_header("Content-Type", "text/html" if is_page else "application/zip")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        """Its address for pip."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/simple"

    def answer(self, path: str, folder: Path) -> tuple[int, bytes]:
        """Status and body for a path."""
        wheels = {each.name: each for each in folder.glob("*.whl")}
        kind, _, name = path.strip("/").partition("/")
        if kind == "files" and name in wheels:
            return 200, wheels[name].read_bytes()
        links = [
            f'<a href="/files/{html.escape(each)}">{html.escape(each)}</a>'
            for each in sorted(wheels)
            if kind == "simple" and parse_wheel_filename(each)[0] == name
        ]
        return (200 if links else 404), "\n".join(links).encode()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
