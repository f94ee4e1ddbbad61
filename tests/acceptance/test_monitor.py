"""From real answers and late labels to findings, incidents and a page: with the real command."""

from __future__ import annotations

import json
import shutil
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.acceptance.shop import everfit, make_project
from tests.acceptance.test_walk import service

from everfit.journal.ship import ship
from everfit.loop.monitoring_cache import MonitoringCache
from everfit.loop.monitoring_run import monitor as look_whole
from everfit.loop.monitoring_run import watch
from everfit.wiring import open_system

DAYS, TRAINED = 60, 30
PER_DAY = 200


def orders(now: datetime) -> pl.DataFrame:
    """Orders of the last weeks; ten days ago near ones became late as well, which nothing but labels can tell."""
    random = np.random.default_rng(0)
    rows = DAYS * PER_DAY
    ordered = [now - timedelta(days=DAYS) + number * timedelta(days=1) / PER_DAY for number in range(rows)]
    distance, shops = random.gamma(2.0, 2.0, rows), random.integers(0, 8, rows)
    changed = np.arange(rows) >= (DAYS - 10) * PER_DAY
    chance = 1 / (1 + np.exp(3 - distance / 2 - shops / 4 - 3 * changed))
    return pl.DataFrame(
        {
            "order_id": [f"order-{number}" for number in range(rows)],
            "shop": [f"shop-{number}" for number in shops],
            "distance_km": distance,
            "ordered_at": ordered,
            "delivered_at": [instant + timedelta(minutes=40) for instant in ordered],
            "late": random.random(rows) < chance,
        }
    ).with_columns(pl.col("ordered_at", "delivered_at").dt.cast_time_unit("us"))


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose version has answered a month of orders."""
    now = datetime.now(UTC)
    data = orders(now)
    folder = make_project(tmp_path_factory.mktemp("watched") / "shop", data=data)
    trained = (now - timedelta(days=DAYS - TRAINED)).isoformat()
    for words in (("train", "--as-of", trained), ("promote",), ("features", "materialize")):
        answer = everfit(folder, *words)
        assert answer.code == 0, answer.err + answer.out
    with service(folder) as url:
        asked = data.tail((DAYS - TRAINED) * PER_DAY)
        for part in asked.iter_slices(500):
            rows = part.select("shop", "distance_km", pl.col("ordered_at").dt.to_string("iso:strict")).to_dicts()
            body = json.dumps({"inputs": rows, "ids": part["order_id"].to_list()}).encode()
            with urllib.request.urlopen(urllib.request.Request(f"{url}/predict/late", data=body)) as response:
                assert response.status == 200
    return folder


def monitor(folder: Path, *words: str) -> Any:
    answer = everfit(folder, "monitor", "late", *words, "--json")
    assert answer.code == 0, answer.err
    return answer.json


@pytest.mark.slow
def test_a_change_that_only_labels_show_is_found_and_stays_one_incident(watched: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    report = monitor(watched, "--html", str(page))
    drop = next(each for each in report["findings"] if each["kind"] == "performance_drop")
    assert drop["severity"] == "critical"
    since = datetime.fromisoformat(drop["since"])
    assert timedelta(days=9) < datetime.now(UTC) - since < timedelta(days=11)
    [version] = report["versions"]
    assert version["overall"]["labelled"] / version["overall"]["rows"] > 0.99
    assert version["overall"]["low"] < version["overall"]["value"] < version["overall"]["high"]
    assert version["reference"]["rows"] > 500
    assert len(version["coverage"]) >= 29
    # Old orders were asked about only now, and the store knows no past: that is what parity is there to say.
    served = report["served"]
    assert served["rows"] == 2_000
    assert served["different"] > 1_900
    assert served["features"][0]["feature"].startswith("shop_record.")
    assert "parity" in {each["kind"] for each in report["findings"]}
    # Whether it counts as drifted depends on the minute at which the data ends: .0002 is too much for some.
    assert report["together"]["p_value"] < 0.01
    assert "joint_drift" not in {each["kind"] for each in report["findings"]}
    assert report["notes"] == []
    html = page.read_text(encoding="utf-8")
    assert drop["sentence"] in html
    assert "https://" not in html.split("<main>")[1]
    again = monitor(watched)
    assert {each["number"] for each in again["incidents"]} == {each["number"] for each in report["incidents"]}
    assert all(each["looks"] >= 2 for each in again["incidents"])
    assert everfit(watched, "monitor", "late", "--fail").code == 1


@pytest.mark.slow
def test_the_service_shows_what_the_last_look_saw(watched: Path) -> None:
    monitor(watched)
    with service(watched) as url, urllib.request.urlopen(f"{url}/metrics") as response:
        text = response.read().decode()
    assert 'everfit_model_label_coverage{model="late",route="answers",version="1"} 0.99' in text
    assert 'everfit_model_open_incidents{model="late",severity="critical"}' in text
    assert 'everfit_model_score{metric="log_loss",model="late",route="answers",version="1"} 0.7' in text


@pytest.mark.slow
def test_figures_are_kept_with_the_run_and_in_the_ledger(watched: Path) -> None:
    from mlflow import MlflowClient

    from everfit.store.ledger import PERFORMANCES, open_ledger

    report = monitor(watched)
    run_id = everfit(watched, "models", "--json").json[0]["run_id"]
    run = MlflowClient(tracking_uri=f"sqlite:///{watched}/.everfit/tracking.db").get_run(run_id)
    assert run.data.metrics["live_log_loss"] == pytest.approx(report["versions"][0]["overall"]["value"])
    with open_ledger(f"sqlite:///{watched}/.everfit/ledger.db").connect() as connection:
        kept = connection.execute(PERFORMANCES.select().order_by(PERFORMANCES.c.start_us)).all()
    assert [(each.model, each.version, each.route) for each in kept] == [("late", 1, "answers")] * len(kept)
    assert [each.value for each in kept] == [each["value"] for each in report["versions"][0]["over_time"]]


@pytest.mark.slow
def test_people_read_it_too(watched: Path) -> None:
    text = everfit(watched, "monitor", "late")
    assert "performance drop" in text.out
    assert "Version 1 has become worse" in text.out


@pytest.mark.slow
def test_whoever_looks_often_finds_what_the_report_finds(watched: Path) -> None:
    system, memory, now = open_system(watched), MonitoringCache(), datetime.now(UTC)
    ship(system.journal, system.lake)
    report = look_whole(system, as_of=now)
    # Features are computed anew only where there is time for it.
    expected = [each.key for each in report.findings if each.kind != "parity"]
    for _ in range(2):
        seen = watch(system, None, memory, as_of=now)
        assert [each.key for each in seen.findings] == expected
    assert {each.key for each in seen.incidents} >= {each.key for each in seen.findings}


def test_nothing_asked_is_nothing_to_watch(own: Path) -> None:
    shutil.rmtree(
        own / ".everfit" / "journal", ignore_errors=True
    )  # other tests may have asked the one it is a copy of
    shutil.rmtree(own / ".everfit" / "lake", ignore_errors=True)
    answer = everfit(own, "monitor", "late")
    assert answer.code == 1
    assert "must have made predictions" in answer.err
