"""What docs/howto/protocols.md shows is answered as it says."""

from __future__ import annotations

import io
import re
import runpy
import struct
from collections.abc import Iterator
from pathlib import Path

import httpx
import polars as pl
import pytest
from tests.serving.late_order import ROW, make_late_order
from tests.serving.orders import Shop, make_shop, request_of, trees
from tests.serving.process import Service, running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The tutorial's model, served."""
    with running(make_late_order(tmp_path_factory.mktemp("tutorial") / "project").folder) as started:
        yield started


@pytest.fixture
def blocks(repository: Path) -> list[tuple[str, str]]:
    page = (repository / "docs" / "howto" / "protocols.md").read_text(encoding="utf-8")
    return re.findall(r"^```(json|csv)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def test_every_body_is_answered(service: Service, blocks: list[tuple[str, str]]) -> None:
    expected = httpx.post(f"{service.url}/predict/late_order", json={"inputs": ROW}).json()["predictions"]
    (_, tensors), *others = blocks
    assert len(others) == 5
    answer = httpx.post(f"{service.url}/v2/models/late_order/infer", content=tensors).json()
    assert answer["id"] == "mine"
    assert answer["outputs"][0]["data"][:1] == expected
    for language, body in others:
        content_type = "text/csv" if language == "csv" else "application/json"
        sent = httpx.post(f"{service.url}/invocations", content=body, headers={"content-type": content_type})
        assert sent.json() == {"predictions": expected}, body


def test_the_snippet_of_tritonclient(service: Service, repository: Path) -> None:
    expected = httpx.post(f"{service.url}/predict/late_order", json={"inputs": ROW}).json()["predictions"]
    ask = runpy.run_path(str(repository / "docs" / "snippets" / "ask_with_tritonclient.py"))["ask"]
    assert ask(service.url.removeprefix("http://"))[:1] == expected


def test_classes_in_every_protocol(tmp_path: Path) -> None:
    shop: Shop = make_shop(tmp_path / "shop", trees("multiclass"), "multiclass")
    rows = [request_of(row, shop.schema) for row in shop.frame.head(5).to_dicts()]
    frame = shop.frame.head(5).select(field.name for field in shop.schema.request)
    with running(shop.folder) as service, httpx.Client(base_url=service.url, timeout=30) as client:
        expected = client.post("/predict/late", json={"inputs": rows}).json()["predictions"]
        numbers = [number for each in expected for number in each.values()]
        output = client.get("/v2/models/late").json()["outputs"][0]
        assert (output["shape"], output["parameters"]) == ([-1, 3], {"classes": list(expected[0])})
        datatypes = {each["name"]: each["datatype"] for each in client.get("/v2/models/late").json()["inputs"]}
        inputs = [
            {"name": name, "shape": [5], "datatype": datatype, "data": [row[name] for row in rows]}
            for name, datatype in datatypes.items()
        ]
        told = client.post("/v2/models/late/infer", json={"inputs": inputs}).json()["outputs"][0]
        assert (told["shape"], told["data"]) == ([5, 3], numbers)
        wish = {"binary_data_output": True}
        binary = client.post("/v2/models/late/infer", json={"inputs": inputs, "parameters": wish})
        head = int(binary.headers["inference-header-content-length"])
        assert list(struct.unpack("<15d", binary.content[head:])) == numbers
        assert client.post("/invocations", json={"instances": rows}).json() == {"predictions": expected}
        file = io.BytesIO()
        frame.write_ipc_stream(file)
        arrow = "application/vnd.apache.arrow.stream"
        answer = client.post("/predict/late", content=file.getvalue(), headers={"content-type": arrow, "accept": arrow})
        found = pl.read_ipc_stream(io.BytesIO(answer.content)).drop("id", "version").rename(lambda name: name[11:])
        assert found.to_dicts() == expected
