"""Log lines of transitions: one readable line, and for programs the same with the ids of what changed as fields.

The module that writes a transition to its store logs it there, once it is written, so that each change is one line.
A process that keeps no log, such as a command, prints nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

_ATTRIBUTE = "everfit_fields"


class EventKind(NamedTuple):
    """One kind of transition."""

    meaning: str
    fields: tuple[str, ...]
    """Names of the fields that its lines can have, ids first."""


_ORDER = ("model", "order", "version", "incident")
_TRAINING = ("model", "order")
_ATTEMPT = (*_TRAINING, "attempt")
_ROLLOUT = ("model", "rollout", "version", "order", "state", "actor")
_RELEASE = ("release", "commit", "actor")
_STEP = ("release", "step", "attempt")
_INCIDENT = ("model", "incident", "version", "kind", "severity")

EVENTS: Mapping[str, EventKind] = {
    "order_open": EventKind("a training order is given", _ORDER),
    "order_running": EventKind("its training begins", _ORDER),
    "order_delivering": EventKind("its candidate passed, is a version, and is rolled out", _ORDER),
    "order_shipped": EventKind("its version is the champion", _ORDER),
    "order_registered": EventKind("a training by hand led to a version", _ORDER),
    "order_refused": EventKind("a gate refused its candidate", _ORDER),
    "order_taken_back": EventKind("its version was worse live, and was taken back", _ORDER),
    "order_failed": EventKind("it could not be carried out", _ORDER),
    "order_cancelled": EventKind("it was cancelled", _ORDER),
    "training_started": EventKind("a training process is started", _ATTEMPT),
    "training_killed": EventKind("a training process was killed from outside, and is started again", _ATTEMPT),
    "training_ended": EventKind("a training led to a candidate", _TRAINING),
    "training_failed": EventKind("a training led to no candidate", _TRAINING),
    "gates_passed": EventKind("no gate refused a candidate", _TRAINING),
    "gates_refused": EventKind("a gate refused a candidate", _TRAINING),
    "version_registered": EventKind("a package is a version", ("model", "version", "order")),
    "alias_moved": EventKind("an alias names another version", ("model", "version", "alias", "actor")),
    "alias_conflict": EventKind("the champion's alias was moved in the registry itself", ("model", "version")),
    "rollout_begin": EventKind("a rollout begins", _ROLLOUT),
    "rollout_approve": EventKind("a rollout is approved", _ROLLOUT),
    "rollout_next": EventKind("a rollout enters its next stage", _ROLLOUT),
    "rollout_promote": EventKind("the version is the champion, and is observed", _ROLLOUT),
    "rollout_keep": EventKind("the version stays the champion; the rollout has ended", _ROLLOUT),
    "rollout_roll_back": EventKind("the champion of before is the champion again", _ROLLOUT),
    "rollout_refuse": EventKind("the version is taken back before it was the champion", _ROLLOUT),
    "rollout_pause": EventKind("a rollout is paused", _ROLLOUT),
    "rollout_resume": EventKind("a rollout is resumed", _ROLLOUT),
    "rollout_supersede": EventKind("another version is rolled out instead", _ROLLOUT),
    "release_waiting": EventKind("a commit is to be released", _RELEASE),
    "release_running": EventKind("its steps begin", _RELEASE),
    "release_active": EventKind("its code is the one that everything runs in", _RELEASE),
    "release_retired": EventKind("another release is active instead", _RELEASE),
    "release_unchanged": EventKind("its code is that of the active release; nothing is done", _RELEASE),
    "release_superseded": EventKind("a newer commit is released instead", _RELEASE),
    "release_refused": EventKind("one of its steps refused it", _RELEASE),
    "release_failed": EventKind("one of its steps could not be carried out", _RELEASE),
    "release_taken_back": EventKind("it was active, and the release before it is active again", _RELEASE),
    "release_passed": EventKind("every step of a dry run passed; nothing is activated", _RELEASE),
    "release_cancelled": EventKind("a person cancelled it", _RELEASE),
    "release_collected": EventKind("its code and environment are deleted: nothing needs them", _RELEASE),
    "release_restored": EventKind("its code and environment are made again: a version needs them", _RELEASE),
    "step_started": EventKind("an attempt at a step of a release begins", _STEP),
    "step_ended": EventKind("an attempt at a step of a release has ended", (*_STEP, "outcome")),
    "branch_moved": EventKind("the watched branch was deleted, or moved so that it lost commits", ("commit",)),
    "deployment_changed": EventKind(
        "the deployment record names other versions",
        ("model", "deployment", "version", "canary", "canary_share", "shadow"),
    ),
    "version_loaded": EventKind(
        "a worker serves another version", ("model", "version", "deployment", "route", "runtime")
    ),
    "incident_opened": EventKind("monitoring finds something new", _INCIDENT),
    "incident_reopened": EventKind("what was found and ended is found again", _INCIDENT),
    "incident_worsened": EventKind("the severity of an incident rises", _INCIDENT),
    "incident_ended": EventKind("an incident has ended", _INCIDENT),
    "manual_step": EventKind("a command changed something", ("model", "version", "action", "actor")),
    "process_started": EventKind(
        "a worker, the controller or the predictor of a version is started", ("child", "child_pid")
    ),
    "process_ended": EventKind("it ended unasked, and is started again", ("child", "code")),
    "process_killed": EventKind("it did not end in time, and is killed", ("child",)),
    "stopping": EventKind("'everfit up' ends: every process finishes what it has begun", ()),
    "controller_stands_by": EventKind("another controller leads", ()),
    "controller_leads": EventKind("this controller leads", ()),
    "controller_stopped": EventKind("this controller ends", ()),
    "controller_hands_over": EventKind("this controller ends; another release is active", ("release",)),
    "controller_returned": EventKind(
        "no controller could start in a new release; the one before it is active again", ("release", "previous")
    ),
    "leadership_lost": EventKind("another controller leads now; this one ends", ()),
    "workflow_stranded": EventKind("another version of Everfit started a workflow, and must finish it", ("workflow",)),
}
"""Every kind of event; a test compares it with the calls of :func:`log_event`, and the reference is made from it."""


def log_event(
    log: logging.Logger, event: str, message: str, *, level: int = logging.INFO, **fields: str | int | float | None
) -> None:
    """Log a transition.

    Args:
        log: The logger of the module that carried it out.
        event: Its kind, one of :data:`EVENTS`.
        message: The readable line; it names the ids as well.
        level: One of :mod:`logging`.
        **fields: The ids, by name: ``model``, ``order``, ``version``, ``rollout``, ``incident``, …; ``None`` is left
            out.
    """
    given = {"event": event} | {name: value for name, value in fields.items() if value is not None}
    # Sentences may quote a library's error of several lines; a transition is one line.
    log.log(level, "%s", " ".join(message.split()), extra={_ATTRIBUTE: given})


def event_fields(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of a line that :func:`log_event` wrote; none for any other."""
    fields: dict[str, Any] = getattr(record, _ATTRIBUTE, {})
    return fields
