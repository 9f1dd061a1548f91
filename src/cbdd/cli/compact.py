"""`cbdd compact`: the same database without free and half-empty pages."""

from __future__ import annotations

from cbdd.cli.arguments import FileArgument, JsonOption, WaitOption
from cbdd.cli.failures import BAD_USAGE, CommandError
from cbdd.cli.output import print_json, size_text, stdout_console
from cbdd.cli.progress import DocumentBar
from cbdd.ops.compact import compact_file


def compact(file: FileArgument, wait: WaitOption = 30.0, json: JsonOption = False) -> None:
    """Write the database anew without free pages, and put it in the place of the file.

    Nobody may have the file open. Needs room for a second file beside it. A crash leaves the old
    file or the new one, whole; a damaged page ends it and changes nothing.
    """
    if "://" in file:
        raise CommandError("the command line works on files, not on servers", BAD_USAGE, "FILE")
    with DocumentBar() as bar:
        report = compact_file(file, wait, progress=bar.show)
    if json:
        print_json(report.to_dict())
    else:
        before, after = size_text(report.before_bytes), size_text(report.after_bytes)
        stdout_console().print(f"{before} before, {after} after ({report.seconds:.1f} s)")
