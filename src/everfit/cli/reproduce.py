"""``everfit reproduce``: a version is trained again from what was recorded."""

from __future__ import annotations

from typing import Annotated

import typer

from everfit.cli.options import Version
from everfit.cli.output import Output, Styled
from everfit.cli.printing import printed
from everfit.cli.release_process import enter_environment
from everfit.commands import reproduce as command
from everfit.core.progress import Progress
from everfit.system import System


@printed
def reproduce(
    system: System,
    progress: Progress,
    version: Version = "champion",
    model: Annotated[str | None, typer.Option("--model", help="The model's name, if the project has several.")] = None,
) -> Output:
    """Train a version again as recorded; compare the predictions.

    Code, data and seed are those that were recorded with the version; it runs in the environment of its release.
    """
    enter_environment(system.project.root, command.recorded_release(system, model, version, progress=progress))
    outcome = command.reproduce(system, model, version, progress=progress)
    mark = Styled("✓ identical", "green") if outcome.identical else Styled("✗ different", "red")
    code = f", of release {outcome.release} ({outcome.commit[:7]})" if outcome.release else ""
    lead = (mark, f" {outcome.model} version {outcome.version}{code}: {outcome.sentence}")
    differences = (f"  • {difference}" for difference in outcome.differences)
    return Output(outcome, [lead, *differences], code=0 if outcome.identical else 1)
