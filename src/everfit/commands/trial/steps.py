"""The steps of a trial in order, until one does not pass; each leaves its result in the folder."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from everfit.commands.trial import check, data, features, tests, training
from everfit.commands.trial.release_trial import ReleaseTrial
from everfit.core.errors import EverfitError, StoreError
from everfit.core.release import StepOutcome
from everfit.core.release_trial import TrialResult, TrialStep, log_file, result_file
from everfit.core.user_code import describe_raise, raised_by_users
from everfit.store.atomic_file import replace_file

_log = logging.getLogger(__name__)
_STEPS: Mapping[TrialStep, Callable[[ReleaseTrial], TrialResult]] = {
    "check": check.run,
    "tests": tests.run,
    "data": data.run,
    "training": training.run,
    "features": features.run,
}


def carry_out(trial: ReleaseTrial, steps: Sequence[TrialStep]) -> list[TrialResult]:
    """Carry steps out until one neither passes nor is skipped; return their results, which are in the folder, too."""
    results: list[TrialResult] = []
    for step in steps:
        (trial.folder / result_file(step)).unlink(missing_ok=True)
    for step in steps:
        result = _carry_out(trial, step)
        results.append(result)
        # Places are shown as the author of the code knows them.
        tree = msgspec.json.encode(f"{trial.tree}/")[1:-1]
        content = msgspec.json.encode(result).replace(tree, b"")
        replace_file(trial.folder / result_file(step), content, durable=True)
        if result.outcome not in {"passed", "skipped"}:
            break
    return results


def _carry_out(trial: ReleaseTrial, step: TrialStep) -> TrialResult:
    began = time.monotonic()
    with _printing_to(trial.folder / log_file(step)):
        try:
            result = _STEPS[step](trial)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - new code may raise anything, and its result must be left
            result = _stopped(step, error)
        _log.info("%s: %s: %s", step, result.outcome, result.sentence)
    return msgspec.structs.replace(result, duration_s=round(time.monotonic() - began, 3))


def _stopped(step: TrialStep, error: BaseException) -> TrialResult:
    """Return the result of a step that raised: the code is refused unless it is not its fault."""
    if isinstance(error, EverfitError) and not isinstance(error, StoreError):
        return TrialResult(step=step, outcome="refused", sentence=str(error))
    _log.error("%s: it raised", step, exc_info=error)
    if isinstance(error, StoreError):
        return TrialResult(step=step, outcome="failed", sentence=str(error))
    outcome: StepOutcome = "refused" if isinstance(error, SystemExit) or raised_by_users(error) else "failed"
    return TrialResult(step=step, outcome=outcome, sentence=f"It raised {describe_raise(error)}.")


@contextmanager
def _printing_to(log: Path) -> Iterator[None]:
    """Append what this process and its children print to a file."""
    streams = {number: os.dup(number) for number in (1, 2)}
    number = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        for stream in streams:
            os.dup2(number, stream)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, own in streams.items():
            os.dup2(own, stream)
            os.close(own)
        os.close(number)
