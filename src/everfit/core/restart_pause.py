"""Pause before a process that ended is started again."""

from __future__ import annotations

_FIRST_S, _LONGEST_S = 0.1, 10.0
_STABLE_S = 30.0
"""A process that ran this long counts as stable."""


class RestartPause:
    """Exponential back-off: the pause doubles with every process that ends before it was stable.

    >>> pause = RestartPause()
    >>> [pause.after(lived_s) for lived_s in (1.0, 1.0, 1.0, 60.0, 1.0)]
    [0.1, 0.2, 0.4, 0.1, 0.2]
    """

    def __init__(self) -> None:
        self._next_s = _FIRST_S

    def after(self, lived_s: float) -> float:
        """Return the pause after a process that ran so long, both in seconds."""
        pause_s = _FIRST_S if lived_s >= _STABLE_S else self._next_s
        self._next_s = min(2 * pause_s, _LONGEST_S)
        return pause_s
