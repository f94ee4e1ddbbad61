"""The only module that prints: text, or one JSON document.

Text is never parsed as markup. A command prints parts: plain text, which may come from outside, and `Styled` text; both
are shown character by character, with control characters escaped (`everfit.core.printable`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from everfit.core.printable import printable, printable_json

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Console, JustifyMethod
    from rich.table import Table
    from rich.text import Text

    from everfit.core.records import GateReport, Score

_PIPE_COLUMNS = 120
"""Width of a table that goes into a pipe or a file, unless COLUMNS says otherwise."""
_SHORT_CELL = 17
"""Columns of a table whose cells are no longer, such as states and times, are not wrapped where there is room."""
_BETWEEN_CELLS = 3
"""Columns of the terminal that a table puts between two cells."""


class Styled(NamedTuple):
    """Text with a style of Rich's, such as ``bold red``."""

    text: object
    style: str

    def __str__(self) -> str:
        return str(self.text)


OK = Styled("✓", "green")
FAILED = Styled("✗", "red")
CAUTION = Styled("!", "yellow")
MARKS = {"passed": OK, "failed": FAILED, "skipped": Styled("–", "dim")}


def bold(text: object) -> Styled:
    """Return emphasised text."""
    return Styled(text, "bold")


def minute(instant: datetime) -> str:
    """Return an instant as text for a table, to the minute."""
    return f"{instant:%Y-%m-%d %H:%M}"


def second(instant: datetime) -> str:
    """Return an instant as text for a sentence, to the second, with its zone."""
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"


def spoken(name: str) -> str:
    """Return a name of a state, kind or metric without underscores."""
    return name.replace("_", " ")


def text_of(*parts: object, sep: str = " ") -> Text:
    """Return parts as one line of Rich's.

    Args:
        *parts: Plain values and `Styled` ones.
        sep: Stands between two parts.
    """
    from rich.text import Text

    line = Text()
    for place, part in enumerate(parts):
        line.append(sep if place else "")
        line.append(printable(part), part.style if isinstance(part, Styled) else None)
    return line


class Terminal:
    """Standard output as text.

    Args:
        quiet: Print nothing.
        widest: Most columns of a line; a line that goes into a pipe is not wrapped unless this is given.
    """

    def __init__(self, *, quiet: bool = False, widest: int | None = None) -> None:
        from rich.console import Console

        self.is_live = sys.stdout.isatty() and not quiet
        self._wraps = self.is_live or widest is not None
        columns = None if self.is_live else int(os.environ.get("COLUMNS") or _PIPE_COLUMNS)
        self._console: Console = Console(highlight=False, markup=False, emoji=False, quiet=quiet, width=columns)
        if widest is not None:
            self._console.width = min(self._console.width, widest)

    @property
    def width(self) -> int:
        """Width in columns."""
        return self._console.width

    def line(self, *parts: object, sep: str = " ", wrap: bool = True) -> None:
        """Print parts on a line of their own."""
        self._console.print(text_of(*parts, sep=sep), soft_wrap=not (wrap and self._wraps))
        sys.stdout.flush()

    def rows(
        self,
        title: str,
        columns: Sequence[object],
        rows: Iterable[Sequence[object]],
        *,
        numbers: Sequence[int] = (),
    ) -> None:
        """Print a table; cells that do not fit are wrapped, never cut.

        Args:
            title: Above it; may be empty.
            columns: Their heads.
            rows: Cells, plain or `Styled`.
            numbers: Places of the columns that are aligned to the right.
        """
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table(title=text_of(title) if title else None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        cells = [[text_of(cell) for cell in row] for row in rows]
        heads = [text_of(column) for column in columns]
        least = _least_widths([heads, *cells], self.width)
        for place, head in enumerate(heads):
            justify: JustifyMethod = "right" if place in numbers else "left"
            table.add_column(head, overflow="fold", justify=justify, min_width=least[place])
        for row in cells:
            table.add_row(*row)
        self._print_table(table)

    def _print_table(self, table: Table) -> None:
        if self.is_live:
            self._console.print(table)
            return
        with self._console.capture() as captured:
            self._console.print(table)
        # Rich fills every line up with blanks.
        lines = [line.rstrip() for line in captured.get().splitlines()]
        if not self._console.quiet:
            sys.stdout.write("\n".join(lines).strip("\n") + "\n")
            sys.stdout.flush()

    @contextmanager
    def busy(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show a text below the lines while the block runs, on a terminal; yield a function that changes it."""
        if not self.is_live:
            yield lambda text: None  # noqa: ARG005
            return
        with self._console.status(text_of(text)) as status:
            yield lambda text: status.update(text_of(text))

    @contextmanager
    def redrawn(self) -> Iterator[Callable[[Iterable[Sequence[object]]], None]]:
        """Yield a function that draws lines, each a sequence of parts, in place of those before."""
        from rich.console import Group
        from rich.live import Live

        with Live(console=self._console, auto_refresh=False) as live:
            yield lambda lines: live.update(Group(*(text_of(*line) for line in lines)), refresh=True)


def _least_widths(lines: Sequence[Sequence[Text]], width: int) -> list[int | None]:
    """Return the least width of each short column of a table, so that long cells wrap and words such as states do not.

    ``None`` for the others, and for all where not even the short ones fit.
    """
    widths = [max(cell.cell_len for cell in column) for column in zip(*lines, strict=True)]
    least = [found if found <= _SHORT_CELL else None for found in widths]
    needed = sum((_SHORT_CELL if found is None else found) + _BETWEEN_CELLS for found in least)
    return least if needed <= width else [None] * len(least)


def reserve_stdout() -> None:
    """Keep standard output for `print_json`, until this process ends.

    Whatever else writes there goes to standard error: a trainer's ``print``, and what native code (LightGBM) and child
    processes write to descriptor 1.
    """
    sys.stdout.flush()
    own = open(os.dup(1), "w", encoding="utf-8")  # noqa: SIM115 - it stays open until the process ends
    os.dup2(2, 1)
    # Python's own name for the standard output that a process began with.
    sys.__stdout__ = own  # type: ignore[misc]


def print_line(*parts: object, sep: str = " ") -> None:
    """Print one line of text.

    Args:
        *parts: Plain values, from outside or not, and `Styled` ones.
        sep: Stands between two parts.
    """
    Terminal().line(*parts, sep=sep)


def print_error(text: object) -> None:
    """Print one line on standard error."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def print_json(document: Any) -> None:
    """Print one JSON document and nothing else."""
    text = msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=2)
    stream = sys.__stdout__ or sys.stdout
    stream.write(printable_json(text.decode()) + "\n")
    stream.flush()


def print_records(records: Any, columns: Sequence[object], rows: Iterable[Sequence[object]], *, as_json: bool) -> None:
    """Print records as one JSON document, or as a table."""
    if as_json:
        print_json(records)
    else:
        print_rows("", columns, rows)


def print_done(document: Any, *parts: object, as_json: bool) -> None:
    """Print the result of a command as one JSON document, or as a line after a check mark."""
    if as_json:
        print_json(document)
    else:
        print_line(OK, *parts)


def print_rows(title: str, columns: Sequence[object], rows: Iterable[Sequence[object]]) -> None:
    """Print a table."""
    Terminal().rows(title, columns, rows)


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print one line for each name and value; a value that is ``None`` or empty is left out."""
    for name, value in facts:
        if value not in (None, ""):
            print_line(bold(f"{name:<10}"), value)


def print_gates(report: GateReport) -> None:
    """Print every verdict with its sentence."""
    passed = sum(verdict.outcome == "passed" for verdict in report.verdicts)
    word = Styled("passed", "green") if report.passed else Styled("refused", "red")
    print_line(bold("Gate report"), "  ", word, f": {passed} of {len(report.verdicts)} gates passed", sep="")
    for verdict in report.verdicts:
        print_line("  ", MARKS[verdict.outcome], " ", bold(verdict.gate), "  ", verdict.sentence, sep="")


def print_scores(scores: Iterable[Score]) -> None:
    """Print metrics with their intervals."""
    rows = [(one.metric, f"{one.value:.4f}", f"{one.low:.4f} … {one.high:.4f}", one.rows) for one in scores]
    print_rows("Hold-out", ("metric", "value", "95 % interval", "rows"), rows)
