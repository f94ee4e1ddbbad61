"""Asking and telling the service, in as few requests as it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar

import polars as pl

from everfit.core.errors import NotReadyError, RequestError, UnknownModelError
from everfit.core.evidence import ID, KNOWN_AT, LABEL, TIME

if TYPE_CHECKING:
    from everfit.client.client import Client
    from everfit.client.records import Prediction

VERSION, PREDICTION = "version", "prediction"
_SHOWN = 3
_Row = dict[str, Any]
_T = TypeVar("_T")


@dataclass
class Told:
    """What came of it so far."""

    asked: int = 0
    answered: int = 0
    outcomes: int = 0
    refused_outcomes: int = 0
    pushed: int = 0
    refusals: list[str] = field(default_factory=list)
    """The service's words about the first few rows that it refused."""


class Teller:
    """One caller of the service, which serves one model.

    A body that is refused is sent again in halves, until only the rows are refused that it was refused for.

    Args:
        client: The service.
        model: The model's name.
        most_rows: In one request.
        by_instant: Whether questions of different instants must be asked apart, since the model takes its time from
            the moment of asking.
    """

    def __init__(self, client: Client, model: str, *, most_rows: int, by_instant: bool) -> None:
        self.told = Told()
        self._client = client
        self._model = model
        self._most_rows = most_rows
        self._by_instant = by_instant
        self._threads = ThreadPoolExecutor(thread_name_prefix="tell")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()

    def ask(self, asked: pl.DataFrame, fields: Sequence[str], *, at: Callable[[datetime], None]) -> pl.DataFrame:
        """Ask all rows, each under its own id.

        Args:
            asked: In the order of time.
            fields: The request's.
            at: Told the time of a body's last question, before it is sent.

        Returns:
            Of those that were answered :data:`ID`, :data:`VERSION` and :data:`PREDICTION`, a number, or each class's
            chance by its name.

        Raises:
            NotReadyError: If the service is gone and does not come back.
        """
        answers: list[Prediction] = []
        for part in self._bodies(asked):
            at(part[TIME][-1])
            rows = list(zip(part[ID].to_list(), part.select(fields).to_dicts(), strict=True))
            for found in self._apart(rows, self._predict):
                answers += found
        self.told.asked += asked.height
        self.told.answered += len(answers)
        return pl.DataFrame(
            {
                ID: [each.id for each in answers],
                VERSION: [each.version for each in answers],
                PREDICTION: [each.value for each in answers],
            },
            schema_overrides={ID: pl.String, VERSION: pl.Int64},
        )

    def tell(self, outcomes: pl.DataFrame | None, arrived: Mapping[str, pl.DataFrame]) -> None:
        """Report outcomes and push rows, all at once.

        Raises:
            NotReadyError: If the service is gone and does not come back.
            RequestError: If it refuses rows of a view.
        """
        pushes = [self._threads.submit(self._push, view, rows) for view, rows in arrived.items()]
        if outcomes is not None:
            taken = self._report(outcomes)
            self.told.outcomes += taken
            self.told.refused_outcomes += outcomes.height - taken
        self.told.pushed += sum(each.result() for each in pushes)

    def _bodies(self, asked: pl.DataFrame) -> Iterator[pl.DataFrame]:
        parts = asked.partition_by(TIME, maintain_order=True) if self._by_instant else [asked]
        for part in parts:
            yield from part.iter_slices(self._most_rows)

    def _predict(self, rows: Sequence[tuple[str, _Row]]) -> list[Prediction]:
        return self._client.predict(self._model, [row for _, row in rows], ids=[id_ for id_, _ in rows])

    def _report(self, outcomes: pl.DataFrame) -> int:
        named = outcomes.select(
            pl.col(ID).alias("id"), pl.col(LABEL).alias("value"), pl.col(KNOWN_AT).alias("known_at")
        )
        parts = named.iter_slices(self._most_rows)
        return sum(sum(self._apart(part.to_dicts(), self._send_outcomes)) for part in parts)

    def _send_outcomes(self, rows: Sequence[_Row]) -> int:
        return self._client.outcomes(self._model, rows)

    def _push(self, view: str, rows: pl.DataFrame) -> int:
        return sum(self._client.push(view, part.to_dicts()).rows for part in rows.iter_slices(self._most_rows))

    def _apart(self, rows: Sequence[Any], send: Callable[[Sequence[Any]], _T]) -> Iterator[_T]:
        try:
            yield send(rows)
        except (NotReadyError, UnknownModelError):
            raise
        except RequestError as refusal:
            if len(rows) > 1:
                middle = len(rows) // 2
                yield from self._apart(rows[:middle], send)
                yield from self._apart(rows[middle:], send)
            elif len(self.told.refusals) < _SHOWN:
                self.told.refusals.append(str(refusal))
