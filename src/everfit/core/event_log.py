"""Log lines of transitions: one readable line, and for programs the same with the ids of what changed as fields.

Whatever writes a transition to its store logs it there, once it is written, so that there is one line for one change.
A process that keeps no log, such as a command, prints nothing.
"""

from __future__ import annotations

import logging
from typing import Any

_ATTRIBUTE = "everfit_fields"


def log_event(
    log: logging.Logger, event: str, message: str, *, level: int = logging.INFO, **fields: str | int | float | None
) -> None:
    """Log a transition.

    Args:
        log: The logger of the module that carried it out.
        event: Its kind, such as ``order_running``.
        message: What a person reads; it names the ids as well.
        level: One of :mod:`logging`.
        **fields: The ids, by name: ``model``, ``order``, ``version``, ``rollout``, ``incident``, …; ``None`` is left
            out.
    """
    given = {"event": event} | {name: value for name, value in fields.items() if value is not None}
    # Sentences may quote a library's error of several lines; a transition is one line.
    log.log(level, "%s", " ".join(message.split()), extra={_ATTRIBUTE: given})


def event_fields(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of a line that :func:`log_event` wrote; none for any other."""
    fields = getattr(record, _ATTRIBUTE, None)
    return fields if isinstance(fields, dict) else {}
