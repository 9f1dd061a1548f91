"""Waiting for a pipe or a terminal so that Ctrl-C is never missed.

A plain read misses a Ctrl-C that arrives after Python has last looked for one and before the read
has begun: it then waits for input that may never come. Here input and the signal's wake-up pipe are
waited for together, so the order of the two does not matter.
"""

from __future__ import annotations

import io
import os
import select
import signal
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

WAKE_BYTES: Final = 64


class WaitingInput(io.RawIOBase):
    """Reads a descriptor, which stays open; `close` gives the signals' wake-up pipe back.

    :raises ValueError: made in another thread than the main one, which gets no signals.
    """

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._woken, self._wakes = socket.socketpair()
        try:
            self._woken.setblocking(False)
            self._wakes.setblocking(False)
            self._former = signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        except BaseException:
            self._woken.close()
            self._wakes.close()
            super().close()
            raise

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Wait for input; raises `KeyboardInterrupt` when Ctrl-C came before or meanwhile."""
        view = memoryview(buffer).cast("B")
        while True:
            woken = self._woken.fileno()
            ready, _, _ = select.select([self._fd, woken], [], [])
            if woken in ready:
                if signal.SIGINT in self._woken.recv(WAKE_BYTES):
                    _run_pending_handlers()
                    raise KeyboardInterrupt  # its handler ran where exceptions are dropped
                continue
            data = os.read(self._fd, len(view))
            view[: len(data)] = data
            return len(data)

    def close(self) -> None:
        if not self.closed:
            signal.set_wakeup_fd(self._former)
            self._woken.close()
            self._wakes.close()
        super().close()


def _run_pending_handlers() -> None:
    """Python runs the handlers of signals that have come when a function is entered.

    The handler of Ctrl-C raises here, and not once more while the interrupt is being dealt with.
    """
