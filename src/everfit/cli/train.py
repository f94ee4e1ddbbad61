"""``everfit train``: a candidate is trained, tested and registered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import typer

from everfit.cli.options import BY_HAND, AsOf, ModelName, ProjectFolder, Reason, instant
from everfit.cli.output import FAILED, OK, Item, Output, bold, gate_lines, score_table
from everfit.cli.printing import printed
from everfit.cli.release_process import open_in_release
from everfit.commands import train as command
from everfit.commands.train import TrainingResult
from everfit.core.progress import Progress
from everfit.wiring import actor

_START = instant("--start", help="First event time, inclusive.", show_default="the model's history")
_END = instant("--end", help="Last event time, exclusive.", show_default="--as-of")
_TRIALS = typer.Option("--trials", help="Number of tuning trials.", show_default="[training] trials")
_SECONDS = typer.Option("--seconds", help="Time budget of the tuning, in seconds.", show_default="[training] seconds")
_SEED = typer.Option("--seed", help="Seed of all random numbers.", show_default="[training] seed")


@printed
def train(
    progress: Progress,
    model: ModelName = None,
    start: Annotated[datetime | None, _START] = None,
    end: Annotated[datetime | None, _END] = None,
    as_of: AsOf = None,
    trials: Annotated[int | None, _TRIALS] = None,
    seconds: Annotated[float | None, _SECONDS] = None,
    seed: Annotated[int | None, _SEED] = None,
    reason: Reason = BY_HAND,
    project: ProjectFolder = None,
) -> Output:
    """Train a candidate; register it if every gate passes.

    The gates test it first. A registered version becomes the challenger; 'everfit promote' makes it the champion.
    """
    flags = {"training.trials": trials, "training.seconds": seconds, "training.seed": seed}
    system, times = open_in_release(project, flags=flags), {"start": start, "end": end, "as_of": as_of}
    result = command.train(system, model, **times, reason=reason, actor=actor(), progress=progress)
    return Output(result, _text(result), code=0 if result.version is not None else 1)


def _text(result: TrainingResult) -> Iterator[Item]:
    yield score_table(result.scores)
    yield from gate_lines(result.report)
    if result.version is None:
        yield f"It would be served {result.runtime}."
        yield FAILED, f"{result.model} was not registered: a gate refused it (run {result.run_id})."
        return
    yield f"Served {result.runtime}."
    yield (
        OK,
        bold(f"{result.model} version {result.version.version}"),
        f"is registered as challenger, trained on {result.manifest.labelled:,} labelled rows. "
        f"Next: everfit promote {result.model}",
    )
