"""Requests, outcomes and feature rows of a replay, sent to the service in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, Self, TypeVar

from everfit.client.client import Client
from everfit.client.records import Prediction
from everfit.core.errors import NotReadyError, RequestError, UnknownModelError
from everfit.replay.schedule import ReplayRequest, Row

_SHOWN = 3
_T = TypeVar("_T")


@dataclass
class SentCounts:
    """Numbers of rows so far."""

    requested: int = 0
    predicted: int = 0
    outcomes: int = 0
    refused_outcomes: int = 0
    pushed: int = 0
    refusals: list[str] = field(default_factory=list)
    """The service's messages about the first few rows that it refused."""


class ReplaySender:
    """Client of the service for one model.

    A batch that is refused is sent again in halves, until only the rows at fault are left out. With ``by_instant``,
    requests of different instants are sent in different batches, because the model's event time is that of the request.
    """

    def __init__(self, client: Client, model: str, *, most_rows: int, by_instant: bool) -> None:
        self.counts = SentCounts()
        self._client = client
        self._model = model
        self._most_rows = most_rows
        self._by_instant = by_instant
        self._threads = ThreadPoolExecutor(thread_name_prefix="push")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()

    def predict(self, requests: Sequence[ReplayRequest], *, at: Callable[[datetime], None]) -> list[Prediction]:
        """Return the predictions of requests in the order of time, without those of refused rows.

        ``at`` is called with the time of a batch's last request before the batch is sent.
        """
        together = [list(part) for _, part in groupby(requests, attrgetter("at"))] if self._by_instant else [requests]
        predictions: list[Prediction] = []
        for batch in (batch for part in together for batch in self._parts(part)):
            at(batch[-1].at)
            for predicted in self._apart(batch, self._predict):
                predictions += predicted
        self.counts.requested += len(requests)
        self.counts.predicted += len(predictions)
        return predictions

    def report(self, outcomes: Sequence[Row], arrived: Mapping[str, Sequence[Row]]) -> None:
        """Report outcomes and push rows of views, in parallel; rows of a view must not be refused."""
        pushes = [self._threads.submit(self._push, view, rows) for view, rows in arrived.items()]
        send = partial(self._client.outcomes, self._model)
        accepted = sum(sum(self._apart(part, send)) for part in self._parts(outcomes))
        self.counts.outcomes += accepted
        self.counts.refused_outcomes += len(outcomes) - accepted
        self.counts.pushed += sum(push.result() for push in pushes)

    def _parts(self, rows: Sequence[_T]) -> Iterator[Sequence[_T]]:
        return (rows[first : first + self._most_rows] for first in range(0, len(rows), self._most_rows))

    def _predict(self, requests: Sequence[ReplayRequest]) -> list[Prediction]:
        return self._client.predict(self._model, [one.row for one in requests], ids=[one.id for one in requests])

    def _push(self, view: str, rows: Sequence[Row]) -> int:
        return sum(self._client.push(view, part).rows for part in self._parts(rows))

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
            elif len(self.counts.refusals) < _SHOWN:
                self.counts.refusals.append(str(refusal))
