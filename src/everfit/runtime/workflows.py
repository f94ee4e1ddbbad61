"""Durable workflows: what was begun is finished, whatever dies in between. DBOS behind a handful of verbs.

A workflow is a function of one plain value that calls :func:`step`; after a crash it runs again, and a step that had
finished gives what it gave then. A step that was interrupted runs again, hence its effect must be the same twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from everfit.core.errors import LoopError

if TYPE_CHECKING:
    from dbos import DBOSConfig, StepOptions

Plain = dict[str, Any] | list[Any] | str | int | float | bool | None
"""What can be written as JSON; large things are handed on by reference."""

T = TypeVar("T")

State = Literal["running", "done", "failed"]

_IDENTITY = "everfit-controller"
"""Constant, so that whoever leads next takes over what the last leader had begun."""
_VERSION = "everfit-1"
"""Pinned, so that an upgrade does not strand what is running. Workflows whose steps change branch by ``DBOS.patch``."""
_RUNNING = ("PENDING", "ENQUEUED", "DELAYED")


def step(name: str, function: Callable[..., T], *arguments: Any, attempts: int = 3) -> T:
    """Do something once within a workflow, and remember what came of it.

    Args:
        name: Its name in the record.
        function: Gives a plain value.
        *arguments: Its arguments; they are not recorded.
        attempts: How often it is tried if it raises, as a database does that is locked; with ever longer pauses.
    """
    from dbos import DBOS

    options: StepOptions = {"name": name}
    if attempts > 1:
        options |= {"retries_allowed": True, "max_attempts": attempts, "interval_seconds": 1.0, "backoff_rate": 3.0}
    return DBOS.run_step(options, function, *arguments)


class Engine:
    """The workflows of one controller. One per process, since DBOS is.

    Args:
        url: The database, as SQLAlchemy writes it: SQLite or PostgreSQL.
        workflows: By name.

    Raises:
        LoopError: If the database cannot be opened.
    """

    def __init__(self, url: str, workflows: dict[str, Callable[[Any], Plain]]) -> None:
        from dbos import DBOS
        from sqlalchemy.exc import SQLAlchemyError

        logging.getLogger("dbos").setLevel(logging.WARNING)
        config: DBOSConfig = {
            "name": "everfit",
            "system_database_url": url,
            "executor_id": _IDENTITY,
            "application_version": _VERSION,
            "serializer": _serializer(),
            "log_level": "WARNING",
        }
        DBOS(config=config)
        self._workflows = {name: DBOS.workflow(name=name)(_as_function(each)) for name, each in workflows.items()}
        try:
            DBOS.launch()
        except (SQLAlchemyError, OSError) as error:
            raise LoopError("the loop's database must be one that can be written", value=str(error)) from error

    def start(self, workflow: str, key: str, argument: Plain) -> None:
        """Begin a workflow, unless one with this key was ever begun.

        Args:
            workflow: Its name.
            key: What it is about; there is one workflow for each.
            argument: What it is given.
        """
        from dbos import DBOS, SetWorkflowID

        with SetWorkflowID(key):
            DBOS.start_workflow(self._workflows[workflow], argument)

    def state(self, key: str) -> State | None:
        """How far a workflow is; ``None`` if it was never begun, or is long done."""
        from dbos import DBOS

        status = DBOS.get_workflow_status(key)
        if status is None:
            return None
        if status.status in _RUNNING:
            return "running"
        return "done" if status.status == "SUCCESS" else "failed"

    def stranded(self) -> tuple[str, ...]:
        """Keys of workflows that another version began, and that nobody finishes."""
        from dbos import DBOS

        found = DBOS.list_workflows(status=list(_RUNNING), load_input=False, load_output=False)
        return tuple(each.workflow_id for each in found if each.app_version != _VERSION)

    def prune(self, now: datetime, *, keep: timedelta = timedelta(days=7)) -> int:
        """Forget workflows that ended long ago; the ledger keeps what they came to."""
        from dbos import DBOS

        ended = DBOS.list_workflows(
            status=["SUCCESS", "ERROR", "CANCELLED"], completed_before=(now - keep).isoformat(), limit=1000,
            load_input=False, load_output=False,
        )  # fmt: skip
        if ended:
            DBOS.delete_workflows([each.workflow_id for each in ended])
        return len(ended)

    def close(self) -> None:
        """Let go of the database; workflows that run go on when an engine is next opened."""
        from dbos import DBOS

        DBOS.destroy(workflow_completion_timeout_sec=0)


def _as_function(workflow: Callable[[Any], Plain]) -> Callable[[Any], Plain]:
    """DBOS marks what it is given, and methods cannot be marked."""

    def run(argument: Any) -> Plain:
        return workflow(argument)

    return run


def _serializer() -> Any:
    from dbos import Serializer

    class PlainSerializer(Serializer):
        """JSON, so that what was begun can be read by whoever comes next; never pickle."""

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

    return PlainSerializer()
