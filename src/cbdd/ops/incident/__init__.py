"""Incidents: from a first signal to a closed review. The commands of `cbdd incident` are this.

    from cbdd.ops import incident

    with incident.IncidentStore("incidents.cbdd") as store:
        opened = store.open(incident.signal_from_file("shop.cbdd"))
        store.change(opened.incident.number, incident.assign(store.now_us(), "ada"))

What builds environments and runs tests needs the extra ``cbdd[incident]`` and is in modules of its
own: `reproduce`, `mitigate`, `validate`, `from_consumers`.
"""

from cbdd.ops.incident.from_bundle import signal_from_bundle
from cbdd.ops.incident.from_error import signal_from_exception, signal_from_text
from cbdd.ops.incident.from_file import signal_from_file
from cbdd.ops.incident.from_tests import signals_from_junit
from cbdd.ops.incident.lifecycle import (
    Review,
    annotate,
    assign,
    close,
    complete_context,
    edit_timeline,
    override_severity,
    reach,
    use_table,
)
from cbdd.ops.incident.next_steps import next_steps
from cbdd.ops.incident.record import FollowUp, Incident, Signal
from cbdd.ops.incident.report import to_html, to_markdown
from cbdd.ops.incident.store import IncidentStore, Opened

__all__ = [
    "FollowUp",
    "Incident",
    "IncidentStore",
    "Opened",
    "Review",
    "Signal",
    "annotate",
    "assign",
    "close",
    "complete_context",
    "edit_timeline",
    "next_steps",
    "override_severity",
    "reach",
    "signal_from_bundle",
    "signal_from_exception",
    "signal_from_file",
    "signal_from_text",
    "signals_from_junit",
    "to_html",
    "to_markdown",
    "use_table",
]
