"""The whole walk with the real command: train, promote, serve, ask, reproduce, roll back."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.acceptance.shop import AS_OF, everfit, orders
from tests.serving.test_deployment import wait_for

ROW = {"shop": "shop-3", "distance_km": 4.5, "ordered_at": "2026-01-22T00:00:00Z"}


@contextmanager
def service(folder: Path, *options: str) -> Iterator[str]:
    """The real service on a free port; it must end by itself when it is told to."""
    process = subprocess.Popen(
        [sys.executable, "-m", "everfit", "serve", "--port", "0", "--json", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    text = ""
    while not text.endswith("}\n") or text.count("{") != text.count("}"):
        line = process.stdout.readline()
        assert line, f"the service ended with {process.poll()}: {text}"
        text += line
    try:
        yield json.loads(text)["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        process.stdout.close()


def post(url: str, body: object) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_service_answers_what_the_package_predicts(trained: Path) -> None:
    from everfit.artifact.package import open_package
    from everfit.artifact.signing import read_trust
    from everfit.store.deployment import DeploymentRecord

    with service(trained) as url:
        status, answer = post(f"{url}/predict/late", {"inputs": ROW, "id": "order-1"})
        assert (status, answer["ids"], answer["version"]) == (200, ["order-1"], 1)
        asked = everfit(trained, "predict", "late", json.dumps(ROW), "--url", url, "--json")
        assert asked.json["predictions"] == answer["predictions"]
        status, refused = post(f"{url}/predict/late", {"inputs": ROW | {"distance_km": "far"}})
        assert status == 422
        assert "distance_km" in json.dumps(refused)
        assert post(f"{url}/predict/latte", {"inputs": ROW})[0] == 404
        assert post(f"{url}/predict/late", b"{not json")[0] in {400, 422}
    record = DeploymentRecord(trained / ".everfit" / "deployment.json")
    deployment = record.read()
    assert deployment is not None
    package = open_package(
        record.folder_of(deployment.models[0].champion), trust=read_trust(trained / ".everfit" / "keys")
    )
    seen = everfit(trained, "features", "get", "shop_record", "shop-3", "--as-of", "2026-01-22T00:00Z", "--json")
    frame = pl.DataFrame(
        {"shop_record.late": [seen.json["features"]["late"]], "shop": ["shop-3"], "distance_km": [4.5]}
    )
    expected = package.native().predict(package.transform(frame))[0]
    assert answer["predictions"][0] == pytest.approx(expected, abs=1e-9)


def test_a_version_can_be_made_again(trained: Path) -> None:
    answer = everfit(trained, "reproduce", "--json")
    assert answer.code == 0
    assert answer.json["identical"]
    assert answer.json["max_difference"] == 0.0
    assert answer.json["differences"] == []


def test_a_version_is_made_again_from_its_recorded_code_though_the_code_has_changed(own: Path) -> None:
    code = own / "shop.py"
    code.write_text(code.read_text().replace("max_iter=40", "max_iter=10"))
    answer = everfit(own, "reproduce", "--json")
    assert answer.json["identical"]
    assert answer.json["differences"] == ["the project's code has changed since; the recorded code was used"]
    # What the interpreter keeps of code that it imports must not be left in the package.
    for _ in range(2):
        assert everfit(own, "reproduce", "--json", PYTHONDONTWRITEBYTECODE="").json["identical"]


def test_changed_data_is_named(own: Path) -> None:
    orders().with_columns(pl.col("distance_km") * 1.01).write_parquet(own / "orders.parquet")
    answer = everfit(own, "reproduce", "--json")
    assert answer.code == 1
    assert not answer.json["identical"]
    assert any("source orders changed" in each for each in answer.json["differences"])


@pytest.mark.slow
def test_a_second_version_is_compared_with_the_champion_and_can_be_taken_back(own: Path) -> None:
    trained = everfit(own, "train", *AS_OF, "--seed", "1", "--json")
    verdicts = {each["gate"]: each for each in trained.json["report"]["verdicts"]}
    assert verdicts["beats_champion"]["outcome"] == "passed", verdicts
    # The champion was refitted on the very rows that are held out now: only its recipe is a fair opponent.
    assert "fitted again without them" in verdicts["beats_champion"]["sentence"]
    assert everfit(own, "promote").code == 0
    assert everfit(own, "rollback", "--reason", "nerves").code == 0
    versions = {each["version"]: each["aliases"] for each in everfit(own, "models", "--json").json}
    assert versions == {1: ["champion"], 2: ["previous"]}
    history = everfit(own, "models", "--history", "--json").json
    assert history[-1]["reason"] == "nerves"
    with service(own) as url:
        assert post(f"{url}/predict/late", {"inputs": ROW})[1]["version"] == 1


@pytest.mark.slow
def test_a_second_version_is_tried_beside_the_champion(own: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert everfit(own, "train", *AS_OF, "--seed", "1").code == 0
    assert everfit(own, "promote", "late", "challenger", "--canary", "50").code == 2
    assert everfit(own, "promote", "late", "challenger", "--canary", "0.5", "--shadow").code == 2
    assert everfit(own, "promote", "late", "challenger", "--canary", "0.5").code == 0
    with (own / "everfit.toml").open("a") as file:
        file.write("\n[serving]\nworkers = 2\n")
    with service(own) as url:
        # A connection each: now this worker answers, now that one, and both send an id to the same version.
        asked = [(name, post(f"{url}/predict/late", {"inputs": ROW, "id": name})) for name in _names(40) * 3]
        assert {status for _, (status, _) in asked} == {200}
        chosen = {(name, answer["version"]) for name, (_, answer) in asked}
        assert len(chosen) == 40
        assert {version for _, version in chosen} == {1, 2}
        # The champion alone again, and the other one in its shadow.
        assert everfit(own, "promote", "late", "champion").code == 0
        assert everfit(own, "promote", "late", "2", "--shadow").code == 0
        logged: list[str] = []

        def both_have_it() -> bool:
            logged.append(capfd.readouterr().err)
            return "".join(logged).count("serves version 2 as shadow") == 2

        wait_for(both_have_it)
        assert post(f"{url}/predict/late", {"inputs": ROW, "id": "seen-by-both"})[1]["version"] == 1
    routes = [answer["answer"]["route"] for answer in everfit(own, "explain", "seen-by-both", "--json").json["answers"]]
    assert sorted(routes) == ["champion", "shadow"]
    versions = {each["version"]: each["aliases"] for each in everfit(own, "models", "--json").json}
    assert versions == {1: ["champion"], 2: ["challenger"]}


def _names(count: int) -> list[str]:
    return [f"order-{number}" for number in range(count)]


def test_mlflow_loads_the_champion_in_a_process_of_its_own(trained: Path) -> None:
    script = """
import sys, mlflow, pandas
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/late@champion")
frame = pandas.DataFrame({"shop_record.late": [0.25], "shop": ["shop-3"], "distance_km": [4.5]})
print(float(model.predict(frame)[0]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, f"sqlite:///{trained}/.everfit/tracking.db"],
        cwd=trained.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 0 < float(done.stdout.split()[-1]) < 1
