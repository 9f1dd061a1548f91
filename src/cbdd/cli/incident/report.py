"""`cbdd incident report`: the review as Markdown or HTML."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from cbdd.cli.failures import CommandError
from cbdd.cli.incident.options import DEFAULT_STORE, NumberArgument, StoreOption, records_at
from cbdd.ops.incident.report import to_html, to_markdown

HtmlOption = Annotated[bool, typer.Option("--html", help="HTML in the place of Markdown.")]
OutputOption = Annotated[
    str | None, typer.Option("--output", metavar="NEW", help="A file to write it to.")
]


def report(
    number: NumberArgument,
    html: HtmlOption = False,
    output: OutputOption = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Write what is known of an incident as Markdown, or HTML."""
    with records_at(store) as records:
        incident = records.get(number)
        evidence = records.evidence(number)
    text = to_html(incident, evidence) if html else to_markdown(incident, evidence)
    if output is None:
        sys.stdout.write(text)
        return
    try:
        fd = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise CommandError(f"{output} is there already", code="OUTPUT_EXISTS") from error
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
    sys.stdout.write(f"wrote {output}\n")
