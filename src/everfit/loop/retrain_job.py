"""An order is carried out: a training in a process of its own, its gates, its version. Durable, step by step.

Every step may run twice after a crash and has its effect once: what a child made is kept in the order's folder, a run
bears the order's number, and one package is one version.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from everfit.core.errors import EverfitError, TrainingError, TrainingKilledError
from everfit.core.event_log import log_event
from everfit.core.order import OrderRecord
from everfit.core.records import ModelVersion
from everfit.loop.candidate_pipeline import Made, Opponent, make_candidate
from everfit.loop.learning import close_run, opponent_of, refusal, register
from everfit.runtime.subprocess_runner import Limits, run_child

if TYPE_CHECKING:
    from everfit.runtime.launcher import Launcher
    from everfit.system import System
    from everfit.triggers.orders import Orders

_log = logging.getLogger(__name__)

_LIVES = 3
"""How often a training is begun that is killed from outside: by a person, or by a machine short of memory."""

REQUEST, RESULT, LOG = "request.json", "made.json", "log.txt"


class Assignment(Struct, frozen=True, kw_only=True):
    """What a training process is asked to do."""

    order: int
    model: str
    as_of: datetime
    """Nothing that became known later is used."""
    opponent: Opponent | None


class Result(Struct, frozen=True, kw_only=True):
    """What it came to: a candidate, or why there is none."""

    made: Made | None = None
    trouble: str = ""


class Filed(Struct, frozen=True, kw_only=True):
    """What an order came to before delivery."""

    order: OrderRecord
    version: ModelVersion | None = None


def begin(system: System, orders: Orders, number: int) -> Assignment:
    """Take an order up, and fix what the training rests on."""
    record = orders.begin(number, now=system.clock.now())
    opponent = opponent_of(system, record.order.model)
    return Assignment(order=number, model=record.order.model, as_of=system.clock.now(), opponent=opponent)


def train(system: System, launcher: Launcher, assignment: Assignment, *, cancelled: Callable[[], str]) -> Result:
    """Have a process make the candidate, unless one has.

    Args:
        system: The parts.
        launcher: How the process is started.
        assignment: What it is asked.
        cancelled: Says why it must stop, or nothing.
    """
    folder = order_folder(system, assignment.order)
    found = _read_result(folder)
    if found is not None:
        return found
    settings = system.project.settings.loop
    limits = Limits(time_s=settings.train_seconds, memory_mib=settings.train_memory_mib)
    words = ("make-candidate", "--folder", str(folder))
    for life in range(1, _LIVES + 1):
        _clear(folder)
        folder.joinpath(REQUEST).write_bytes(msgspec.json.encode(assignment))
        try:
            run_child(launcher, words, log=folder / LOG, limits=limits, cancelled=cancelled)
        except TrainingError as error:
            found = _read_result(folder)
            if found is not None:
                return found
            if life == _LIVES or not isinstance(error, TrainingKilledError):
                return Result(trouble=str(error))
            _log.warning("order %s: the training is begun again: %s", assignment.order, error)
        else:
            break
    return _read_result(folder) or Result(trouble=f"the training process left no result in {folder}")


def make(system: System, folder: Path) -> Result:
    """In the training process: do what the folder's request asks, and leave the result there, whole or not at all."""
    from everfit.features.history import build_frame

    assignment = msgspec.json.decode(folder.joinpath(REQUEST).read_bytes(), type=Assignment)
    try:
        definition = system.project.model(assignment.model)
        frame = build_frame(definition, system.reader, as_of=assignment.as_of)
        made = make_candidate(system, definition, frame, opponent=assignment.opponent, into=folder)
        result = Result(made=made)
    except EverfitError as error:
        result = Result(trouble=str(error))
    fresh = folder / f"{RESULT}.new"
    fresh.write_bytes(msgspec.json.encode(result))
    fresh.replace(folder / RESULT)
    return result


def file(system: System, orders: Orders, assignment: Assignment, result: Result) -> Filed:
    """Put what a training came to on record: run, version, order."""
    record = orders.begin(assignment.order, now=system.clock.now())
    order, made = record.order, result.made
    tags = {
        "everfit.order": str(assignment.order),
        "everfit.cause": order.cause,
        "everfit.reason": order.reason,
        "everfit.actor": order.actor,
    }
    run_id = system.registry.run_of_order(order.model, assignment.order)
    if made is None:
        run_id = run_id or system.registry.start_run(order.model, tags=tags)
        system.registry.end_run(run_id, status="FAILED", note=result.trouble)
        sentence = f"The training failed: {result.trouble}"
        ended = orders.finish(
            assignment.order, state="failed", sentence=sentence, now=system.clock.now(), run_id=run_id
        )
        return Filed(order=ended)
    _log_verdict(assignment.order, made)
    tags["everfit.data"] = made.manifest.digest
    run_id = run_id or system.registry.start_run(order.model, tags=tags)
    version = register(system, made, run_id=run_id, tags=tags)
    close_run(system, made, run_id=run_id)
    if version is None:
        ended = orders.finish(
            assignment.order, state="refused", sentence=refusal(made.report), now=system.clock.now(), run_id=run_id
        )
        return Filed(order=ended)
    system.registry.nominate(version, actor=order.actor, reason=order.reason)
    return Filed(order=orders.deliver(assignment.order, version=version.version, run_id=run_id), version=version)


def _log_verdict(order: int, made: Made) -> None:
    """Log that a training has ended, and the verdict of its gates."""
    scores = ", ".join(f"{score.metric} {score.value:.4g}" for score in made.scores[:1])
    log_event(
        _log,
        "training_ended",
        f"{made.model}: order {order}: the training has ended after {made.trials} trials"
        + (f": {scores} on the hold-out" if scores else ""),
        model=made.model,
        order=order,
    )
    verdicts, failures = made.report.verdicts, made.report.failures
    passed = sum(verdict.outcome == "passed" for verdict in verdicts)
    reasons = "; ".join(f"{verdict.gate}: {verdict.sentence.rstrip('.')}" for verdict in failures)
    log_event(
        _log,
        "gates_passed" if made.report.passed else "gates_refused",
        f"{made.model}: order {order}: {passed} of {len(verdicts)} gates passed"
        + (f", refused by {reasons}" if failures else ", none refused"),
        level=logging.WARNING if failures else logging.INFO,
        model=made.model,
        order=order,
    )


def order_folder(system: System, number: int) -> Path:
    """Where what an order needs and makes is kept until it is filed."""
    return system.state / "orders" / str(number)


def clear_away(system: System, number: int) -> None:
    """Delete an order's packages; its request, result and log stay."""
    for name in ("candidate", "refitted"):
        shutil.rmtree(order_folder(system, number) / name, ignore_errors=True)


def _read_result(folder: Path) -> Result | None:
    try:
        return msgspec.json.decode(folder.joinpath(RESULT).read_bytes(), type=Result)
    except FileNotFoundError:
        return None


def _clear(folder: Path) -> None:
    """Away with what a process left that was interrupted."""
    for name in ("candidate", "refitted"):
        shutil.rmtree(folder / name, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)


def as_plain(value: Any) -> Any:
    """A record as plain values, for a step's memory."""
    return msgspec.to_builtins(value)
