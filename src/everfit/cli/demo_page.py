"""Output of the demo: a line for each event, and figures of every day at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import wrap

from everfit.cli.output import Styled, Table, Terminal, bold
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


class Page(Terminal):
    """Standard output of the demo."""

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(quiet=quiet, widest=_WIDEST)

    def step(self, command: str, result: str) -> None:
        """Print a command that a user would type, and its result."""
        self.show([bold(f"$ {command}"), f"  {result}", ""])

    def event(self, event: Event) -> None:
        """Print a line of the timeline; a long sentence continues below its beginning."""
        # Not a table: that would end every line of a file with blanks.
        first, *more = wrap(event.sentence, max(self.width - _INDENT, _NARROWEST))
        kind = Styled(f"{event.what:<10}  ", _COLOURS.get(event.what, ""))
        self.line(Styled(f"{event.at:%b %d %H:%M}  ", "dim"), kind, first, sep="", wrap=False)
        for line in more:
            self.line(" " * _INDENT + line, wrap=False)

    def figures(self, days: Sequence[Figures], *, against: int) -> None:
        """Print the figures of every day, of the live versions and of a version that is never replaced."""
        names = ("log loss", f"version {against}'s", "ROC AUC", f"version {against}'s")
        rows = []
        for day in days:
            other = day.against or {}
            pairs = [value for name in ("log_loss", "roc_auc") for value in (day.live[name], other.get(name, math.nan))]
            who = "version " + " and ".join(map(str, day.versions))
            rows.append((day.month, f"{day.rows:,}", who, *(f"{value:.3f}" for value in pairs)))
        self.table(Table(("day", "orders", "predicted by", *names), rows, numbers=(1, 3, 4, 5, 6)))
        live = [day.live["log_loss"] for day in days]
        alone = [(day.against or {}).get("log_loss", math.nan) for day in days]
        for name, line in zip(("live", f"version {against} alone"), sparklines(live, alone), strict=True):
            self.line(f"log loss, {name:<16} {line}")


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
