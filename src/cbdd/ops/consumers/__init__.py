"""Consumers: packages that use CBDD, whose own tests say whether a new release still does for them.

    definition   consumers.toml: which packages, and how their tests are run
    trial        one consumer with one wheel: environment, copy, tests, outcomes
    junit        test reports in JUnit's XML, read and written
    comparison   what differs between the outcomes of the old and the new wheel
    report       all of it as an object, to print, to save and to read back
    run          every consumer with both wheels

Needs the extra ``cbdd[incident]``.
"""

from cbdd.ops.consumers.comparison import Difference
from cbdd.ops.consumers.definition import Consumer, read_consumers, select
from cbdd.ops.consumers.junit import write_junit
from cbdd.ops.consumers.report import ConsumerReport, Report, read_report
from cbdd.ops.consumers.run import run

__all__ = [
    "Consumer",
    "ConsumerReport",
    "Difference",
    "Report",
    "read_consumers",
    "read_report",
    "run",
    "select",
    "write_junit",
]
