"""Durable workflows: what was begun is finished, whatever process dies in between. A small interface to DBOS.

A workflow is a function of one argument, a msgspec struct, that calls :func:`step`; after a crash it runs again, and a
step that had finished returns the recorded result. A step that was interrupted runs again, hence it must be idempotent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Generic, Literal, TypeVar

import msgspec
from dbos import DBOS, DBOSConfig, Serializer, SetWorkflowID, StepOptions, WorkflowStatus
from sqlalchemy.exc import SQLAlchemyError

from everfit.core.clock import SystemClock
from everfit.core.errors import LoopError

T = TypeVar("T")
A = TypeVar("A")

WorkflowState = Literal["running", "done", "failed"]

KEEP = timedelta(days=7)
"""Time for which an ended workflow stays in the loop's database; chosen so that a failure can be examined after a long
week-end. The ledger and the orders' folders keep the results for good."""

_IDENTITY = "everfit-controller"
"""Constant, so that the next leader takes over what the last one had begun."""
_VERSION = "everfit-1"
"""Pinned, so that an upgrade does not strand what is running. Workflows whose steps change branch by ``DBOS.patch``."""
_RUNNING = ["PENDING", "ENQUEUED", "DELAYED"]
_ENDED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_BATCH = 1000


@dataclass(frozen=True, kw_only=True)
class Workflow(Generic[A]):
    """A function that survives crashes."""

    name: str
    """Stored with what runs: it must not change while something does."""
    argument: type[A]
    """A msgspec struct; stored as JSON."""
    run: Callable[[A], object]


def step(name: str, function: Callable[[], T], returns: type[T], *, attempts: int = 3) -> T:
    """Run a function once within a workflow, and record its result under a name, as JSON of the type ``returns``.

    If it raises, as with a locked database, it is tried up to ``attempts`` times; the pauses grow.
    """
    options: StepOptions = {"name": name}
    if attempts > 1:
        options |= {"retries_allowed": True, "max_attempts": attempts, "interval_seconds": 1.0, "backoff_rate": 3.0}
    return msgspec.convert(DBOS.run_step(options, lambda: msgspec.to_builtins(function())), returns)


class Engine:
    """The workflows of one controller, in the database of an SQLAlchemy URL. One per process, since DBOS is."""

    def __init__(self, url: str, workflows: Sequence[Workflow[Any]]) -> None:
        logging.getLogger("dbos").setLevel(logging.WARNING)
        config: DBOSConfig = {
            "name": "everfit",
            "system_database_url": url,
            "executor_id": _IDENTITY,
            "application_version": _VERSION,
            "serializer": _JsonSerializer(),
            "log_level": "WARNING",
        }
        DBOS(config=config)
        self._functions = {one.name: DBOS.workflow(name=one.name)(_as_function(one)) for one in workflows}
        try:
            DBOS.launch()
        except (SQLAlchemyError, OSError) as error:
            raise LoopError("the loop's database must be one that can be written", value=str(error)) from error

    def start(self, workflow: Workflow[A], key: str, argument: A) -> None:
        """Start a workflow, unless one with this key was ever started."""
        with SetWorkflowID(key):
            DBOS.start_workflow(self._functions[workflow.name], msgspec.to_builtins(argument))

    def state(self, key: str) -> WorkflowState | None:
        """Return the state of a workflow; ``None`` if it was never started, or ended long ago."""
        status = DBOS.get_workflow_status(key)
        return None if status is None else _state(status)

    def states(self, prefix: str) -> dict[str, WorkflowState]:
        """Return the states of the workflows whose keys begin with a prefix, by key."""
        found = DBOS.list_workflows(workflow_id_prefix=prefix, load_input=False, load_output=False)
        return {status.workflow_id: _state(status) for status in found}

    def newest_attempt(self, prefix: str) -> tuple[WorkflowState | None, int]:
        """Return state and number of the newest of the workflows whose keys are a prefix and a number.

        ``None`` and -1 if there was none.
        """
        attempts = {int(key.removeprefix(prefix)): state for key, state in self.states(prefix).items()}
        newest = max(attempts, default=-1)
        return attempts.get(newest), newest

    def running(self) -> tuple[str, ...]:
        """Return the keys of workflows that have not ended."""
        found = DBOS.list_workflows(status=_RUNNING, load_input=False, load_output=False)
        return tuple(status.workflow_id for status in found)

    def stranded(self) -> tuple[str, ...]:
        """Return the keys of workflows that another version started, and that this one does not finish."""
        found = DBOS.list_workflows(status=_RUNNING, load_input=False, load_output=False)
        return tuple(status.workflow_id for status in found if status.app_version != _VERSION)

    def prune(self, keep: timedelta = KEEP) -> int:
        """Delete workflows that ended more than ``keep`` ago, by the wall clock; return how many."""
        # DBOS stamps rows with the machine's time, also in a replay.
        before, deleted = (SystemClock().now() - keep).isoformat(), 0
        listed = partial(DBOS.list_workflows, status=_ENDED, completed_before=before, limit=_BATCH)
        while ended := listed(load_input=False, load_output=False):
            DBOS.delete_workflows([status.workflow_id for status in ended])
            deleted += len(ended)
        return deleted

    def close(self) -> None:
        """Release the database; workflows that run go on when an engine is next opened."""
        DBOS.destroy(workflow_completion_timeout_sec=0)


def _state(status: WorkflowStatus) -> WorkflowState:
    if status.status in _RUNNING:
        return "running"
    return "done" if status.status == "SUCCESS" else "failed"


def _as_function(workflow: Workflow[Any]) -> Callable[[Any], None]:
    """Return a plain function: DBOS marks what it is given, and methods cannot be marked."""

    def run(argument: Any) -> None:
        workflow.run(msgspec.convert(argument, workflow.argument))

    return run


class _JsonSerializer(Serializer):
    """Serializer to JSON, so that what was begun can be read after an upgrade; never pickle."""

    def serialize(self, data: Any) -> str:
        if isinstance(data, BaseException):
            data = {"__failure__": f"{type(data).__name__}: {data}"}
        return msgspec.json.encode(data).decode()

    def deserialize(self, serialized_data: str) -> Any:
        data = msgspec.json.decode(serialized_data)
        if isinstance(data, dict) and "__failure__" in data:
            return LoopError("a step failed", value=data["__failure__"])
        return data

    def name(self) -> str:
        return "everfit_json"
