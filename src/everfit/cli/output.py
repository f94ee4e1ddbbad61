"""What a command prints: text for people on a terminal, or one JSON document."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from rich.console import Console

    from everfit.core.records import GateReport, Score

_PIPE = 240
"""Columns of a table that goes into a pipe."""
MARKS = {"passed": "[green]✓[/]", "failed": "[red]✗[/]", "skipped": "[dim]–[/]"}


def console() -> Console:
    """The terminal, for people."""
    from rich.console import Console

    # A pipe has no width of its own, and a sentence cut at 80 columns cannot be searched for.
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, soft_wrap=True, width=_PIPE)


def print_json(document: Any) -> None:
    """Print one JSON document and nothing else."""
    text = msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=2)
    sys.stdout.write(text.decode() + "\n")


def print_rows(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table for people."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(*columns, title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    console().print(table)


def print_gates(report: GateReport) -> None:
    """Print every verdict with its sentence."""
    terminal = console()
    passed = sum(verdict.outcome == "passed" for verdict in report.verdicts)
    word = "[green]passed[/]" if report.passed else "[red]refused[/]"
    terminal.print(f"[bold]Gate report[/]  {word}: {passed} of {len(report.verdicts)} gates passed")
    for verdict in report.verdicts:
        terminal.print(f"  {MARKS[verdict.outcome]} [bold]{verdict.gate}[/]  {verdict.sentence}")


def print_scores(scores: Iterable[Score]) -> None:
    """Print metrics with their intervals."""
    rows = [(each.metric, f"{each.value:.4f}", f"{each.low:.4f} … {each.high:.4f}", each.rows) for each in scores]
    print_rows("Hold-out", ("metric", "value", "95 % interval", "rows"), rows)
