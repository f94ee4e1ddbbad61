"""``everfit features materialize``: new rows of the sources are written to the online store."""

from __future__ import annotations

from typing import Annotated

import typer

from everfit.cli.instants import read_moment
from everfit.cli.options import AsJson, ProjectFolder
from everfit.cli.output import print_records
from everfit.cli.progress_bars import Bars
from everfit.loop import materialize_job
from everfit.wiring import open_system


def materialize(
    views: Annotated[
        list[str] | None, typer.Argument(help="Feature views; by default all.", show_default=False)
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Write nothing that became known later.", show_default="now")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Write all rows again, not only new ones.")] = False,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Write what is new in the sources to the online store."""
    system = open_system(project)
    with Bars(quiet=as_json) as progress:
        moment = read_moment(until, name="--until")
        done = materialize_job.materialize(system, views, until=moment, full=full, progress=progress)
    rows = ((one.view, f"{one.rows_read:,}", f"{one.entities_written:,}", f"{one.seconds:.2f} s") for one in done)
    print_records(done, ("view", "rows read", "entities written", "time"), rows, as_json=as_json)
