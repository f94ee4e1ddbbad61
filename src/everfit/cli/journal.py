"""``everfit journal``: the log of predictions, outcomes and pushes, and the tables it is shipped to."""

from __future__ import annotations

import typer

from everfit.cli.options import AsJson, ProjectFolder

app = typer.Typer(
    help="The log of predictions and outcomes: ship it to tables, see how much there is.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def ship(project: ProjectFolder = None, as_json: AsJson = False) -> None:
    """Ship what the prediction service has finished writing to the lake's tables."""
    from everfit.cli.output import CAUTION, OK, print_json, print_line
    from everfit.cli.progress_bars import Bars
    from everfit.loop.monitoring_run import ship as run
    from everfit.wiring import open_system

    system = open_system(project)
    with Bars(quiet=as_json) as progress:
        shipped = run(system, progress=progress)
    if as_json:
        print_json(shipped)
    else:
        for log in shipped.logs:
            for name in log.set_aside:
                print_line(CAUTION, f"{log.log}/{name} could not be understood, and was set aside.")
            if log.torn_bytes:
                print_line(CAUTION, f"{log.log}: {log.torn_bytes:,} bytes were no whole record, and were cut.")
        parts = ", ".join(f"{log.rows:,} {log.log}" for log in shipped.logs)
        print_line(OK, f"Shipped {parts} in {shipped.seconds:.1f} s.")
    raise typer.Exit(1 if any(log.set_aside for log in shipped.logs) else 0)


@app.command()
def status(project: ProjectFolder = None, as_json: AsJson = False) -> None:
    """Show what waits to be shipped, and what the lake holds."""
    from everfit.cli.output import print_json, print_rows
    from everfit.journal.status import journal_status
    from everfit.wiring import open_system

    system = open_system(project)
    found = journal_status(system.journal, system.lake)
    if as_json:
        print_json(found)
        return
    logs = [
        (each.log, each.open_segments, each.sealed_segments, each.broken_segments, f"{each.unshipped_rows:,}",
         _size(each.unshipped_bytes))
        for each in found.logs
    ]  # fmt: skip
    print_rows("Not shipped yet", ("log", "open", "sealed", "set aside", "rows", "size"), logs)
    lake = [(each.log, each.name, f"{each.rows:,}", each.files, _size(each.size_bytes)) for each in found.lake]
    print_rows("In the lake", ("log", "model or view", "rows", "files", "size"), lake)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB"
