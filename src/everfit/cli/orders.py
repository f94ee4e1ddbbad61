"""``everfit orders``: what asked for trainings, and what became of it."""

from __future__ import annotations

from typing import Annotated

import typer

from everfit.cli.options import AsJson, ModelName, ProjectFolder, Reason

app = typer.Typer(
    help="Orders to retrain: see them, give one, cancel one.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def show(model: ModelName = None, project: ProjectFolder = None, as_json: AsJson = False) -> None:
    """List the trainings of a model, or of all, oldest first: orders, and those by hand with their result."""
    from everfit.cli.output import print_json, print_rows
    from everfit.triggers.orders import Orders
    from everfit.wiring import open_system

    system = open_system(project)
    names = [system.project.model(model).name] if model else list(system.project.models)
    orders = Orders(system.ledger)
    found = sorted((each for name in names for each in orders.trainings(name)), key=lambda each: each.number)
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
def give(
    model: ModelName = None, reason: Reason = "started by hand", project: ProjectFolder = None, as_json: AsJson = False
) -> None:
    """Order a training; the controller of 'everfit up' carries it out, and delivers what passes."""
    from everfit.cli.output import OK, print_json, print_line
    from everfit.cycle.steering import give_order
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
    from everfit.cycle.steering import cancel_order
    from everfit.wiring import actor, open_system

    record = cancel_order(open_system(project), number, actor=actor(), reason=reason)
    if as_json:
        print_json(record)
    else:
        print_line(OK, f"Order {record.number} is cancelled.")
