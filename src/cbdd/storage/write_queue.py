"""Durable writes that come while the log is being synced share the next commit and its sync.

A sync takes longer than a write, and threads that all wait for one would each begin, append and
change places on their own. So the thread that leads takes the writes of all that wait into its
transaction, one after the other, commits and syncs once, and lets them go:

    thread 1  lead: [1] commit, sync ............ | lead: [1]
    thread 2        queue, wait ................. lead: [2 3 4] commit, sync ...... | ...
    thread 3            queue, wait ............................................... done
    thread 4                queue, wait ........................................... done

Who leaves lets the first that waits lead. A write that is refused leaves the transaction as it was,
so it does not concern the others. When anything else goes wrong and nothing was published, each
runs again in a transaction of its own and meets its own error there.

Invariants: a write is taken out of the queue by one thread only, and that one runs it; it stays in
the queue until it is among those that are let go in the end. Nobody returns before what it has
done, or was refused by, is durable. Who leads is a matter of speed, not of safety: two leaders have
different writes and take the writer lock in turn. So a waiter to whom nobody comes for a while
helps itself, whatever has become of the leader. The main thread, which Ctrl-C interrupts, runs its
own write only.

Concurrency: a deque, whose steps need no lock; the writer lock does the rest.

Source: Hendler et al., "Flat Combining and the Synchronization-Parallelism Tradeoff" (2010).
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

from mypy_extensions import mypyc_attr

from cbdd.errors import CbddError, DurabilityError
from cbdd.storage.io import thread_id
from cbdd.storage.options import FULL
from cbdd.storage.state import DatabaseState, poisoned
from cbdd.storage.transaction import WriteTransaction, begin_write, run_due_checkpoint

SEVERAL: Final = "writes"
"""What the log calls writes of several kinds in one commit."""
MOST_TOGETHER: Final = 64
MOST_BYTES: Final = 1 << 20
"""From which size on a transaction takes no more writes."""
WAIT_SECONDS: Final = 1.0
"""Until a waiter looks after itself: longer than a sync as a rule takes."""

WAITING: Final = 0
ALONE: Final = 1
DONE: Final = 2
UNKNOWN: Final = 3


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

    def apply(self, txn: WriteTransaction, before: QueuedWrite | None) -> None:
        """Do it in a transaction; what it is refused by, having changed nothing, is its `problem`.

        :param before: the write before it in the transaction.
        """
        raise NotImplementedError

    def wake(self) -> None:
        """Let the thread that waits look at the stage."""
        gate = self.gate
        assert gate is not None, "nobody waits"
        try:
            gate.release()
        except RuntimeError:
            return  # it was woken before and has not looked yet


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
        me = thread_id()
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

    def wait(self, write: QueuedWrite) -> bool:
        """Wait until a write is done, or is to be run by this thread, which is the answer."""
        gate = write.gate
        assert gate is not None
        while True:
            gate.acquire(True, self.wait_seconds)
            if write.stage != WAITING:
                return False
            if self.withdraw(write):
                self.leader = thread_id()
                return True

    def withdraw(self, write: QueuedWrite) -> bool:
        """Take a write out; False when another thread has done so."""
        try:
            self._waiting.remove(write)
        except ValueError:
            return False
        return True

    def take_into(self, taken: list[QueuedWrite]) -> bool:
        """Move the first that waits to the end of a list; False when there is none.

        Also in the main thread, which leaves all where they are.
        """
        if not self._waiting or thread_id() == threading.main_thread().ident:
            return False
        while self._waiting:
            try:
                first = self._waiting[0]
            except IndexError:
                return False
            taken.append(first)  # before it is taken out, so that it cannot be lost in between
            if self.withdraw(first):
                return True
            taken.pop()
        return False

    def leave(self) -> None:
        """Let the first that waits lead, if this thread did."""
        if self.leader != thread_id():
            return
        self.leader = 0
        while self._waiting:
            try:
                following = self._waiting[0]
            except IndexError:
                return
            self.leader = following.thread
            if following in self._waiting:
                following.wake()  # it takes its write out itself: one that is lost is nobody's
                return
            self.leader = 0  # another leader has taken it, and its thread may be gone already


def run_queued(state: DatabaseState, queue: WriteQueue, write: QueuedWrite) -> None:
    """Run a write, by itself or with others, and return when it is durable.

    :raises Exception: what it was refused by, or kept from.
    """
    state.require_usable()
    is_due = False
    try:
        if state.writer_thread == thread_id():
            write.stage = ALONE  # in the middle of another write: `begin_write` says so
        elif queue.enter(write) or queue.wait(write):
            is_due = _run(state, queue, write)
        if write.stage == ALONE:
            is_due = _run(state, None, write)
    finally:
        if write.stage == WAITING and write.gate is not None:
            queue.withdraw(write)
        queue.leave()
    if is_due:
        run_due_checkpoint(state)
    if write.stage == UNKNOWN and write.problem is None:
        raise poisoned(state.path) if state.is_poisoned else _unknown(state)
    problem = write.problem
    if problem is not None:
        write.problem = None
        try:
            raise problem
        finally:
            del problem  # whose traceback has this frame


def _run(state: DatabaseState, queue: WriteQueue | None, write: QueuedWrite) -> bool:
    """Run a write in a transaction; then its stage says what came of it.

    :param queue: those that wait in it are run with it.
    :returns: whether a checkpoint is due.
    """
    taken = [write]
    stage = ALONE
    is_due = False
    begun: list[WriteTransaction] = []  # Ctrl-C may come between any two lines
    try:
        try:
            txn = begin_write(state, write.operation, True)
            begun.append(txn)
            _apply(txn, queue, taken)
            txn.commit(FULL, False)  # syncs what it has read, too
            is_due = txn.is_checkpoint_due
            stage = DONE
        except Exception as error:
            if len(taken) == 1:
                raise
            if begun and txn.may_be_published:
                stage = UNKNOWN
                write.problem = error.with_traceback(None)
        finally:
            for each in begun:  # not a variable that may be None: compiled, it must not be by then
                if stage == ALONE and each.may_be_published:
                    stage = UNKNOWN
                each.abort()
    finally:
        write.stage = stage
        for other in taken:
            if other is not write and queue is not None:
                if stage == UNKNOWN:
                    other.problem = None  # what it was refused by may not be there
                if stage != DONE and queue.withdraw(other):
                    other.stage = ALONE  # an interrupt came before it was taken out
                else:
                    other.stage = stage
                other.wake()
    return is_due


def _apply(txn: WriteTransaction, queue: WriteQueue | None, taken: list[QueuedWrite]) -> None:
    """Apply the first write and those that wait, which are taken out one by one."""
    before: QueuedWrite | None = None
    at = 0
    while at < len(taken):
        write = taken[at]
        write.problem = None
        write.apply(txn, before)
        if write.operation != txn.operation:
            txn.operation = SEVERAL
        before = write
        at += 1
        if queue is not None and at < MOST_TOGETHER and txn.changed_bytes < MOST_BYTES:
            queue.take_into(taken)


def _unknown(state: DatabaseState) -> CbddError:
    """What a thread is told whose write was in a commit of another that failed half-way."""
    return DurabilityError(
        "COMMIT_UNKNOWN",
        f"a commit to {state.path} with the writes of several threads failed when it was already "
        "published: whether it survives is unknown",
        "read the data again to see; check the disk",
        {"path": state.path},
    )
