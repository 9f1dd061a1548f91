"""GitHub and Gitea: what is common to both, and what is not.

Both make issues at ``/repos/OWNER/NAME/issues``. Gitea wants labels by their numbers, has another
word for how many are on a page, and lists the comments of an issue all at once. Lists may have
fewer than asked for, so pages end with the first that has nothing new. GitHub lists pull requests
among the issues.

Source: the services' published API descriptions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, cast

from cbdd.ops.trackers.service import ATTEMPTS, Service, Unclear
from cbdd.ops.trackers.tracker import (
    LABEL,
    TrackedIssue,
    TrackerRefusedError,
    TrackerUnavailableError,
    has_marker,
    marked,
    number_of,
)

COLORS: Final = {LABEL: "b60205", "SEV-1": "d73a4a", "SEV-2": "fbca04", "SEV-3": "0e8a16"}
OTHER_COLOR: Final = "ededed"
_RECENT: Final = 200


class _Forge:
    """An issue tracker of a repository."""

    page_size_name = ""
    page_size = 100

    def __init__(self, service: Service, repository: str) -> None:
        """
        :param repository: ``owner/name``.
        """
        self.name = service.name
        self._service = service
        self._root = f"/repos/{repository}"

    def create(self, marker: str, title: str, body: str, labels: Sequence[str]) -> str:
        """See `Tracker.create`."""
        sent = {"title": title, "body": marked(body, marker), "labels": self._labels(labels)}
        for attempt in range(ATTEMPTS):
            self._service.rest(attempt)
            found = self._find_issue(marker)  # an earlier process may have made it
            if found:
                return found
            try:
                made = self._service.send("POST", f"{self._root}/issues", sent, is_repeatable=False)
            except Unclear:
                continue
            return self._issue(made).reference
        raise self._unclear("an issue")

    def update(
        self,
        reference: str,
        title: str | None,
        body: str | None,
        labels: Sequence[str],
        is_open: bool,
    ) -> None:
        """See `Tracker.update`."""
        sent: dict[str, Any] = {"state": "open" if is_open else "closed"}
        if title is not None:
            sent["title"] = title
        if body is not None:
            sent["body"] = body
        self._put(reference, sent, labels)

    def comment(self, reference: str, marker: str, text: str) -> None:
        """See `Tracker.comment`."""
        path = f"{self._issue_path(reference)}/comments"
        for attempt in range(ATTEMPTS):
            self._service.rest(attempt)
            if self._has_comment(path, marker):
                return
            try:
                self._service.send(
                    "POST", path, {"body": marked(text, marker)}, is_repeatable=False
                )
            except Unclear:
                continue
            return
        raise self._unclear("a comment")

    def fetch(self, reference: str) -> TrackedIssue:
        """See `Tracker.fetch`."""
        return self._issue(self._service.get(self._issue_path(reference)))

    def list_open(self) -> list[TrackedIssue]:
        """See `Tracker.list_open`."""
        return [self._issue(each) for each in self._issues("open")]

    def _issues(self, state: str) -> Iterator[dict[str, Any]]:
        query = {"state": state, "labels": LABEL, self.page_size_name: self.page_size}
        path = f"{self._root}/issues"
        for each in self._service.pages(path, {**query, **self._more_of_list()}):
            if "pull_request" not in each or each["pull_request"] is None:
                yield each

    def _find_issue(self, marker: str) -> str:
        for index, each in enumerate(self._issues("all")):
            if has_marker(each.get("body"), marker):
                return self._issue(each).reference
            if index >= _RECENT:
                break  # the newest come first
        return ""

    def _has_comment(self, path: str, marker: str) -> bool:
        return any(has_marker(each.get("body"), marker) for each in self._comments(path))

    def _issue_path(self, reference: str) -> str:
        return f"{self._root}/issues/{number_of(reference)}"

    def _issue(self, found: object) -> TrackedIssue:
        """An issue as the service tells it, whatever that is."""
        if not isinstance(found, dict) or not _is_number(found.get("number")):
            raise TrackerRefusedError(
                "TRACKER_REFUSED",
                f"{self.name} answers with something that is no issue",
                "check the address",
            )
        labels = found.get("labels")
        return TrackedIssue(
            reference=str(found["number"]),
            title=str(found.get("title") or ""),
            body=str(found.get("body") or ""),
            is_open=found.get("state") == "open",
            labels=[
                str(each["name"])
                for each in (labels if isinstance(labels, list) else [])
                if isinstance(each, dict) and "name" in each
            ],
            url=str(found.get("html_url") or ""),
        )

    def _unclear(self, what: str) -> TrackerUnavailableError:
        return TrackerUnavailableError(
            "TRACKER_UNAVAILABLE",
            f"{self.name} does not say whether it has made {what}",
            "`cbdd incident sync` looks for it and sends it again",
        )

    def _labels(self, labels: Sequence[str]) -> list[Any]:
        raise NotImplementedError

    def _put(self, reference: str, sent: dict[str, Any], labels: Sequence[str]) -> None:
        raise NotImplementedError

    def _more_of_list(self) -> dict[str, str]:
        raise NotImplementedError

    def _comments(self, path: str) -> Iterable[dict[str, Any]]:
        raise NotImplementedError


class GitHub(_Forge):
    """Issues of a GitHub repository."""

    page_size_name = "per_page"
    _known: frozenset[str] = frozenset()

    def _more_of_list(self) -> dict[str, str]:
        return {"sort": "created", "direction": "desc"}

    def _comments(self, path: str) -> Iterable[dict[str, Any]]:
        return self._service.pages(path, {self.page_size_name: self.page_size})

    def _labels(self, labels: Sequence[str]) -> list[Any]:
        """The labels, made where the repository does not have them."""
        for name in labels:
            if name not in self._known:
                self._require_label(name)
                self._known |= {name}
        return list(labels)

    def _require_label(self, name: str) -> None:
        try:
            self._service.get(f"{self._root}/labels/{name}")
        except TrackerRefusedError as error:
            if "status 404" not in error.message:
                raise
        else:
            return
        made = {"name": name, "color": COLORS.get(name, OTHER_COLOR)}
        try:
            self._service.send("POST", f"{self._root}/labels", made)
        except TrackerRefusedError as error:
            if "status 422" not in error.message:  # somebody else has made it meanwhile
                raise

    def _put(self, reference: str, sent: dict[str, Any], labels: Sequence[str]) -> None:
        sent["labels"] = self._labels(labels)
        self._service.send("PATCH", self._issue_path(reference), sent)


class Gitea(_Forge):
    """Issues of a repository on a Gitea server."""

    page_size_name = "limit"
    page_size = 50

    def _more_of_list(self) -> dict[str, str]:
        return {"type": "issues"}

    def _comments(self, path: str) -> Iterable[dict[str, Any]]:
        return self._service.listed(path)

    def _labels(self, labels: Sequence[str]) -> list[Any]:
        """The numbers of the labels, made where the repository does not have them."""
        query = {self.page_size_name: self.page_size}
        known = {
            str(each.get("name")): each.get("id")
            for each in self._service.pages(f"{self._root}/labels", query)
        }
        numbers: list[Any] = []
        for name in labels:
            number = known.get(name)
            if not _is_number(number):
                color = f"#{COLORS.get(name, OTHER_COLOR)}"
                number = self._make_label({"name": name, "color": color})
            numbers.append(number)
        return numbers

    def _make_label(self, made: dict[str, str]) -> int:
        try:
            found = self._service.send("POST", f"{self._root}/labels", made, is_repeatable=False)
        except Unclear as error:
            raise self._unclear("a label") from error
        if not isinstance(found, dict) or not _is_number(found.get("id")):
            raise TrackerRefusedError(
                "TRACKER_REFUSED",
                f"{self.name} makes a label without a number",
                "check the address",
            )
        return cast("int", found["id"])

    def _put(self, reference: str, sent: dict[str, Any], labels: Sequence[str]) -> None:
        path = self._issue_path(reference)
        self._service.send("PATCH", path, sent)
        self._service.send("PUT", f"{path}/labels", {"labels": self._labels(labels)})


def _is_number(value: object) -> bool:
    """Whether a value of an answer is what numbers an issue or a label."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
