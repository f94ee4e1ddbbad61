"""From a request to whoever answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING

from everfit.core.errors import EverfitError, OverloadedError
from everfit.serving.counters import Tally
from everfit.serving.feedback import Intake
from everfit.serving.http.connection import HttpRequest
from everfit.serving.http.content_encoding import plain_body
from everfit.serving.http.responses import Reply, explain, refuse, reply_json, say
from everfit.serving.inference.batching import Lane, Question
from everfit.serving.inference.data_plane import Plane
from everfit.serving.openapi.document import OpenApi
from everfit.serving.prediction_logger import Recorder
from everfit.serving.protocols.arrow.codec import ArrowDialect, is_arrow
from everfit.serving.protocols.codec import Dialect, Plain
from everfit.serving.protocols.mlflow.endpoints import PATHS, Invocations
from everfit.serving.protocols.open_inference.endpoints import OpenInference
from everfit.serving.protocols.open_inference.repository import Repository

if TYPE_CHECKING:
    from everfit.core.settings import ServingSettings

_INLINE_BYTES = 16 * 1024
"""A larger body has many rows; it is answered in a thread, so that others need not wait for it."""
_PREDICT, _MODELS, _OUTCOMES, _FEATURES = "/predict/", "/models/", "/outcomes/", "/features/"


class App:
    """The service behind HTTP. All its methods belong to the event loop's thread.

    Args:
        plane: What answers.
        recorder: Keeps what is answered.
        intake: Takes outcomes and feature rows.
        repository: What is deployed.
        metrics: Writes ``/metrics``: text, and its content type.
        settings: The limits.
    """

    def __init__(
        self,
        plane: Plane,
        *,
        recorder: Recorder,
        intake: Intake,
        repository: Repository,
        metrics: Callable[[], Reply],
        settings: ServingSettings,
    ) -> None:
        self.tallies: dict[str, Tally] = {"": Tally()}
        """What was asked, by model; of none that is served, under the empty name."""
        self._plane = plane
        self._recorder = recorder
        self._intake = intake
        self._lanes: dict[str, Lane] = {}
        self._waiting = 0
        self._max_waiting = settings.max_waiting
        self._answer_s = settings.answer_seconds
        self._syncs = recorder.durability == "sync"
        self._plain = Plain()
        self._arrow = ArrowDialect()
        self._open_inference = OpenInference(
            plane,
            ask=self.ask,
            tallies=self.tallies,
            repository=repository,
            may_control=settings.repository_control,
        )
        self._invocations = Invocations(plane, ask=self.ask)
        self._max_body_bytes = settings.max_body_bytes
        self._openapi = OpenApi(plane, intake, max_rows=settings.max_rows, may_control=settings.repository_control)
        self._pages: Mapping[str, Callable[[HttpRequest], Reply]] = {
            "/": lambda _: self._index(),
            "/health/live": lambda _: reply_json({"live": True}),
            "/health/ready": lambda _: self._ready(),
            "/metrics": lambda _: metrics(),
            "/openapi.json": lambda _: self._openapi.document(),
            "/docs": self._openapi.page,
        }

    def handle(self, http: HttpRequest) -> Reply | Awaitable[Reply]:
        """Answer a request, at once or later; raises nothing."""
        if http.path[-1:] == "/":  # a trailing slash changes nothing
            http = http._replace(path=http.path.rstrip("/") or "/")
        return self._decompress(http) if http.encoding else self._route(http)

    def _route(self, http: HttpRequest) -> Reply | Awaitable[Reply]:
        path = http.path
        if path.startswith(_PREDICT):
            dialect = self._arrow if is_arrow(http.header(b"content-type")) else self._plain
            return self.ask(dialect, http, path[len(_PREDICT) :])
        if path.startswith("/v2/") or path == "/v2":
            return self._open_inference.handle(http)
        if path in PATHS:
            return self._invocations.handle(http)
        if path.startswith(_OUTCOMES):
            return self._report(http, path[len(_OUTCOMES) :])
        if path.startswith(_FEATURES):
            return self._push(http, path[len(_FEATURES) :])
        return self._page(http)

    async def _decompress(self, http: HttpRequest) -> Reply:
        """Answer a request whose body is compressed, whatever it asks for."""
        path = http.path
        refuser = self._open_inference.refuse if path.startswith("/v2") else say
        refuser = self._invocations.refuse if path in PATHS else refuser
        self._waiting += 1
        try:
            if self._waiting > self._max_waiting:
                raise OverloadedError(
                    f"at most {self._max_waiting} requests may wait at once", remedy="Ask again in a moment."
                )
            body = await asyncio.to_thread(plain_body, http, self._max_body_bytes)
        except Exception as error:  # noqa: BLE001 - as in ask
            return refuser(explain(error))
        finally:
            self._waiting -= 1
        reply = self._route(http._replace(body=body, encoding=b""))
        return reply if isinstance(reply, Reply) else await reply

    def close(self) -> None:
        """Answer what waits in the lanes, then end their threads."""
        for lane in self._lanes.values():
            lane.close()

    def ask(
        self, dialect: Dialect, http: HttpRequest, model: str, version: int | None = None
    ) -> Reply | Awaitable[Reply]:
        """Answer a prediction request of any protocol.

        Args:
            dialect: Reads the request, and writes the answer.
            http: The request.
            model: The model's name.
            version: The version that is asked for; ``None`` leaves it to the deployment.
        """
        began_s = perf_counter()
        tally = self.tallies[""]
        try:
            lineup = self._plane.lineup(model)
            tally = self._tally(model)
            if http.method != "POST":
                reply = _wrong_method(http.method, "POST")
                tally.count_refusal(reply.status, perf_counter() - began_s)
                return reply
            lane = self._lane(model)
            if not lane.is_quick or len(http.body) > _INLINE_BYTES or dialect is self._arrow:
                return self._answer_later(lane, Question(lineup, dialect, http, version, began_s), tally)
            request = dialect.read(lineup.decoder, http)
            answer = self._plane.predict(lineup, request, began_s=began_s, version=version)
            reply = dialect.write(lineup.champion, request, answer)
            seconds = perf_counter() - began_s
            if len(answer.ids) == 1:
                lane.learn(seconds)
            tally.count_answer(len(answer.ids), answer.missing, seconds)
            return self._recorded(dialect, reply)
        except Exception as error:  # noqa: BLE001 - whatever a model or a project's code raises: logged, never shown
            return self._refuse(dialect, error, tally, began_s)

    async def _answer_later(self, lane: Lane, question: Question, tally: Tally) -> Reply:
        dialect = question.dialect
        self._waiting += 1
        try:
            if self._waiting > self._max_waiting:
                raise OverloadedError(
                    f"at most {self._max_waiting} requests may wait at once", remedy="Ask again in a moment."
                )
            async with asyncio.timeout(self._answer_s):
                request, answer = await lane.answer_later(question)
            reply = dialect.write(question.lineup.champion, request, answer)
            tally.count_answer(len(answer.ids), answer.missing, perf_counter() - question.began_s)
        except TimeoutError:
            late = OverloadedError(
                f"an answer must be there within {self._answer_s:g} seconds", remedy="Ask again in a moment."
            )
            return self._refuse(dialect, late, tally, question.began_s)
        except Exception as error:  # noqa: BLE001 - as in ask
            return self._refuse(dialect, error, tally, question.began_s)
        finally:
            self._waiting -= 1
        return self._recorded(dialect, reply)

    def _recorded(self, dialect: Dialect, reply: Reply) -> Reply:
        """A reply that must not be sent unless its record is on the disk, if that is what was asked for."""
        if not self._syncs:
            return reply
        return reply._replace(unless=lambda error: dialect.refuse(explain(error)))

    def _refuse(self, dialect: Dialect, error: Exception, tally: Tally, began_s: float) -> Reply:
        refusal = explain(error)
        tally.count_refusal(refusal.status, perf_counter() - began_s)
        return dialect.refuse(refusal)

    def _lane(self, model: str) -> Lane:
        try:
            return self._lanes[model]
        except KeyError:
            lane = self._lanes[model] = Lane(self._plane)
            return lane

    def _tally(self, model: str) -> Tally:
        try:
            return self.tallies[model]
        except KeyError:
            tally = self.tallies[model] = Tally()
            return tally

    async def _report(self, http: HttpRequest, model: str) -> Reply:
        if http.method != "POST":
            return _wrong_method(http.method, "POST")
        try:
            taken = self._intake.outcomes(self._plane.lineup(model), http.body)
            await self._recorder.on_disk()
        except Exception as error:  # noqa: BLE001 - as in ask
            return say(explain(error))
        self._tally(model).outcomes += taken.outcomes
        self._tally(model).new_class += taken.new_class
        return reply_json(taken)

    async def _push(self, http: HttpRequest, view: str) -> Reply:
        if http.method != "POST":
            return _wrong_method(http.method, "POST")
        self._waiting += 1
        try:
            if self._waiting > self._max_waiting:
                raise OverloadedError(
                    f"at most {self._max_waiting} requests may wait at once", remedy="Ask again in a moment."
                )
            return reply_json(await asyncio.to_thread(self._intake.push, view, http.body))
        except Exception as error:  # noqa: BLE001 - as in ask
            return say(explain(error))
        finally:
            self._waiting -= 1

    def _page(self, http: HttpRequest) -> Reply:
        path = http.path
        page = self._pages.get(path)
        if page is None and not path.startswith(_MODELS):
            named = (f"{_MODELS}{{model}}", f"{_PREDICT}{{model}}", f"{_OUTCOMES}{{model}}", f"{_FEATURES}{{view}}")
            known = [*self._pages, *named, "/v2", *sorted(PATHS)]
            return refuse(404, f"there is nothing at {path[:200]!r}; there is {', '.join(known)}", paths=known)
        if http.method not in {"GET", "HEAD"}:
            return _wrong_method(http.method, "GET, HEAD")
        try:
            return page(http) if page else reply_json(self._plane.lineup(path[len(_MODELS) :]).champion.describe())
        except EverfitError as error:
            return say(explain(error))

    def _index(self) -> Reply:
        models = [{"name": name, "version": each.champion.version} for name, each in self._plane.lineups.items()]
        return reply_json({"service": "everfit", "models": models})

    def _ready(self) -> Reply:
        self._plane.require_ready()
        return reply_json({"ready": True})


def _wrong_method(method: str, allowed: str) -> Reply:
    return refuse(405, f"the method must be {allowed}, but got {method!r}", (b"allow", allowed.encode()))
