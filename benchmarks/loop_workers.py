"""When each of a service's workers answers with another version: they share a port, so every one is asked apart."""

from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import ExitStack, closing
from typing import Self
from urllib.parse import urlsplit

import psutil

_MOST_TRIES = 400
_LOOK_S = 0.002


class WorkerAnswers:
    """Asks every worker again and again, over a connection that it has with each, from entering to leaving.

    Args:
        url: Where the service is.
        supervisor: The process below which its workers are.
        workers: How many.
        model: Which to ask.
        row: What to ask.

    Raises:
        RuntimeError: If some worker takes no connection.
    """

    def __init__(self, url: str, supervisor: int, *, workers: int, model: str, row: dict[str, float]) -> None:
        self._address = urlsplit(url)
        self._supervisor = supervisor
        self._workers = workers
        self._path = f"/predict/{model}"
        self._body = json.dumps({"inputs": [row]})
        self._stop = threading.Event()
        self._first: dict[tuple[int, int], float] = {}
        self._threads: list[threading.Thread] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for number, connection in self._connections().items():
            thread = threading.Thread(target=self._ask, args=(number, connection))
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._stack.close()

    def all_at(self, version: int, *, seconds: float) -> float:
        """The instant, as ``time.time`` tells it, from which on all workers answer with a version.

        Raises:
            RuntimeError: If one does not in time.
        """
        deadline_s = time.monotonic() + seconds
        while time.monotonic() < deadline_s:
            at = [when for (_, seen), when in self._first.copy().items() if seen == version]
            if len(at) == self._workers:
                return max(at)
            time.sleep(_LOOK_S)
        raise RuntimeError(f"all {self._workers} workers must answer with version {version}: {self._first}")

    def _ask(self, number: int, connection: http.client.HTTPConnection) -> None:
        while not self._stop.wait(_LOOK_S):
            connection.request("POST", self._path, self._body, {"Content-Type": "application/json"})
            version = json.load(connection.getresponse())["version"]
            self._first.setdefault((number, version), time.time())

    def _connections(self) -> dict[int, http.client.HTTPConnection]:
        """One with each worker, by its process."""
        found: dict[int, http.client.HTTPConnection] = {}
        for _ in range(_MOST_TRIES):
            connection = http.client.HTTPConnection(self._address.hostname or "", self._address.port, timeout=10)
            self._stack.enter_context(closing(connection))
            connection.request("POST", self._path, self._body, {"Content-Type": "application/json"})
            connection.getresponse().read()
            own_port = connection.sock.getsockname()[1]
            for number in self._who_talks_to(own_port):
                found.setdefault(number, connection)
            if len(found) == self._workers:
                return found
        raise RuntimeError(f"every worker must take a connection, but {len(found)} of {self._workers} did")

    def _who_talks_to(self, port: int) -> list[int]:
        return [
            each.pid
            for each in psutil.Process(self._supervisor).children()
            if "worker" in each.cmdline()
            if any(line.raddr and line.raddr.port == port for line in each.net_connections("tcp"))
        ]
