"""``everfit features materialize``: new rows of the sources are written to the online store."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from everfit.artifact.package import open_package
from everfit.cli.options import ProjectRoot, instant
from everfit.cli.output import Output, listing
from everfit.cli.printing import printed
from everfit.core.progress import Progress
from everfit.loop import materialize_job
from everfit.loop.online_generations import materialize_version
from everfit.runtime.subprocess_runner import die_with_parent
from everfit.system import System
from everfit.wiring import open_system

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
    """Write what is new in the sources to the online store.

    Deployed versions that were trained with other definitions of a view keep rows of their own, which are brought up to
    date as well, by the release that trained each.
    """
    done = materialize_job.materialize(system, views, until=until, full=full, progress=progress)
    rows = ((one.view, f"{one.rows_read:,}", f"{one.entities_written:,}", f"{one.seconds:.2f} s") for one in done)
    return listing(done, ("view", "rows read", "entities written", "time"), rows)


def materialize_as_version(
    views: Annotated[list[str], typer.Argument(help="Feature views.")],
    package: Annotated[Path, typer.Option("--package", help="Folder of the version's package.")],
    until: Annotated[datetime, _UNTIL],
    result: Annotated[Path, typer.Option("--result", help="File for the result.")],
    project: ProjectRoot,
    full: Annotated[bool, typer.Option("--full", help="Write all rows again, not only new ones.")] = False,
) -> None:
    """Materialize views by the definitions of a version."""
    die_with_parent()
    system = open_system(project)
    opened = open_package(package, trust=system.trust)
    done = materialize_version(system, opened, views, until=until, full=full)
    result.write_bytes(msgspec.json.encode(done))
