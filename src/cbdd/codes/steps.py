"""Next steps that several codes share."""

from __future__ import annotations

from typing import Final

CHECK: Final = "Run `cbdd check FILE` to see everything that is wrong."
KEEP: Final = "Stop writing and keep a copy of the file and of everything named like it."
READ_REST: Final = (
    f"{KEEP} {CHECK} Other collections stay readable: take them out with `cbdd export`. Then "
    "restore a backup."
)
SALVAGE: Final = (
    f"{KEEP} `cbdd export --salvage` and `connect(path, read_only=True, salvage=True)` read what "
    "is before the damage. Then restore a backup."
)
REOPEN: Final = "Close the database in every process, then open it again."
REBUILD: Final = (
    "Documents are not affected. Make the index anew with `cbdd reindex FILE COLLECTION INDEX`."
)
REPORT: Final = "This is a defect: please report it, with what led to it."
