"""The log of a running system: all its processes write lines of one form to standard error."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from everfit.core.event_log import event_fields
from everfit.core.printable import printable, printable_json, printable_lines

_OURS = "everfit."


class LineFormat(logging.Formatter):
    """Lines for people: when, in UTC, how grave, which process, which part, what.

    Args:
        process: Which one of the system's it is.
    """

    def __init__(self, process: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)-7s {process:<11} %(part)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """A record's line, and below it the traceback if there is one."""
        record.part = _part(record)
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """One line, whatever the message holds: a value from outside cannot forge another line."""
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """A traceback on lines of its own."""
        return printable_lines(super().formatException(ei))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        """With milliseconds and the letter of UTC, as in the audit and in answers."""
        return _at(record)


class JsonFormat(logging.Formatter):
    """Lines for programs: one JSON document each.

    Args:
        process: Which one of the system's it is.
    """

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """A record's document: ``at``, ``level``, ``process``, ``pid``, ``part``, ``message``; of a transition also
        ``event`` and its ids; maybe ``traceback``.
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
    """Have this process write its log to standard error.

    Args:
        process: Which one of the system's it is.
        as_json: One JSON document a line.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormat(process) if as_json else LineFormat(process))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # What a migration did is of no interest while nothing goes wrong.
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _part(record: logging.LogRecord) -> str:
    return record.name.removeprefix(_OURS)


def _at(record: logging.LogRecord) -> str:
    return f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
