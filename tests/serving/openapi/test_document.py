"""The service answers as its own description says, and the description says what the decoder does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import validate
from tests.serving.orders import ROW, Shop, make_shop, trees
from tests.serving.process import Service, running

from everfit.artifact.schema import FieldType, InputSchema, RequestField
from everfit.core.errors import InvalidRequestError, RequestTooLargeError
from everfit.core.evidence import Task
from everfit.serving.http.connection import HttpRequest
from everfit.serving.http.responses import Response
from everfit.serving.openapi.schemas import request_row
from everfit.serving.openapi.template import fill, load_template
from everfit.serving.protocols.json import RequestDecoder

HERE = Path(__file__).parents[1]


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


def explore(url: str, folder: Path, *options: str) -> None:
    """Let schemathesis ask everything that the document names, rightly and wrongly; any surprise fails.

    ``folder``: where it leaves its notes.
    """
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
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(HERE.parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr


def test_no_surprises(service: Service, tmp_path: Path) -> None:
    explore(service.url, tmp_path, "--phases", "examples,coverage")


@pytest.mark.slow
def test_no_surprises_in_any_order(service: Service, tmp_path: Path) -> None:
    explore(service.url, tmp_path, "--phases", "fuzzing,stateful", "--max-examples", "40")


@pytest.mark.slow
@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_no_surprises_of_other_tasks(task: Task, tmp_path: Path) -> None:
    shop = make_shop(tmp_path / "shop", trees(task), task)
    with running(shop.folder, max_rows=20, repository_control=True, max_body_bytes=1024 * 1024) as service:
        explore(service.url, tmp_path, "--phases", "examples,coverage", "--exclude-path-regex", "unload$")


def test_the_document_follows_the_lineup(shop: Shop, tmp_path: Path) -> None:
    folder = shutil.copytree(shop.folder, tmp_path / "shop")
    copy = replace(shop, folder=folder)
    worker = copy.worker(max_rows=7)

    def ask() -> bytes:
        reply = worker.app.handle(HttpRequest("GET", "/openapi.json", b"", [], b""))
        assert isinstance(reply, Response)
        return reply.body

    before = ask()
    assert ask() is before
    assert json.loads(before)["components"]["schemas"]["late.Request"]["properties"]["ids"]["anyOf"][0]["maxItems"] == 7
    worker.data_plane.models = {}
    after = json.loads(ask())
    assert "/predict/late" in json.loads(before)["paths"]
    assert not [path for path in after["paths"] if "late" in path]
    validate(after)
    worker.app.predictions.close()


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


@pytest.mark.parametrize(("kind", "status"), [(2**70, 422), (3, 200), (3.0, 200), (3.5, 422)])
def test_a_key_that_no_store_can_hold_is_refused_before_it_is_recorded(
    service: Service, kind: float, status: int
) -> None:
    row = {"shop": "shop-7", "kind": kind, "event_time": "2026-01-06T00:00:00Z", "open": 1}
    answer = httpx.post(f"{service.url}/features/demand", json={"rows": [row]})
    assert answer.status_code == status
    assert status == 200 or "kind" in answer.json()["error"]["message"]


def test_when_an_outcome_became_known_is_said_of_each(service: Service) -> None:
    several = {"outcomes": [{"id": "a", "value": True}], "known_at": "2026-01-06T00:00:00Z"}
    assert httpx.post(f"{service.url}/outcomes/late", json=several).status_code == 422
    one = {"id": "a", "value": True, "known_at": "2026-01-06T00:00:00Z"}
    assert httpx.post(f"{service.url}/outcomes/late", json=one).json() == {"outcomes": 1}


@pytest.mark.parametrize(
    ("query", "status"), [("", 200), ("?model=late", 200), ("?model=", 404), ("?model=late&model=late", 422)]
)
def test_a_model_that_is_named_is_meant(service: Service, query: str, status: int) -> None:
    assert httpx.post(f"{service.url}/invocations{query}", json={"instances": [ROW]}).status_code == status


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


def test_the_document_is_openapi(document: dict[str, Any]) -> None:
    validate(document)


NAMES = st.text("ab é'<", min_size=1, max_size=3)
FIELDS = st.dictionaries(NAMES, st.sampled_from(get_args(FieldType)), min_size=1, max_size=5)
TIMES = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29))  # noqa: DTZ001 - bounds take no zone
VALUES: Mapping[FieldType, st.SearchStrategy[Any]] = {
    "string": st.text(st.characters(exclude_categories=["Cs"])),
    "integer": st.integers(-(2**63) - 2, 2**63 + 1) | st.sampled_from([3.0, -0.0, 3.5, 2.0**62, 2.0**70]),
    "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70),
    "boolean": st.booleans(),
    "instant": st.builds(lambda time, zone: time.isoformat() + zone, TIMES, st.sampled_from(["Z", "+01:00", ""])),
    "date": st.dates().map(date.isoformat) | st.sampled_from(["2024-02-30", "2024-3-1"]),
}
ANYTHING = st.none() | st.lists(st.integers(), max_size=1) | st.one_of(*VALUES.values())


@st.composite
def asked(draw: st.DrawFn) -> tuple[dict[str, FieldType], Any]:
    """Fields, and a body that is right, or wrong in one way or another."""
    fields = draw(FIELDS)
    rows = draw(st.lists(st.fixed_dictionaries({name: VALUES[kind] for name, kind in fields.items()}), max_size=4))
    for row in rows:
        for name in draw(st.sets(st.sampled_from(sorted(fields)), max_size=1)):
            row[name] = draw(ANYTHING)
    if rows and draw(st.integers(0, 4)) == 0:
        rows[0].pop(draw(st.sampled_from(sorted(fields))))
    if rows and draw(st.integers(0, 4)) == 0:
        rows[0][draw(NAMES)] = None
    body: dict[str, Any] = {"inputs": rows[0] if len(rows) == 1 and draw(st.booleans()) else rows}
    more: dict[str, st.SearchStrategy[Any]] = {
        "ids": st.lists(st.text("ab", max_size=2), min_size=len(rows), max_size=len(rows)) | st.none(),
        "id": st.sampled_from([None, "", "mine", "x" * 200, "x" * 201, 3]),
        "wish": st.none(),
    }
    return fields, body | draw(st.fixed_dictionaries({}, optional=more))


@given(asked())
@settings(max_examples=600, deadline=None)
def test_what_the_document_allows_is_what_the_decoder_takes(question: tuple[dict[str, FieldType], Any]) -> None:
    fields, body = question
    schema = InputSchema(
        model="late",
        task="binary",
        request=tuple(RequestField(name=name, type=kind) for name, kind in fields.items()),
        event_time="",
        lookups=(),
        computations=(),
        columns=(),
    )
    decoder = RequestDecoder(schema, max_rows=3)
    values = {"model": "late", "max_rows": 3, "row": request_row("late", decoder)}
    schemas = fill(load_template()["model_schemas"], values)
    told = Draft202012Validator(
        {"$ref": "#/components/schemas/late.Request", "components": {"schemas": schemas}}, validate_formats=True
    )
    try:
        decoder.decode(json.dumps(body).encode())
        is_taken = True
    except (InvalidRequestError, RequestTooLargeError):
        is_taken = False
    assert told.is_valid(body) is is_taken
