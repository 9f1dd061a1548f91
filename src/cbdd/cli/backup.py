"""`cbdd backup`: copy a database while others use it, and verify the copy."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from cbdd.cli.arguments import JsonOption, WaitOption
from cbdd.cli.failures import BAD_USAGE, CommandError
from cbdd.cli.opening import open_for_writing
from cbdd.cli.output import facts_table, print_json, size_text, stdout_console, time_text
from cbdd.cli.progress import DocumentBar
from cbdd.ops.backup import verify_backup

_VERIFY: Final = "verify"

FirstArgument = Annotated[
    str,
    typer.Argument(
        metavar="FILE|verify",
        help="The database file, or `verify` to verify a backup (write ./verify for a file of "
        "that name).",
        show_default=False,
    ),
]
TargetArgument = Annotated[
    str,
    typer.Argument(
        metavar="BACKUP",
        help="The directory of the backup; a new one must not be there yet.",
        show_default=False,
    ),
]
BaseOption = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="BACKUP",
        help="An earlier backup, beside the new one: only what it does not have is copied.",
        show_default=False,
    ),
]


def backup(
    first: FirstArgument,
    target: TargetArgument,
    base: BaseOption = None,
    wait: WaitOption = 30.0,
    json: JsonOption = False,
) -> None:
    """Copy a database, consistent, while others go on writing; or verify such a copy.

    A backup is a directory with a manifest. With `--base` it is incremental, and both are needed
    to restore it.
    """
    if first == _VERIFY:
        if base is not None:
            raise CommandError("verify takes no --base: it finds it", BAD_USAGE, "INPUT")
        with DocumentBar() as bar:
            report = verify_backup(target, progress=bar.show)
        if json:
            print_json(report.to_dict())
        else:
            _show(report.manifest)
            of = f" ({len(report.backups)} backups)" if len(report.backups) > 1 else ""
            stdout_console().print(
                f"whole: {report.entries:,} entries in {report.trees:,} trees{of}, "
                f"{report.seconds:.1f} s"
            )
        return
    with open_for_writing(first, wait) as client, DocumentBar() as bar:
        manifest = client.backup(target, base, progress=bar.show)
    if json:
        print_json(manifest)
    else:
        _show(manifest)


def _show(manifest: dict[str, Any]) -> None:
    facts = {
        "of LSN": manifest["lsn"],
        "taken": time_text(manifest["taken_us"]),
        "pages": f"{manifest['pages']:,} ({size_text(manifest['files']['pages']['bytes'])})",
        "root": manifest["root_checksum"],
        "based on": manifest["base"]["name"] if manifest["base"] else "-",
    }
    stdout_console().print(facts_table(facts))
