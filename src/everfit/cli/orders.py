"""``everfit orders``: what asked for trainings, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from everfit.cli.options import AsJson, ModelName, ProjectFolder, Reason

if TYPE_CHECKING:
    from everfit.commands.orders import OrderDetails

_LOG_LINES = 40
"""Of the log's end; --json gives more, the file all."""

app = typer.Typer(
    help="Orders to retrain and trainings by hand: list, show, give, cancel.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_orders(model: ModelName = None, project: ProjectFolder = None, as_json: AsJson = False) -> None:
    """List the trainings of a model, or of all, oldest first: orders, and those by hand with their result."""
    from everfit.cli.output import print_json, print_rows
    from everfit.wiring import open_system

    system = open_system(project)
    names = [system.project.model(model).name] if model else list(system.project.models)
    orders = system.orders
    found = sorted((record for name in names for record in orders.trainings(name)), key=lambda record: record.number)
    if as_json:
        print_json(found)
        return
    rows = [
        (each.number, f"{each.order.asked_at:%Y-%m-%d %H:%M}", each.order.model, each.state, each.version or "–",
         "by hand" if each.by_hand else "order", each.order.actor, each.order.reason, each.sentence)
        for each in found
    ]  # fmt: skip
    print_rows("", ("order", "asked (UTC)", "model", "state", "version", "how", "who", "why", "what came of it"), rows)


@app.command()
def show(
    number: Annotated[int, typer.Argument(help="The order's number, as 'everfit orders list' shows it.")],
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show one training: reason, cause, state, gate report with all verdicts, log, and what came of its version."""
    from everfit.cli.output import print_json
    from everfit.commands.orders import order_details
    from everfit.wiring import open_system

    details = order_details(open_system(project), number)
    if as_json:
        print_json(details)
    else:
        _print(details)


def _print(details: OrderDetails) -> None:
    from everfit.cli.output import Styled, bold, print_gates, print_line, print_rows, print_scores

    for name, value in _facts(details):
        print_line(bold(f"{name:<10}"), value)
    if details.scores:
        print_scores(details.scores)
    if details.report is not None:
        print_gates(details.report)
    moves = [
        (rollout.number, f"{move.at:%Y-%m-%d %H:%M}", move.action, move.state, move.actor, move.sentence)
        for rollout in details.rollouts
        for move in rollout.history
    ]
    if moves:
        print_rows("Rollouts", ("rollout", "when (UTC)", "move", "led to", "who", "why"), moves)
    if details.log_file is not None:
        print_line(bold("Log"), "", details.log_file)
        for line in details.log.splitlines()[-_LOG_LINES:]:
            print_line(" ", Styled(line, "dim"))


def _facts(details: OrderDetails) -> Iterator[tuple[str, str]]:
    record = details.record
    order = record.order
    kind = "training by hand" if record.by_hand else "order"
    yield "order", f"{record.number}, {kind} for {order.model}, by {order.actor}"
    yield "state", record.state.replace("_", " ")
    yield "reason", order.reason
    yield "cause", order.cause
    if order.findings:
        yield "findings", ", ".join(order.findings)
    if details.incident is not None:
        incident = details.incident
        yield "incident", f"{incident.number}, {incident.finding.kind.replace('_', ' ')}: {incident.finding.sentence}"
    if order.numbers:
        yield "numbers", ", ".join(f"{name} {value:g}" for name, value in order.numbers.items())
    for name, at in (("asked", order.asked_at), ("started", record.started_at), ("ended", record.ended_at)):
        if at is not None:
            yield name, f"{at:%Y-%m-%d %H:%M:%S} UTC"
    if record.run_id is not None:
        yield "run", record.run_id
    if details.trained_rows is not None:
        params = ", ".join(f"{name} {value}" for name, value in details.params.items())
        yield (
            "training",
            f"{details.trained_rows:,} labelled rows, {details.trials} trials; {params or 'no parameters'}",
        )
    if record.version is not None:
        yield "version", str(record.version)
    yield "result", record.sentence or "none yet"


@app.command()
def give(
    model: ModelName = None, reason: Reason = "started by hand", project: ProjectFolder = None, as_json: AsJson = False
) -> None:
    """Order a training; the controller of 'everfit up' carries it out, and delivers what passes."""
    from everfit.cli.output import OK, print_json, print_line
    from everfit.commands.orders import give_order
    from everfit.wiring import actor, open_system

    record = give_order(open_system(project), model, actor=actor(), reason=reason)
    if as_json:
        print_json(record)
    else:
        print_line(OK, f"Order {record.number} is given.")


@app.command()
def cancel(
    number: Annotated[int, typer.Argument(help="The order's number.")],
    reason: Reason = "started by hand",
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Cancel an order that has not ended."""
    from everfit.cli.output import OK, print_json, print_line
    from everfit.commands.orders import cancel_order
    from everfit.wiring import actor, open_system

    record = cancel_order(open_system(project), number, actor=actor(), reason=reason)
    if as_json:
        print_json(record)
    else:
        print_line(OK, f"Order {record.number} is cancelled.")
