"""What callers of the real service get to see."""

from __future__ import annotations

import json
import logging
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from tests.serving.orders import ROW, TRUST, Shop, request_of
from tests.serving.process import MAX_BODY_BYTES, MAX_ROWS, Service, running

from everfit.artifact.package import open_package
from everfit.core.evidence import Arithmetic
from everfit.serving.http.connection import HttpRequest
from everfit.serving.http.responses import Response
from everfit.serving.inference.execution import LocalExecution


def post(service: Service, content: Any, model: str = "late") -> httpx.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return httpx.post(f"{service.url}/predict/{model}", content=body, timeout=30)


def get(service: Service, path: str) -> httpx.Response:
    return httpx.get(service.url + path, timeout=30)


def test_a_prediction(service: Service, shop: Shop) -> None:
    row = shop.frame.row(5, named=True)
    answer = post(service, {"inputs": [request_of(row, shop.schema)], "id": "mine"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    assert found["ids"] == ["mine"]
    assert found["version"] == 3
    np.testing.assert_allclose(found["predictions"], shop.native[5:6], atol=1e-9)


def test_one_object_is_one_row(service: Service) -> None:
    found = post(service, {"inputs": ROW}).json()
    assert len(found["predictions"]) == len(found["ids"]) == 1
    assert "missing" not in found
    assert post(service, {"inputs": ROW | {"kind": 99}}).json()["missing"] == {"demand": [0]}


def test_many_rows_in_a_body_that_is_answered_in_a_thread(service: Service, shop: Shop) -> None:
    rows = [request_of(row, shop.schema) for row in shop.frame.head(300).to_dicts()]
    found = post(service, {"inputs": rows}).json()
    np.testing.assert_allclose(found["predictions"], shop.native[:300], atol=1e-9)


def test_many_callers_at_once(service: Service, shop: Shop) -> None:
    rows = [request_of(row, shop.schema) for row in shop.frame.head(300).to_dicts()]
    with httpx.Client(base_url=service.url, timeout=30) as client, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda row: client.post("/predict/late", json={"inputs": row}).json(), rows))
    np.testing.assert_allclose([each["predictions"][0] for each in answers], shop.native[:300], atol=1e-9)
    assert len({each["ids"][0] for each in answers}) == 300


@pytest.mark.parametrize(
    ("content", "field", "words"),
    [
        (b"{", "body", "must be JSON"),
        (b'{"inputs": [NaN]}', "body", "NaN and Infinity do not exist"),
        ({"inputs": []}, "inputs", "at least one"),
        ({"inputs": [ROW | {"weight kg": "heavy"}]}, "inputs[0].weight kg", "a finite number or null, but got 'heavy'"),
        ({"inputs": [ROW | {"ordered_at": "2026-01-05T12:00:00"}]}, "inputs[0].ordered_at", "time zone"),
        ({"inputs": [{"shop": "shop-7"}]}, "inputs[0].kind", "must be given"),
        ({"inputs": ROW | {"colour": 1}}, "inputs.colour", "must not be given"),
    ],
)
def test_a_wrong_request_is_explained(service: Service, content: Any, field: str, words: str) -> None:
    answer = post(service, content)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert set(error) == {"field", "value", "expected", "message"}
    assert error["field"] == field
    assert words in error["message"]
    assert error["expected"] in error["message"]
    assert "Traceback" not in answer.text


def test_unknown_models_and_paths_name_what_exists(service: Service) -> None:
    for answer in (post(service, {"inputs": ROW}, model="latte"), get(service, "/models/latte")):
        assert answer.status_code == 404
        assert "'latte'" in answer.json()["error"]["message"]
        assert "Served are: late." in answer.json()["error"]["message"]
    nowhere = get(service, "/nowhere")
    assert nowhere.status_code == 404
    assert "/predict/{model}" in nowhere.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/predict/late", "POST"), ("DELETE", "/predict/late", "POST"), ("POST", "/metrics", "GET, HEAD")],
)
def test_a_wrong_method_names_the_right_one(service: Service, method: str, path: str, allowed: str) -> None:
    answer = httpx.request(method, service.url + path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed


def test_too_many_rows(service: Service) -> None:
    small = dict.fromkeys(ROW)
    answer = post(service, {"inputs": [small] * (MAX_ROWS + 1)})
    assert answer.status_code == 413
    assert f"at most {MAX_ROWS} rows" in answer.json()["error"]["message"]


@pytest.mark.parametrize("times", [2, 200])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_too_large_a_body(service: Service, times: int, is_chunked: bool) -> None:
    body = b" " * (MAX_BODY_BYTES * times)
    pieces = (body[start : start + 60_000] for start in range(0, len(body), 60_000))
    with httpx.Client(base_url=service.url, timeout=30) as client:
        answer = client.post("/predict/late", content=pieces if is_chunked else body)
        assert answer.status_code == 413
        assert f"at most {MAX_BODY_BYTES} bytes" in answer.json()["error"]["message"]
        assert client.post("/predict/late", json={"inputs": ROW}).status_code == 200


def test_a_caller_that_hangs_up_leaves_no_trace(service: Service) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    for _ in range(20):
        with socket.create_connection((host, int(port))) as caller:
            caller.sendall(b'POST /predict/late HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n{"inputs"')
    assert post(service, {"inputs": ROW}).status_code == 200
    assert 'status="500"' not in get(service, "/metrics").text


def test_health_and_descriptions(service: Service) -> None:
    assert get(service, "/health/live").json() == {"live": True}
    assert get(service, "/health/ready").json() == {"ready": True}
    assert httpx.head(f"{service.url}/health/ready").status_code == 200
    assert get(service, "/").json()["models"] == [{"name": "late", "version": 3}]
    described = get(service, "/models/late").json()
    assert described["form"] == "treelite"
    assert described["views"] == ["rating", "demand"]
    assert post(service, described["example"]).status_code == 200


def test_metrics_count_what_happened(service: Service) -> None:
    def value(name: str, labels: str) -> float:
        found = re.search(rf"^{name}{{{labels}}} (\S+)$", get(service, "/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    names = [
        ("everfit_requests_total", 'model="late",status="200"', 2),
        ("everfit_requests_total", 'model="late",status="422"', 1),
        ("everfit_requests_total", 'model="",status="404"', 1),
        ("everfit_rows_total", 'model="late"', 4),
        ("everfit_feature_missing_total", 'model="late",view="demand"', 2),
        ("everfit_request_seconds_count", 'model="late"', 3),
    ]
    before = [value(name, labels) for name, labels, _ in names]
    post(service, {"inputs": [ROW, ROW | {"kind": 99}, ROW | {"kind": 99}]})
    post(service, {"inputs": ROW})
    post(service, {"inputs": 5})
    post(service, {"inputs": ROW}, model="latte")
    gained = [value(name, labels) - earlier for (name, labels, _), earlier in zip(names, before, strict=True)]
    assert gained == [by for *_, by in names]
    text = get(service, "/metrics").text
    assert re.search(
        r'^everfit_model_version_info{digest="sha256:\w+",form="treelite",model="late",route="champion",version="3"} 1',
        text,
        re.M,
    )
    families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    explained = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP") and len(line.split()) > 3}
    assert families == explained


class Exploding:
    """A model that fails as a user's own class may."""

    runtime = "own"
    arithmetic: Arithmetic = "float64"

    def predict(self, matrix: Any) -> Any:
        raise ZeroDivisionError("the secret of the model")

    def predict_one(self, vector: Any) -> float:
        raise ZeroDivisionError("the secret of the model")


def test_a_failing_model_tells_the_log_and_not_the_caller(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    worker = shop.worker()
    champion = worker.data_plane.variants("late").champion
    champion._run_one = LocalExecution(Exploding(), open_package(shop.package, trust=TRUST).row_pipeline()).run_one
    request = HttpRequest("POST", "/predict/late", b"", [], json.dumps({"inputs": ROW}).encode())
    with caplog.at_level(logging.ERROR, logger="everfit.serving"):
        reply = worker.app.handle(request)
    assert isinstance(reply, Response)
    error = json.loads(reply.body)["error"]
    assert reply.status == 500
    assert "secret" not in json.dumps(error)
    assert error["id"] in caplog.text
    assert "ZeroDivisionError: the secret of the model" in caplog.text


def test_a_request_that_does_not_come(shop: Shop) -> None:
    with running(shop.folder, receive_seconds=0.2) as service:
        host, port = service.url.removeprefix("http://").split(":")
        for piece in (b"POST /pre", b'POST /predict/late HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n{"inputs"'):
            with socket.create_connection((host, int(port)), timeout=20) as caller:
                caller.sendall(piece)
                answer = b"".join(iter(lambda: caller.recv(65536), b""))
            assert answer.startswith(b"HTTP/1.1 408")
            assert b"within 0.2 seconds" in answer
        assert post(service, {"inputs": ROW}).status_code == 200
