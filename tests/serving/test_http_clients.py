"""Requests as the HTTP clients of other languages send them, byte by byte."""

from __future__ import annotations

import gzip
import json
import socket
import zlib
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.serving.orders import ROW
from tests.serving.process import MAX_BODY_BYTES, Service

BODY = json.dumps({"inputs": ROW}).encode()
H2C = "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAAA\r\n"
PredictionResponse = tuple[int, dict[str, str], bytes]


class Caller:
    """A raw connection."""

    def __init__(self, service: Service) -> None:
        parts = urlsplit(service.url)
        self.socket = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20)
        self._file = self.socket.makefile("rb")

    def send(self, head: str, body: bytes = b"") -> None:
        self.socket.sendall(head.encode("latin-1") + b"\r\n" + body)

    def answer(self, *, head_only: bool = False) -> PredictionResponse:
        status = int(self._file.readline().split()[1])
        headers: dict[str, str] = {}
        while (line := self._file.readline()) != b"\r\n":
            name, _, value = line.decode("latin-1").partition(":")
            headers[name] = value.strip()
        size = 0 if head_only or status == 100 else int(headers["content-length"])
        return status, headers, self._file.read(size)

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def rest(self) -> bytes:
        """All that comes until the service closes."""
        return self._file.read()

    def ask(self, head: str, body: bytes = b"") -> PredictionResponse:
        self.send(head, body)
        return self.answer()


@pytest.fixture
def caller(service: Service) -> Any:
    with Caller(service) as caller:
        yield caller


def post(path: str, body: bytes, *, version: str = "1.1", more: str = "") -> tuple[str, bytes]:
    return f"POST {path} HTTP/{version}\r\nhost: x\r\ncontent-length: {len(body)}\r\n{more}", body


def predicted(answer: PredictionResponse) -> bool:
    return answer[0] == 200 and "predictions" in json.loads(answer[2])


@pytest.mark.parametrize("upgrade", [H2C, "upgrade: websocket\r\nconnection: keep-alive, Upgrade\r\n"])
def test_an_upgrade_is_ignored_and_the_connection_kept(caller: Caller, upgrade: str) -> None:
    for _ in range(2):
        assert predicted(caller.ask(*post("/predict/late", BODY, more=upgrade)))
        status, headers, body = caller.ask(f"GET /health/live HTTP/1.1\r\nhost: x\r\n{upgrade}")
        assert (status, json.loads(body)) == (200, {"live": True})
        assert "connection" not in headers
    caller.socket.shutdown(socket.SHUT_WR)
    assert caller.rest() == b""


def test_an_upgrade_that_comes_in_pieces_or_in_chunks_or_with_others(caller: Caller) -> None:
    head, body = post("/predict/late", BODY, more=H2C)
    whole = head.encode() + b"\r\n" + body
    for place in range(0, len(whole), 50):
        caller.socket.sendall(whole[place : place + 50])
    assert predicted(caller.answer())
    chunks = b"%x\r\n%b\r\n5\r\n%b\r\n0\r\n\r\n" % (len(BODY) - 5, BODY[:-5], BODY[-5:])
    chunked = f"POST /predict/late HTTP/1.1\r\nhost: x\r\n{H2C}transfer-encoding: chunked\r\n"
    # Many at once are neither recursion nor answered twice.
    live = f"GET /health/live HTTP/1.1\r\nhost: x\r\n{H2C}\r\n"
    caller.socket.sendall(chunked.encode() + b"\r\n" + chunks + live.encode() * 2000 + whole)
    assert predicted(caller.answer())
    assert all(caller.answer()[0] == 200 for _ in range(2000))
    assert predicted(caller.answer())
    caller.socket.shutdown(socket.SHUT_WR)
    assert caller.rest() == b""


def test_an_upgrade_loosens_no_limit(service: Service) -> None:
    for more, expected in (
        (f"{H2C}content-length: {MAX_BODY_BYTES + 1}\r\n", 413),
        (f"{H2C}content-length: 2\r\ntransfer-encoding: chunked\r\n", 400),
        (f"{H2C}x: {'x' * 40_000}\r\n", 431),
    ):
        with Caller(service) as caller:
            assert caller.ask(f"POST /predict/late HTTP/1.1\r\nhost: x\r\n{more}", b"{}")[0] == expected
            assert caller.rest() == b""
    with Caller(service) as caller:
        assert caller.ask("CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n")[0] == 405
        assert caller.rest() == b""


def test_an_upgrade_waits_to_be_told_to_go_on(caller: Caller) -> None:
    head, _ = post("/predict/late", BODY, more=H2C + "expect: 100-Continue\r\n")
    caller.send(head)
    assert caller.answer()[0] == 100
    caller.socket.sendall(BODY)
    assert predicted(caller.answer())


def test_http_1_0_is_told_that_the_connection_stays_or_finds_it_closed(service: Service, caller: Caller) -> None:
    for _ in range(2):
        answer = caller.ask(*post("/predict/late", BODY, version="1.0", more="Connection: Keep-Alive\r\n"))
        assert predicted(answer)
        assert answer[1]["connection"] == "keep-alive"
    for more in ("", "connection: close\r\n"):
        with Caller(service) as other:
            answer = other.ask(*post("/predict/late", BODY, version="1.0", more=more))
            assert predicted(answer)
            assert answer[1]["connection"] == "close"
            assert other.rest() == b""
    # HTTP/1.0 knows no 100.
    assert predicted(caller.ask(*post("/predict/late", BODY, version="1.0", more="expect: 100-continue\r\n")))


def test_absolute_targets_and_trailing_slashes(caller: Caller) -> None:
    for target in (
        "http://any.host:8000/predict/late",
        "HTTP://[::1]/predict/late/",
        "/predict/late/",
        "/predict/l%61te",
    ):
        assert predicted(caller.ask(*post(target, BODY))), target
    for target in ("http://any.host", "https://any.host/", "http://any.host?x=/predict"):
        status, _, body = caller.ask(f"GET {target} HTTP/1.1\r\nhost: x\r\n")
        assert (status, json.loads(body)["service"]) == (200, "everfit"), target
    assert caller.ask("GET /v2/health/ready/ HTTP/1.1\r\nhost: x\r\n")[0] == 200
    assert caller.ask("GET /models/late/ HTTP/1.1\r\nhost: x\r\n")[0] == 200
    assert caller.ask("OPTIONS * HTTP/1.1\r\nhost: x\r\n")[0] == 404
    assert caller.ask("GET ftp://any.host/models/late HTTP/1.1\r\nhost: x\r\n")[0] == 404


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


FRAME = json.dumps({"dataframe_records": [ROW]}).encode()
KINDS = {str: "BYTES", bool: "BOOL", int: "INT64", float: "FP64"}
TENSORS = json.dumps(
    {"inputs": [{"name": n, "shape": [1], "datatype": KINDS[type(v)], "data": [v]} for n, v in ROW.items()]}
).encode()
OUTCOME = json.dumps({"id": "compressed", "value": True}).encode()
PUSH = json.dumps(
    {"rows": [{"shop": "shop-7", "event_time": "2026-01-01T00:00:00Z", "stars": 1.0, "chain": "chain-1"}]}
).encode()
ROUTES = [
    ("/predict/late", BODY, ""),
    ("/v2/models/late/infer", TENSORS, ""),
    ("/invocations", FRAME, "Content-Type: application/json; charset=UTF-8\r\n"),
    ("/outcomes/late", OUTCOME, ""),
    ("/features/rating", PUSH, ""),
]


@pytest.mark.parametrize(("path", "body", "more"), ROUTES, ids=[route[0] for route in ROUTES])
def test_compressed_bodies_on_every_route(caller: Caller, path: str, body: bytes, more: str) -> None:
    for name, packed in (
        ("gzip", gzip.compress(body)),
        ("X-Gzip", gzip.compress(body)),
        ("deflate", zlib.compress(body)),
        ("Deflate", raw_deflate(body)),
        ("identity", body),
    ):
        status, _, said = caller.ask(*post(path, packed, more=f"{more}Content-Encoding: {name}\r\n"))
        assert status == 200, said
    for name in ("br", "zstd", "gzip, gzip", "gzip\r\ncontent-encoding: deflate", "rot13"):
        status, headers, said = caller.ask(*post(path, gzip.compress(body), more=f"{more}content-encoding: {name}\r\n"))
        assert (status, headers["accept-encoding"]) == (415, "gzip, deflate"), said
    bomb = gzip.compress(bytes(MAX_BODY_BYTES + 1))
    for wrong, expected in (
        (bomb, 413),
        (zlib.compress(bytes(10**7)), 422),
        (b"\x1f\x8bno", 422),
        (gzip.compress(body)[:-9], 422),
    ):
        status, _, said = caller.ask(*post(path, wrong, more=f"{more}content-encoding: gzip\r\n"))
        assert status == expected, said
    assert caller.ask(*post(path, body, more=more))[0] == 200


def test_refusals_of_compressed_bodies_speak_the_protocol(caller: Caller) -> None:
    more = "content-encoding: br\r\n"
    assert isinstance(json.loads(caller.ask(*post("/v2/models/late/infer", TENSORS, more=more))[2])["error"], str)
    assert "error_code" in json.loads(caller.ask(*post("/invocations", FRAME, more=more))[2])
    assert "message" in json.loads(caller.ask(*post("/predict/late", BODY, more=more))[2])["error"]


def test_what_cannot_be_read_is_refused_and_the_connection_closed(service: Service) -> None:
    for head, expected in (
        (
            f"POST /predict/late HTTP/1.1\r\nhost: x\r\ncontent-length: {len(BODY)}\r\ntransfer-encoding: chunked\r\n",
            400,
        ),
        (f"POST /predict/late HTTP/1.1\r\nhost: x\r\ncontent-length: {len(BODY)}\r\ncontent-length: 3\r\n", 400),
        ("POST /predict/late HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n", 501),
        (f"POST /predict/late HTTP/1.1\r\nhost: x\r\ncontent-length: {len(BODY)}\r\nexpect: tea\r\n", 417),
        ("PRI * HTTP/2.0\r\n", 400),
    ):
        with Caller(service) as caller:
            status, headers, _ = caller.ask(head, BODY)
            assert (status, headers["connection"]) == (expected, "close"), head
            assert caller.rest() == b""


def test_a_chunked_body_with_extensions_trailers_and_odd_case(caller: Caller) -> None:
    head = "POST /predict/late HTTP/1.1\r\nHOST: x\r\nTRANSFER-ENCODING: Chunked\r\nContent-Type: APPLICATION/JSON\r\n"
    body = b"%X;a=b\r\n%b\r\n0\r\nx-sum: 1\r\n\r\n" % (len(BODY), BODY)
    assert predicted(caller.ask(head, body))
    caller.send("HEAD /health/ready HTTP/1.1\r\nhost: x\r\n")
    status, headers, _ = caller.answer(head_only=True)
    assert (status, int(headers["content-length"]) > 0) == (200, True)
    assert predicted(caller.ask(*post("/predict/late", BODY)))
