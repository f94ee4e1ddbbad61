"""Callers who ask a running system without a pause, and never ask again: an answer that did not come is none."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import threading
from collections.abc import Callable
from typing import Any, Self

from tests.loop.parcels import MODEL, sent

_BATCH, _PAUSE_S = 8, 0.04


def parcels(number: int) -> tuple[str, list[dict[str, Any]]]:
    """Return the model and the rows of a request."""
    rows = sent(_BATCH, drones=0.0, seed=number).select("kind", "distance_km", quoted_minutes="minutes")
    return MODEL, rows.to_dicts()


def free_port() -> int:
    """One that nobody listens to now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Callers:
    """Ask until they are told to stop.

    Args:
        port: Of this machine.
        ask: Returns the model and the rows of a request by its number.
    """

    def __init__(self, port: int, ask: Callable[[int], tuple[str, list[dict[str, Any]]]] = parcels) -> None:
        self.answered: dict[str, int] = {}
        """The version that answered, by id."""
        self.unanswered = 0
        """How often nobody answered, or the answer was "not now"."""
        self.refusals: list[str] = []
        """What was answered otherwise; there should be none."""
        self._port = port
        self._ask = ask
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._call, name="callers", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)

    def _call(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        for number in itertools.count():
            if self._ended.wait(_PAUSE_S):
                break
            model, rows = self._ask(number)
            body = {"inputs": rows, "ids": [f"parcel-{number}-{each}" for each in range(len(rows))]}
            try:
                connection.request("POST", f"/predict/{model}", json.dumps(body))
                response = connection.getresponse()
                text = response.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                self.unanswered += len(rows)
                continue
            if response.status == http.client.OK:
                answer = json.loads(text)
                self.answered |= dict(zip(answer["ids"], _versions(answer), strict=True))
            elif response.status == http.client.SERVICE_UNAVAILABLE:
                self.unanswered += len(rows)
            else:
                self.refusals.append(text.decode())
        connection.close()


def _versions(answer: dict[str, Any]) -> list[int]:
    """Of each row: those of one request may be answered by several."""
    return answer.get("versions") or [answer["version"]] * len(answer["ids"])
