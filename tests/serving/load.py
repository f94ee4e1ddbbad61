"""Asks a service as fast as it answers, every request with an id of its own, and remembers what it was told.

``python -m tests.serving.load URL CONNECTIONS SECONDS < BODY`` prints what :class:`OutcomeReport` holds, as JSON.
"""

from __future__ import annotations

import json
import re
import select
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
from msgspec import Struct

_VERSION = re.compile(rb'"version":(\d+)')


class OutcomeReport(Struct):
    """What came of it."""

    answered: dict[str, int] = {}
    """The version that answered, by the id."""
    failed: list[str] = []
    """Answers other than 200."""
    dropped: int = 0
    """Connections that ended before the answer."""
    longest_ms: float = 0.0
    """From a question to its answer."""

    @property
    def versions(self) -> Counter[int]:
        return Counter(self.answered.values())


class _Caller:
    def __init__(self, address: tuple[str, int], path: str, row: Any, name: str) -> None:
        self._address = address
        self._path = path
        self._row = json.dumps(row)
        self._name = name
        self._count = 0
        self.connect()

    def connect(self) -> None:
        self.socket = socket.create_connection(self._address, timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._got = b""

    def ask(self) -> None:
        self._count += 1
        self.id = f"{self._name}-{self._count}"
        body = f'{{"inputs": {self._row}, "id": "{self.id}"}}'
        head = f"POST {self._path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        self.began_s = time.perf_counter()
        self.socket.sendall((head + body).encode())

    def hear(self) -> bytes | None:
        """The whole answer; nothing while it is not whole."""
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionResetError
        self._got += piece
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]):
            return None
        answer, self._got = self._got, b""
        return answer


def ask(url: str, row: Any, *, connections: int, seconds: float) -> OutcomeReport:
    """Ask until the time is over; the last answers are waited for."""
    where = urlsplit(url)
    address = (where.hostname or "", where.port or 80)
    names = uuid4().hex[:8]
    callers = [_Caller(address, where.path, row, f"{names}-{number}") for number in range(connections)]
    poll = select.epoll()
    told = OutcomeReport()
    by_number: dict[int, _Caller] = {}

    def begin(caller: _Caller) -> None:
        while True:
            try:
                by_number[caller.socket.fileno()] = caller
                poll.register(caller.socket.fileno(), select.EPOLLIN)
                caller.ask()
            except OSError:
                end(caller)
                caller.connect()
            else:
                return

    def end(caller: _Caller) -> None:
        told.dropped += 1
        by_number.pop(caller.socket.fileno())
        caller.socket.close()

    for caller in callers:
        begin(caller)
    over_s = time.perf_counter() + seconds
    while by_number:
        for number, _ in poll.poll(1.0):
            caller = by_number[number]
            try:
                answer = caller.hear()
            except OSError:
                end(caller)
                if time.perf_counter() < over_s:
                    caller.connect()
                    begin(caller)
                continue
            if answer is None:
                continue
            told.longest_ms = max(told.longest_ms, (time.perf_counter() - caller.began_s) * 1e3)
            version = _VERSION.search(answer)
            if answer.startswith(b"HTTP/1.1 200") and version:
                told.answered[caller.id] = int(version[1])
            else:
                told.failed.append(answer[:300].decode(errors="replace"))
            if time.perf_counter() < over_s:
                caller.ask()
            else:
                by_number.pop(number)
                caller.socket.close()
    return told


@contextmanager
def load(url: str, row: Any, *, connections: int = 16, seconds: float) -> Iterator[list[OutcomeReport]]:
    """Ask from a process of its own meanwhile; afterwards the list holds what was told."""
    told: list[OutcomeReport] = []
    words = [sys.executable, "-m", "tests.serving.load", url, str(connections), str(seconds)]
    process = subprocess.Popen(
        words, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(row))
    process.stdin.close()
    process.stdin = None
    try:
        yield told
        out, _ = process.communicate(timeout=seconds + 60)
        told.append(msgspec.json.decode(out, type=OutcomeReport))
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


if __name__ == "__main__":
    given_url, given_connections, given_seconds = sys.argv[1:]
    found = ask(given_url, json.load(sys.stdin), connections=int(given_connections), seconds=float(given_seconds))
    sys.stdout.write(msgspec.json.encode(found).decode())
