"""Named points of a release at which a process of a running system kills itself, or others of its tree.

Copied as ``sitecustomize.py`` into a folder on ``PYTHONPATH``, so that every process of the system has it, in whichever
release it runs, and there is nothing of it in the system or in the released code. A plan is a file beside it, with a
line of JSON for each kill that is still to come. Confined processes, which get no variables of ours, are killed by
their parents.
"""

from __future__ import annotations

import fcntl
import functools
import importlib.machinery
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

PLAN, DONE = "kills-to-come", "kills-done"
Detail = Callable[[Sequence[Any], Mapping[str, Any]], str]


def _argument(place: int, name: str = "") -> Detail:
    return lambda given, named: str(named[name] if name in named else given[place])


def _file(given: Sequence[Any], named: Mapping[str, Any]) -> str:
    return str(given[0].name).partition(".")[0]


def _command(given: Sequence[Any], named: Mapping[str, Any]) -> str:
    """Return the word that tells a child process from others."""
    words = [str(word).rpartition("/")[2] for word in given[0].args]
    return next((word for word in words if word in _CHILDREN), "")


_CHILDREN = frozenset(
    {"export", "venv", "sync", "compileall", "environment_check.py", "release-trial", "make-candidate"}
    | {"materialize-version", "champion-predictions"}
)

FUNCTIONS: dict[str, tuple[str, str, Detail | None]] = {
    "fetch": ("everfit.releases.mirror", "Mirror._receive", None),
    "git": ("everfit.releases.git", "Git.run", _argument(1)),
    "ask": ("everfit.releases.releases", "Releases.ask", None),
    "seen": ("everfit.store.watched_branch", "write_watched", None),
    "start": ("everfit.runtime.workflows", "Engine.start", _argument(2)),
    "begin": ("everfit.releases.releases", "Releases.begin", None),
    "step": ("everfit.releases.releases", "Releases.begin_step", _argument(2)),
    "end": ("everfit.releases.releases", "Releases.end_step", _argument(2)),
    "describe": ("everfit.releases.releases", "Releases.describe", None),
    "finish": ("everfit.releases.releases", "Releases.finish", None),
    "tree-write": ("everfit.releases.tree", "_write", None),
    "tree-seal": ("everfit.releases.tree", "_make_read_only", None),
    "tree": ("everfit.releases.tree", "extract_tree", None),
    "install": ("everfit.releases.environment", "_install", None),
    "check": ("everfit.releases.environment", "_check", None),
    "seal": ("everfit.releases.environment", "_seal", None),
    "child": ("everfit.runtime.subprocess_runner", "_supervise", _command),
    "copy": ("everfit.loop.release_trial", "copy_code", None),
    "document": ("everfit.store.active_release", "_write", _file),
    "sync": ("everfit.store.atomic_file", "sync_to_disk", _file),
    "activate": ("everfit.releases.releases", "Releases.activate", None),
    "take-back": ("everfit.releases.releases", "Releases.take_back", None),
    "audit": ("everfit.delivery.audit", "Audit.append", _argument(0, "action")),
    "follow": ("everfit.loop.release_activation", "follow_ledger", None),
    "lead": ("everfit.runtime.controller", "Controller._lead", None),
    "first": ("everfit.loop.release_round", "ReleaseRound.begin", None),
    "engine": ("everfit.runtime.workflows", "Engine.__init__", None),
    "prove": ("everfit.runtime.active_launcher", "ActiveLauncher.started", None),
    "give-back": ("everfit.runtime.active_launcher", "ActiveLauncher._failed", None),
    "choose": ("everfit.store.sqlite_online", "OnlineStore.choose", None),
    "rows": ("everfit.features.materialize", "materialize", None),
    "generations": ("everfit.loop.online_generations", "require_generations", None),
    "deploy": ("everfit.store.deployment", "DeploymentRecord.change", None),
}
"""Functions by name: a module, what it holds, and what tells one call from others."""

_folder = Path(__file__).parent
_passed: Counter[str] = Counter()


def _wrap(module: ModuleType, name: str, path: str, detail: Detail | None) -> None:
    *owners, last = path.split(".")
    owner: Any = functools.reduce(getattr, owners, module)
    function = getattr(owner, last)

    @functools.wraps(function)
    def wrapped(*given: Any, **named: Any) -> Any:
        point = f"{name} {detail(given, named)}".strip() if detail else name
        _pass(f"before {point}")
        result = function(*given, **named)
        _pass(f"after {point}")
        return result

    setattr(owner, last, wrapped)


def _pass(point: str) -> None:
    _passed[point] += 1
    with (_folder / f"{PLAN}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        plan = _folder / PLAN
        lines = [json.loads(line) for line in plan.read_text().splitlines()]
        due = [line for line in lines if (line["point"], line["nth"]) == (point, _passed[point]) and _is_meant(line)]
        if not due:
            return
        lines.remove(due[0])
        plan.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    if due[0]["after_s"] or due[0]["target"] == "git":
        threading.Thread(target=_kill, args=(due[0],), daemon=True).start()
    else:
        _kill(due[0])


def _is_meant(line: Mapping[str, Any]) -> bool:
    """Return true if this is a process of the kind, and in the release, that a kill is for."""
    return line["process"] in sys.orig_argv and line["release"] in {"", os.environ.get("EVERFIT_RELEASE")}


def _kill(line: Mapping[str, Any]) -> None:
    time.sleep(line["after_s"])
    numbers = _numbers(line["target"])
    with (_folder / DONE).open("a") as done:
        done.write(f"{json.dumps({**line, 'killed': len(numbers)})}\n")
    for number in numbers:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def _numbers(target: str) -> list[int]:
    """Return the numbers of the processes to kill: this one, its parent, the tree, or a generation of children."""
    import psutil

    own = psutil.Process()
    if target == "self":
        return [own.pid]
    if target == "parent":
        return [os.getppid()]
    if target == "git":
        return _git(own)
    if target == "all":
        top = own if "up" in sys.orig_argv else own.parent()
        assert top is not None
        others = [top, *top.children(recursive=True)]
        return [*(process.pid for process in others if process.pid != own.pid), own.pid]
    generation = own.children()
    for _ in range(int(target.removeprefix("below ")) - 1):
        generation = [child for process in generation for child in process.children()]
    return [process.pid for process in generation if "git" not in process.name()]


def _git(own: Any) -> list[int]:
    """Wait for the git that this process is about to start."""
    until_s = time.monotonic() + 5
    while time.monotonic() < until_s:
        if found := [child.pid for child in own.children() if child.name() == "git"]:
            return found
    return []


class _Finder:
    """Wraps functions of a module as soon as it is imported, before another module gets hold of them."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> Any:
        own = [(point, where, detail) for point, (module, where, detail) in FUNCTIONS.items() if module == name]
        spec = importlib.machinery.PathFinder.find_spec(name, path) if own else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_wrap(module: ModuleType) -> None:
            execute(module)
            for point, where, detail in own:
                _wrap(module, point, where, detail)

        spec.loader.exec_module = execute_and_wrap  # type: ignore[method-assign]
        return spec


if __name__ == "sitecustomize" and "everfit" in sys.orig_argv:
    sys.meta_path.insert(0, _Finder())
