"""``everfit features materialize``: new rows of the sources are written to the online store."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from everfit.cli.options import instant
from everfit.cli.output import Output, listing
from everfit.cli.printing import printed
from everfit.core.progress import Progress
from everfit.loop import materialize_job
from everfit.system import System

_UNTIL = instant("--until", now_is_none=True, help="Write nothing that became known later.", show_default="now")


@printed
def materialize(
    system: System,
    progress: Progress,
    views: Annotated[
        list[str] | None, typer.Argument(help="Feature views; by default all.", show_default=False)
    ] = None,
    until: Annotated[datetime | None, _UNTIL] = None,
    full: Annotated[bool, typer.Option("--full", help="Write all rows again, not only new ones.")] = False,
) -> Output:
    """Write what is new in the sources to the online store."""
    done = materialize_job.materialize(system, views, until=until, full=full, progress=progress)
    rows = ((one.view, f"{one.rows_read:,}", f"{one.entities_written:,}", f"{one.seconds:.2f} s") for one in done)
    return listing(done, ("view", "rows read", "entities written", "time"), rows)
