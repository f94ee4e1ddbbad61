"""The Open Inference Protocol as its clients speak it."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
import tritonclient.http as triton  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serving.orders import ROW, Shop, request_of
from tests.serving.process import MAX_BODY_BYTES, MAX_ROWS, Service, running
from tests.serving.test_arrow import mutated
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

HEAD = "inference-header-content-length"
DATATYPES = {
    "string": "BYTES",
    "integer": "INT64",
    "number": "FP64",
    "boolean": "BOOL",
    "instant": "BYTES",
    "date": "BYTES",
}


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(service.url.removeprefix("http://"), network_timeout=30) as opened:
        yield opened


def tensors_of(shop: Shop, frame: pl.DataFrame) -> list[dict[str, Any]]:
    rows = [request_of(row, shop.schema) for row in frame.to_dicts()]
    return [
        {
            "name": field.name,
            "shape": [len(rows)],
            "datatype": DATATYPES[field.type],
            "data": [row[field.name] for row in rows],
        }
        for field in shop.schema.request
    ]


def infer(service: Service, content: Any, *, path: str = "models/late/infer", **headers: str) -> httpx.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return httpx.post(f"{service.url}/v2/{path}", content=body, headers=headers, timeout=30)


def without_gaps(shop: Shop) -> tuple[pl.DataFrame, np.ndarray[Any, Any]]:
    """Rows that binary tensors can carry: they know no missing text."""
    full = shop.frame.with_row_index("place").drop_nulls([field.name for field in shop.schema.request]).head(100)
    return full, shop.native[full["place"].to_numpy()]


def inputs_of(shop: Shop, frame: pl.DataFrame, *, is_binary: bool) -> list[triton.InferInput]:
    inputs = []
    for field in shop.schema.request:
        values = frame[field.name].to_list()
        if field.type in {"string", "instant", "date"}:
            texts = [each.isoformat() if isinstance(each, date | datetime) else each for each in values]
            array = np.array(texts, dtype=np.object_)
        else:
            array = np.array(values)
        put = triton.InferInput(field.name, list(array.shape), DATATYPES[field.type])
        inputs.append(put.set_data_from_numpy(array, binary_data=is_binary))
    return inputs


def test_tritonclient_reads_health_and_metadata(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("late")
    assert client.is_model_ready("late", "3")
    assert not client.is_model_ready("late", "4")
    assert not client.is_model_ready("latte")
    assert client.get_server_metadata()["name"] == "everfit"
    described = client.get_model_metadata("late", "3")
    assert described == client.get_model_metadata("late")
    assert described["versions"] == ["3"]
    assert described["platform"] == "everfit_treelite"
    assert described["inputs"][:2] == [
        {"name": "shop", "datatype": "BYTES", "shape": [-1]},
        {"name": "kind", "datatype": "INT64", "shape": [-1]},
    ]
    assert described["outputs"][0] | {"parameters": {}} == {
        "name": "predictions",
        "datatype": "FP64",
        "shape": [-1],
        "parameters": {},
    }
    configured = client.get_model_config("late")
    assert configured["max_batch_size"] == 0
    assert {each["data_type"] for each in configured["input"]} == {
        "TYPE_STRING",
        "TYPE_INT64",
        "TYPE_FP64",
        "TYPE_BOOL",
    }
    index = client.get_model_repository_index()
    assert index == [{"name": "late", "version": "3", "state": "READY", "reason": ""}]


@pytest.mark.parametrize("sends_binary", [True, False])
@pytest.mark.parametrize("wants_binary", [True, False, None])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_tritonclient_infers(
    client: triton.InferenceServerClient,
    shop: Shop,
    sends_binary: bool,
    wants_binary: bool | None,
    compression: str | None,
) -> None:
    frame, expected = without_gaps(shop)
    outputs = None if wants_binary is None else [triton.InferRequestedOutput("predictions", binary_data=wants_binary)]
    found = client.infer(
        "late",
        inputs_of(shop, frame, is_binary=sends_binary),
        model_version="3" if sends_binary else "",
        outputs=outputs,
        request_id="mine",
        parameters={"anything": 1},
        request_compression_algorithm=compression,
    )
    np.testing.assert_allclose(found.as_numpy("predictions"), expected, atol=1e-9)
    told = found.get_response()
    assert (told["id"], told["model_name"], told["model_version"]) == ("mine", "late", "3")
    assert ("data" in told["outputs"][0]) == (wants_binary is False)


def test_tritonclient_hears_what_is_wrong(client: triton.InferenceServerClient, shop: Shop) -> None:
    frame, _ = without_gaps(shop)
    with pytest.raises(InferenceServerException, match=r"inputs\.kind: every request field must be given"):
        client.infer("late", [each for each in inputs_of(shop, frame, is_binary=True) if each.name() != "kind"])
    with pytest.raises(InferenceServerException, match="Served are: late") as raised:
        client.infer("latte", inputs_of(shop, frame, is_binary=True))
    assert raised.value.status() == "404"
    with pytest.raises(InferenceServerException, match="Loaded are: 3") as raised:
        client.infer("late", inputs_of(shop, frame, is_binary=True), model_version="4")
    assert raised.value.status() == "404"
    wants_classes = [triton.InferRequestedOutput("predictions", class_count=2)]
    with pytest.raises(InferenceServerException, match="does not offer it"):
        client.infer("late", inputs_of(shop, frame, is_binary=True), outputs=wants_classes)
    with pytest.raises(InferenceServerException, match="repository_control = true") as raised:
        client.unload_model("late")
    assert raised.value.status() == "403"


def test_tritonclient_unloads_and_loads(shop: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(shop.folder, folder)
    with (
        running(folder, repository_control=True) as service,
        triton.InferenceServerClient(service.url.removeprefix("http://"), network_timeout=30) as client,
    ):
        client.unload_model("late")
        assert not client.is_model_ready("late")
        assert client.get_model_repository_index()[0] == {
            "name": "late",
            "version": "3",
            "state": "UNAVAILABLE",
            "reason": "unloaded",
        }
        client.load_model("late")
        assert client.is_model_ready("late")
        frame, expected = without_gaps(shop)
        found = client.infer("late", inputs_of(shop, frame, is_binary=True)).as_numpy("predictions")
        np.testing.assert_allclose(found, expected, atol=1e-9)
        with pytest.raises(InferenceServerException, match="'latte'"):
            client.load_model("latte")
        with pytest.raises(InferenceServerException, match="neither a config nor files"):
            client.load_model("late", config="{}")
        client.unload_model("late")
    with (
        running(folder, repository_control=True) as service,
        triton.InferenceServerClient(service.url.removeprefix("http://"), network_timeout=30) as client,
    ):
        assert not client.is_server_ready()
        client.load_model("late")
        assert client.is_server_ready()


@pytest.mark.parametrize("is_nested", [False, True])
def test_json_tensors_with_gaps(service: Service, shop: Shop, is_nested: bool) -> None:
    tensors = tensors_of(shop, shop.frame.head(200))
    if is_nested:
        for each in tensors:
            each |= {"shape": [200, 1], "data": [[value] for value in each["data"]]}
    answer = infer(service, {"inputs": tensors, "id": "mine", "model_name": "late", "parameters": {"x": 1}})
    assert answer.status_code == 200
    found = answer.json()
    assert found["outputs"][0]["shape"] == [200]
    np.testing.assert_allclose(found["outputs"][0]["data"], shop.native[:200], atol=1e-9)
    assert found["id"] == "mine"


def test_one_row_without_an_id_gets_one(service: Service, shop: Shop) -> None:
    tensors = tensors_of(shop, shop.frame.head(2))
    assert infer(service, {"inputs": tensors}).json()["id"] == ""
    assert len(infer(service, {"inputs": tensors_of(shop, shop.frame.head(1))}).json()["id"]) > 10


@pytest.mark.parametrize(
    ("name", "datatype", "code", "value"),
    [
        ("kind", "INT8", "b", 3),
        ("kind", "UINT64", "Q", 3),
        ("kind", "FP32", "f", 3.0),
        ("weight kg", "FP16", "e", 1.5),
        ("weight kg", "INT32", "i", 2),
        ("weight kg", "FP32", "f", None),
        ("express", "UINT8", "B", 1),
        ("express", "FP64", "d", None),
    ],
)
def test_any_number_that_fits(service: Service, name: str, datatype: str, code: str, value: float | None) -> None:
    kinds = {"kind": int, "weight kg": float, "express": bool}
    row = ROW | {name: None if value is None else kinds[name](value)}
    expected = httpx.post(f"{service.url}/predict/late", json={"inputs": row}).json()["predictions"]
    raw = struct.pack(f"<{code}", float("nan") if value is None else value)
    body = _binary({name: (datatype, raw)})
    answer = infer(service, body[1], **{HEAD: body[0]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"][0]["data"] == expected


def _binary(given: dict[str, tuple[str, bytes]], shape: list[int] | None = None) -> tuple[str, bytes]:
    """A body of one row, of which some tensors are binary; its head's size."""
    inputs: list[dict[str, Any]] = []
    types = {"shop": "BYTES", "kind": "INT64", "weight kg": "FP64", "express": "BOOL"}
    for name, value in ROW.items():
        tensor = {"name": name, "shape": shape or [1], "datatype": types.get(name, "BYTES")}
        if name in given:
            datatype, raw = given[name]
            inputs.append(tensor | {"datatype": datatype, "parameters": {"binary_data_size": len(raw)}})
        else:
            inputs.append(tensor | {"data": [value]})
    head = json.dumps({"inputs": inputs}).encode()
    return str(len(head)), head + b"".join(given[name][1] for name in ROW if name in given)


@pytest.mark.parametrize(
    ("given", "shape", "words"),
    [
        ({"kind": ("INT64", b"1234567")}, [1], "1 values of 8 bytes, but got 7"),
        ({"kind": ("INT64", b"12345678" * 2)}, [1], "1 values of 8 bytes, but got 16"),
        ({"kind": ("INT64", b"12345678")}, [10**15], "10000000"),
        ({"kind": ("INT64", b"12345678")}, [10**30], "10000000"),
        ({"kind": ("INT64", b"12345678")}, [1, 2], "shape [n] or [n, 1]"),
        ({"kind": ("INT64", b"12345678")}, [0], "n at least 1"),
        ({"kind": ("INT4", b"12345678")}, [1], "the datatype must be one of BOOL"),
        ({"kind": ("FP64", struct.pack("<d", 3.5))}, [1], "lose nothing by it, but got 3.5"),
        ({"kind": ("FP64", struct.pack("<d", float("inf")))}, [1], "lose nothing by it, but got inf"),
        ({"weight kg": ("FP64", struct.pack("<d", float("inf")))}, [1], "a finite number"),
        ({"weight kg": ("INT64", struct.pack("<q", 2**53 + 1))}, [1], "lose nothing"),
        ({"kind": ("BYTES", b"\x01\0\0\0a")}, [1], "must hold integers of 64 bits, but got 'BYTES'"),
        ({"shop": ("BYTES", b"\xff\xff\xff\x7fa")}, [1], "each after its length in four bytes"),
        ({"shop": ("BYTES", b"\x01\0\0\0\xff")}, [1], "text in UTF-8"),
        ({"shop": ("BYTES", b"\x01\0\0")}, [1], "each after its length in four bytes"),
        ({"shop": ("BYTES", b"\0\0\0\0" * 2)}, [1], "must be 1 texts"),
        ({"ordered_at": ("BYTES", b"\x0a\0\0\x002026-01-05")}, [1], "an instant with a time zone"),
    ],
)
def test_wrong_binary_tensors(
    service: Service, given: dict[str, tuple[str, bytes]], shape: list[int], words: str
) -> None:
    size, body = _binary(given, shape)
    answer = infer(service, body, **{HEAD: size})
    assert answer.status_code in {413, 422}
    assert words in answer.json()["error"]


def test_sizes_that_do_not_match(service: Service) -> None:
    size, body = _binary({"kind": ("INT64", b"12345678")})
    for head, content, words in (
        (size, body + b"x", "must add up to what follows the JSON, 9 bytes"),
        (size, body[:-1], "binary_data_size must be there: 7 bytes are left"),
        ("99999999", body, "the size of the JSON"),
        ("-1", body, "the size of the JSON"),
        ("x", body, "the size of the JSON"),
        ("0", body, "a request of the protocol"),
    ):
        answer = infer(service, content, **{HEAD: head})
        assert answer.status_code == 422
        assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"inputs": []}, 422, "every request field must be given"),
        ({"inputs": 1}, 422, "Expected `array`"),
        ({"id": 5}, 422, "`$.id`"),
        ({"id": "x" * 500}, 422, "1 to 200 characters"),
        ({"outputs": [{"name": "chances"}]}, 422, "must be predictions, the only output, but got 'chances'"),
        ({"shape": [2]}, 422, "as many values as the shape says, 2, but got 1"),
        ({"data": [["a"], 1]}, 422, "data must be a list of"),
        ({"data": {}}, 422, "data must be a list of"),
        ({"data": [[[[]]]]}, 422, "data must be a list of"),
        ({"data": None}, 422, "either as data, or as binary_data_size"),
        ({"parameters": {"binary_data_size": 4}}, 422, "either as data, or as binary_data_size"),
        ({"parameters": {"shared_memory_region": "x"}}, 422, "shares no memory"),
        ({"name": "colour"}, 422, "every request field must be given"),
    ],
)
def test_wrong_json_tensors(service: Service, change: dict[str, Any], status: int, words: str) -> None:
    content = json.loads(_binary({})[1])
    if change.keys() <= {"inputs", "id", "outputs"}:
        content |= change
    else:
        for each in content["inputs"]:
            each.update(change)
            if "shape" not in change:
                break
    answer = infer(service, content)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]


def test_inputs_twice_unknown_and_of_different_lengths(service: Service) -> None:
    content = json.loads(_binary({})[1])
    inputs = content["inputs"]
    unknown = {"name": "colour", "shape": [1], "datatype": "BYTES", "data": ["red"]}
    longer = inputs[0] | {"shape": [2], "data": ["a", "b"]}
    for sent, words in (
        ([*inputs, inputs[0]], "must be given once"),
        ([*inputs, unknown], "must not be given: the request fields are shop"),
        ([*inputs[1:], longer], "as many rows as the first input, 1"),
    ):
        answer = infer(service, {"inputs": sent})
        assert answer.status_code == 422
        assert words in answer.json()["error"]


def test_too_many_rows_and_bodies_that_swell(service: Service) -> None:
    content = json.loads(_binary({})[1])
    content["inputs"][3] |= {"shape": [MAX_ROWS + 1], "data": [None] * (MAX_ROWS + 1)}
    answer = infer(service, {"inputs": [content["inputs"][3]]})
    assert answer.status_code == 413
    assert f"at most {MAX_ROWS} rows" in answer.json()["error"]
    swelling = gzip.compress(b" " * (MAX_BODY_BYTES * 100))
    answer = infer(service, swelling, **{"content-encoding": "gzip"})
    assert answer.status_code == 413
    for body in (b"", b"not gzip", gzip.compress(b"{}")[:-3], gzip.compress(b"{}") + b"x"):
        assert infer(service, body, **{"content-encoding": "gzip"}).status_code == 422
    assert infer(service, b"{}", **{"content-encoding": "br"}).status_code == 415


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/", 200),
        ("HEAD", "/v2/health/live", 200),
        ("GET", "/v2/models/late/versions/3/stats", 200),
        ("GET", "/v2/models/stats", 200),
        ("GET", "/v2/models/late/versions/three", 404),
        ("GET", "/v2/models/late/versions/99999999999999999999999", 404),
        ("GET", "/v2/models/late/nothing", 404),
        ("GET", "/v2/models/late/versions/3/ready/now", 404),
        ("GET", "/v2/nothing", 404),
        ("GET", "/v2/models/late/infer", 405),
        ("POST", "/v2/models/late", 405),
        ("GET", "/v2/repository/index", 405),
    ],
)
def test_pages(service: Service, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, service.url + path)
    assert answer.status_code == status
    if status != 200:
        assert isinstance(answer.json()["error"], str)


def test_statistics_count(client: triton.InferenceServerClient, shop: Shop) -> None:
    def rows() -> int:
        counted: int = client.get_inference_statistics("late", "3")["model_stats"][0]["inference_count"]
        return counted

    frame, _ = without_gaps(shop)
    before = rows()
    client.infer("late", inputs_of(shop, frame, is_binary=True))
    assert rows() == before + frame.height


def test_changed_bodies_never_break_the_service(service: Service) -> None:
    every = {
        "shop": ("BYTES", b"\x06\0\0\0shop-7"),
        "kind": ("INT16", b"\3\0"),
        "weight kg": ("FP32", struct.pack("<f", 1.5)),
        "express": ("BOOL", b"\1"),
    }
    bodies = [_binary(each) for each in ({}, every)]
    with httpx.Client(base_url=service.url, timeout=30) as client:
        for seed in range(800):
            size, body = bodies[seed % 2]
            sent = mutated(body, seed)
            head = size if seed % 3 else str(seed % 700)
            answer = client.post("/v2/models/late/infer", content=sent, headers={HEAD: head})
            assert answer.status_code in {200, 413, 422}, answer.text


@settings(deadline=None, max_examples=200)
@given(body=st.binary(max_size=200), head=st.integers(0, 300))
def test_any_bytes_are_refused(service: Service, body: bytes, head: int) -> None:
    with httpx.Client(verify=False, timeout=30) as client:
        answer = client.post(f"{service.url}/v2/models/late/infer", content=body, headers={HEAD: str(head)})
    assert answer.status_code == 422
    assert isinstance(answer.json()["error"], str)


KSERVE = """
import asyncio, json, sys
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

async def main(url, given):
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    told = [await client.is_server_live(url), await client.is_server_ready(url)]
    told.append(await client.is_model_ready(url, "late"))
    for sends_binary in (False, True):
        inputs = []
        for tensor in given:
            each = InferInput(tensor["name"], tensor["shape"], tensor["datatype"], data=None)
            if sends_binary and tensor["datatype"] != "BYTES":
                import numpy as np
                kinds = {"INT64": np.int64, "FP64": np.float64, "BOOL": np.bool_}
                each.set_data_from_numpy(np.array(tensor["data"], dtype=kinds[tensor["datatype"]]), binary_data=True)
            else:
                each.data = tensor["data"]
            inputs.append(each)
        for wants_binary in (False, True):
            wishes = {"binary_data_output": wants_binary}
            request = InferRequest("late", inputs, request_id="mine", parameters=wishes)
            answer = await client.infer(url, request, model_name="late")
            told.append([answer.id, answer.model_name, answer.outputs[0].as_numpy().tolist()])
    await client.close()
    print(json.dumps(told))

asyncio.run(main(sys.argv[1], json.load(sys.stdin)))
"""


@pytest.mark.slow
def test_the_client_of_kserve(service: Service, shop: Shop, tmp_path: Path) -> None:
    # It wants another pandas and another protobuf than Everfit's, so it gets an environment of its own.
    uv, python = str(Path(sys.executable).with_name("uv")), tmp_path / "kserve" / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(tmp_path / "kserve")], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), "kserve==0.21.0"], check=True)
    frame, expected = without_gaps(shop)
    done = subprocess.run(
        [str(python), "-c", KSERVE, service.url],
        input=json.dumps(tensors_of(shop, frame)),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    live, ready, model_ready, *answers = json.loads(done.stdout.splitlines()[-1])
    assert (live, ready, model_ready) == (True, True, True)
    assert len(answers) == 4
    for id_, model, predictions in answers:
        assert (id_, model) == ("mine", "late")
        np.testing.assert_allclose(predictions, expected, atol=1e-9)
