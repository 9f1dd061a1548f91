"""Durable writes that come while the log is being synced share the next commit and its sync.

A sync takes longer than a write, and threads that all wait for one would each begin, append and
change places on their own. So the thread that leads takes the writes of all that wait into its
transaction, one after the other, commits and syncs once, and lets them go:

    thread 1  lead: [1] commit, sync ............ | lead: [1]
    thread 2        queue, wait ................. lead: [2 3 4] commit, sync ...... | ...
    thread 3            queue, wait ............................................... done
    thread 4                queue, wait ........................................... done

Who leaves passes the lead on to the first that waits. A write that is refused leaves the
transaction as it was, so it does not concern the others. When anything else goes wrong and nothing
was committed, each runs again in a transaction of its own and meets its own error there.

Invariants: a write is taken out of the queue by one thread only, and that one runs it; nobody
returns before what it has done, or was refused by, is durable. Who leads is a matter of speed, not
of safety: two leaders have different writes and take the writer lock in turn. So a waiter to whom
nobody comes for a while helps itself, whatever has become of the leader. The main thread, which
Ctrl-C interrupts, only leads itself.

Concurrency: a deque, whose steps need no lock; the writer lock does the rest.

Source: Hendler et al., "Flat Combining and the Synchronization-Parallelism Tradeoff" (2010).
"""

from __future__ import annotations

import threading
from collections import deque
from threading import get_ident
from typing import Final

from mypy_extensions import mypyc_attr

from cbdd.errors import CbddError, DiskFullError, DurabilityError
from cbdd.storage.options import FULL
from cbdd.storage.state import DatabaseState
from cbdd.storage.transaction import WriteTransaction, begin_write

SEVERAL: Final = "writes"
"""What the log calls writes of several kinds in one commit."""
MOST_TOGETHER: Final = 64
MOST_BYTES: Final = 1 << 20
WAIT_SECONDS: Final = 1.0
"""Until a waiter looks after itself: longer than a sync as a rule takes."""

WAITING: Final = 0
LEADING: Final = 1
ALONE: Final = 2
DONE: Final = 3
UNKNOWN: Final = 4


@mypyc_attr(allow_interpreted_subclasses=True)
class QueuedWrite:
    """A write of one statement."""

    def __init__(self, operation: str) -> None:
        """
        :param operation: what the log calls it.
        """
        self.operation = operation
        self.thread = 0
        self.stage = WAITING
        self.gate: threading.Lock | None = None
        self.problem: Exception | None = None

    def size(self) -> int:
        """About how many bytes it adds to a transaction."""
        raise NotImplementedError

    def apply(self, txn: WriteTransaction, before: QueuedWrite | None) -> None:
        """Do it in a transaction; what it is refused by, having changed nothing, is its `problem`.

        :param before: the write before it in the transaction.
        """
        raise NotImplementedError


class WriteQueue:
    """The durable writes of one process that wait for the end of a sync."""

    def __init__(self, wait_seconds: float = WAIT_SECONDS) -> None:
        self.wait_seconds = wait_seconds
        self.leader = 0
        self._waiting: deque[QueuedWrite] = deque()

    @property
    def waiting(self) -> int:
        """How many writes wait."""
        return len(self._waiting)

    def enter(self, write: QueuedWrite) -> bool:
        """Lead, which is the answer, or wait in the queue."""
        me = get_ident()
        write.thread = me
        if self.leader in (0, me):  # its own lead was left behind by an interrupt
            self.leader = me
            return True
        gate = threading.Lock()
        gate.acquire()
        write.gate = gate
        self._waiting.append(write)
        if self.leader == 0 and self.withdraw(write):  # it left before it could see this one
            self.leader = me
            return True
        return False

    def withdraw(self, write: QueuedWrite) -> bool:
        """Take a write back; False when another thread has taken it out."""
        try:
            self._waiting.remove(write)
        except ValueError:
            return False
        return True

    def join(self, taken: list[QueuedWrite]) -> None:
        """Move those that wait to the writes of a transaction, as many as it should have."""
        room = MOST_BYTES
        for write in taken:
            room -= write.size()
        while self._waiting and len(taken) < MOST_TOGETHER and room > 0:
            try:
                write = self._waiting.popleft()
            except IndexError:  # withdrawn meanwhile
                return
            taken.append(write)
            room -= write.size()

    def leave(self) -> None:
        """Pass the lead on to the first that waits, if this thread has it."""
        if self.leader != get_ident():
            return
        self.leader = 0
        try:
            following = self._waiting.popleft()
        except IndexError:
            return
        self.leader = following.thread
        release(following, LEADING)


def release(write: QueuedWrite, stage: int) -> None:
    """Let the thread of a write that waits go on."""
    write.stage = stage
    gate = write.gate
    assert gate is not None, "nobody waits"
    gate.release()


def run_queued(state: DatabaseState, queue: WriteQueue, write: QueuedWrite) -> None:
    """Run a write, by itself or with others, and return when it is durable.

    :raises Exception: what it was refused by, or kept from.
    """
    state.require_usable()
    try:
        if state.writer_thread == get_ident():
            write.stage = ALONE  # in the middle of another write: `begin_write` says so
        elif queue.enter(write):
            write.stage = LEADING
        else:
            _wait(queue, write)
        if write.stage == LEADING:
            is_main = get_ident() == threading.main_thread().ident
            _run(state, None if is_main else queue, write)
        if write.stage == ALONE:
            _run(state, None, write)
    except BaseException:
        queue.withdraw(write)
        raise
    finally:
        queue.leave()
    problem = write.problem
    if problem is not None:
        write.problem = None  # its traceback will have this write
        raise problem


def _wait(queue: WriteQueue, write: QueuedWrite) -> None:
    """Wait until the write is done, or this thread has to see to it itself."""
    gate = write.gate
    assert gate is not None
    while not gate.acquire(True, queue.wait_seconds):
        if queue.withdraw(write):
            queue.leader = write.thread
            write.stage = LEADING
            return


def _run(state: DatabaseState, queue: WriteQueue | None, write: QueuedWrite) -> None:
    """Run a write in a transaction; then its stage says what came of it.

    :param queue: those that wait in it are run with it.
    """
    taken = [write]
    stage = ALONE
    begun: list[WriteTransaction] = []  # Ctrl-C may come between any two lines
    try:
        try:
            txn = begin_write(state, write.operation, True)
            begun.append(txn)
            if queue is not None:
                queue.join(taken)
            _apply(txn, taken)
            if txn.has_changes:
                stage = UNKNOWN
                txn.commit(FULL)
            stage = DONE
        except Exception as error:
            if len(taken) == 1:
                raise
            if isinstance(error, DiskFullError):
                stage = ALONE  # nothing was changed
            elif stage == UNKNOWN:
                write.problem = error
        finally:
            for each in begun:  # not a variable that may be None: compiled, it must not be by then
                each.abort()
    finally:
        write.stage = stage
        for other in taken:
            if other is not write:
                if stage == UNKNOWN:
                    other.problem = _unknown(state, write.problem)
                release(other, stage)


def _apply(txn: WriteTransaction, writes: list[QueuedWrite]) -> None:
    before: QueuedWrite | None = None
    for write in writes:
        write.problem = None
        write.apply(txn, before)
        if write.operation != txn.operation:
            txn.operation = SEVERAL
        before = write


def _unknown(state: DatabaseState, cause: Exception | None) -> CbddError:
    """What a thread is told whose write was committed by one that failed in the middle of it."""
    if isinstance(cause, CbddError):
        return DurabilityError(cause.code, cause.message, cause.next_step, cause.details)
    return DurabilityError(
        "COMMIT_UNKNOWN",
        f"a commit to {state.path} with the writes of several threads was interrupted: whether it "
        "survives is unknown",
        "read the data again to see",
        {"path": state.path},
    )
