"""``everfit orders``: training orders and trainings by hand, with their results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from everfit.cli.options import BY_HAND, ModelName, Reason
from everfit.cli.output import (
    Item,
    Output,
    Styled,
    Table,
    bold,
    done,
    facts,
    gate_lines,
    listing,
    minute,
    score_table,
    second,
    spoken,
)
from everfit.cli.printing import printed
from everfit.commands.orders import OrderDetails, cancel_order, give_order, order_details
from everfit.system import System
from everfit.wiring import actor

_LOG_LINES = 40
"""Lines of the log's end that are shown; ``--json`` gives more, the file all."""


@printed
def list_orders(system: System, model: ModelName = None) -> Output:
    """List training orders and trainings by hand, oldest first.

    The controller of 'everfit up' executes training orders; a training by hand is one of 'everfit train'.
    """
    records = [record for name in system.project.model_names(model) for record in system.orders.trainings(name)]
    found = sorted(records, key=lambda record: record.number)
    columns = ("order", "ordered (UTC)", "model", "state", "version", "kind", "by", "reason", "result")
    rows = (
        (
            record.number,
            minute(record.order.asked_at),
            record.order.model,
            record.state,
            record.version or "–",
            "by hand" if record.by_hand else "order",
            record.order.actor,
            record.order.reason,
            record.sentence,
        )
        for record in found
    )
    return listing(found, columns, rows)


@printed
def show(
    system: System,
    number: Annotated[int, typer.Argument(help="The order's number, as 'everfit orders list' shows it.")],
) -> Output:
    """Show one training: reason, state, gate report, log, rollouts."""
    details = order_details(system, number)
    return Output(details, _text(details))


def _text(details: OrderDetails) -> Iterator[Item]:
    yield from facts(_facts(details))
    if details.scores:
        yield score_table(details.scores)
    if details.report is not None:
        yield from gate_lines(details.report)
    transitions = [
        (rollout.number, minute(line.at), line.action, line.state, line.actor, line.sentence)
        for rollout in details.rollouts
        for line in rollout.history
    ]
    if transitions:
        yield Table(("rollout", "when (UTC)", "action", "state", "by", "reason"), transitions, "Rollouts")
    if details.log_file is not None:
        yield bold("Log"), "", details.log_file
        yield from ((" ", Styled(text, "dim")) for text in details.log.splitlines()[-_LOG_LINES:])


def _facts(details: OrderDetails) -> Iterator[tuple[str, object]]:
    record, incident = details.record, details.incident
    order = record.order
    kind = "training by hand" if record.by_hand else "training order"
    yield "order", f"{record.number}, {kind} for {order.model}, by {order.actor}"
    yield "state", spoken(record.state)
    yield "reason", order.reason
    yield "cause", order.cause
    yield "findings", ", ".join(order.findings)
    if incident is not None:
        yield "incident", f"{incident.number}, {spoken(incident.finding.kind)}: {incident.finding.sentence}"
    yield "numbers", order.numbers
    yield "ordered", second(order.asked_at)
    yield "started", record.started_at and second(record.started_at)
    yield "ended", record.ended_at and second(record.ended_at)
    yield "run", record.run_id
    if details.trained_rows is not None:
        params = ", ".join(f"{name} {value}" for name, value in details.params.items()) or "no parameters"
        yield "training", f"{details.trained_rows:,} labelled rows, {details.trials} trials; {params}"
    yield "attempts", details.attempts or None
    yield "version", record.version
    yield "result", record.sentence or "none yet"


@printed
def give(system: System, model: ModelName = None, reason: Reason = BY_HAND) -> Output:
    """Create a training order.

    The controller of 'everfit up' executes it, and begins a rollout of the version if every gate passes.
    """
    record = give_order(system, model, actor=actor(), reason=reason)
    return done(record, f"Training order {record.number} is created.")


@printed
def cancel(
    system: System,
    number: Annotated[int, typer.Argument(help="The training order's number.")],
    reason: Reason = BY_HAND,
) -> Output:
    """Cancel a training order that has not ended."""
    record = cancel_order(system, number, actor=actor(), reason=reason)
    return done(record, f"Training order {record.number} is cancelled.")
