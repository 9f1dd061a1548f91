"""Naming a tracker: ``local``, ``github:OWNER/NAME``, ``gitea:https://HOST/OWNER/NAME``.

A GitHub of one's own is ``github:OWNER/NAME@https://HOST/api/v3``. The token comes from the
environment, never from the command line: CBDD_TRACKER_TOKEN, else GITHUB_TOKEN or GITEA_TOKEN.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from cbdd.client import Database
from cbdd.ops.trackers.forge import Gitea, GitHub
from cbdd.ops.trackers.local import NAME, LocalTracker
from cbdd.ops.trackers.service import Service
from cbdd.ops.trackers.tracker import Tracker, TrackerRefusedError

GITHUB_API: Final = "https://api.github.com"
_REPOSITORY: Final = r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}"
_GITHUB: Final = re.compile(rf"github:({_REPOSITORY})(?:@(https?://[^\s@?#]+))?")
_GITEA: Final = re.compile(rf"gitea:(https?://[^\s@?#]+?)/({_REPOSITORY})")


def tracker_of(
    specification: str,
    database: Database[dict[str, Any]],
    environment: Mapping[str, str] | None = None,
) -> Tracker:
    """The tracker of a specification.

    :param database: of the incident records, for the local one.
    :raises TrackerRefusedError: TRACKER_CONFIG.
    """
    variables = os.environ if environment is None else environment
    if specification == NAME:
        return LocalTracker(database)
    github = _GITHUB.fullmatch(specification)
    if github is not None:
        headers = {
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "Authorization": f"Bearer {_token(variables, 'GITHUB_TOKEN')}",
        }
        base = _address(github[2] or GITHUB_API)
        name = f"github:{github[1]}" + ("" if base == GITHUB_API else f"@{base}")
        return GitHub(Service(base, headers, name), github[1])
    gitea = _GITEA.fullmatch(specification)
    if gitea is not None:
        headers = {
            "Accept": "application/json",
            "Authorization": f"token {_token(variables, 'GITEA_TOKEN')}",
        }
        base = _address(gitea[1])
        return Gitea(Service(f"{base}/api/v1", headers, f"gitea:{base}/{gitea[2]}"), gitea[2])
    raise TrackerRefusedError(
        "TRACKER_CONFIG",
        f"{specification!r} names no tracker",
        "local, github:OWNER/NAME, or gitea:https://HOST/OWNER/NAME",
    )


def _address(url: str) -> str:
    """A server as one name of it: hosts are the same in capitals, and with a slash at the end."""
    try:
        parts = urlsplit(url.rstrip("/"))
        is_address = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise TrackerRefusedError(
            "TRACKER_CONFIG",
            f"{url!r} is no address of a server",
            "https://HOST, with :PORT or not",
        )
    return parts._replace(netloc=parts.netloc.lower()).geturl()


def _token(variables: Mapping[str, str], name: str) -> str:
    found = variables.get("CBDD_TRACKER_TOKEN") or variables.get(name)
    if not found or not found.isprintable() or not found.isascii():
        raise TrackerRefusedError(
            "TRACKER_CONFIG",
            f"there is no token in CBDD_TRACKER_TOKEN or {name}",
            "set one of them to a token that may write issues",
        )
    return found
