"""The data plane: every way to ask for a prediction ends here, whatever protocol it came by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from everfit.core.errors import NotReadyError, StoreError
from everfit.serving.ids import IdMaker
from everfit.serving.served_model import Row, ServedModel, Value

if TYPE_CHECKING:
    from everfit.core.clock import Clock
    from everfit.store.online import OnlineReader

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a caller gets."""

    predictions: list[Value]
    """One for each row: the chance of the positive class, the number, or each class's chance by its name."""
    ids: list[str]
    version: int
    missing: dict[str, list[int]] = {}
    """The views that held no usable row, with the places of the rows that lacked them; their features were null."""


class Plane:
    """The models that are served. It may be called from several threads at once.

    Args:
        models: One version of each.
        online: Where their features are looked up.
        clock: The moment of asking.
    """

    def __init__(self, models: Iterable[ServedModel], *, online: OnlineReader, clock: Clock) -> None:
        self._models = tuple(models)
        self._online = online
        self._clock = clock
        self._make_id = IdMaker().make

    def versions(self) -> dict[str, int]:
        """The version that serves, by the model's name."""
        return {model.name: model.version for model in self._models}

    @property
    def models(self) -> tuple[ServedModel, ...]:
        """What is served."""
        return self._models

    def predict(self, model: ServedModel, rows: Sequence[Row], ids: list[str] | None) -> Answer:
        """Answer rows.

        Args:
            model: Who answers.
            rows: At least one, each with every request field.
            ids: The caller's, one for each row; ``None`` to make them.

        Raises:
            InvalidRequestError: If the model takes no missing values and one is missing.
            StoreError: If the online store cannot be read.
        """
        now_us = (self._clock.now() - _EPOCH) // _MICROSECOND
        values, missing = model.predict(rows, now_us=now_us)
        if ids is None:
            ids = [self._make_id(now_us) for _ in rows]
        return Answer(predictions=values, ids=ids, version=model.version, missing=missing)

    def require_ready(self) -> None:
        """Make sure that there are models, and that features can be looked up.

        Raises:
            NotReadyError: If not, with the reason.
        """
        if not self._models:
            raise NotReadyError("there must be a model to serve", remedy="Promote one: everfit promote MODEL VERSION.")
        for model in self._models:
            for lookup in model.schema.lookups:
                try:
                    self._online.state(lookup.view)
                except StoreError as problem:
                    raise NotReadyError(f"features must be readable: {problem}", place=lookup.view) from problem
