"""The place where long loops let Python in: signals (Ctrl-C) and other threads.

Compiled code runs without ever looking at signals or giving the interpreter lock away. A call of an
interpreted function does both, so this module must stay out of compilation; it costs about 30 ns.
"""

from __future__ import annotations

from typing import Final

YIELD_INTERVAL: Final = 128
"""How many documents or keys a loop may handle between two calls; a power of two."""


def yield_point() -> None:
    """Let pending signals and other threads run; may raise KeyboardInterrupt."""
