"""The service answers as its own description says, and the description says what the decoder does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.serving.orders import ROW, Shop
from tests.serving.process import Service, running

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def service(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of its own: what is invented here must not meet other tests' features and records."""
    folder = tmp_path_factory.mktemp("explored") / "shop"
    shutil.copytree(shop.folder, folder)
    with running(folder, max_rows=20, max_body_bytes=1024 * 1024, repository_control=False) as started:
        yield started


@pytest.fixture(scope="module")
def document(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{service.url}/openapi.json").json()
    return found


def explore(url: str, *options: str) -> None:
    """Let schemathesis ask everything that the document names, rightly and wrongly; any surprise fails."""
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.serving.explore",
            "--config-file",
            str(HERE / "explore.toml"),
            "run",
            f"{url}/openapi.json",
            "--no-color",
            *options,
        ],
        cwd=HERE.parents[1],
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr


def test_no_surprises(service: Service) -> None:
    explore(service.url, "--phases", "examples,coverage")


@pytest.mark.slow
def test_no_surprises_in_any_order(service: Service) -> None:
    explore(service.url, "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "40")


def test_the_examples_can_be_sent(service: Service, document: dict[str, Any]) -> None:
    bodies = {
        path: described["post"]["requestBody"]["content"]["application/json"]
        for path, described in document["paths"].items()
        if "requestBody" in described.get("post", {})
    }
    sent = {
        path: httpx.post(service.url + path, json=each["example"]) for path, each in bodies.items() if "example" in each
    }
    assert {path: answer.status_code for path, answer in sent.items()} == {
        "/predict/late": 200,
        "/outcomes/late": 200,
        "/v2/repository/index": 200,
        "/invocations": 200,
    }


def test_a_number_that_no_store_can_hold_is_refused_before_it_is_recorded(service: Service) -> None:
    row = {"shop": "shop-7", "kind": 2**70, "event_time": "2026-01-06T00:00:00Z", "open": 1}
    answer = httpx.post(f"{service.url}/features/demand", json={"rows": [row]})
    assert answer.status_code == 422
    assert "kind" in answer.json()["error"]["message"]


def test_the_page(service: Service) -> None:
    page = httpx.get(f"{service.url}/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script" not in page.text
    assert "everfit.invalid" not in page.text
    assert f"curl {service.url}/predict/late" in page.text
    assert all(f"<code>{name}</code>" in page.text for name in ROW)
    strange = httpx.get(f"{service.url}/docs", headers={"host": "<b>'; rm -rf"})
    assert "<b>" not in strange.text
    assert "rm -rf" not in strange.text


def test_the_document_has_one_path_for_each_model(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    row = document["components"]["schemas"]["late.Row"]
    assert row["required"] == list(row["properties"])
    assert set(row["required"]) == set(ROW)
    assert row["additionalProperties"] is False
    ids = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(ids) == len(set(ids))
    assert json.dumps(document).count("everfit.invalid") == 0
