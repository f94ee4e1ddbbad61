"""``everfit journal``: the log of predictions, outcomes and pushes, and the tables that it is shipped to."""

from __future__ import annotations

import typer

from everfit.cli.options import AsJson, ProjectFolder
from everfit.cli.output import CAUTION, OK, print_json, print_line, print_rows
from everfit.cli.progress_bars import Bars
from everfit.journal import ship as journal_ship
from everfit.journal.status import journal_status
from everfit.wiring import open_system


def ship(project: ProjectFolder = None, as_json: AsJson = False) -> None:
    """Move finished segments of the journal to the lake's tables."""
    system = open_system(project)
    with Bars(quiet=as_json) as progress:
        shipped = journal_ship.ship(system.journal, system.lake, progress=progress)
    if as_json:
        print_json(shipped)
    else:
        for log in shipped.logs:
            for name in log.set_aside:
                print_line(CAUTION, f"{log.log}/{name} cannot be read, and was set aside.")
            if log.torn_bytes:
                print_line(CAUTION, f"{log.log}: an incomplete record of {log.torn_bytes:,} bytes was cut off.")
        parts = ", ".join(f"{log.rows:,} {log.log}" for log in shipped.logs)
        print_line(OK, f"Shipped {parts} in {shipped.seconds:.1f} s.")
    raise typer.Exit(1 if any(log.set_aside for log in shipped.logs) else 0)


def status(project: ProjectFolder = None, as_json: AsJson = False) -> None:
    """Show what is not shipped yet, and what the lake holds."""
    system = open_system(project)
    found = journal_status(system.journal, system.lake)
    if as_json:
        print_json(found)
        return
    logs = [
        (
            log.log,
            log.open_segments,
            log.sealed_segments,
            log.broken_segments,
            f"{log.unshipped_rows:,}",
            _size(log.unshipped_bytes),
        )
        for log in found.logs
    ]
    print_rows("Not shipped yet", ("log", "open", "sealed", "set aside", "rows", "size"), logs)
    lake = [(one.log, one.name, f"{one.rows:,}", one.files, _size(one.size_bytes)) for one in found.lake]
    print_rows("In the lake", ("log", "model or view", "rows", "files", "size"), lake)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB"
