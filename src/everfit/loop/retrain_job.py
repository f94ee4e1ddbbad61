"""Steps of the retrain workflow: an order's training runs in a process of its own, and its result is recorded.

Every step may run twice after a crash and has its effect once: what a training process leaves is kept in the order's
folder, a run has the order's number as a tag, and one package is one version.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from everfit.core.errors import EverfitError, ProcessError, ProcessKilledError
from everfit.core.event_log import log_event
from everfit.core.order import OrderRecord
from everfit.core.records import ModelVersion
from everfit.core.settings import LoopSettings
from everfit.loop.training_record import TrainingOutcome, TrainingRequest, begin_training, log_outcome, register_outcome
from everfit.runtime.launcher import Launcher
from everfit.runtime.subprocess_runner import ProcessLimits, run_child
from everfit.system import System

_log = logging.getLogger(__name__)

_MOST_ATTEMPTS = 3
"""Only a training that is killed from outside is tried again: by a person, or by a machine short of memory."""

REQUEST, RESULT, LOG, ATTEMPTS = "request.json", "made.json", "log.txt", "attempts.jsonl"
_TEMPORARY = "temporary"
CHAMPION = "champion"
"""Folder in which a process of the champion's release predicts; see :mod:`everfit.loop.champion_predictions`."""


class RecordedTraining(Struct, frozen=True, kw_only=True):
    """An order with the version that its training led to, before delivery."""

    order: OrderRecord
    version: ModelVersion | None = None


class TrainingAttempt(Struct, frozen=True, kw_only=True):
    """One start of a training process."""

    started_at: datetime


def begin(system: System, number: int) -> TrainingRequest:
    """Take an order up, and fix what its training rests on."""
    record = system.orders.begin(number, now=system.clock.now())
    return begin_training(system, record.order.model, order=number)


def train(
    system: System, launcher: Launcher, request: TrainingRequest, *, folder: Path, cancelled: Callable[[], str]
) -> TrainingOutcome:
    """Have a process build the candidate in an order's folder, unless one has.

    ``cancelled`` returns the reason why the training must stop, or an empty text.
    """
    if (found := read_outcome(folder)) is not None:
        return found
    settings, words = system.project.settings.loop, ("make-candidate", "--folder", str(folder))
    limits, problem = training_limits(settings), ""
    model, order = request.model, request.order
    for attempt in range(1, _MOST_ATTEMPTS + 1):
        delete_packages(folder)
        temporary = folder / _TEMPORARY
        temporary.mkdir(parents=True)
        folder.joinpath(REQUEST).write_bytes(msgspec.json.encode(request))
        with folder.joinpath(ATTEMPTS).open("ab") as file:
            file.write(msgspec.json.encode(TrainingAttempt(started_at=system.clock.now())) + b"\n")
        number = len(read_attempts(folder))
        message = f"{model}: order {order}: the training starts, attempt {number}"
        log_event(_log, "training_started", message, model=model, order=order, attempt=number)
        killed, problem = False, f"the training process left no result in {folder}"
        try:
            run_child(
                launcher.command(*words),
                folder=launcher.root,
                variables=launcher.variables | {"TMPDIR": str(temporary)},
                log=folder / LOG,
                limits=limits,
                cancelled=cancelled,
            )
        except ProcessError as error:
            killed, problem = isinstance(error, ProcessKilledError), str(error)
        if (found := read_outcome(folder)) is not None:
            return found
        if attempt == _MOST_ATTEMPTS or not killed:
            break
        message = f"{model}: order {order}: the training is started again: {problem}"
        warning = logging.WARNING
        log_event(_log, "training_killed", message, level=warning, model=model, order=order, attempt=attempt)
    return TrainingOutcome(problem=problem)


def training_limits(settings: LoopSettings) -> ProcessLimits:
    """Return the limits of a training process."""
    return ProcessLimits(
        time_s=settings.train_seconds,
        memory_mib=settings.train_memory_mib,
        time_setting="[loop] train_seconds",
        memory_setting="[loop] train_memory_mib",
    )


def run_training(system: System, folder: Path) -> TrainingOutcome:
    """In the training process: carry out the folder's request, and leave the outcome there, whole or not at all."""
    from everfit.loop.candidate_pipeline import build_candidate

    request = msgspec.json.decode(folder.joinpath(REQUEST).read_bytes(), type=TrainingRequest)
    try:
        outcome = TrainingOutcome(candidate=build_candidate(system, request, into=folder))
    except EverfitError as error:
        _log.error("%s: the training failed: %s", request.model, error)
        outcome = TrainingOutcome(problem=str(error))
    fresh = folder / f"{RESULT}.new"
    fresh.write_bytes(msgspec.json.encode(outcome))
    fresh.replace(folder / RESULT)
    return outcome


def record(system: System, request: TrainingRequest, outcome: TrainingOutcome) -> RecordedTraining:
    """Record what a training came to: run, version, order; raises what registry and ledger raise."""
    number, now = request.order, system.clock.now()
    assert number is not None
    begun = system.orders.begin(number, now=now)
    order = begun.order
    log_outcome(request.model, number, outcome)
    ended = register_outcome(
        system,
        request,
        outcome,
        tags={"everfit.order": str(number), "everfit.cause": order.cause},
        actor=order.actor,
        reason=order.reason,
        started_at=begun.started_at or now,
    )
    if ended.version is not None:
        delivering = system.orders.deliver(number, version=ended.version.version, run_id=ended.run_id)
        return RecordedTraining(order=delivering, version=ended.version)
    state, sentence, run_id = ended.state, ended.sentence, ended.run_id
    finished = system.orders.finish(number, state=state, sentence=sentence, now=system.clock.now(), run_id=run_id)
    return RecordedTraining(order=finished)


def order_folder(system: System, number: int) -> Path:
    """Return the folder of an order's request, result, log and, until they are registered, packages."""
    return system.state / "orders" / str(number)


def delete_packages(folder: Path) -> None:
    """Delete packages and other large files of an order's folder; its request, result and log stay."""
    # Those with a dot: packages that were being written when the process was killed.
    for path in (*(folder / name for name in ("candidate", "refitted", CHAMPION, _TEMPORARY)), *folder.glob(".*-*")):
        shutil.rmtree(path, ignore_errors=True)


def read_outcome(folder: Path) -> TrainingOutcome | None:
    """Read the outcome that a training process left in an order's folder; ``None`` if there is none."""
    try:
        return msgspec.json.decode(folder.joinpath(RESULT).read_bytes(), type=TrainingOutcome)
    except FileNotFoundError:
        return None


def read_attempts(folder: Path) -> tuple[TrainingAttempt, ...]:
    """Read the attempts at an order's training, oldest first; none for a training by hand."""
    try:
        lines = folder.joinpath(ATTEMPTS).read_bytes().splitlines()
    except FileNotFoundError:
        return ()
    return tuple(msgspec.json.decode(line, type=TrainingAttempt) for line in lines)
