"""The request bodies that MLflow documents, and what its platforms look at."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serving.orders import ROW, Shop, request_of
from tests.serving.process import MAX_BODY_BYTES, MAX_ROWS, Service
from tests.serving.test_arrow import mutated

from everfit.serving.http.connection import HttpRequest
from everfit.serving.http.responses import Response


def invoke(service: Service, content: Any, content_type: str = "application/json", **headers: str) -> httpx.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    with httpx.Client(verify=False, timeout=30) as client:  # certificates, which no one asks for, take long to read
        return client.post(f"{service.url}/invocations", content=body, headers={"content-type": content_type} | headers)


def rows_of(shop: Shop, count: int = 200) -> list[dict[str, Any]]:
    return [request_of(row, shop.schema) for row in shop.frame.head(count).to_dicts()]


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def test_every_json_body(service: Service, shop: Shop) -> None:
    rows = rows_of(shop)
    names = list(rows[0])
    split = {"columns": names, "index": list(range(200)), "data": [list(row.values()) for row in rows]}
    columns = {name: [row[name] for row in rows] for name in names}
    for content in (
        {"dataframe_split": split},
        {"dataframe_records": rows},
        {"instances": rows, "params": {}},
        {"inputs": columns, "params": None},
        {"inputs": rows},
    ):
        answer = invoke(service, content, "application/json; charset=utf-8")
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) == {"predictions"}
        np.testing.assert_allclose(answer.json()["predictions"], shop.native[:200], atol=1e-9)
    one = invoke(service, {"inputs": ROW}).json()["predictions"]
    assert one == invoke(service, {"inputs": [ROW]}).json()["predictions"]


def test_integers_as_pandas_writes_them_beside_a_gap(service: Service) -> None:
    plain = invoke(service, {"dataframe_records": [ROW, ROW | {"kind": None}]}).json()
    assert invoke(service, {"dataframe_records": [ROW | {"kind": 3.0}, ROW | {"kind": None}]}).json() == plain
    assert invoke(service, {"dataframe_records": [ROW | {"kind": 3.5}]}).status_code == 422


def test_csv(service: Service, shop: Shop) -> None:
    rows = rows_of(shop)
    for body in (as_csv(rows), b"\xef\xbb\xbf" + as_csv(rows).replace(b"\r\n", b"\n") + b"\n"):
        answer = invoke(service, body, "text/csv")
        assert answer.status_code == 200, answer.text
        np.testing.assert_allclose(answer.json()["predictions"], shop.native[:200], atol=1e-9)


def test_csv_as_pandas_writes_it(service: Service) -> None:
    expected = invoke(service, {"inputs": ROW}).json()
    header = "shop,kind,weight kg,express,ordered_at,wanted_on\n"
    for line in (
        "shop-7,3,1.5,True,2026-01-05 12:00:00+00:00,2026-01-06",
        'shop-7,3.0,"1.5",1,2026-01-05T12:00:00Z,2026-01-06',
    ):
        answer = invoke(service, (header + line).encode(), "text/csv")
        assert answer.json() == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "must be JSON"),
        (b'{"inputs": [NaN]}', "must be JSON"),
        ([], "must be JSON with rows"),
        ({}, "must have exactly one of dataframe_split"),
        ({"inputs": ROW, "instances": [ROW]}, "must have exactly one of"),
        ({"input": ROW}, "unknown field `input`"),
        ({"inputs": ROW, "params": {"threshold": 1}}, "params: must be empty"),
        ({"instances": [[1, 2, 3]]}, "must be JSON with rows of named values"),
        ({"inputs": []}, "at least one"),
        ({"inputs": {}}, "columns of one length"),
        ({"inputs": ROW | {"kind": [1, 2]}}, "columns of one length"),
        ({"dataframe_split": {"columns": list(ROW), "data": [[1]]}}, "a value for each of 6 columns, but got 1"),
        ({"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}, "must name every column once"),
        ({"dataframe_records": [ROW | {"colour": 1}]}, "inputs[0].colour: must not be given"),
        ({"dataframe_records": [{"shop": "x"}]}, "inputs[0].kind: must be given"),
        ({"dataframe_records": [ROW | {"kind": "3"}]}, "inputs[0].kind: must be an integer"),
        ({"dataframe_records": [ROW | {"express": 1}]}, "inputs[0].express: must be true, false or null"),
    ],
)
def test_wrong_json(service: Service, content: Any, words: str) -> None:
    answer = invoke(service, content)
    assert answer.status_code == 422
    assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    assert words in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "inputs"),
        (b"shop,kind\n", "at least one"),
        (b"shop,kind\nx\n", "row 1: must have a value for each of 2 columns, but got 1"),
        (b"shop,shop\nx,y\n", "header: must name every column once"),
        (b'shop,kind\n"x,y\n', "must be CSV in UTF-8"),
        (b"shop,kind\n\xff,y\n", "must be CSV in UTF-8"),
        (b"shop,kind\nx,many\n", "inputs[0].kind: must be an integer"),
        (as_csv([ROW | {"weight kg": "nan"}]), "must be a finite number"),
        (as_csv([ROW | {"ordered_at": "2026-01-05 12:00:00"}]), "an instant with a time zone"),
    ],
)
def test_wrong_csv(service: Service, body: bytes, words: str) -> None:
    answer = invoke(service, body, "text/csv")
    assert answer.status_code == 422
    assert words in answer.json()["message"]


def test_other_content_types_methods_and_sizes(service: Service) -> None:
    for content_type in ("", "text/plain", "application/x-ndjson", "text/csv; charset=latin-1"):
        answer = invoke(service, {"inputs": ROW}, content_type)
        assert answer.status_code == 415
        assert "application/json or text/csv" in answer.json()["message"]
    assert invoke(service, {"inputs": ROW}, **{"content-encoding": "br"}).status_code == 415
    packed = gzip.compress(json.dumps({"inputs": ROW}).encode())
    assert invoke(service, packed, **{"content-encoding": "gzip"}).status_code == 200
    assert invoke(service, gzip.compress(b" " * MAX_BODY_BYTES * 9), **{"content-encoding": "gzip"}).status_code == 413
    assert httpx.get(f"{service.url}/invocations").status_code == 405
    many = as_csv([dict.fromkeys(ROW, "")] * (MAX_ROWS + 1))
    answer = invoke(service, many, "text/csv")
    assert (answer.status_code, answer.json()["error_code"]) == (413, "REQUEST_LIMIT_EXCEEDED")


def test_pages_that_platforms_look_at(service: Service) -> None:
    for path in ("/ping", "/health"):
        for method in ("GET", "POST", "HEAD"):
            assert httpx.request(method, service.url + path).status_code == 200
        assert httpx.delete(service.url + path).status_code == 405
    assert httpx.get(f"{service.url}/version").text.count(".") == 2


def test_which_model(service: Service) -> None:
    url = f"{service.url}/invocations"
    assert httpx.post(f"{url}?model=late", json={"inputs": ROW}).status_code == 200
    unknown = httpx.post(f"{url}?model=latte", json={"inputs": ROW})
    assert (unknown.status_code, unknown.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert "Served are: late." in unknown.json()["message"]
    assert httpx.post(f"{url}?model=%FF", json={"inputs": ROW}).status_code == 404


def test_the_model_must_be_named_among_several(shop: Shop) -> None:
    worker = shop.worker()
    data_plane = worker.data_plane
    variants = data_plane.variants("late")

    def post(query: bytes) -> Response:
        body = json.dumps({"instances": [ROW]}).encode()
        http = HttpRequest("POST", "/invocations", query, [(b"content-type", b"application/json")], body)
        response = worker.app.handle(http)
        assert isinstance(response, Response)
        return response

    assert post(b"").status == 200
    data_plane.models = {"late": variants, "early": variants}
    assert post(b"model=early").status == 200
    unnamed = post(b"")
    assert unnamed.status == 422
    assert b"served are late, early" in unnamed.body
    assert post(b"&".join([b"a=1"] * 50)).status == 422
    data_plane.models = {}
    assert post(b"").status == 503


@pytest.fixture(scope="module")
def bodies(shop: Shop) -> list[tuple[str, bytes]]:
    """Path and valid body, of every JSON and CSV form."""
    rows = rows_of(shop, 3)
    names = list(rows[0])
    forms = {
        "dataframe_split": {"columns": names, "data": [list(row.values()) for row in rows]},
        "dataframe_records": rows,
        "instances": rows,
        "inputs": {name: [row[name] for row in rows] for name in names},
    }
    return [
        *(("application/json", json.dumps({form: value}).encode()) for form, value in forms.items()),
        ("text/csv", as_csv(rows)),
    ]


def test_changed_bodies_never_break_the_service(service: Service, bodies: list[tuple[str, bytes]]) -> None:
    dice = random.Random(0)
    with httpx.Client(base_url=service.url, timeout=30) as client:
        for seed in range(600):
            content_type, body = dice.choice(bodies)
            answer = client.post("/invocations", content=mutated(body, seed), headers={"content-type": content_type})
            assert answer.status_code in {200, 413, 422}, answer.text


@settings(deadline=None, max_examples=200)
@given(body=st.binary(max_size=200), content_type=st.sampled_from(["application/json", "text/csv"]))
def test_any_bytes_are_refused(service: Service, body: bytes, content_type: str) -> None:
    answer = invoke(service, body, content_type)
    assert answer.status_code == 422


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*ROW, "columns", "data"]), inner),
    max_leaves=20,
)


@settings(deadline=None, max_examples=200)
@given(form=st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs", "params"]), value=JSON)
def test_any_json_is_refused(service: Service, form: str, value: Any) -> None:
    assert invoke(service, {form: value}).status_code == 422
