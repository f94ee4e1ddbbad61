"""A replay with the real command and the real service: everything at its own time, and nothing from the future."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.acceptance.shop import DEFINITIONS, everfit, make_project, orders
from tests.acceptance.test_walk import service
from tests.loop.parcels import running as running_system
from tests.serving.test_deployment import wait_for
from tests.store.recent_predictions import recent_predictions

from everfit.core.clock import to_us
from everfit.journal.tables import scan_outcomes, scan_predictions
from everfit.store.controller_report import ControllerReport, write_controller_report
from everfit.wiring import open_system

START, END = datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 1, 16, tzinfo=UTC)
STEP = timedelta(minutes=10)
"""Orders come every ten minutes, on the minute: nothing becomes known within a step."""

BROKEN = "order-2050"
"""An order within that time whose distance is infinite: it is asked with a missing one."""


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose champion knows nothing from after the replay's start."""
    broken = pl.when(pl.col("order_id") == BROKEN).then(float("inf")).otherwise("distance_km")
    data = orders().with_columns(distance_km=broken)
    folder = make_project(tmp_path_factory.mktemp("replay") / "shop", data=data)
    for words in (("train", "--as-of", START.isoformat()), ("promote",)):
        answer = everfit(folder, *words)
        assert answer.code == 0, answer.err + answer.out
    return folder


@pytest.fixture
def fresh(champion: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(champion, tmp_path / "shop"))


def words(url: str, *more: str, start: datetime = START, end: datetime = END) -> tuple[str, ...]:
    span = ("--from", start.isoformat(), "--to", end.isoformat())
    return ("replay", *span, "--step", "10m", "--url", url, "--json", *more)


def asked_between(start: datetime, end: datetime) -> pl.DataFrame:
    return orders().filter(pl.col("ordered_at").is_between(start, end, closed="left"))


@pytest.mark.slow
def test_everything_is_said_at_its_own_time(fresh: Path) -> None:
    with service(fresh, "--replay") as url:
        answer = everfit(fresh, *words(url, "--no-controller", "--against", "1"))
        assert answer.code == 0, answer.err
    asked = asked_between(START, END)
    report = answer.json
    assert (report["asked"], report["answered"], report["failed"]) == (asked.height, asked.height, 0)
    assert report["finished"]
    assert not report["refusals"]
    known = asked.filter(pl.col("delivered_at") <= END)
    assert (report["outcomes"], report["refused_outcomes"]) == (known.height, 0)

    lake, journal = fresh / ".everfit" / "lake", fresh / ".everfit" / "journal"
    answers = scan_predictions(lake, journal, "late").collect()
    assert sorted(answers["id"]) == sorted(asked["order_id"])
    assert (answers["recorded_at"] == answers["event_time"]).all()
    outcomes = scan_outcomes(lake, journal, "late").collect()
    told = dict(outcomes.select("id", "known_at").rows())
    assert told == dict(known.select("order_id", "delivered_at").rows())
    # Forty minutes are four steps: told at the very instant at which it became known.
    assert (outcomes["recorded_at"] == outcomes["known_at"]).all()

    parity = everfit(fresh, "features", "parity", "--json")
    assert (parity.json["rows"], parity.json["different"]) == (asked.height, 0)
    # The version answered alone, on equal features: what it would have answered is what it did.
    overall = report["overall"]
    assert overall["versions"] == [1]
    assert overall["live"] == pytest.approx(overall["against"], abs=1e-9)
    assert [month["month"] for month in report["months"]] == ["2026-01"]

    midway = START + timedelta(hours=12)
    seen = everfit(fresh, "monitor", "late", "--as-of", midway.isoformat(), "--json")
    assert seen.code == 0, seen.err
    [version] = seen.json["versions"]
    assert version["overall"]["rows"] == asked_between(START, midway + timedelta(microseconds=1)).height
    assert version["overall"]["labelled"] == asked.filter(pl.col("delivered_at") <= midway).height
    assert not [each for each in seen.json["findings"] if each["kind"] == "clock_skew"]


@pytest.mark.slow
def test_a_replay_goes_on_where_it_was_stopped(fresh: Path) -> None:
    with service(fresh, "--replay") as url:
        with running(fresh, *words(url, "--no-controller", "--speed", "x10000")) as process:
            wait_until_asked(fresh, rows=20)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=60)
        assert process.returncode == 130
        stopped = json.loads(out)
        assert not stopped["finished"]
        reached = datetime.fromisoformat(stopped["end"])
        assert START < reached < END
        assert stopped["asked"] == asked_between(START, reached).height

        again = everfit(fresh, *words(url, "--no-controller"))
        assert again.code == 1
        assert "must begin after all predictions" in again.err
        gone_on = everfit(fresh, *words(url, "--no-controller", start=reached))
        assert gone_on.code == 0, gone_on.err
    lake, journal = fresh / ".everfit" / "lake", fresh / ".everfit" / "journal"
    asked = asked_between(START, END)
    assert sorted(scan_predictions(lake, journal, "late").collect()["id"]) == sorted(asked["order_id"])
    told = scan_outcomes(lake, journal, "late").collect()["id"].to_list()
    assert sorted(told) == sorted(asked.filter(pl.col("delivered_at") <= END)["order_id"])
    assert everfit(fresh, "features", "parity", "--json").json["different"] == 0


@pytest.mark.slow
def test_history_waits_for_the_controller(fresh: Path) -> None:
    state, end = fresh / ".everfit", START + timedelta(hours=2)
    with service(fresh, "--replay") as url:
        nobody = everfit(fresh, *words(url, end=end))
        assert nobody.code == 1
        assert "--no-controller" in nobody.err
        report = ControllerReport(watched_until_us=0, busy=False, pid=os.getpid())
        write_controller_report(state, report)
        slow = everfit(fresh, *words(url, "--watch-every", "1h", "--patience", "1s", end=end))
        assert slow.code == 1
        assert f"evaluate the model as of {(START + timedelta(hours=1)).isoformat()}" in slow.err
        # It looked; what it began is not done yet, and then it is.
        at_work = ControllerReport(watched_until_us=to_us(end), busy=True, pid=os.getpid())
        write_controller_report(state, at_work)
        later = START + timedelta(hours=1)
        with running(fresh, *words(url, "--watch-every", "1h", start=later, end=end)) as process:
            with pytest.raises(subprocess.TimeoutExpired):
                process.communicate(timeout=8)
            write_controller_report(state, ControllerReport(watched_until_us=to_us(end), busy=False, pid=os.getpid()))
            process.communicate(timeout=60)
        assert process.returncode == 0


@pytest.mark.slow
def test_transitions_take_effect_at_the_instant_at_which_they_are_due(tmp_path: Path) -> None:
    """Of the first request after a day's end on, the service predicts as the rollout's new state says."""
    definitions = DEFINITIONS + (
        "\nlate.retrain_when(ef.Every('2d'), least_labels=10, budget=1)\n"
        "late.ship_when(ef.MaxLatency(p99_ms=1000))\n"
        "late.roll_out(ef.Shadow(requests=50), ef.Canary(0.5, requests=20), watch='1d')\n"
    )
    folder = make_project(tmp_path / "shop", definitions=definitions)
    for command in (("train", "--as-of", START.isoformat()), ("promote",)):
        answer = everfit(folder, *command)
        assert answer.code == 0, answer.err + answer.out
    days = [START + number * timedelta(days=1) for number in range(6)]
    with running_system(folder, "--replay") as url:
        answer = everfit(folder, *words(url, "--step", "6h", "--watch-every", "1d", end=days[5]))
        assert answer.code == 0, answer.err
    rollout = open_system(folder).rollouts.of("late")[0]
    assert [(entry.state, entry.at) for entry in rollout.history[:3]] == [
        ("shadow", days[2]), ("canary", days[3]), ("watching", days[4]),
    ]  # fmt: skip
    predictions = scan_predictions(folder / ".everfit" / "lake", folder / ".everfit" / "journal", "late").collect()
    by_day = predictions.group_by(pl.col("event_time").dt.truncate("1d").alias("day"), "version", "route").len()
    found = {(day, version, route): rows for day, version, route, rows in by_day.rows()}
    daily = 144
    expected = {(days[number], 1, "champion"): daily for number in range(3)}
    expected |= {(days[2], 2, "shadow"): daily, (days[4], 2, "champion"): daily, (days[4], 1, "shadow"): daily}
    canary = found.pop((days[3], 2, "canary"))
    assert found.pop((days[3], 1, "champion")) == daily - canary
    assert 20 <= canary < daily
    assert found == expected


@pytest.mark.slow
def test_a_real_service_is_not_led_astray(fresh: Path) -> None:
    with service(fresh) as url:
        answer = everfit(fresh, *words(url, "--no-controller"))
    assert answer.code == 1
    assert "--replay" in answer.err


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "everfit", *arguments]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def wait_until_asked(folder: Path, *, rows: int) -> None:
    journal = folder / ".everfit" / "journal"
    wait_for(lambda: sum(len(each.ids) for _, each in recent_predictions(journal)) >= rows, seconds=60.0)


@pytest.mark.slow
def test_a_project_that_was_asked_by_hand_is_replayed_and_watched_by_the_replays_clock(fresh: Path) -> None:
    """Slices of an hour: a label that is known within one reaches the online store at its end, by design."""
    row = json.dumps({"shop": "shop-1", "distance_km": 3.5, "ordered_at": "2026-01-21T20:00:00Z"})
    with service(fresh) as url:
        assert everfit(fresh, "predict", "late", row, "--url", url).code == 0
    hourly = ("replay", "--from", START.isoformat(), "--to", END.isoformat(), "--step", "1h", "--no-controller")
    with service(fresh, "--replay") as url:
        answer = everfit(fresh, *hourly, "--url", url, "--json")
    assert answer.code == 0, answer.err
    seen = everfit(fresh, "monitor", "--json")
    assert seen.code == 0, seen.err
    assert datetime.fromisoformat(seen.json["as_of"]) == END
    assert seen.json["served"]["rows"] == answer.json["answered"]
    kinds = {each["kind"] for each in seen.json["findings"]}
    assert not kinds & {"parity", "predictions_stopped", "labels_stopped", "stale_source", "unlabelled"}
    assert everfit(fresh, "incidents", "list", "--json").json == []
