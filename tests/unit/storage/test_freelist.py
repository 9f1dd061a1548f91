"""Free pages: who may have which, and what is left."""

from __future__ import annotations

import pytest

from cbdd.storage.freelist import (
    Allocator,
    FreeRun,
    decode_runs,
    encode_runs,
    malformed_runs,
    merged_runs,
    unreached_runs,
)


def plain(runs: list[FreeRun]) -> list[tuple[int, int, int]]:
    return [(run.generation, run.start, run.count) for run in runs]


def test_the_list_reads_back_without_its_padding() -> None:
    runs = [FreeRun(1, 2, 3), FreeRun(4, 5, 2**32 - 1)]
    assert plain(decode_runs(encode_runs(runs) + bytes(47))) == [(1, 2, 3), (4, 5, 2**32 - 1)]
    assert decode_runs(b"") == []


def test_neighbours_are_joined() -> None:
    assert plain(merged_runs([(7, 1), (3, 2), (5, 2), (9, 1)], 6)) == [(6, 3, 5), (6, 9, 1)]


def test_only_pages_nobody_needs_are_handed_out_lowest_first() -> None:
    runs = [FreeRun(5, 40, 1), FreeRun(3, 20, 2), FreeRun(9, 30, 5)]
    allocator = Allocator(runs, 5, 100)
    assert [allocator.page() for _ in range(5)] == [20, 21, 40, 100, 101]
    assert allocator.page_count == 102
    assert plain(allocator.left()) == [(9, 30, 5)]


def test_a_run_takes_the_first_gap_that_holds_it_or_the_end() -> None:
    allocator = Allocator([FreeRun(1, 10, 2), FreeRun(1, 20, 4)], 1, 100)
    assert allocator.pages(3) == 20
    assert allocator.pages(3) == 100
    assert allocator.pages(2) == 10
    assert allocator.pages(1) == 23
    assert allocator.left() == []
    assert allocator.page_count == 103


def test_neighbours_of_different_generations_hold_one_run() -> None:
    allocator = Allocator([FreeRun(2, 12, 2), FreeRun(1, 10, 2)], 2, 100)
    assert allocator.pages(4) == 10
    allocator = Allocator([FreeRun(2, 12, 2), FreeRun(1, 10, 2)], 2, 100)
    assert plain(allocator.left()) == [(2, 10, 4)]


def test_nothing_is_reused_when_an_unknown_reader_is_there() -> None:
    allocator = Allocator([FreeRun(0, 10, 2)], -1, 100)
    assert allocator.page() == 100
    assert plain(allocator.left()) == [(0, 10, 2)]


@pytest.mark.parametrize(
    ("runs", "fault"),
    [
        ([], ""),
        ([FreeRun(1, 8, 2), FreeRun(3, 10, 5)], ""),
        ([FreeRun(1, 7, 1)], "pages 7 to 7 overlap or do not exist"),
        ([FreeRun(1, 10, 2), FreeRun(1, 8, 3)], "pages 10 to 11 overlap or do not exist"),
        ([FreeRun(1, 18, 3)], "pages 18 to 20 overlap or do not exist"),
        ([FreeRun(5, 8, 1)], "pages 8 and on were freed by generation 5"),
    ],
)
def test_a_list_that_makes_no_sense_is_told(runs: list[FreeRun], fault: str) -> None:
    assert malformed_runs(runs, first=8, page_count=20, generation=4) == fault


def test_pages_that_nothing_reaches_are_runs() -> None:
    found = unreached_runs(bytearray([1, 0, 0, 1, 0, 1, 1, 0]), 9)
    assert [(run.generation, run.start, run.count) for run in found] == [
        (9, 1, 2),
        (9, 4, 1),
        (9, 7, 1),
    ]
    assert unreached_runs(bytearray([1, 1]), 9) == []
