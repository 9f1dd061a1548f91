"""Codes of pages, trees and the list of free pages."""

from __future__ import annotations

from typing import Final

from cbdd.codes.code import PAGE, SEV_1, SEV_3, Code
from cbdd.codes.steps import READ_REST, REPORT

PAGE_CODES: Final = (
    Code(
        "PAGE_CHECKSUM",
        PAGE,
        SEV_1,
        "The bytes of a page are not those that were written.",
        READ_REST,
    ),
    Code("PAGE_ZEROED", PAGE, SEV_1, "A page holds only zeros: its write was lost.", READ_REST),
    Code(
        "PAGE_MISDIRECTED",
        PAGE,
        SEV_1,
        "A page holds the contents of another one: a write went to the wrong place.",
        READ_REST,
    ),
    Code(
        "PAGE_STALE",
        PAGE,
        SEV_1,
        "A page holds an older or a foreign version of itself: a newer write was lost.",
        READ_REST,
    ),
    Code("PAGE_TRUNCATED", PAGE, SEV_1, "The file ends inside a page.", READ_REST),
    Code(
        "PAGE_MALFORMED",
        PAGE,
        SEV_1,
        "A page has the right checksum and contents that make no sense.",
        f"{READ_REST} {REPORT}",
    ),
    Code(
        "PAGE_OUT_OF_RANGE",
        PAGE,
        SEV_1,
        "A reference names a page that the file does not have.",
        READ_REST,
    ),
    Code(
        "PAGE_SHARED",
        PAGE,
        SEV_1,
        "A page has two owners, or is listed as free while it is in use: a write to one would "
        "damage the other.",
        f"{READ_REST} {REPORT}",
    ),
    Code(
        "PAGE_LEAKED",
        PAGE,
        SEV_3,
        "Pages belong to nobody: space is lost, no data.",
        "Nothing needs to be done now; `cbdd compact FILE` gives them back.",
    ),
    Code(
        "PAGE_CHECKSUM_FIELD",
        PAGE,
        SEV_3,
        "The checksum that a page carries itself is wrong; the one that its parent holds is right, "
        "so its contents are.",
        "Check the disk.",
    ),
    Code(
        "FREELIST_MALFORMED",
        PAGE,
        SEV_3,
        "The list of free pages makes no sense. No data is in it.",
        "Nothing is lost; the next checkpoint makes a new list.",
    ),
    Code(
        "FREELIST_REBUILT",
        PAGE,
        SEV_3,
        "The list of free pages was damaged and was made anew from what is reachable.",
        "Check the disk; nothing is lost.",
    ),
    Code(
        "DIRECTORY_MALFORMED",
        PAGE,
        SEV_1,
        "The list of trees has an entry that makes no sense.",
        f"{READ_REST} {REPORT}",
    ),
    Code(
        "COUNT_WRONG",
        PAGE,
        SEV_1,
        "A tree has another number of entries than it says.",
        f"{READ_REST} {REPORT}",
    ),
    Code(
        "ORDER_WRONG",
        PAGE,
        SEV_1,
        "Keys of a tree are not in order: some may not be found.",
        f"{READ_REST} {REPORT}",
    ),
    Code(
        "LEVEL_WRONG",
        PAGE,
        SEV_1,
        "A page of a tree is on the wrong level.",
        f"{READ_REST} {REPORT}",
    ),
    Code("SIZE_WRONG", PAGE, SEV_3, "A page in memory has another size than it says.", REPORT),
)
