"""`cbdd checkpoint`: move the log into the file now."""

from __future__ import annotations

import time
from typing import cast

from cbdd.cli.arguments import FileArgument, JsonOption, WaitOption
from cbdd.cli.opening import open_for_writing
from cbdd.cli.output import print_json, size_text, stdout_console


def checkpoint(file: FileArgument, wait: WaitOption = 30.0, json: JsonOption = False) -> None:
    """Write everything that is in the log into the file, and begin a new log.

    Other processes may go on reading and writing meanwhile.
    """
    started = time.perf_counter()
    with open_for_writing(file, wait) as client:
        before = cast(int, client.statistics()["log_bytes"])
        client.checkpoint()
        after = client.statistics()
    seconds = time.perf_counter() - started
    if json:
        print_json(
            {
                "generation": after["generation"],
                "checkpoint_lsn": after["checkpoint_lsn"],
                "log_bytes_before": before,
                "log_bytes_after": after["log_bytes"],
                "seconds": seconds,
            }
        )
        return
    stdout_console().print(
        f"checkpoint {after['generation']}: everything up to commit {after['checkpoint_lsn']} is "
        f"in the file; {size_text(before)} of log done in {seconds:.2f} s"
    )
