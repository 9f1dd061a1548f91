"""`cbdd bundle`: a redacted archive to send, and a safe look at somebody else's."""

from __future__ import annotations

import json as json_module
import os
import sys
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from cbdd.cli.arguments import JsonOption
from cbdd.cli.failures import BAD_USAGE, CommandError
from cbdd.cli.output import print_json, printable, size_text, stdout_console, time_text
from cbdd.ops.bundle import (
    Bundle,
    Pseudonyms,
    collect,
    load_key,
    new_key,
    read_bundle,
    save_key,
    write_bundle,
)
from cbdd.storage import Clock

_READERS: Final = ("show", "verify")

FirstArgument = Annotated[
    str,
    typer.Argument(
        metavar="FILE|show|verify",
        help="The database file, or what to do with a bundle (write ./show for a file of that "
        "name).",
        show_default=False,
    ),
]
BundleArgument = Annotated[
    str | None,
    typer.Argument(metavar="BUNDLE", help="The bundle to look at.", show_default=False),
]
OutputOption = Annotated[
    str | None,
    typer.Option(
        "--output", metavar="NEW", help="The bundle to write; without it nothing is written."
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Write without asking.")]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="KEYFILE",
        help="The key of the pseudonyms; default: a new one in NEW.key, which stays with you.",
        show_default=False,
    ),
]
NamesOption = Annotated[
    str | None,
    typer.Option(
        "--names-of",
        metavar="FILE",
        help="With show and --key: put the names of this database in the place of pseudonyms.",
        show_default=False,
    ),
]


def bundle(
    first: FirstArgument,
    of: BundleArgument = None,
    output: OutputOption = None,
    yes: YesOption = False,
    key: KeyOption = None,
    names_of: NamesOption = None,
    json: JsonOption = False,
) -> None:
    """Put what others need to help into one redacted archive: no documents, no names, no paths.

    It holds what doctor finds, the flight recorder, structure, sizes and versions, by an
    allow-list, and pseudonyms in the place of names. What would be written is shown first.
    `bundle show` and `bundle verify` read somebody else's bundle safely.
    """
    if first in _READERS:
        if of is None:
            raise CommandError(f"name the bundle: cbdd bundle {first} BUNDLE", BAD_USAGE)
        _read(first, of, key, names_of, json)
        return
    if of is not None or names_of is not None:
        raise CommandError("name the new bundle with --output", BAD_USAGE)
    _write(first, output, yes, key, json)


def _write(file: str, output: str | None, yes: bool, key: str | None, json: bool) -> None:
    key_path = key if key is not None else f"{output}.key"
    secret = load_key(key_path) if key is not None else new_key()
    members = collect(file, Pseudonyms(secret))
    if json:
        print_json(members)
    else:
        _preview(stdout_console(), members)
    if output is None:
        _say("nothing was written: name the bundle with --output", json)
        return
    if not yes and not (sys.stdin.isatty() and typer.confirm(f"Write this to {output}?")):
        _say("nothing was written: say --yes to write it", json)
        return
    if key is None:
        save_key(key_path, secret)
    try:
        write_bundle(output, members, Clock().now_us())
    except BaseException:
        if key is None:
            os.unlink(key_path)
        raise
    _say(f"wrote {output}; keep {key_path}, which says what the pseudonyms stand for", json)


def _say(text: str, to_errors: bool) -> None:
    stream = sys.stderr if to_errors else sys.stdout
    stream.write(f"{printable(text)}\n")


def _preview(console: Console, members: dict[str, Any]) -> None:
    for name, value in members.items():
        text = json_module.dumps(value, indent=1, sort_keys=True)
        console.print(f"{name}, {size_text(len(text))}:", markup=False)
        console.print(printable_lines(text), markup=False)


def printable_lines(text: str) -> str:
    """Text of several lines with what would steer a terminal shown as escapes."""
    return "\n".join(printable(line) for line in text.split("\n"))


def _read(what: str, path: str, key: str | None, names_of: str | None, json: bool) -> None:
    found = read_bundle(path)
    if what == "verify":
        facts = {"path": path, "manifest": found.manifest}
        if json:
            print_json(facts)
        else:
            made = time_text(int(found.manifest.get("made_us", 0)))
            _say(f"whole: made {made} with cbdd {found.manifest.get('cbdd')}", False)
        return
    members: Any = found.members
    if names_of is not None:
        members = _with_names(found, key, names_of)
    if json:
        print_json(members)
    else:
        _preview(stdout_console(), members)


def _with_names(found: Bundle, key: str | None, file: str) -> Any:
    """The members with the names of the sender's own database."""
    if key is None:
        raise CommandError("--names-of needs --key", BAD_USAGE)
    pseudonyms = Pseudonyms(load_key(key))
    collect(file, pseudonyms)
    text = json_module.dumps(found.members)
    for made, name in pseudonyms.names.items():
        text = text.replace(made, json_module.dumps(name)[1:-1])
    return json_module.loads(text)
