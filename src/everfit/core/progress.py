"""Long work tells how far it is; who listens is the caller's choice."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Hears about long work. Calls come from one thread at a time."""

    def start(self, task: str, total: int | None = None) -> None:
        """A named piece of work begins; ``total`` is in its own units, ``None`` if unknown."""
        ...

    def advance(self, task: str, steps: int = 1, note: str = "") -> None:
        """So many more units are done."""
        ...

    def finish(self, task: str, note: str = "") -> None:
        """The piece of work has ended."""
        ...


class Silent:
    """A listener that keeps quiet."""

    def start(self, task: str, total: int | None = None) -> None:
        """Ignore it."""

    def advance(self, task: str, steps: int = 1, note: str = "") -> None:
        """Ignore it."""

    def finish(self, task: str, note: str = "") -> None:
        """Ignore it."""


SILENT: Progress = Silent()
"""The listener of those who do not say."""
