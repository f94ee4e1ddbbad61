"""Entry point of the ``everfit`` command.

Exit codes: 0 done, 1 refused or failed, 2 misuse. Every command takes ``--json``; then an error is JSON too.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import warnings
from collections.abc import Mapping

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

import everfit
from everfit.cli.lazy_command import Lazy, LazyCommand
from everfit.cli.output import print_error, print_json, print_line, reserve_stdout
from everfit.core.errors import EverfitError, MisuseError, StoreError

_COMMANDS: Mapping[str, Lazy | Mapping[str, Lazy]] = {
    "init": Lazy("init:init", "Create a new project: definitions, data, tests, design record."),
    "check": Lazy("check:check", "Check the definitions against the data."),
    "design": {
        "new": Lazy("design:new", "Write a design record for a model that has none."),
        "show": Lazy("design:show", "Show a design record, its gates, and what is wrong with it."),
        "history": Lazy("design:history", "Show the changes of a design record, field by field."),
        "fallback": Lazy("design:fallback", "Test the fallback of a design record in its own service."),
    },
    "features": {
        "list": Lazy("features:list_views", "List the feature views: keys, source, ttl, features."),
        "materialize": Lazy("materialize:materialize", "Write what is new in the sources to the online store."),
        "get": Lazy("features:get", "Show the values of one entity in the online store."),
        "parity": Lazy("features:parity", "Compare features as served with those from history."),
    },
    "materialize-version": Lazy(
        "materialize:materialize_as_version", "Materialize views by the definitions of a version.", hidden=True
    ),
    "train": Lazy("train:train", "Train a candidate; register it if every gate passes."),
    "models": Lazy("models:models", "List the registered versions, or the history of their aliases."),
    "card": Lazy("documents:card", "Print the model card of a version, in Hugging Face's format."),
    "promote": Lazy("models:promote", "Make a version the champion, or run it as canary or shadow."),
    "rollback": Lazy("models:rollback", "End the current rollout, or restore the previous champion."),
    "orders": {
        "list": Lazy("orders:list_orders", "List training orders and trainings by hand, oldest first."),
        "show": Lazy("orders:show", "Show one training: reason, state, gate report, log, rollouts."),
        "give": Lazy("orders:give", "Create a training order."),
        "cancel": Lazy("orders:cancel", "Cancel a training order that has not ended."),
    },
    "rollouts": {
        "list": Lazy("rollouts:list_rollouts", "List the rollouts with every transition and its reason."),
        "begin": Lazy("rollouts:begin", "Begin the rollout of a registered version."),
        "approve": Lazy("rollouts:approve", "Approve the rollout that waits for approval."),
        "pause": Lazy("rollouts:pause", "Pause the rollout in its present stage."),
        "resume": Lazy("rollouts:resume", "Resume the paused rollout."),
    },
    "incidents": {
        "list": Lazy("incidents:list_incidents", "List the incidents, open and ended, oldest first."),
        "show": Lazy("incidents:show", "Show one incident: finding, numbers, alerts, training orders."),
    },
    "release": Lazy("release:release", "Release a commit: test it, build it, make it the active code."),
    "releases": {
        "list": Lazy("releases:list_releases", "List the releases of the project's code, oldest first."),
        "show": Lazy("releases:show", "Show one release: commit, state, every attempt at its steps."),
        "follow": Lazy("releases:follow", "Print the steps of a release as they end, and its result."),
        "cancel": Lazy("releases:cancel", "Cancel a release that has not ended."),
        "leave": Lazy("releases:leave", "Return to the code of the project's own folder."),
        "hook": Lazy("release_hook:hook", "Install the hook that shows pushers their release."),
        "secret": Lazy("release_secret:secret", "Count, make or remove the secrets that sign webhooks."),
    },
    "audit": Lazy("rollouts:audit", "List what was done to models, by whom and why."),
    "serve": Lazy("serve:serve", "Serve the champions over HTTP until stopped."),
    "worker": Lazy("serve:worker", "Run one worker process of the prediction service.", hidden=True),
    "predictor": Lazy("predictor:predictor", "Execute a version in the environment of its release.", hidden=True),
    "up": Lazy("up:up", "Serve, monitor, retrain and roll out until stopped."),
    "status": Lazy("status:status", "Show versions in use, trainings, rollouts and open incidents."),
    "level": Lazy("level:level", "Show every capability of the levels as on, off or broken."),
    "controller": Lazy("up:controller", "Run the controller process of the loop.", hidden=True),
    "make-candidate": Lazy("up:make_candidate", "Train the candidate of a training order.", hidden=True),
    "champion-predictions": Lazy(
        "up:champion_predictions",
        "Predict a candidate's hold-out by another release's champion.",
        hidden=True,
    ),
    "release-trial": Lazy("release_trial:release_trial", "Carry out steps of a release's trial.", hidden=True),
    "predict": Lazy("predict:predict", "Request predictions from a running service."),
    "outcomes": Lazy("outcomes:outcomes", "Report outcomes of predictions to a running service."),
    "journal": {
        "ship": Lazy("journal:ship", "Move finished segments of the journal to the lake's tables."),
        "status": Lazy("journal:status", "Show what is not shipped yet, and what the lake holds."),
    },
    "explain": Lazy("explain:explain", "Show a prediction with its features, version, data and outcome."),
    "monitor": Lazy("monitor:monitor", "Evaluate a model: performance, drift, data quality, coverage."),
    "backtest": Lazy("backtest:backtest", "Compare retraining policies on history."),
    "replay": Lazy("replay:replay", "Replay history against the running system."),
    "reproduce": Lazy("reproduce:reproduce", "Train a version again as recorded; compare the predictions."),
    "docs": Lazy("documents:docs", "Write the project's documentation as a site of plain files."),
    "doctor": Lazy("doctor:doctor", "Check the installation and the project's stores and packages."),
    "demo": Lazy("demo:demo", "Show the loop at work on an example."),
}
"""Every command, in the order of ``everfit --help``."""
_GROUPS = {
    "design": "Design records: what models are for, and what counts as good.",
    "features": "The feature store.",
    "orders": "Training orders, and trainings by hand.",
    "rollouts": "Rollouts of registered versions.",
    "incidents": "Incidents: problems that monitoring found.",
    "releases": "Releases of new code.",
    "journal": "The journal: the log of predictions and outcomes.",
}
_HELP = "Keeps machine-learning models fit for purpose after they ship."


def _root(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        print_line(f"everfit {everfit.__version__}")
        raise typer.Exit


def command_group() -> TyperGroup:
    """Return the group of all commands; :meth:`LazyCommand.load` gives the command behind one of its members."""
    app = typer.Typer(name="everfit", help=_HELP, no_args_is_help=True, add_completion=False, rich_markup_mode=None)
    app.callback(invoke_without_command=True)(_root)
    group = typer.main.get_group(app)
    for name, entry in _COMMANDS.items():
        if isinstance(entry, Lazy):
            group.add_command(LazyCommand(name, entry))
            continue
        inner = TyperGroup(name=name, help=_GROUPS[name], no_args_is_help=True, rich_markup_mode=None)
        for key, command in entry.items():
            inner.add_command(LazyCommand(key, command))
        group.add_command(inner)
    return group


_OURS = "everfit|polars|numpy|scipy|mlflow|sqlalchemy|alembic|deltalake|optuna|dbos|apprise"
"""Modules whose warnings are for developers of Everfit, as a pattern."""


VARIABLES = {
    # Beside one other busy process on two cores, a training whose threads spin while they wait took 59 s, and 19 s
    # when they sleep.
    "OMP_WAIT_POLICY": "PASSIVE",
    # Polars' allocator keeps what was freed: of a controller that reads a million predictions, a hundred MiB. Given
    # back after a tenth of a second, a pass takes as long as before.
    "_RJEM_MALLOC_CONF": "muzzy_decay_ms:0,dirty_decay_ms:100",
}
"""Environment variables of OpenMP and of Polars' allocator, which are read when these are loaded."""


def main() -> None:
    """Run the command; an error of Everfit's ends in one message and its exit code."""
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
    for stream in (sys.stdout, sys.stderr):
        # A terminal or a pipe whose encoding lacks a character gets its code, not a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not sys.warnoptions:
        # About how Everfit calls a library: for its developers, who see them in tests, where they are errors. A
        # warning about the project's own code, or by its estimators, is the user's.
        warnings.filterwarnings("ignore", module=rf"({_OURS})(\.|$)")
    sys.exit(_run())


def _run() -> int:
    """Run the command; return the exit code."""
    try:
        for argument in sys.argv[1:]:
            _require_text(argument)
        if "--json" in sys.argv and "--help" not in sys.argv:
            reserve_stdout()
        return command_group()(standalone_mode=False) or 0
    except EverfitError as error:
        _report_error(error)
        return 2 if isinstance(error, MisuseError) else 1
    except TyperException as error:
        return _report_misuse(error)
    except KeyboardInterrupt:
        print_error("Stopped.")
        return 130
    except BrokenPipeError:
        # The reader of the output has closed it, as `| head` does.
        sys.stderr.close()
        return 1
    except Exception as error:
        refused = _not_writable(error)
        if refused is None:
            raise
        _report_error(refused)
        return 1


def _require_text(argument: str) -> None:
    """Refuse an argument that is not text: it could be neither stored nor printed."""
    try:
        argument.encode()
    except UnicodeEncodeError as error:
        raise MisuseError("an argument must be text in UTF-8", value=argument) from error


def _not_writable(error: Exception) -> EverfitError | None:
    """Return an error with a remedy if a library failed because a folder or a database cannot be written."""
    remedy = "Run it where the project's folder can be written."
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    for failure in causes:
        if isinstance(failure, OSError) and failure.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
            value = None if failure.filename is None else str(failure.filename)
            return StoreError(f"this command must be able to write: {failure.strerror}", value=value, remedy=remedy)
        if "readonly database" in str(failure):
            return StoreError("the project's databases must not be read-only", remedy=remedy)
    return None


def _report_error(error: EverfitError) -> None:
    """Print an error on standard error, and with ``--json`` as JSON on standard output."""
    kind = type(error).__name__
    if "--json" in sys.argv:
        value = None if error.value is None else str(error.value)
        described = {"kind": kind, "place": error.place, "rule": error.rule, "value": value, "remedy": error.remedy}
        print_json({"error": described})
    print_error(f"{kind.removesuffix('Error')}: {error}")


def _report_misuse(error: TyperException) -> int:
    """Print Typer's error about the arguments; return the exit code."""
    message, context = error.format_message(), getattr(error, "ctx", None)
    lines = message.splitlines()
    # A group without a command gives its help, on standard error.
    if context is None or message != context.get_help():
        if "--json" in sys.argv:
            described = {"kind": "MisuseError", "place": "", "rule": message, "value": None, "remedy": ""}
            print_json({"error": described})
        lines = [f"Error: {message}"]
        if context is not None:
            lines[:0] = [*context.get_usage().splitlines(), f"Try '{context.command_path} --help' for help.", ""]
    for line in lines:
        print_error(line)
    return error.exit_code
