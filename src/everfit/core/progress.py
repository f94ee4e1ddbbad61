"""Progress of long work, reported to an object that the caller chooses."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of long work. Calls come from one thread at a time."""

    def start(self, task: str, total: int | None = None) -> None:
        """Begin a named task of ``total`` steps, ``None`` if unknown."""
        ...

    def advance(self, task: str, steps: int = 1, note: str = "") -> None:
        """Report that more steps are done."""
        ...

    def finish(self, task: str, note: str = "") -> None:
        """End a task."""
        ...


class Silent:
    """Progress that is not shown."""

    def start(self, task: str, total: int | None = None) -> None:
        """Do nothing."""

    def advance(self, task: str, steps: int = 1, note: str = "") -> None:
        """Do nothing."""

    def finish(self, task: str, note: str = "") -> None:
        """Do nothing."""


SILENT: Progress = Silent()
"""The default."""
