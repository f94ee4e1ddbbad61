"""The entry of the ``everfit`` command.

Exit codes: 0 done, 1 refused or failed, 2 misuse. Every command takes ``--json``; then an error is JSON too.
"""

from __future__ import annotations

import os
import sys

import typer

from everfit.cli import (
    check,
    demo,
    doctor,
    explain,
    features,
    init,
    journal,
    models,
    monitor,
    orders,
    outcomes,
    predict,
    replay,
    reproduce,
    rollouts,
    serve,
    status,
    train,
    up,
)
from everfit.core.errors import EverfitError, MisuseError

app = typer.Typer(
    name="everfit",
    help="Keeps machine-learning models fit for purpose after they ship.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Rich's help costs 0.3 s on every start; plain help costs nothing.
    rich_markup_mode=None,
)
app.command("init")(init.init)
app.command("check")(check.check)
app.add_typer(features.app, name="features")
app.command("train")(train.train)
app.command("models")(models.models)
app.command("promote")(models.promote)
app.command("rollback")(models.rollback)
app.add_typer(orders.app, name="orders")
app.add_typer(rollouts.app, name="rollouts")
app.command("audit")(rollouts.audit)
app.command("serve")(serve.serve)
app.command("worker", hidden=True)(serve.worker)
app.command("up")(up.up)
app.command("status")(status.status)
app.command("level")(status.level)
app.command("controller", hidden=True)(up.controller)
app.command("make-candidate", hidden=True)(up.make_candidate)
app.command("predict")(predict.predict)
app.command("outcomes")(outcomes.outcomes)
app.add_typer(journal.app, name="journal")
app.command("explain")(explain.explain)
app.command("monitor")(monitor.monitor)
app.command("replay")(replay.replay)
app.command("reproduce")(reproduce.reproduce)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)


@app.callback(invoke_without_command=True)
def root(version: bool = typer.Option(False, "--version", help="Print the version and leave.")) -> None:
    """Keeps machine-learning models fit for purpose after they ship."""
    if version:
        from everfit import __version__

        typer.echo(f"everfit {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command; a mistake that Everfit can name ends in one message and its exit code."""
    # Before OpenMP is loaded: beside one other busy process on two cores, a training whose threads spin while they
    # wait took 59 s, and 19 s when they sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except EverfitError as error:
        report_error(error)
        sys.exit(2 if isinstance(error, MisuseError) else 1)
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone, as `| head` does; there is nobody left to tell.
        sys.stderr.close()
        sys.exit(1)


def report_error(error: EverfitError) -> None:
    """Say what was wrong: on standard error, and as JSON on standard output where JSON was asked for."""
    if "--json" in sys.argv:
        from everfit.cli.output import print_json

        described: dict[str, str | None] = {"kind": type(error).__name__, "place": error.place, "rule": error.rule}
        described |= {"value": None if error.value is None else str(error.value), "remedy": error.remedy}
        print_json({"error": described})
    sys.stderr.write(f"{type(error).__name__.removesuffix('Error')}: {error}\n")
