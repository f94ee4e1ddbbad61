"""Log of a running system: all its processes write lines of one format to standard error."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from everfit.core.event_log import event_fields
from everfit.core.printable import printable, printable_json, printable_lines


class LineFormat(logging.Formatter):
    """Text lines: time in UTC, level, process, part, message."""

    def __init__(self, process: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)-7s {process:<11} %(part)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's line, and below it the traceback if there is one."""
        record.part = _part(record)
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return one line: a value from outside cannot add another one."""
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """Return a traceback on lines of its own."""
        return printable_lines(super().formatException(ei))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        """Return the time with milliseconds and ``Z`` for UTC."""
        return _at(record)


class JsonFormat(logging.Formatter):
    """JSON lines: one document for each record."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return ``at``, ``level``, ``process``, ``pid``, ``part``, ``message``; for a transition also ``event`` and
        its ids; with an exception also ``traceback``.
        """
        line = {
            "at": _at(record),
            "level": record.levelname.lower(),
            "process": self._process,
            "pid": record.process,
            "part": _part(record),
            "message": record.getMessage(),
            **event_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return printable_json(json.dumps(line, ensure_ascii=False))


def keep_log(process: str, *, as_json: bool) -> None:
    """Write the log of this process to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormat(process) if as_json else LineFormat(process))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # Migrations log every step.
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _part(record: logging.LogRecord) -> str:
    return record.name.removeprefix("everfit.")


def _at(record: logging.LogRecord) -> str:
    return f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
