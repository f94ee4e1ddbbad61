"""``everfit release-trial``: the hidden command in which the code of a release is tried, before anything uses it."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from everfit.cli.logs import keep_log
from everfit.commands.trial.release_trial import ReleaseTrial
from everfit.commands.trial.steps import carry_out
from everfit.core.errors import MisuseError
from everfit.core.release_trial import REQUEST, TRIAL_STEPS, TrialRequest, TrialStep
from everfit.runtime.subprocess_runner import die_with_parent
from everfit.wiring import open_trial

_STEPS = typer.Argument(help=f"Steps in order: {', '.join(TRIAL_STEPS)}.", metavar="STEP...", show_default=False)


def release_trial(
    steps: Annotated[list[str], _STEPS],
    folder: Annotated[Path, typer.Option("--folder", help="Folder of the request and the results.")],
) -> None:
    """Carry out steps of a release's trial."""
    die_with_parent()
    keep_log("trial", as_json=False)
    # A release's tree is never written to.
    sys.dont_write_bytecode = True
    # A sample is small: threads that wait for each other cost more than they save, all the more beside other processes.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    carry_out(ReleaseTrial(_request(folder), folder, open_trial), _known(steps))
    gc.freeze()


def _request(folder: Path) -> TrialRequest:
    try:
        content = (folder / REQUEST).read_bytes()
    except OSError as error:
        raise MisuseError(f"the folder must hold a request: {error}", value=str(folder)) from error
    return msgspec.json.decode(content, type=TrialRequest)


def _known(steps: list[str]) -> list[TrialStep]:
    found = [step for step in TRIAL_STEPS if step in steps]
    if len(found) < len(steps):
        raise MisuseError("a trial's steps must be those that exist, each once", value=" ".join(steps))
    return found
