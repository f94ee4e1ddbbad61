"""``everfit train``: a candidate is trained, tested and registered."""

from __future__ import annotations

from typing import Annotated

import typer

from everfit.cli.instants import read_instant, read_moment
from everfit.cli.options import AsJson, AsOf, End, ModelName, ProjectFolder, Reason, Start
from everfit.cli.output import FAILED, OK, bold, print_gates, print_json, print_line, print_scores
from everfit.cli.progress_bars import Bars
from everfit.commands.train import train as run
from everfit.wiring import actor, open_system


def train(
    model: ModelName = None,
    start: Start = None,
    end: End = None,
    as_of: AsOf = None,
    trials: Annotated[
        int | None, typer.Option("--trials", help="Number of tuning trials.", show_default="[training] trials")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", help="Time budget of the tuning, in seconds.", show_default="[training] seconds"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Seed of all random numbers.", show_default="[training] seed")
    ] = None,
    reason: Reason = "started by hand",
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Train a candidate; register it if every gate passes.

    The gates test it first. A registered version becomes the challenger; 'everfit promote' makes it the champion.
    """
    flags = {"training.trials": trials, "training.seconds": seconds, "training.seed": seed}
    system = open_system(project, flags=flags)
    with Bars(quiet=as_json) as progress:
        outcome = run(
            system,
            model,
            start=read_instant(start, name="--start"),
            end=read_instant(end, name="--end"),
            as_of=read_moment(as_of, name="--as-of"),
            reason=reason,
            actor=actor(),
            progress=progress,
        )
    if as_json:
        print_json(outcome)
    else:
        print_scores(outcome.scores)
        print_gates(outcome.report)
        print_line(
            f"It would be served {outcome.runtime}." if outcome.version is None else f"Served {outcome.runtime}."
        )
        if outcome.version is not None:
            print_line(
                OK,
                bold(f"{outcome.model} version {outcome.version.version}"),
                f"is registered as challenger, trained on {outcome.manifest.labelled:,} labelled rows. "
                f"Next: everfit promote {outcome.model}",
            )
        else:
            print_line(FAILED, f"{outcome.model} was not registered: a gate refused it (run {outcome.run_id}).")
    raise typer.Exit(0 if outcome.version is not None else 1)
