"""The rollouts in the ledger. The one writer of ``rollouts``."""

from __future__ import annotations

import logging
from datetime import datetime

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace

from everfit.core.errors import StoreError
from everfit.core.event_log import log_event
from everfit.core.rollout import Move, Rollout, RolloutState, Step, moved
from everfit.definitions.rollout import RolloutPlan, Shadow
from everfit.delivery.manual_steps import supersede
from everfit.delivery.state_machine import POLICY
from everfit.store.ledger import ROLLOUTS

_log = logging.getLogger(__name__)


class Rollouts:
    """The rollouts in the ledger.

    Every method may be called again after a crash: what was done stays as it was, and the record that comes back tells.

    Args:
        engine: The ledger's.
    """

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
        """Begin a version's rollout; one that goes on for the same model is superseded by it.

        A version that is being rolled out, or was for the same order, is not rolled out again.

        Args:
            model: Its name.
            version: The newcomer.
            previous: The champion whose place it shall take.
            plan: The model's.
            cause: Why, as a sentence.
            now: The present instant.
            order: The order to retrain that it came from.
            actor: Who asked for it.
        """
        superseded: list[Rollout] = []
        with self._engine.begin() as connection:
            for known in reversed(_read(connection, ROLLOUTS.c.model == model, ROLLOUTS.c.version == version)):
                if not known.ended or (order is not None and known.order == order):
                    return known
            for running in _read(connection, ROLLOUTS.c.running == model):
                superseded.append(moved(running, supersede(running, version, actor=actor), now))
                _write(connection, superseded[-1], len(running.history))
            begun = _begun(model, version, previous, plan, cause, now, order, actor)
            row = _row(begun)
            number = connection.execute(ROLLOUTS.insert().values(**row)).inserted_primary_key
            assert number is not None
        begun = replace(begun, number=int(number[0]))
        for rollout in (*superseded, begun):
            _log_transition(rollout)
        return begun

    def move(self, number: int, step: Step, *, now: datetime) -> Rollout:
        """Carry a step out, once; one that was overtaken by another, such as a person's, is not carried out.

        Raises:
            StoreError: If there is no such rollout.
        """
        with self._engine.begin() as connection:
            found = _read(connection, ROLLOUTS.c.number == number)
            if not found:
                raise StoreError("there must be a rollout with that number", value=number)
            after = moved(found[0], step, now)
            changed = after is not found[0] and _write(connection, after, len(found[0].history))
            present = _read(connection, ROLLOUTS.c.number == number)[0]
        if changed:
            _log_transition(after)
        return present

    def of(self, model: str) -> tuple[Rollout, ...]:
        """All rollouts of a model, oldest first."""
        with self._engine.connect() as connection:
            return _read(connection, ROLLOUTS.c.model == model)

    def one(self, number: int) -> Rollout:
        """A rollout by its number.

        Raises:
            StoreError: If there is none.
        """
        with self._engine.connect() as connection:
            found = _read(connection, ROLLOUTS.c.number == number)
        if not found:
            raise StoreError("there must be a rollout with that number", value=number)
        return found[0]

    def running(self, model: str) -> Rollout | None:
        """The one that goes on, paused or not."""
        with self._engine.connect() as connection:
            return next(iter(_read(connection, ROLLOUTS.c.running == model)), None)


def _begun(
    model: str,
    version: int,
    previous: int,
    plan: RolloutPlan,
    cause: str,
    now: datetime,
    order: int | None,
    actor: str,
) -> Rollout:
    first = plan.stages[0]
    tried: RolloutState = "shadow" if isinstance(first, Shadow) else "canary"
    begun = Rollout(
        number=0,
        model=model,
        version=version,
        previous=previous,
        order=order,
        cause=cause,
        state="waiting_approval" if plan.approval == "required" else tried,
        share=0.0 if plan.approval == "required" else first.share,
        began_at=now,
        entered_at=now,
    )
    line = Move(at=now, actor=actor, action="begin", state=begun.state, stage=0, sentence=cause)
    return replace(begun, history=(line,))


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
    """Replace a rollout whose history had so many lines; ``False`` if it has more by now, and stays."""
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
