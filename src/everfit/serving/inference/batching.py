"""Where one model's calls run: at once while they are quick, else in a thread and together."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from everfit.serving.protocols.json import Request

if TYPE_CHECKING:
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.inference.data_plane import Answer, Plane
    from everfit.serving.inference.variants import Lineup
    from everfit.serving.protocols.codec import Dialect

_SLOW_US = 250.0
"""A call to a thread and back costs about 100 µs, and gains only what the calls would have cost one by one."""
_OUTLIER_US = 1_000.0
_STALL_US = 20_000.0
"""One call that takes this long is one too many: nobody else was answered meanwhile."""
_FIRST_TRIAL_S, _LAST_TRIAL_S = 1.0, 60.0
_TRIAL_SHARE = 100.0
"""For a hundredth of the time at most, others wait for a trial."""
_MOST_TOGETHER = 256
"""Rows."""


class Question(NamedTuple):
    """A request on its way to an answer."""

    lineup: Lineup
    dialect: Dialect
    http: HttpRequest
    version: int | None
    began_s: float


class _Asked(NamedTuple):
    question: Question
    request: Request
    future: asyncio.Future[tuple[Request, Answer]]


class Lane:
    """One model's calls.

    They begin inline; once a call of one row takes long, whether by the model or by the online
    store, the next ones go to a thread, which takes all that waits and asks once for all rows: no timer, only what
    waits anyway. After a while a few calls are tried inline again, and stay there if they are quick: in the thread
    itself it cannot be told what they would cost, since the wait for the interpreter is among it.

    Args:
        plane: What answers.
    """

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._cost_us = _SLOW_US / 2
        self._trial_s = 0.0
        self._pause_s = _FIRST_TRIAL_S
        self.is_quick = True
        """Whether a small request may be answered without leaving the event loop."""
        self._waiting: deque[tuple[Question, asyncio.Future[tuple[Request, Answer]]]] = deque()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def answer_later(self, question: Question) -> asyncio.Future[tuple[Request, Answer]]:
        """Decode and answer in the lane's thread.

        Raises:
            EverfitError: As :meth:`everfit.serving.inference.data_plane.Plane.predict`, and what decoding raises.
        """
        future: asyncio.Future[tuple[Request, Answer]] = asyncio.get_running_loop().create_future()
        if not self.is_quick:
            self._try_again()
        with self._wake:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lane", daemon=True)
                self._thread.start()
            self._waiting.append((question, future))
            self._wake.notify()
        return future

    def close(self) -> None:
        """Answer what waits, then end the thread."""
        with self._wake:
            self._stopped = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()

    def learn(self, call_s: float) -> None:
        """Hear how long a call of one row took inline, in seconds."""
        call_us = call_s * 1e6
        # A pause of the process is not the model's: one such outlier alone does not change lanes.
        self._cost_us += 0.05 * (min(call_us, _OUTLIER_US) - self._cost_us)
        if self._cost_us > _SLOW_US or call_us > _STALL_US:
            self.is_quick = False
            self._trial_s = monotonic() + max(self._pause_s, _TRIAL_SHARE * call_s)
            self._pause_s = min(2 * self._pause_s, _LAST_TRIAL_S)

    def _try_again(self) -> None:
        if monotonic() >= self._trial_s:
            self._cost_us = _SLOW_US / 2
            self.is_quick = True

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._stopped:
                    self._wake.wait()
                if not self._waiting:
                    return
                taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
            together: list[_Asked] = []
            rows = 0
            for question, future in taken:
                if future.cancelled():  # the caller hung up
                    continue
                try:
                    request = question.dialect.read(question.lineup.decoder, question.http)
                except Exception as error:  # noqa: BLE001 - handed to whoever waits
                    _settle(future, error)
                    continue
                if together and (rows + len(request.rows) > _MOST_TOGETHER or not _alike(together[0], question)):
                    self._answer(together)
                    together, rows = [], 0
                together.append(_Asked(question, request, future))
                rows += len(request.rows)
            self._answer(together)

    def _answer(self, together: Sequence[_Asked]) -> None:
        if not together:
            return
        first = together[0].question
        try:
            merged = _merge([each.request for each in together], self._plane.make_ids)
            answer = self._plane.predict(first.lineup, merged, began_s=first.began_s, version=first.version)
            self._plane.flush()
        except Exception as error:  # noqa: BLE001 - whatever a model raises: handed to whoever waits
            if len(together) == 1:
                _settle(together[0].future, error)
            for each in together if len(together) > 1 else ():
                self._answer([each])  # one of them is at fault, the others are not
            return
        place = 0
        for each in together:
            size = len(each.request.rows)
            _settle(each.future, (each.request, _part(answer, place, size)))
            place += size


def _alike(asked: _Asked, question: Question) -> bool:
    return asked.question.lineup is question.lineup and asked.question.version == question.version


def _merge(requests: Sequence[Request], make_ids: Callable[[int], list[str]]) -> Request:
    if len(requests) == 1:
        return requests[0]
    rows = [row for request in requests for row in request.rows]
    ids = [each for request in requests for each in request.ids or make_ids(len(request.rows))]
    return Request(rows=rows, ids=ids)


def _part(answer: Answer, place: int, size: int) -> Answer:
    from everfit.serving.inference.data_plane import Answer

    if size == len(answer.ids):
        return answer
    end = place + size
    versions = answer.versions[place:end]
    missing = {
        view: [each - place for each in places if place <= each < end] for view, places in answer.missing.items()
    }
    return Answer(
        predictions=answer.predictions[place:end],
        ids=answer.ids[place:end],
        version=versions[0] if versions else answer.version,
        versions=versions if len(set(versions)) > 1 else [],
        missing={view: places for view, places in missing.items() if places},
    )


def _settle(future: asyncio.Future[tuple[Request, Answer]], outcome: tuple[Request, Answer] | Exception) -> None:
    def tell() -> None:
        if future.done():
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    loop = future.get_loop()
    if not loop.is_closed():
        loop.call_soon_threadsafe(tell)
