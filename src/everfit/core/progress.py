"""Progress of long work, reported to an object that the caller chooses."""

from __future__ import annotations


class Progress:
    """Receives the progress of long work, from one thread at a time; this one shows nothing."""

    def start(self, task: str, total: int | None = None) -> None:
        """Begin a named task of ``total`` steps, ``None`` if unknown."""

    def advance(self, task: str, steps: int = 1, note: str = "") -> None:
        """Report that more steps are done."""

    def finish(self, task: str, note: str = "") -> None:
        """End a task."""


SILENT = Progress()
