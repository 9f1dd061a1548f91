"""`cbdd page`: one page, decoded."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cbdd.cli.arguments import FileArgument, JsonOption, ValuesOption
from cbdd.cli.output import facts_table, print_json, printable, stdout_console
from cbdd.ops.inspection import view_page

_LISTS = ("copies", "leaf", "children", "hex")
_HEX_COLUMNS = 16

NumberArgument = Annotated[
    int, typer.Argument(metavar="N", min=0, help="Number of the page.", show_default=False)
]
HexOption = Annotated[
    bool,
    typer.Option("--hex", help="The bytes of its header; with `--values`, of the whole page."),
]


def page(
    file: FileArgument,
    number: NumberArgument,
    values: ValuesOption = False,
    hexdump: HexOption = False,
    json: JsonOption = False,
) -> None:
    """Show one page, decoded: its header, whether it verifies, and what is in it.

    Pages in the first 64 KiB are shown as the copies of the meta page in them. Works on files in
    use, and on damaged ones.
    """
    row = view_page(file, number, values=values, hexdump=hexdump)
    if json:
        print_json(row)
        return
    console = stdout_console()
    console.print(facts_table({k: v for k, v in row.items() if k not in _LISTS}))
    for copy in row.get("copies", []):
        console.print(f"\nmeta page copy at offset {copy['offset']}: {copy['status']}")
        console.print(facts_table(copy.get("meta", {})))
    for position, entry in enumerate([*row.get("children", []), *row.get("leaf", [])]):
        console.print(printable(f"{position:4} {_entry_text(entry)}"), markup=False)
    data = bytes.fromhex(row.get("hex", ""))
    for start in range(0, len(data), _HEX_COLUMNS):
        part = data[start : start + _HEX_COLUMNS]
        console.print(f"{start:06x}  {part.hex(' ')}", markup=False)


def _entry_text(entry: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in entry.items())
