"""`cbdd restore`: a database from a backup, up to a commit or a moment."""

from __future__ import annotations

from typing import Annotated

import typer

from cbdd.cli.arguments import JsonOption, LsnOption, TimeOption, parse_time
from cbdd.cli.output import print_json, printable, stdout_console, time_text
from cbdd.cli.progress import StepBar
from cbdd.ops.backup import RestoreReport, restore_backup

BackupArgument = Annotated[
    str, typer.Argument(metavar="BACKUP", help="The directory of the backup.", show_default=False)
]
NewArgument = Annotated[
    str,
    typer.Argument(
        metavar="NEW", help="The new file; it must not be there yet.", show_default=False
    ),
]
ArchiveOption = Annotated[
    str,
    typer.Option(
        "--archive",
        metavar="DIR",
        help="Where the option `archive` has kept the log, for states after the backup.",
        show_default=False,
    ),
]
LiveOption = Annotated[
    str,
    typer.Option(
        "--log-of",
        metavar="FILE",
        help="The database that was backed up, for the newest part of its log.",
        show_default=False,
    ),
]


def restore(
    backup: BackupArgument,
    new: NewArgument,
    archive: ArchiveOption = "",
    log_of: LiveOption = "",
    to_lsn: LsnOption = None,
    to_time: TimeOption = None,
    json: JsonOption = False,
) -> None:
    """Make a database of a backup; with the log behind it, up to any commit since.

    With `--archive` or `--log-of` everything that was committed since is restored too, up to
    `--to-lsn` or `--to-time` if given. The new file has an identity of its own.
    """
    with StepBar() as bar:
        report = restore_backup(
            backup, new, archive, log_of, to_lsn, parse_time(to_time), progress=bar.show
        )
    if json:
        print_json(report.to_dict())
    else:
        _show(report, new, to_time)


def _show(report: RestoreReport, new: str, to_time: str | None) -> None:
    console = stdout_console()
    console.print(
        f"wrote {printable(new)}: the state of LSN {report.lsn} ({report.seconds:.1f} s)",
        markup=False,
    )
    console.print(
        f"backup of LSN {report.backup_lsn}, taken {time_text(report.backup_taken_us)}; "
        f"{report.commits_replayed:,} commits after it"
    )
    if report.last_commit_us:
        console.print(f"the last one was committed {time_text(report.last_commit_us)}")
    if to_time is not None and not report.stopped_at_limit:
        console.print(
            "the log ends before the moment that was asked for: if there were later commits, "
            "name the rest of the log with --archive or --log-of"
        )
    for note in report.notes:
        console.print(printable(f"note: {note}"), markup=False)
