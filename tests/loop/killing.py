"""Lets a process of the loop kill itself at a named point, once. Copied beside a project's code, which arms it.

The points are put around the system's own functions from outside, so that there is nothing of this in the system. A
plan is a file with a line for each kill that is still to come: a point's name, and how many times the process goes
past it before.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

PLAN, DONE = "kills-to-come", "kills-done"

POINTS = {
    # The controller, in the order of what it does.
    "order-asked": ("everfit.triggers.orders", "Orders.ask", "after"),
    "learn-started": ("everfit.runtime.workflows", "Engine.start", "after"),
    "order-begun": ("everfit.triggers.orders", "Orders.begin", "after"),
    "child-started": ("everfit.runtime.subprocess_runner", "_supervise", "before"),
    "child-ended": ("everfit.loop.retrain_job", "run_child", "after"),
    "run-started": ("everfit.registry.registry", "Registry.start_run", "after"),
    "version-due": ("everfit.registry.registry", "Registry.register", "before"),
    "version-registered": ("everfit.registry.registry", "Registry.register", "after"),
    "run-ended": ("everfit.registry.registry", "Registry.end_run", "after"),
    "nominated": ("everfit.registry.registry", "Registry.nominate", "after"),
    "order-delivering": ("everfit.triggers.orders", "Orders.deliver", "after"),
    "rollout-begun": ("everfit.delivery.rollouts", "Rollouts.begin", "after"),
    "deployment-due": ("everfit.store.deployment", "DeploymentRecord.change", "before"),
    "deployment-changed": ("everfit.store.deployment", "DeploymentRecord.change", "after"),
    "audit-due": ("everfit.delivery.audit", "Audit.append", "before"),
    "audited": ("everfit.delivery.audit", "Audit.append", "after"),
    "folders-cleared": ("everfit.loop.loop", "delete_packages", "after"),
    "rollout-moved": ("everfit.delivery.rollouts", "Rollouts.apply", "after"),
    "alias-due": ("everfit.registry.registry", "Registry.set_champion", "before"),
    "alias-moved": ("everfit.registry.registry", "Registry.set_champion", "after"),
    "order-finished": ("everfit.triggers.orders", "Orders.finish", "after"),
    "rows-shipped": ("everfit.journal.ship", "append", "after"),
    "segments-deleted": ("everfit.journal.ship", "_Shipping._commit", "after"),
    # The training process.
    "candidate-due": ("everfit.loop.candidate_pipeline", "build_candidate", "before"),
    "candidate-made": ("everfit.loop.candidate_pipeline", "build_candidate", "after"),
}
"""Where a process can be killed: a module, what it calls, and whether before or after that."""

_passed: Counter[str] = Counter()


def arm(state: Path) -> None:
    """Put the points around the functions, if there is a plan in the folder and this is a process of the system."""
    if Path(sys.argv[0]).parent.name == "everfit" and state.joinpath(PLAN).exists():
        for name, (module, path, when) in POINTS.items():
            _wrap(name, module, path, when, state)


def _wrap(name: str, module: str, path: str, when: str, state: Path) -> None:
    *owners, last = path.split(".")
    owner: Any = functools.reduce(getattr, owners, importlib.import_module(module))
    function = getattr(owner, last)

    @functools.wraps(function)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        if when == "before":
            _pass(name, state)
        result = function(*arguments, **named)
        if when == "after":
            _pass(name, state)
        return result

    setattr(owner, last, wrapped)


def _pass(name: str, state: Path) -> None:
    _passed[name] += 1
    due = f"{name} {_passed[name]}"
    plan = state / PLAN
    lines = plan.read_text().splitlines()
    if due in lines:
        lines.remove(due)
        fresh = plan.with_suffix(f".{os.getpid()}")
        fresh.write_text("".join(f"{line}\n" for line in lines))
        fresh.replace(plan)
        with state.joinpath(DONE).open("a") as done:
            done.write(f"{due}\n")
        os.kill(os.getpid(), signal.SIGKILL)
