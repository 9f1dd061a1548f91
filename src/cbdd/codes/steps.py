"""Next steps that several codes share."""

from __future__ import annotations

from typing import Final

CHECK: Final = "Run `cbdd check FILE` to see everything that is wrong."
KEEP: Final = "Stop writing and keep a copy of the file and of everything named like it."
RECOVER: Final = (
    "`cbdd recover FILE --output NEW` writes what can be had to a new file and says what is lost; "
    "restore a backup where that is better."
)
READ_REST: Final = f"{KEEP} Other collections stay readable. {RECOVER}"
SALVAGE: Final = (
    f"{KEEP} `connect(path, mode='salvage')` reads what is before the damage. {RECOVER}"
)
REOPEN: Final = "Close the database in every process, then open it again."
REBUILD: Final = (
    "Documents are not affected. Make the index anew with `cbdd reindex FILE COLLECTION INDEX`."
)
REPORT: Final = "This is a defect: please report it, with what led to it."
