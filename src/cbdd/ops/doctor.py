"""What is wrong with a database file: each fault by its code, what it touches, what to do next.

A diagnosis never writes. The file is opened for reading only, with what is before damage at the end
of its log; a file that cannot be opened at all is told by the error of opening it. Others may
have it open and write meanwhile.

Severity is that of the code (see `cbdd.codes`), but for damage that is in an index only: the
documents are whole and the index can be made anew, so it counts as SEV-2.
"""

from __future__ import annotations

import os
import shlex
import time
import warnings
from collections.abc import Callable
from typing import Any, Final

from cbdd.client import Client
from cbdd.client.connect import connect
from cbdd.codes import CODES, INFO, PAGE, SEV_1, SEV_2, severity_of, with_path
from cbdd.errors import CbddError, NetworkFileSystemWarning
from cbdd.ops.diagnosis import BY_SEVERITY, Diagnosis, Finding
from cbdd.ops.surroundings import look_around, openers
from cbdd.storage.check import Problem

LOCK_SECONDS: Final = 5.0
"""How long to wait for a process that is opening or closing the file."""

_NOTHING_TO_RECOVER: Final = ("EMPTY_FILE", "FILE_REPLACED")
_CHECKPOINT_CODES: Final = ("META_COPY_DAMAGED",)
"""What the next checkpoint puts right."""


def diagnose(
    path: str, quick: bool = False, progress: Callable[[int, int], None] | None = None
) -> Diagnosis:
    """Say what is wrong with a file; never writes and never raises for what is wrong with it.

    :param quick: only what opening it tells; pages and documents are not read.
    :param progress: called now and then with the pages read and all pages.
    """
    started = time.perf_counter()
    diagnosis = Diagnosis(os.path.realpath(path), quick)
    try:
        client = _open(path, salvage=True)
    except CbddError as error:
        diagnosis.can_open = False
        found = _of_error(_plain_error(path, error))
        if found.code == "LOCKED":
            found.where["pids"] = openers(diagnosis.path)
        diagnosis.findings.append(found)
    else:
        with client:
            _examine(client, diagnosis, progress)
    look_around(diagnosis)
    _drop_what_would_fail(diagnosis)
    for finding in diagnosis.findings:
        finding.advice = with_path(finding.advice, diagnosis.path)
        if not finding.commands:
            finding.commands = _next_commands(finding, diagnosis)
    order = list(BY_SEVERITY)
    diagnosis.findings.sort(key=lambda each: order.index(each.severity))
    diagnosis.seconds = time.perf_counter() - started
    return diagnosis


def _open(path: str, salvage: bool) -> Client[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NetworkFileSystemWarning)
        return connect(
            path,
            must_exist=True,
            read_only=True,
            salvage=salvage,
            lock_timeout_seconds=LOCK_SECONDS,
            datetime_conversion="DATETIME_AUTO",
        )


def _plain_error(path: str, error: CbddError) -> CbddError:
    """What opening the file says that was not asked to make the best of it."""
    if error.code == "LOCKED":
        return error
    try:
        _open(path, salvage=False).close()
    except CbddError as plain:
        return plain
    return error


def _of_error(error: CbddError) -> Finding:
    severity = error.severity if error.severity != INFO else SEV_2
    return Finding(error.code, severity, error.message, _plain(error.details))


def _plain(details: dict[str, object]) -> dict[str, object]:
    """What an error says of itself that is fit for JSON."""
    return {
        name: value
        for name, value in details.items()
        if name not in ("path", "severity") and isinstance(value, (int, str))
    }


def _examine(
    client: Client[dict[str, Any]],
    diagnosis: Diagnosis,
    progress: Callable[[int, int], None] | None,
) -> None:
    """What opening has found, and what is in the pages."""
    try:
        diagnosis.facts = client.statistics()
    except CbddError as error:
        diagnosis.findings.append(_of_error(error))
    opening = client.recovery_report
    for each in opening.findings:
        finding = Finding(each.code, each.severity, each.message, _plain(each.details))
        if each.code in _CHECKPOINT_CODES:
            finding.commands = [f"cbdd checkpoint {shlex.quote(diagnosis.path)}"]
        diagnosis.findings.append(finding)
    if diagnosis.is_quick:
        return
    try:
        problems = client._store.check(progress, skips_unchanged=True).problems
    except CbddError as error:
        diagnosis.findings.append(_of_error(error))
        return
    told = {each.code for each in opening.findings}
    _fold([each for each in problems if each.page or each.tree or each.code not in told], diagnosis)
    _list_readable(client, diagnosis)


def _list_readable(client: Client[dict[str, Any]], diagnosis: Diagnosis) -> None:
    """Where documents of some collections cannot be read: which ones can."""
    damaged = {
        f"{each.where.get('database')}.{each.where.get('collection')}"
        for each in diagnosis.findings
        if each.severity == SEV_1 and "collection" in each.where
    }
    if not damaged:
        return
    try:
        names = [
            f"{database}.{name}"
            for database in client.list_database_names()
            for name in client[database].list_collection_names()
        ]
    except CbddError:
        return  # the catalog itself is damaged, which is a finding
    diagnosis.readable = [name for name in names if name not in damaged]


def _fold(problems: list[Problem], diagnosis: Diagnosis) -> None:
    """One finding for each kind of fault in each collection or index."""
    groups: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        groups.setdefault((problem.code, problem.namespace, problem.index), []).append(problem)
    for (code, namespace, index), found in groups.items():
        diagnosis.findings.append(_of_group(code, namespace, index, found, diagnosis))


def _of_group(
    code: str, namespace: str, index: str, found: list[Problem], diagnosis: Diagnosis
) -> Finding:
    database, _, collection = namespace.partition(".")
    where: dict[str, object] = {}
    pages = sorted({each.page for each in found if each.page})
    if pages:
        where["pages"] = pages
    if namespace:
        where |= {"database": database, "collection": collection}
    if index:
        where["index"] = index
    entries = sum(each.entries for each in found)
    if entries and namespace and not index:
        where["documents"] = entries
    severity = severity_of(code)
    known = CODES.get(code)
    commands: list[str] = []
    advice = ""
    if index:
        advice = "Documents are not affected. Make the index anew."
        if known is not None and known.group == PAGE and severity == SEV_1:
            severity = SEV_2
        commands.append(reindex_command(diagnosis.path, namespace, index))
    more = f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
    of = f"{namespace} {index}".strip()
    message = f"{of}: {found[0].message}{more}" if of else f"{found[0].message}{more}"
    finding = Finding(code, severity, message, where, commands)
    finding.advice = advice or finding.advice
    return finding


def reindex_command(path: str, namespace: str, index: str) -> str:
    """The command that makes an index anew."""
    database, _, collection = namespace.partition(".")
    names = f"{shlex.quote(collection)} {shlex.quote(index)}"
    return f"cbdd reindex {shlex.quote(path)} {names} --database {shlex.quote(database)}"


def _drop_what_would_fail(diagnosis: Diagnosis) -> None:
    """Repairs in place need a file that opens for writing, and the documents of the collection."""
    lost = [each.where.get("collection") for each in diagnosis.findings if each.severity == SEV_1]
    for finding in diagnosis.findings:
        if finding.commands and (None in lost or finding.where.get("collection") in lost):
            finding.commands = [_recover_command(diagnosis)]
            finding.advice = "Recovering the file puts this right, too."


def _next_commands(finding: Finding, diagnosis: Diagnosis) -> list[str]:
    """What to type where nothing milder helps."""
    if finding.code == "PAGE_LEAKED":
        return [f"cbdd compact {shlex.quote(diagnosis.path)}"]
    if finding.severity == SEV_1 and finding.code not in _NOTHING_TO_RECOVER:
        return [_recover_command(diagnosis)]
    if not diagnosis.can_open:
        return [f"cbdd explain {finding.code}"]
    return []


def _recover_command(diagnosis: Diagnosis) -> str:
    """The command that saves what can be had, into a file that is not there yet."""
    stem, ending = os.path.splitext(diagnosis.path)
    target = f"{stem}-recovered{ending}"
    number = 1
    while os.path.lexists(target):
        number += 1
        target = f"{stem}-recovered-{number}{ending}"
    return f"cbdd recover {shlex.quote(diagnosis.path)} --output {shlex.quote(target)}"
