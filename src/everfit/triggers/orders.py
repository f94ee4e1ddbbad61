"""Training orders and their results. The one writer of ``orders``."""

from __future__ import annotations

import logging
from datetime import datetime

import msgspec
import sqlalchemy as sa

from everfit.core.clock import from_us, to_us
from everfit.core.errors import MisuseError, StoreError
from everfit.core.event_log import log_event
from everfit.core.order import HAND, UNFINISHED, OrderRecord, OrderState, RetrainOrder
from everfit.store.ledger import ORDERS

_log = logging.getLogger(__name__)
_PHRASES: dict[OrderState, str] = {
    "open": "is open",
    "running": "is carried out: its training begins",
    "delivering": "has passed its gates and is rolled out",
    "shipped": "has shipped",
    "registered": "has led to a version",
    "refused": "was refused",
    "taken_back": "was taken back",
    "failed": "has failed",
    "cancelled": "was cancelled",
}


class Orders:
    """The orders in the ledger. Every method is idempotent, and may be called again after a crash.

    A method with an order's number raises :class:`StoreError` if there is none.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def ask(self, order: RetrainOrder) -> OrderRecord:
        """Record an order, or return the one that its model has for its cause already."""
        return self._insert(order, {"state": "open", "sentence": ""})

    def begin(self, number: int, *, now: datetime) -> OrderRecord:
        """Record that an open order is being carried out."""
        return self._change(number, ("open",), state="running", started_at_us=to_us(now))

    def deliver(self, number: int, *, version: int, run_id: str | None = None) -> OrderRecord:
        """Record that its candidate passed, is a version, and is rolled out."""
        return self._change(number, ("open", "running"), state="delivering", version=version, run_id=run_id)

    def finish(
        self,
        number: int,
        *,
        state: OrderState,
        sentence: str,
        now: datetime,
        version: int | None = None,
        run_id: str | None = None,
    ) -> OrderRecord:
        """Record an order's end, with the result and its numbers as a sentence.

        The first one counts; but what was shipped may be taken back later. A version or run on record stays by default.
        Raises :class:`MisuseError` if the state does not end an order.
        """
        _require_end(state)
        given = {name: value for name, value in (("version", version), ("run_id", run_id)) if value is not None}
        before = (*UNFINISHED, "shipped") if state == "taken_back" else UNFINISHED
        return self._change(number, before, state=state, sentence=sentence, ended_at_us=to_us(now), **given)

    def keep(
        self,
        model: str,
        *,
        run_id: str,
        state: OrderState,
        sentence: str,
        reason: str,
        actor: str,
        started_at: datetime,
        now: datetime,
        version: int | None = None,
    ) -> OrderRecord:
        """Record a training by hand once it has ended; it has a number in the sequence of orders.

        It is recorded at its end and not before, so that no controller takes it for an order to carry out; and once for
        each run, whatever is kept of it later. Raises :class:`MisuseError` if the state does not end an order.

        Args:
            state: ``registered``, ``refused``, ``failed`` or ``cancelled``.
            sentence: The result, with its numbers.
            reason: Why it was started, in the person's words.
        """
        _require_end(state)
        order = RetrainOrder(model=model, cause=f"{HAND}{run_id}", reason=reason, asked_at=started_at, actor=actor)
        ended: dict[str, object] = {"state": state, "sentence": sentence, "run_id": run_id, "version": version}
        return self._insert(order, ended | {"started_at_us": to_us(started_at), "ended_at_us": to_us(now)})

    def of(self, model: str) -> tuple[OrderRecord, ...]:
        """Return all orders of a model, oldest first; trainings by hand are no orders."""
        return self._read(ORDERS.c.model == model, ~ORDERS.c.cause.startswith(HAND, autoescape=True))

    def trainings(self, model: str) -> tuple[OrderRecord, ...]:
        """Return all orders of a model and its trainings by hand, oldest first."""
        return self._read(ORDERS.c.model == model)

    def one(self, number: int) -> OrderRecord:
        """Return an order, or a training by hand, by its number. Raises :class:`StoreError` if there is none."""
        found = self._read(ORDERS.c.number == number)
        if not found:
            remedy = "'everfit orders list' shows them all."
            raise StoreError("there must be an order with that number", value=number, remedy=remedy)
        return found[0]

    def open(self) -> tuple[OrderRecord, ...]:
        """Return the orders of all models that have not ended, oldest first."""
        return self._read(ORDERS.c.state.in_(UNFINISHED))

    def _insert(self, order: RetrainOrder, values: dict[str, object]) -> OrderRecord:
        row = {"model": order.model, "cause": order.cause, "order": msgspec.json.encode(order).decode(), **values}
        same = ORDERS.c.model == order.model, ORDERS.c.cause == order.cause
        try:
            with self._engine.begin() as connection:
                connection.execute(ORDERS.insert().values(**row))
        except sa.exc.IntegrityError:
            if known := self._read(*same):
                return known[0]
            raise
        record = self._read(*same)[0]
        _log_state(record)
        return record

    def _change(self, number: int, before: tuple[OrderState, ...], **values: object) -> OrderRecord:
        """Change an order if it is in one of the states ``before``."""
        here = sa.and_(ORDERS.c.number == number, ORDERS.c.state.in_(before))
        with self._engine.begin() as connection:
            changed = connection.execute(ORDERS.update().where(here).values(**values)).rowcount
        record = self.one(number)
        if changed:
            _log_state(record)
        return record

    def _read(self, *conditions: sa.ColumnElement[bool]) -> tuple[OrderRecord, ...]:
        query = sa.select(ORDERS).where(*conditions).order_by(ORDERS.c.number)
        with self._engine.connect() as connection:
            return tuple(_record(row) for row in connection.execute(query).mappings())


def _require_end(state: OrderState) -> None:
    if state in UNFINISHED:
        raise MisuseError("an order is finished in a state that ends it", value=state)


def _log_state(record: OrderRecord) -> None:
    reason = record.sentence or (record.order.reason if record.state in {"open", "running"} else "")
    log_event(
        _log,
        f"order_{record.state}",
        f"{record.order.model}: order {record.number} {_PHRASES[record.state]}{': ' if reason else ''}{reason}",
        level=logging.WARNING if record.brought_nothing else logging.INFO,
        model=record.order.model,
        order=record.number,
        version=record.version,
        incident=record.order.incident,
    )


def _record(row: sa.RowMapping) -> OrderRecord:
    started, ended = row["started_at_us"], row["ended_at_us"]
    return OrderRecord(
        number=row["number"],
        order=msgspec.json.decode(row["order"], type=RetrainOrder),
        state=row["state"],
        started_at=None if started is None else from_us(started),
        ended_at=None if ended is None else from_us(ended),
        run_id=row["run_id"],
        version=row["version"],
        sentence=row["sentence"],
    )
