"""Where things are in an undamaged database: pages and their owners, frames of a segment."""

from __future__ import annotations

from typing import Final

from cbdd.storage.frame import (
    FRAMES_OFFSET,
    SEGMENT_HEADER_BYTES,
    Frame,
    decode_frame_header,
    decode_segment_header,
)
from cbdd.storage.free_pages import read_freelist
from cbdd.storage.meta import Meta, read_copies
from cbdd.storage.page import FREELIST, OVERFLOW
from cbdd.testing import MemoryIo
from tests.damage.specimen import (
    HEADER_PAGES,
    PAGE_BYTES,
    PATH,
    Files,
    connect,
    disk_of,
    engine_of,
    page_of,
)

KIND_OFFSET: Final = 8
ENTRIES_OFFSET: Final = 12


class Layout:
    """What each page of a cleanly closed file is.

    ``first_of`` maps every page in use to the first page of its run, a node to itself; ``runs`` has
    the pages of each run; ``nodes`` the leaves and branches.
    """

    def __init__(self, files: Files) -> None:
        client = connect(disk_of(files))
        state = engine_of(client)._state
        free = read_freelist(state, state.meta)
        client.close()
        data = files[PATH]
        self.meta = newest_meta(files)
        self.free = {run.start + n for run in free for n in range(run.count)}
        self.first_of: dict[int, int] = {}
        self.runs: dict[int, int] = {}
        self.nodes: list[int] = []
        page = HEADER_PAGES
        while page < len(data) // PAGE_BYTES:
            count = 1
            if page not in self.free:
                count = _page_count(page_of(data, page))
                if count:
                    self.runs[page] = count
                else:
                    self.nodes.append(page)
                    count = 1
                self.first_of.update({page + n: page for n in range(count)})
            page += count


def _page_count(page: bytes) -> int:
    """Pages of the run that begins here; 0 for a node."""
    if page[KIND_OFFSET] in (OVERFLOW, FREELIST):
        return int.from_bytes(page[ENTRIES_OFFSET : ENTRIES_OFFSET + 4], "little")
    return 0


def newest_meta(files: Files) -> Meta:
    """The meta page that counts."""
    io = MemoryIo(disk_of(files))
    copies = read_copies(io, io.open(PATH, False, True))
    return max((c.meta for c in copies if c.meta is not None), key=lambda meta: meta.generation)


def frames_of(segment: bytes) -> list[tuple[int, Frame]]:
    """Offset and frame of everything up to the end of a segment."""
    header = decode_segment_header(segment[:SEGMENT_HEADER_BYTES])
    assert header is not None
    frames: list[tuple[int, Frame]] = []
    offset = FRAMES_OFFSET
    while True:
        frame = decode_frame_header(segment, offset, header.seed(), offset)
        if frame is None:
            return frames
        frames.append((offset, frame))
        offset += frame.size()
