"""Progress of long work: a line on standard error, when that is a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from cbdd.cli.output import stderr_console


class TerminalProgress:
    """A line that is shown while the block lasts; nothing where nobody would see it."""

    def __init__(self, *columns: ProgressColumn) -> None:
        console = stderr_console()
        self.is_shown = console.is_terminal
        self.progress = Progress(*columns, console=console, transient=True)

    def __enter__(self) -> Self:
        if self.is_shown:
            self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.is_shown:
            self.progress.stop()


class DocumentBar(TerminalProgress):
    """How many of all documents are done."""

    def __init__(self) -> None:
        super().__init__(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._task = self.progress.add_task("", total=None)

    def show(self, done: int, total: int) -> None:
        """Show how far it is."""
        if self.is_shown:
            self.progress.update(self._task, completed=done, total=total)


class StepBar(TerminalProgress):
    """What is being done, and how much of it."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        super().__init__(*columns, TimeRemainingColumn())
        self._task = self.progress.add_task("", total=None)

    def show(self, what: str, done: int, total: int) -> None:
        """Show how far it is; a total of 0 is not known."""
        if self.is_shown:
            self.progress.update(self._task, description=what, completed=done, total=total or None)
