"""The entry of the ``everfit`` command.

Exit codes: 0 done, 1 refused or failed, 2 misuse. Every command takes ``--json``; then an error is JSON too.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import warnings
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from everfit.cli import (
    check,
    demo,
    doctor,
    explain,
    features,
    incidents,
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
from everfit.cli.output import print_error, print_json, print_line, reserve_stdout
from everfit.core.errors import EverfitError, MisuseError, StoreError

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
app.add_typer(incidents.app, name="incidents")
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

        print_line(f"everfit {__version__}")
        raise typer.Exit


_OURS = (
    "everfit",
    "polars",
    "numpy",
    "scipy",
    "mlflow",
    "sqlalchemy",
    "alembic",
    "deltalake",
    "optuna",
    "dbos",
    "apprise",
)
"""Modules whose warnings are ours."""


def main() -> None:
    """Run the command; a mistake that Everfit can name ends in one message and its exit code."""
    # Before OpenMP is loaded: beside one other busy process on two cores, a training whose threads spin while they
    # wait took 59 s, and 19 s when they sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        # A terminal or a pipe whose encoding lacks a character gets its code, not a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not sys.warnoptions:
        # About how Everfit calls a library: for its developers, who see them in tests, where they are errors. A
        # warning about the project's own code, or by its estimators, is the user's.
        warnings.filterwarnings("ignore", module=rf"({'|'.join(_OURS)})(\.|$)")
    try:
        _require_text(sys.argv[1:])
        if "--json" in sys.argv and "--help" not in sys.argv:
            reserve_stdout()
        code = app(standalone_mode=False)
    except EverfitError as error:
        report_error(error)
        sys.exit(2 if isinstance(error, MisuseError) else 1)
    except TyperException as error:
        sys.exit(_report_misuse(error))
    except KeyboardInterrupt:
        print_error("Stopped.")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone, as `| head` does; there is nobody left to tell.
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        refused = _not_writable(error)
        if refused is None:
            raise
        report_error(refused)
        sys.exit(1)
    sys.exit(code)


def _not_writable(error: Exception) -> EverfitError | None:
    """The one sentence for whatever a library raised because a folder or a database cannot be written."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    for failure in causes:
        if isinstance(failure, OSError) and failure.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
            return StoreError(
                f"this command must write, and cannot: {failure.strerror}",
                value=None if failure.filename is None else str(failure.filename),
                remedy="Run it where the project's folder can be written.",
            )
        if "readonly database" in str(failure):
            return StoreError(
                "this command must write into the project's databases, and they are read-only",
                remedy="Run it where the project's folder can be written.",
            )
    return None


def report_error(error: EverfitError) -> None:
    """Say what was wrong: on standard error, and as JSON on standard output where JSON was asked for."""
    if "--json" in sys.argv:
        described: dict[str, str | None] = {"kind": type(error).__name__, "place": error.place, "rule": error.rule}
        described |= {"value": None if error.value is None else str(error.value), "remedy": error.remedy}
        print_json({"error": described})
    print_error(f"{type(error).__name__.removesuffix('Error')}: {error}")


def _report_misuse(error: TyperException) -> int:
    """Print what Typer found wrong with the arguments, which it quotes; return the exit code."""
    message, context = error.format_message(), getattr(error, "ctx", None)
    if context is not None and message == context.get_help():
        # A group without a command: the message is its help, on standard error.
        for line in message.splitlines():
            print_error(line)
        return error.exit_code
    if "--json" in sys.argv:
        described = {"kind": "MisuseError", "place": "", "rule": message, "value": None, "remedy": ""}
        print_json({"error": described})
    if context is not None:
        for line in context.get_usage().splitlines():
            print_error(line)
        print_error(f"Try '{context.command_path} --help' for help.")
        print_error("")
    print_error(f"Error: {message}")
    return error.exit_code


def _require_text(arguments: Sequence[str]) -> None:
    """Refuse bytes that are no text: they could be neither stored nor printed."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise MisuseError("an argument must be text in UTF-8", value=argument) from error
