"""A signal from an issue of a tracker: what its text names of codes and releases."""

from __future__ import annotations

import re
from typing import Final

from cbdd.ops.incident.from_error import code_in
from cbdd.ops.incident.record import Context, FirstFailure, Signal
from cbdd.ops.trackers.tracker import TrackedIssue

KIND: Final = "issue"
_MOST_TITLE: Final = 120
_VERSION: Final = re.compile(r"\bcbdd[ =]{1,2}(\d+\.\d+\.\d+\w*)", re.IGNORECASE)


def signal_from_issue(issue: TrackedIssue, tracker: str) -> Signal:
    """An issue that somebody has written.

    :param tracker: its specification, so that the same number elsewhere is another issue.
    """
    text = f"{issue.title}\n{issue.body}"
    code = code_in(text)
    version = _VERSION.search(text)
    return Signal(
        kind=KIND,
        title=issue.title[:_MOST_TITLE],
        keys=[f"issue:{tracker}#{issue.reference}"],
        codes=[[code, ""]] if code else [],
        areas=[] if code else [""],
        context=Context(cbdd=version[1] if version else ""),
        first_failure=FirstFailure(source="not known from an issue: ask when it came first"),
        facts={"issue": issue.reference, "url": issue.url, "labels": issue.labels},
    )
