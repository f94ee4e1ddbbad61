"""Routes as rows of a table, and the match of a path against them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

from everfit.serving.http.responses import JSON

OPEN_INFERENCE, MLFLOW = "Open Inference Protocol", "MLflow"
"""Tags of the routes of other protocols; those with another tag are Everfit's own."""
RELEASES = "Releases"
"""Tag of the routes that exist only while there is a webhook secret."""
_MOST_MATCHES = 1024
"""Matches that are kept; one for each path that clients use in practice."""


class Bodies(NamedTuple):
    """Content types that a route takes and gives, and its errors."""

    takes: tuple[bytes, ...] = ()
    """Empty if the route reads no body."""
    gives: tuple[bytes, ...] = (JSON,)
    errors: tuple[int, ...] = ()
    """Statuses of the route's own errors, besides those of the connection."""
    status: int = 200
    """Status of success."""
    is_signed: bool = False
    """The handler gets the body as it was sent, still compressed if it was: that is what a signature is made of."""


class Route(NamedTuple):
    """One method of one path."""

    tag: str
    """Group in the OpenAPI document; it defines the form of the errors."""
    method: Literal["GET", "POST"]
    """A route for GET is one for HEAD, too."""
    path: str
    """With parameters such as ``{model}``."""
    handler: Callable[..., Any]
    """Method of the protocol's endpoints; takes the request and the path's parameters, and returns a response or an
    awaitable of it."""
    operation: str
    """The OpenAPI document's ``operationId``; with ``{model}`` or ``{view}`` there is one operation for each."""
    summary: str
    bodies: Bodies


class Match(NamedTuple):
    """The routes of a path by method, and the path's parameters in their order."""

    routes: Mapping[str, Route]
    parameters: tuple[str, ...]

    @property
    def allowed(self) -> str:
        """Value of the header ``Allow``."""
        return ", ".join(method for method in ("GET", "HEAD", "POST") if method in self.routes)


class Router:
    """Index of a table of routes. A literal segment goes before a parameter."""

    def __init__(self, routes: Iterable[Route]) -> None:
        table: dict[tuple[str, ...], dict[str, Route]] = {}
        for route in routes:
            methods = ("GET", "HEAD") if route.method == "GET" else ("POST",)
            table.setdefault(tuple(route.path.split("/")[1:]), {}).update(dict.fromkeys(methods, route))
        self._table = sorted(table.items(), key=lambda entry: [part.startswith("{") for part in entry[0]])
        self._matches: dict[str, Match | None] = {}

    def match(self, path: str) -> Match | None:
        """Return the routes of a percent-encoded path; ``None`` if there are none. A trailing slash changes nothing."""
        try:
            return self._matches[path]
        except KeyError:
            if len(self._matches) >= _MOST_MATCHES:
                self._matches.clear()
            root, *segments = map(unquote, path.rstrip("/").split("/"))
            found = self._matches[path] = None if root else self._find(segments or [""])
            return found

    def _find(self, segments: Sequence[str]) -> Match | None:
        for parts, routes in self._table:
            if len(parts) == len(segments):
                pairs = list(zip(parts, segments, strict=True))
                if all(segment if part.startswith("{") else part == segment for part, segment in pairs):
                    return Match(routes, tuple(segment for part, segment in pairs if part.startswith("{")))
        return None
