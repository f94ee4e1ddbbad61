"""Asking and telling the service, in as few requests as it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self, TypeVar

from everfit.core.errors import NotReadyError, RequestError, UnknownModelError

if TYPE_CHECKING:
    from everfit.client.client import Client
    from everfit.client.records import Prediction
    from everfit.replay.schedule import Question, Row

_SHOWN = 3
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

    def ask(self, asked: Sequence[Question], *, at: Callable[[datetime], None]) -> list[Prediction]:
        """Ask all questions, each under its own id.

        Args:
            asked: In the order of time.
            at: Told the time of a body's last question, before it is sent.

        Returns:
            The answers, in order; those that were refused are left out.

        Raises:
            NotReadyError: If the service is gone and does not come back.
        """
        answers: list[Prediction] = []
        for body in self._bodies(asked):
            at(body[-1].at)
            for found in self._apart(body, self._predict):
                answers += found
        self.told.asked += len(asked)
        self.told.answered += len(answers)
        return answers

    def tell(self, outcomes: Sequence[Row], arrived: Mapping[str, Sequence[Row]]) -> None:
        """Report outcomes and push rows, all at once.

        Raises:
            NotReadyError: If the service is gone and does not come back.
            RequestError: If it refuses rows of a view.
        """
        pushes = [self._threads.submit(self._push, view, rows) for view, rows in arrived.items()]
        taken = sum(sum(self._apart(part, self._report)) for part in self._parts(outcomes))
        self.told.outcomes += taken
        self.told.refused_outcomes += len(outcomes) - taken
        self.told.pushed += sum(each.result() for each in pushes)

    def _bodies(self, asked: Sequence[Question]) -> Iterator[Sequence[Question]]:
        together = [list(part) for _, part in groupby(asked, attrgetter("at"))] if self._by_instant else [asked]
        for part in together:
            yield from self._parts(part)

    def _parts(self, rows: Sequence[_T]) -> Iterator[Sequence[_T]]:
        return (rows[first : first + self._most_rows] for first in range(0, len(rows), self._most_rows))

    def _predict(self, asked: Sequence[Question]) -> list[Prediction]:
        return self._client.predict(self._model, [each.row for each in asked], ids=[each.id for each in asked])

    def _report(self, outcomes: Sequence[Row]) -> int:
        return self._client.outcomes(self._model, outcomes)

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
            elif len(self.told.refusals) < _SHOWN:
                self.told.refusals.append(str(refusal))
