"""The only module that prints: text, or one JSON document.

Text is never parsed as markup. A line has parts: plain text, which may come from outside, and `Styled` text; both are
shown character by character, with control characters escaped (`everfit.core.printable`).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from everfit.core.printable import printable, printable_json
from everfit.core.progress import Progress

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID
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


class Table(NamedTuple):
    """Rows of cells, plain or `Styled`."""

    columns: Sequence[object]
    """Their heads."""
    rows: Iterable[Sequence[object]]
    title: str = ""
    numbers: Sequence[int] = ()
    """Places of the columns that are aligned to the right."""


Item = object
"""Part of a text: a :class:`Table`, a tuple of the parts of one line, or the only part of a line."""


class Output(NamedTuple):
    """Output of a command."""

    document: object
    """Printed as one JSON document with ``--json``."""
    text: Iterable[Item]
    """Shown otherwise. A generator is not run for nothing."""
    code: int = 0
    """The exit code."""
    after: Callable[[], None] | None = None
    """Work of the command that can wait until the output was printed."""


OK = Styled("✓", "green")
FAILED = Styled("✗", "red")
CAUTION = Styled("!", "yellow")
_MARKS = {"passed": OK, "failed": FAILED, "skipped": Styled("–", "dim")}


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


def done(document: object, *parts: object) -> Output:
    """Return the output of a command whose text is one line after a check mark."""
    return Output(document, [(OK, *parts)])


def listing(records: object, columns: Sequence[object], rows: Iterable[Sequence[object]]) -> Output:
    """Return the output of a command whose text is one table."""
    return Output(records, [Table(columns, rows)])


def facts(named: Iterable[tuple[str, object]]) -> Iterator[Item]:
    """Yield one line for each name and value, a text or named numbers; what is ``None`` or empty is left out."""
    for name, value in named:
        if value is not None and value not in ("", {}):
            numbers = [f"{key} {number:g}" for key, number in value.items()] if isinstance(value, Mapping) else [value]
            yield bold(f"{name:<10}"), ", ".join(map(str, numbers))


def gate_lines(report: GateReport) -> Iterator[Item]:
    """Yield every verdict with its sentence."""
    passed = sum(verdict.outcome == "passed" for verdict in report.verdicts)
    word = Styled("passed:", "green") if report.passed else Styled("refused:", "red")
    yield bold("Gate report"), "", word, f"{passed} of {len(report.verdicts)} gates passed"
    for verdict in report.verdicts:
        yield " ", _MARKS[verdict.outcome], bold(verdict.gate), "", verdict.sentence


def score_table(scores: Iterable[Score]) -> Table:
    """Return metrics with their intervals."""
    rows = ((score.metric, f"{score.value:.4f}", f"{score.low:.4f} … {score.high:.4f}", score.rows) for score in scores)
    return Table(("metric", "value", "95 % interval", "rows"), rows, "Hold-out")


def _text_of(*parts: object, sep: str = " ") -> Text:
    """Return parts as one line of Rich's, ``sep`` between them."""
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

        self._is_live = sys.stdout.isatty() and not quiet
        self._wraps = self._is_live or widest is not None
        columns = None if self._is_live else int(os.environ.get("COLUMNS") or _PIPE_COLUMNS)
        self._console: Console = Console(highlight=False, markup=False, emoji=False, quiet=quiet, width=columns)
        self.width = self._console.width = min(self._console.width, widest or self._console.width)

    def show(self, text: Iterable[Item]) -> None:
        """Print tables and lines."""
        for item in text:
            if isinstance(item, Table):
                self.table(item)
            elif isinstance(item, tuple) and not isinstance(item, Styled):
                self.line(*item)
            else:
                self.line(item)

    def line(self, *parts: object, sep: str = " ", wrap: bool = True) -> None:
        """Print parts on a line of their own."""
        self._console.print(_text_of(*parts, sep=sep), soft_wrap=not (wrap and self._wraps))
        sys.stdout.flush()

    def table(self, table: Table) -> None:
        """Print a table; cells that do not fit are wrapped, never cut."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table as RichTable

        title = _text_of(table.title) if table.title else None
        drawn = RichTable(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        heads, *cells = [[_text_of(cell) for cell in row] for row in (table.columns, *table.rows)]
        for place, (head, least) in enumerate(zip(heads, _least_widths([heads, *cells], self.width), strict=True)):
            drawn.add_column(
                head, overflow="fold", justify="right" if place in table.numbers else "left", min_width=least
            )
        for row in cells:
            drawn.add_row(*row)
        if self._is_live:
            self._console.print(drawn)
            return
        with self._console.capture() as captured:
            self._console.print(drawn)
        # Rich fills every line up with blanks.
        lines = [line.rstrip() for line in captured.get().splitlines()]
        if not self._console.quiet:
            sys.stdout.write("\n".join(lines).strip("\n") + "\n")
            sys.stdout.flush()

    @contextmanager
    def busy(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show a text below the lines while the block runs, on a terminal; yield a function that changes it."""
        if not self._is_live:
            yield lambda text: None  # noqa: ARG005
            return
        with self._console.status(_text_of(text)) as status:
            yield lambda text: status.update(_text_of(text))

    @contextmanager
    def redrawn(self) -> Iterator[Callable[[Iterable[Sequence[object]]], None]]:
        """Yield a function that draws lines, each a sequence of parts, in place of those before."""
        from rich.console import Group
        from rich.live import Live

        with Live(console=self._console, auto_refresh=False) as live:
            yield lambda lines: live.update(Group(*(_text_of(*line) for line in lines)), refresh=True)


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


def release_stdout() -> None:
    """Undo `reserve_stdout`, for a process that takes the place of this one."""
    sys.stdout.flush()
    if sys.__stdout__ is not None and sys.__stdout__.fileno() != 1:
        os.dup2(sys.__stdout__.fileno(), 1)


def print_line(*parts: object) -> None:
    """Print one line of text."""
    Terminal().line(*parts)


def print_error(text: object) -> None:
    """Print one line on standard error."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def can_ask() -> bool:
    """Return true if a person at a terminal can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: object) -> str:
    """Return a person's answer, which may be empty."""
    sys.stderr.write(f"{printable(question)}: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def print_json(document: Any) -> None:
    """Print one JSON document and nothing else."""
    text = msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=2)
    stream = sys.__stdout__ or sys.stdout
    stream.write(printable_json(text.decode()) + "\n")
    stream.flush()


class Bars(Progress):
    """A bar for each task on standard error; without a terminal, a line a minute and one at the end of each task.

    Args:
        quiet: Neither bars nor lines at the end, as for programs; a line a minute is written nevertheless.
        line_every_s: Time between two lines.
    """

    def __init__(self, *, quiet: bool = False, line_every_s: float = 60.0) -> None:
        self._quiet = quiet
        self._line_every_s = line_every_s
        self._totals: dict[str, int | None] = {}
        self._done: dict[str, int] = {}
        self._line_s = time.monotonic()
        self._rich: RichProgress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        if self._rich is not None:
            self._rich.stop()

    def start(self, task: str, total: int | None = None) -> None:
        """Show a bar."""
        self._totals[task], self._done[task], self._line_s = total, 0, time.monotonic()
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
            return
        self._done[task] = self._done.get(task, 0) + steps
        if not sys.stderr.isatty() and time.monotonic() - self._line_s >= self._line_every_s:
            self._line_s, total = time.monotonic(), self._totals.get(task)
            share = f"{self._done[task] / total:.0%}" if total else f"{self._done[task]:,}"
            print_error(f"{task}: {share}  {note}".rstrip())

    def finish(self, task: str, note: str = "") -> None:
        """Complete the bar of a task."""
        if self._rich is not None and task in self._tasks:
            total = self._rich.tasks[self._tasks[task]].total or 1
            self._rich.update(self._tasks[task], completed=total, total=total, note=printable(note))
        elif not self._quiet:
            print_error(f"{task}: {note or 'done'}")
