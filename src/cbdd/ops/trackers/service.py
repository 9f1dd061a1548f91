"""Requests to a service over HTTP: tried again when that may help, never blindly twice.

A request that changes nothing, or the same whenever it is sent, is repeated after a time-out, a
lost connection or a server error. One that makes something raises `Unclear` instead, and its caller
looks whether it was made. Waiting times double, with jitter; what the service itself asks for
(``Retry-After``, the reset of a rate limit) is kept to, up to a limit.

The token goes into one header and nowhere else: redirects are not followed, plain HTTP is for
loopback only and takes no proxy, and no error has it.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from cbdd.ops.trackers.tracker import TrackerRefusedError, TrackerUnavailableError
from cbdd.storage.version import VERSION

if TYPE_CHECKING:
    import httpx

ATTEMPTS: Final = 4
FIRST_WAIT_SECONDS: Final = 0.5
LONGEST_WAIT_SECONDS: Final = 60.0
TIMEOUT_SECONDS: Final = 20.0
MAX_ANSWER_BYTES: Final = 8 << 20
MAX_PAGES: Final = 100
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_SECONDS_SINCE_2001: Final = 1_000_000_000
_DIGITS: Final = re.compile(r"[0-9]{1,18}")


class Unclear(Exception):
    """It is not known whether a request was carried out."""


class Service:
    """One service: where it is, and how to ask it."""

    def __init__(
        self,
        base_url: str,
        headers: dict[str, str],
        name: str,
        sleep: Callable[[float], None] = time.sleep,
        timeout_seconds: float = TIMEOUT_SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        """
        :param base_url: of the API, without a slash at its end.
        :param headers: that go with each request, the token among them.
        :param now: tells the seconds since 1970.
        :raises TrackerRefusedError: TRACKER_CONFIG.
        """
        parts = urlsplit(base_url)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise TrackerRefusedError(
                "TRACKER_CONFIG",
                f"{parts.scheme or 'no scheme'} to {parts.hostname}: all could read the token",
                "name the service with https://",
            )
        self.name = name
        self._sleep = sleep
        self._now = now
        self._client = _client(base_url, headers, timeout_seconds, parts.scheme == "https")

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def get(self, path: str, query: dict[str, Any] | None = None) -> Any:
        """Ask for something."""
        return self.send("GET", path, query=query)

    def rest(self, attempt: int) -> None:
        """Wait before something is tried for another time, the longer the more often it was."""
        if attempt:
            self._sleep(FIRST_WAIT_SECONDS * 2 ** (attempt - 1) * (1 + random.random()))

    def pages(self, path: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Everything in a list that comes in pages, up to the first that has nothing new.

        Things move to the next page when others are made meanwhile: what was there before is left
        out.
        """
        seen: set[Any] = set()
        for page in range(1, MAX_PAGES + 1):
            before = len(seen)
            for each in self.listed(path, {**query, "page": page}):
                if each["id"] not in seen:
                    seen.add(each["id"])
                    yield each
            if len(seen) == before:
                return

    def listed(self, path: str, query: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """A list of objects with an id."""
        found = self.get(path, query)
        if not isinstance(found, list):
            raise self._refused(path, "its answer is no list")
        for each in found:
            if not isinstance(each, dict) or not isinstance(each.get("id"), int):
                raise self._refused(path, "its list has something else than objects with an id")
        return found

    def send(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        query: dict[str, Any] | None = None,
        is_repeatable: bool = True,
    ) -> Any:
        """Send a request and return what its answer has.

        :param is_repeatable: sending it twice does what sending it once does.
        :raises Unclear: it is not, and may have been carried out.
        :raises TrackerUnavailableError: it could not be sent, or not now.
        :raises TrackerRefusedError: it was refused.
        """
        import httpx

        wait = 0.0
        why = ""
        for attempt in range(ATTEMPTS):
            if wait:
                self._sleep(wait)
            else:
                self.rest(attempt)
            try:
                answer, content = self._once(method, path, body, query)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
                why, wait = type(error).__name__, 0.0
                continue
            except (httpx.RequestError, _TooLongError) as error:
                if not is_repeatable:
                    raise Unclear from error
                is_long = isinstance(error, _TooLongError)
                why, wait = "its answer is too long" if is_long else type(error).__name__, 0.0
                continue
            if answer.is_success:
                return self._decoded(answer, content, path, is_repeatable)
            delay = self._delay(answer)
            if delay is None:
                raise self._refusal(answer, path)
            why, wait = f"status {answer.status_code}", delay
            if answer.status_code >= 500 and not is_repeatable:
                raise Unclear
            if delay > LONGEST_WAIT_SECONDS:
                break
        raise TrackerUnavailableError(
            "TRACKER_UNAVAILABLE",
            f"{self.name} cannot be reached or is busy: {why}",
            "`cbdd incident sync` sends what waits when it is back",
        )

    def _once(
        self, method: str, path: str, body: dict[str, Any] | None, query: dict[str, Any] | None
    ) -> tuple[httpx.Response, bytes]:
        with self._client.stream(method, path, json=body, params=query) as answer:
            content = b""
            for part in answer.iter_bytes():
                content += part
                if len(content) > MAX_ANSWER_BYTES:
                    raise _TooLongError
            return answer, content

    def _decoded(
        self, answer: httpx.Response, content: bytes, path: str, is_repeatable: bool
    ) -> Any:
        import json

        if not content:
            return None
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            if not is_repeatable:
                raise Unclear from error
            raise self._refused(path, "its answer is no JSON") from error

    def _delay(self, answer: httpx.Response) -> float | None:
        """Seconds to wait before it is tried again, 0 for no wish; None when that is no use."""
        status = answer.status_code
        headers = answer.headers
        after = headers.get("Retry-After", "")
        is_limit = status == 429 or (
            status == 403 and (after or headers.get("X-RateLimit-Remaining") == "0")
        )
        if not is_limit and status < 500:
            return None
        if after:
            return self._seconds_of(after)
        reset = headers.get("X-RateLimit-Reset", "")
        if is_limit and _DIGITS.fullmatch(reset) and int(reset) > _SECONDS_SINCE_2001:
            return max(0.0, int(reset) - self._now())
        return 0.0

    def _seconds_of(self, after: str) -> float:
        """The seconds a Retry-After asks for, as a number or as a date; 0 when it is neither."""
        if _DIGITS.fullmatch(after):
            return float(after)
        try:
            return max(0.0, parsedate_to_datetime(after).timestamp() - self._now())
        except (ValueError, TypeError, OverflowError):
            return 0.0

    def _refusal(self, answer: httpx.Response, path: str) -> TrackerRefusedError:
        status = answer.status_code
        if answer.is_redirect:
            host = _host_of(answer.headers.get("Location", ""))
            return self._refused(path, f"it has moved to {host}", "name the new place")
        steps = {
            401: "check the token",
            403: "give the token the right to write issues",
            404: "check owner and repository, and that the token may see them",
            410: "issues are switched off there, or the issue was deleted",
        }
        return self._refused(path, f"status {status}", steps.get(status, "check what was sent"))

    def _refused(
        self, path: str, what: str, step: str = "check the address"
    ) -> TrackerRefusedError:
        return TrackerRefusedError(
            "TRACKER_REFUSED", f"{self.name} refuses {path}: {what}", step, {"path": path}
        )


def _client(
    base_url: str, headers: dict[str, str], timeout_seconds: float, may_use_proxy: bool
) -> httpx.Client:
    """A client that sends the headers, the token among them, to one place only."""
    try:
        import httpx
    except ModuleNotFoundError as error:
        raise TrackerRefusedError(
            "TRACKER_CONFIG",
            f"a tracker on a server needs the package {error.name}",
            "pip install 'cbdd[incident]'",
        ) from error
    try:
        return httpx.Client(
            base_url=base_url,
            headers={"User-Agent": f"cbdd/{VERSION}", **headers},
            timeout=timeout_seconds,
            follow_redirects=False,
            trust_env=may_use_proxy,
        )
    except (httpx.InvalidURL, ValueError, ImportError, OSError) as error:
        # an odd address, a proxy nothing is known of or needs a package for, no such certificates
        raise TrackerRefusedError(
            "TRACKER_CONFIG",
            f"the service cannot be reached as it is named: {type(error).__name__}",
            "check its address, and the variables for a proxy and for certificates",
        ) from error


def _host_of(location: str) -> str:
    try:
        return urlsplit(location).hostname or "another place"
    except ValueError:
        return "another place"


class _TooLongError(Exception):
    """An answer is longer than any can be."""
