"""Stop with a clear message when this Python is too old to build CBDD. Runs on any Python 3."""

import sys

OLDEST = (3, 11)

if sys.version_info < OLDEST:
    sys.exit(
        "CBDD needs Python %d.%d or later, %s is %d.%d. Set another: make PYTHON=/path/to/python"  # noqa: UP031
        % (OLDEST + (sys.executable,) + sys.version_info[:2])
    )
