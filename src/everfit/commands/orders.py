"""Manual control of orders to retrain, and the details of one: gate report, log, rollouts of its version."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from everfit.core.errors import MisuseError
from everfit.core.finding import Incident
from everfit.core.order import OrderRecord
from everfit.core.records import GateReport, Score
from everfit.core.rollout import Rollout
from everfit.loop.retrain_job import LOG, order_folder, read_attempts, read_outcome
from everfit.system import System
from everfit.triggers.decide import by_hand

_LOG_BYTES = 64 * 1024
"""Of the log's end; the file holds all of it."""


class OrderDetails(Struct, frozen=True, kw_only=True):
    """One order, or one training by hand, with everything that belongs to it."""

    record: OrderRecord
    incident: Incident | None = None
    """The incident that the order is to end."""
    report: GateReport | None = None
    """``None`` if the training ended before the gates."""
    scores: tuple[Score, ...] = ()
    """On the hold-out."""
    params: dict[str, str | int | float | bool | None] = {}
    trials: int | None = None
    trained_rows: int | None = None
    """Labelled rows of the training frame."""
    attempts: int = 0
    """Training processes that were started for the order; 0 for a training by hand."""
    log_file: str | None = None
    """``None`` if the training has not begun."""
    log: str = ""
    """The end of what the training process printed."""
    rollouts: tuple[Rollout, ...] = ()
    """Of the version that was registered."""


def give_order(system: System, model: str | None, *, actor: str, reason: str, ticket: str = "") -> OrderRecord:
    """Order a training; the controller carries it out.

    Orders with the same ticket are one order; by default this is an order of its own.
    """
    name, now = system.project.model(model).name, system.clock.now()
    order = by_hand(name, reason=reason, actor=actor, ticket=ticket or uuid4().hex, now=now)
    record = system.orders.ask(order)
    _audit(system, record, "order", actor, reason)
    return record


def cancel_order(system: System, number: int, *, actor: str, reason: str) -> OrderRecord:
    """Cancel an order that has not ended; its training, if it runs, is stopped.

    Raises :class:`MisuseError` if it has ended, or its version is being rolled out.
    """
    sentence = f"{actor} cancelled it: {reason}"
    if system.orders.one(number).state == "delivering":
        raise MisuseError(
            "an order whose version is being rolled out is past cancelling",
            value=number,
            remedy="Take the version back instead: everfit rollback.",
        )
    record = system.orders.finish(number, state="cancelled", sentence=sentence, now=system.clock.now())
    if record.sentence != sentence:
        raise MisuseError("only an order that has not ended can be cancelled", value=record.state)
    _audit(system, record, "cancel", actor, reason)
    return record


def _audit(system: System, record: OrderRecord, action: str, actor: str, reason: str) -> None:
    system.audit.append(at=system.clock.now(), actor=actor, action=action, model=record.order.model, reason=reason)


def order_details(system: System, number: int) -> OrderDetails:
    """Gather what is on record of an order."""
    record = system.orders.one(number)
    model, folder = record.order.model, order_folder(system, number)
    outcome, log = read_outcome(folder), folder / LOG
    found = OrderDetails(
        record=record,
        incident=None if record.order.incident is None else system.incidents.one(record.order.incident),
        attempts=len(read_attempts(folder)),
        log_file=str(log) if log.is_file() else None,
        log=_end_of(log),
        # A rollout's version is a number: without a version there is none.
        rollouts=tuple(rollout for rollout in system.rollouts.of(model) if rollout.version == record.version),
    )
    candidate = None if outcome is None else outcome.candidate
    if candidate is None:
        report = None if record.run_id is None else system.registry.gate_report(model, record.run_id)
        return replace(found, report=report)
    return replace(
        found,
        report=candidate.report,
        scores=candidate.scores,
        params=candidate.params,
        trials=candidate.trials,
        trained_rows=candidate.manifest.labelled,
    )


def _end_of(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(log.stat().st_size - _LOG_BYTES, 0))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
