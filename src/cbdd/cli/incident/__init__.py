"""`cbdd incident`: from a first signal to a closed review, one command for each step."""

from __future__ import annotations

import typer

from cbdd.cli.incident.close import close
from cbdd.cli.incident.consumers import consumers
from cbdd.cli.incident.list_incidents import list_incidents
from cbdd.cli.incident.milestone import milestone
from cbdd.cli.incident.mitigate import mitigate
from cbdd.cli.incident.open_incident import open_incident
from cbdd.cli.incident.people import assign, classify, context
from cbdd.cli.incident.report import report
from cbdd.cli.incident.reproduce import reproduce
from cbdd.cli.incident.show import show
from cbdd.cli.incident.status import status
from cbdd.cli.incident.sync import sync
from cbdd.cli.incident.timeline import timeline
from cbdd.cli.incident.validate import validate

incident = typer.Typer(
    name="incident",
    help="Handle an incident: open, reproduce, contain, validate, close. See docs/runbook.md.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
incident.command("open")(open_incident)
incident.command("list")(list_incidents)
incident.command("show")(show)
incident.command("assign")(assign)
incident.command("classify")(classify)
incident.command("context")(context)
incident.command("reproduce")(reproduce)
incident.command("status")(status)
incident.command("milestone")(milestone)
incident.command("mitigate")(mitigate)
incident.command("validate")(validate)
incident.command("consumers")(consumers)
incident.command("timeline")(timeline)
incident.command("sync")(sync)
incident.command("close")(close)
incident.command("report")(report)
