"""Progress of long work on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from everfit.cli.output import print_error
from everfit.core.printable import printable
from everfit.core.progress import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Bars(Progress):
    """A bar for each task on standard error; without a terminal, a line at the end of each task."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._rich: RichProgress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        if self._rich is not None:
            self._rich.stop()

    def start(self, task: str, total: int | None = None) -> None:
        """Show a bar."""
        if self._quiet or not sys.stderr.isatty():
            return
        if self._rich is None:
            from rich import progress as rich
            from rich.console import Console

            self._rich = rich.Progress(
                rich.SpinnerColumn(),
                rich.TextColumn("{task.description}", markup=False),
                rich.BarColumn(bar_width=28),
                rich.MofNCompleteColumn(),
                rich.TimeElapsedColumn(),
                rich.TextColumn("{task.fields[note]}", style="dim", markup=False),
                console=Console(stderr=True, markup=False),
            )
            self._rich.start()
        self._tasks[task] = self._rich.add_task(printable(task), total=total, note="")

    def advance(self, task: str, steps: int = 1, note: str = "") -> None:
        """Extend the bar of a task."""
        if self._rich is not None and task in self._tasks:
            self._rich.update(self._tasks[task], advance=steps, note=printable(note))

    def finish(self, task: str, note: str = "") -> None:
        """Complete the bar of a task."""
        if self._rich is not None and task in self._tasks:
            total = self._rich.tasks[self._tasks[task]].total or 1
            self._rich.update(self._tasks[task], completed=total, total=total, note=printable(note))
        elif not self._quiet:
            print_error(f"{task}: {note or 'done'}")
