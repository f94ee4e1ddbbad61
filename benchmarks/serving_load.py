"""Asks a service as fast as it answers: ``python -m benchmarks.serving_load URL BODY_FILE CONNECTIONS SECONDS``.

Each connection sends its next request as soon as its answer is there. One thread, epoll and bare sockets, so that the
client needs less of a processor than any service it asks.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit


def ask(url: str, body: bytes, *, connections: int, seconds: float) -> dict[str, float]:
    """Requests a second, and the latencies' median and 99th percentile in microseconds."""
    where = urlsplit(url)
    head = f"POST {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    address = (where.hostname or "", where.port or 80)
    callers = {caller.fileno(): caller for caller in (socket.create_connection(address) for _ in range(connections))}
    poll = select.epoll()
    sent: dict[int, int] = {}
    for number, caller in callers.items():
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(number, select.EPOLLIN)
        sent[number] = time.perf_counter_ns()
        caller.sendall(request)
    taken: list[int] = []
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        for number, _ in poll.poll(1.0):
            _read(callers[number])
            now = time.perf_counter_ns()
            taken.append(now - sent[number])
            sent[number] = now
            callers[number].sendall(request)
    elapsed = time.perf_counter() - began
    for caller in callers.values():
        caller.close()
    taken.sort()
    return {
        "per_second": len(taken) / elapsed,
        "p50_us": taken[len(taken) // 2] / 1e3,
        "p99_us": taken[len(taken) * 99 // 100] / 1e3,
    }


def _read(caller: socket.socket) -> None:
    """One whole answer, which must be a success."""
    answer = caller.recv(65536)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"the service answered {answer[:300]!r}")
    head, _, body = answer.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += caller.recv(65536)


if __name__ == "__main__":
    url, file, connections, seconds = sys.argv[1:]
    print(json.dumps(ask(url, Path(file).read_bytes(), connections=int(connections), seconds=float(seconds))))
