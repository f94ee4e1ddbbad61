"""MLflow's scoring protocol: ``POST /invocations``, with the pages that its clients and platforms look at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import everfit
from everfit.core.errors import EverfitError, InvalidRequestError
from everfit.serving.http.responses import JSON, Refusal, Reply, explain, reply_json
from everfit.serving.protocols.mlflow.codec import CSV, CsvInvocations, JsonInvocations

if TYPE_CHECKING:
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.inference.data_plane import Plane
    from everfit.serving.protocols.codec import Dialect

    Ask = Callable[[Dialect, HttpRequest, str], Reply | Awaitable[Reply]]

PATHS = frozenset({"/ping", "/health", "/version", "/invocations"})


class Invocations:
    """Everything at :data:`PATHS`.

    Args:
        plane: What answers.
        ask: Answers a prediction request: dialect, request and model.
    """

    def __init__(self, plane: Plane, *, ask: Ask) -> None:
        self._plane = plane
        self._ask = ask
        self._json = JsonInvocations()
        self._dialects: Mapping[bytes, Dialect] = {JSON: self._json, CSV: CsvInvocations()}

    def handle(self, http: HttpRequest) -> Reply | Awaitable[Reply]:
        """Answer a request, at once or later; raises nothing."""
        try:
            if http.path == "/invocations":
                return self._invoke(http)
            allowed = ("GET", "HEAD") if http.path == "/version" else ("GET", "HEAD", "POST")
            if http.method not in allowed:
                return self._wrong_method(http, ", ".join(allowed))
            if http.path == "/version":
                return Reply(200, everfit.__version__.encode(), b"text/plain; charset=utf-8")
            self._plane.require_ready()
            return reply_json({"ready": True})
        except EverfitError as error:
            return self._json.refuse(explain(error))

    def refuse(self, refusal: Refusal) -> Reply:
        """A refusal in the protocol's form."""
        return self._json.refuse(refusal)

    def _invoke(self, http: HttpRequest) -> Reply | Awaitable[Reply]:
        if http.method != "POST":
            return self._wrong_method(http, "POST")
        media_type, _, options = http.header(b"content-type").lower().partition(b";")
        dialect = self._dialects.get(media_type.strip())
        is_utf8 = b"charset" not in options or b"utf-8" in options or b"utf8" in options
        if dialect is None or not is_utf8:
            rule = "the content-type must be application/json or text/csv in UTF-8"
            return self._json.refuse(Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, rule))
        return self._ask(dialect, http, self._model(http.query))

    def _model(self, query: bytes) -> str:
        try:
            named = parse_qs(query.decode("ascii"), keep_blank_values=True, max_num_fields=20).get("model")
        except ValueError as problem:
            raise InvalidRequestError("must be a query such as ?model=NAME", place="query") from problem
        if named:
            if len(named) > 1:
                raise InvalidRequestError("must be named once", value=named[:5], place="model")
            return named[0]
        served = list(self._plane.lineups)
        if not served:
            self._plane.require_ready()
        if len(served) != 1:
            raise InvalidRequestError(
                f"must be named, as in /invocations?model={served[0]}: served are {', '.join(served)}", place="model"
            )
        return served[0]

    def _wrong_method(self, http: HttpRequest, allowed: str) -> Reply:
        rule = f"the method must be {allowed}, but got {http.method!r}"
        return self._json.refuse(Refusal(405, rule, headers=((b"allow", allowed.encode()),)))
