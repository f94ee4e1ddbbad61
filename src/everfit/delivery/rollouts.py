"""The rollouts in the ledger. The one writer of ``rollouts``."""

from __future__ import annotations

import logging
from datetime import datetime

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace

from everfit.core.errors import StoreError
from everfit.core.event_log import log_event
from everfit.core.rollout import Rollout, Transition, apply_transition
from everfit.definitions.rollout import RolloutPlan
from everfit.delivery.manual_steps import supersede
from everfit.delivery.state_machine import POLICY, begun_rollout
from everfit.store.ledger import ROLLOUTS

_log = logging.getLogger(__name__)


class Rollouts:
    """The rollouts in the ledger. Every method is idempotent, and may be called again after a crash."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def begin(
        self,
        model: str,
        version: int,
        *,
        previous: int,
        plan: RolloutPlan,
        cause: str,
        now: datetime,
        order: int | None = None,
        actor: str = POLICY,
    ) -> Rollout:
        """Begin a version's rollout; a running one of the same model is superseded.

        A version that is being rolled out, or was for the same training order, is not rolled out again.
        """
        begun = begun_rollout(
            model, version, previous=previous, plan=plan, cause=cause, now=now, order=order, actor=actor
        )
        superseded: list[Rollout] = []
        with self._engine.begin() as connection:
            for known in reversed(_read(connection, ROLLOUTS.c.model == model, ROLLOUTS.c.version == version)):
                if not known.ended or (order is not None and known.order == order):
                    return known
            for running in _read(connection, ROLLOUTS.c.running == model):
                superseded.append(apply_transition(running, supersede(running, version, actor=actor), now))
                _write(connection, superseded[-1], len(running.history))
            insert = ROLLOUTS.insert().returning(ROLLOUTS.c.number).values(**_row(begun))
            begun = replace(begun, number=connection.execute(insert).scalar_one())
        for rollout in (*superseded, begun):
            _log_transition(rollout)
        return begun

    def apply(self, number: int, transition: Transition, *, now: datetime) -> Rollout:
        """Apply a transition once; it is dropped if another one, such as a person's, was applied before it.

        Raises :class:`StoreError` if there is no such rollout.
        """
        with self._engine.begin() as connection:
            before = _one(connection, number)
            after = apply_transition(before, transition, now)
            changed = after is not before and _write(connection, after, len(before.history))
            present = _one(connection, number)
        if changed:
            _log_transition(after)
        return present

    def of(self, model: str) -> tuple[Rollout, ...]:
        """Return all rollouts of a model, oldest first."""
        with self._engine.connect() as connection:
            return _read(connection, ROLLOUTS.c.model == model)

    def one(self, number: int) -> Rollout:
        """Return a rollout by its number. Raises :class:`StoreError` if there is none."""
        with self._engine.connect() as connection:
            return _one(connection, number)

    def running(self, model: str) -> Rollout | None:
        """Return the model's rollout that has not ended, if there is one."""
        with self._engine.connect() as connection:
            return next(iter(_read(connection, ROLLOUTS.c.running == model)), None)


def _one(connection: sa.Connection, number: int) -> Rollout:
    found = _read(connection, ROLLOUTS.c.number == number)
    if not found:
        raise StoreError("there must be a rollout with that number", value=number)
    return found[0]


def _read(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> tuple[Rollout, ...]:
    query = sa.select(ROLLOUTS.c.number, ROLLOUTS.c.rollout).where(*conditions).order_by(ROLLOUTS.c.number)
    return tuple(
        replace(msgspec.json.decode(row.rollout, type=Rollout), number=row.number) for row in connection.execute(query)
    )


def _log_transition(rollout: Rollout) -> None:
    line = rollout.history[-1]
    share = f" with {rollout.share:.0%} of the ids" if rollout.state == "canary" else ""
    log_event(
        _log,
        f"rollout_{line.action}",
        f"{rollout.model}: rollout {rollout.number} of version {rollout.version}: {line.action.replace('_', ' ')}, now "
        f"{rollout.state.replace('_', ' ')}{share}: {line.sentence}",
        level=logging.WARNING if rollout.state in {"rolled_back", "refused"} else logging.INFO,
        model=rollout.model,
        rollout=rollout.number,
        version=rollout.version,
        order=rollout.order,
        state=rollout.state,
        actor=line.actor,
    )


def _write(connection: sa.Connection, after: Rollout, lines: int) -> bool:
    """Replace a rollout by optimistic locking on its number of transitions; ``False`` if it has more by now."""
    here = sa.and_(ROLLOUTS.c.number == after.number, ROLLOUTS.c.lines == lines)
    return connection.execute(ROLLOUTS.update().where(here).values(**_row(after))).rowcount > 0


def _row(rollout: Rollout) -> dict[str, object]:
    return {
        "model": rollout.model,
        "version": rollout.version,
        "state": rollout.state,
        "running": None if rollout.ended else rollout.model,
        "lines": len(rollout.history),
        "rollout": msgspec.json.encode(rollout).decode(),
    }
