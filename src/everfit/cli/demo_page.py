"""Output of the demo: a line for each event, and figures of every day at the end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from textwrap import wrap
from typing import TYPE_CHECKING

from everfit.cli.output import Styled, Terminal, bold

if TYPE_CHECKING:
    from collections.abc import Callable

    from everfit.cli.timeline import Event
    from everfit.replay.result import Figures

_WIDEST = 120
_NARROWEST = 30
_INDENT = 26
"""Indentation of sentences, after date and kind."""
_COLOURS = {
    "truth": "magenta",
    "finding": "yellow",
    "order": "cyan",
    "refused": "red",
    "taken back": "red",
    "gates": "green",
    "champion": "bold green",
    "kept": "green",
    "over": "green",
}
_BARS = "▁▂▃▄▅▆▇█"


class Page:
    """Standard output of the demo.

    Args:
        quiet: Print nothing.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._terminal = Terminal(quiet=quiet, widest=_WIDEST)

    def say(self, *parts: object) -> None:
        """Print parts on a line of their own."""
        self._terminal.line(*parts)

    def step(self, command: str, result: str) -> None:
        """Print a command that a user would type, and its result."""
        self.say(bold(f"$ {command}"))
        self.say(f"  {result}")
        self.say()

    def event(self, at: datetime, what: str, sentence: str) -> None:
        """Print a line of the timeline; a long sentence continues below its beginning."""
        # Not a table: that would end every line of a file with blanks.
        first, *more = wrap(sentence, max(self._terminal.width - _INDENT, _NARROWEST))
        kind = Styled(f"{what:<10}  ", _COLOURS.get(what, ""))
        self._terminal.line(Styled(f"{at:%b %d %H:%M}  ", "dim"), kind, first, sep="", wrap=False)
        for line in more:
            self._terminal.line(" " * _INDENT + line, wrap=False)

    def events(self, found: Sequence[Event]) -> None:
        """Print lines of the timeline."""
        for event in found:
            self.event(event.at, event.what, event.sentence)

    @contextmanager
    def busy(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show a text below the lines while the block runs, on a terminal."""
        with self._terminal.busy(text) as update:
            yield update

    def figures(self, days: Sequence[Figures], *, against: int) -> None:
        """Print the figures of every day, of the live versions and of a version that is never replaced."""
        columns = ("day", "orders", "predicted by")
        names = ("log loss", f"version {against}'s", "ROC AUC", f"version {against}'s")
        rows = []
        for day in days:
            other = day.against or {}
            pairs = [value for name in ("log_loss", "roc_auc") for value in (day.live[name], other.get(name, math.nan))]
            who = "version " + " and ".join(map(str, day.versions))
            rows.append((day.month, f"{day.rows:,}", who, *(f"{value:.3f}" for value in pairs)))
        self._terminal.rows("", (*columns, *names), rows, numbers=(1, 3, 4, 5, 6))
        live = [day.live["log_loss"] for day in days]
        alone = [(day.against or {}).get("log_loss", math.nan) for day in days]
        for name, line in zip(("live", f"version {against} alone"), sparklines(live, alone), strict=True):
            self.say(f"log loss, {name:<16} {line}")


def sparklines(*series: Sequence[float]) -> tuple[str, ...]:
    """Return each series as a line of bars, all on one scale; a blank for NaN.

    >>> sparklines([0.0, 1.0], [0.5, float("nan")])
    ('▁█', '▅ ')
    """
    numbers = [value for line in series for value in line if math.isfinite(value)]
    low, high = min(numbers, default=0.0), max(numbers, default=0.0)
    span = high - low or 1.0

    def bar(value: float) -> str:
        return _BARS[round((value - low) / span * (len(_BARS) - 1))] if math.isfinite(value) else " "

    return tuple("".join(map(bar, line)) for line in series)
