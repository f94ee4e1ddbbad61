"""The loop in process: rounds, and the life of every trigger from its cause to a new champion."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.loop.town import CHANGE, DAY, EVERY, HOUR, MODEL, TRAINED, Town, found, rides, town
from tests.serving.test_deployment import wait_for

from everfit.commands.orders import give_order
from everfit.journal import prediction_history
from everfit.journal.journal_feed import JournalFeed, NewRows
from everfit.loop.monitoring_run import monitor
from everfit.store.controller_report import read_controller_report

SAME = rides(60, change=None)
"""Events whose labels never change their meaning."""


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return found(tmp_path_factory.mktemp("town") / "first")


@pytest.fixture
def folder(founded: Path, tmp_path: Path) -> Path:
    """Return a copy of a project with version 1 as its champion."""
    return Path(shutil.copytree(founded, tmp_path / "town"))


def ordered_at(living: Town, due: datetime) -> None:
    """Require that the policy orders nothing ten minutes before an instant, and one training at it."""
    living.go_on(due - EVERY - living.clock.instant)
    living.round()
    assert not living.orders, living.says
    living.go_on(EVERY)
    living.round()
    assert len(living.orders) == 1, living.says
    assert living.orders[0].order.actor == "policy"


def shipped(living: Town) -> None:
    """Require that version 2 becomes the champion, and that its order says so."""
    living.live_until_champion(2, within=2 * DAY)
    (order,) = living.orders
    assert (order.state, order.version) == ("shipped", 2)


def test_an_order_by_hand(folder: Path) -> None:
    with town(folder, "late.retrain_when()", data=SAME) as living:
        living.live(2 * HOUR)
        assert not living.orders
        give_order(living.system, MODEL, actor="ada", reason="to see")
        living.round()
        shipped(living)
        assert living.orders[0].order.actor == "ada"


def test_every(folder: Path) -> None:
    with town(folder, "late.retrain_when(ef.Every('5d'))", data=SAME) as living:
        ordered_at(living, TRAINED + 5 * DAY)
        shipped(living)


def test_stale_model(folder: Path) -> None:
    with town(folder, "late.retrain_when(ef.StaleModel('5d'))", data=SAME) as living:
        ordered_at(living, TRAINED + 5 * DAY)
        shipped(living)


def test_cron(folder: Path) -> None:
    """At four o'clock in Berlin; version 1 was trained at midnight in UTC."""
    policy = "late.retrain_when(ef.Cron('0 4 * * *', zone='Europe/Berlin'), least_labels=10)"
    with town(folder, policy, data=SAME) as living:
        ordered_at(living, TRAINED + 3 * HOUR)
        assert living.orders[0].order.cause == "cron/2026-01-21T03:00"
        shipped(living)


def test_new_data_counts_the_labels_that_became_known_since_the_training(folder: Path) -> None:
    """Although nothing is predicted: the rows of the source count, not predictions with a label.

    Version 1 was trained as of midnight. The first label after that is of an event at 23:10, the hundredth of one at
    15:40, which is known at 16:40.
    """
    with town(folder, "late.retrain_when(ef.NewData(rows=100), least_labels=90)", data=SAME) as living:
        due = TRAINED + 100 * EVERY
        living.clock.instant = due - EVERY
        living.round()
        assert not living.orders
        assert "99 of 100 new labelled rows" in living.says
        living.clock.instant = due
        living.round()
        (order,) = living.orders
        # Of events from midnight on, 95 are known: five of the hundred are of events before it.
        assert order.order.numbers == {"rows_since": 100.0, "labels_since": 95.0}
        living._served_until = due
        shipped(living)


def test_a_trigger_waits_for_labels_of_later_events(folder: Path) -> None:
    with town(folder, "late.retrain_when(ef.Every('1h'), least_labels=50)", data=SAME) as living:
        living.go_on(3 * HOUR)
        living.round()
        assert not living.orders
        assert living.says.startswith(
            "The source has 13 of the 50 labels that are needed of events since 2026-01-21, where version 1 stopped "
        )
        ordered_at(living, TRAINED + 49 * EVERY + HOUR)
        assert living.orders[0].order.numbers["labels_since"] == 50


def test_performance_drop(folder: Path) -> None:
    policy = "late.retrain_when(ef.PerformanceDrop(by=0.1))"
    with town(folder, policy) as living:
        living.live(CHANGE - TRAINED, step=6 * HOUR)
        assert not living.orders
        living.live_until_champion(2, within=6 * DAY, step=6 * HOUR)
        (order,) = living.orders
        assert order.order.cause.startswith(f"{MODEL}/performance_drop/v1#")
        assert "has become worse" in order.order.reason
        assert order.state == "shipped"
        assert order.order.incident is not None
        incident = living.system.incidents.one(order.order.incident)
        assert incident.finding.version == 1


def test_drift_orders_when_the_column_moved_and_the_performance_dropped(folder: Path) -> None:
    """Where x moves alone, it waits; once the labels say that the version is worse, one order is given for both."""
    moved = SAME.with_columns(x=pl.when(pl.col("at") >= CHANGE).then(0.75 + pl.col("x") / 4).otherwise("x"))
    turned = pl.when(pl.col("at") >= CHANGE + 3 * DAY)
    worse = moved.with_columns(late=turned.then(pl.int_range(pl.len()) % 10 == 0).otherwise(pl.col("x") >= 0.5))
    with town(folder, "late.retrain_when(ef.Drift(), ef.PerformanceDrop(by=0.1))", data=worse) as living:
        living.live(CHANGE + 3 * DAY - TRAINED, step=DAY)
        assert not living.orders
        assert "has drifted, but that was not shown to matter" in living.says
        living.live_until_champion(2, within=6 * DAY, step=6 * HOUR)
        order = living.orders[0].order
        assert order.cause.startswith(f"{MODEL}/performance_drop/v1#")
        assert f"{MODEL}/drift//x" in order.findings


def test_drift_orders_by_the_estimate_before_any_label_comes(folder: Path) -> None:
    """From some day on every x is in the middle, where the version is unsure; labels are known a month later."""
    is_new = pl.col("at") >= CHANGE
    harder = SAME.with_columns(
        x=pl.when(is_new).then(0.4 + pl.col("x") / 5).otherwise("x"),
        known=pl.when(is_new).then(pl.col("at") + 30 * DAY).otherwise("known"),
    )
    with town(folder, "late.retrain_when(ef.Drift(), least_labels=100)", data=harder) as living:
        living.live(CHANGE - TRAINED, step=6 * HOUR)
        assert not living.orders
        living.live_until_champion(2, within=4 * DAY, step=6 * HOUR)
        order = living.orders[0].order
        assert "its log_loss is expected to be worse by 0." in order.reason
        assert order.numbers["expected_worse_by_at_least"] > 0
        assert living.system.incidents.of(MODEL)
        assert not [found for found in living.system.incidents.of(MODEL) if found.finding.kind == "performance_drop"]


def test_drift_anyway(folder: Path) -> None:
    moved = SAME.with_columns(x=pl.when(pl.col("at") >= CHANGE).then(0.75 + pl.col("x") / 4).otherwise("x"))
    with town(folder, "late.retrain_when(ef.Drift(anyway=True))", data=moved) as living:
        living.live(CHANGE - TRAINED, step=DAY)
        assert not living.orders
        living.live_until_champion(2, within=4 * DAY, step=6 * HOUR)
        assert "drift" in living.orders[0].order.cause, living.orders


def test_another_loop_completes_what_one_left(folder: Path) -> None:
    """The first process dies in the training; the next one carries the order out, once."""
    dead, policy = threading.Event(), "late.retrain_when(ef.Every('5d'))"
    with town(folder, policy, data=SAME) as living:
        living.loop.dead = dead
        living.go_on(5 * DAY)
        living.loop.round()
        living.loop.round()
        now, served = living.clock.instant, living._served_until
        wait_for(lambda: living.orders[0].state == "running")
    with town(folder, policy, data=SAME) as living:
        living.clock.instant, living._served_until = now, served
        shipped(living)
        assert [version.version for version in living.system.registry.versions(MODEL)] == [1, 2]
    dead.set()


def settle(living: Town) -> None:
    """Make the rounds that are due at the present instant, as long as the report says that something is under way."""
    living.loop.round()
    deadline_s = time.monotonic() + 60
    while (report := read_controller_report(living.system.state)) is not None and report.busy:
        assert time.monotonic() < deadline_s
        if living.loop.wants_round():
            living.loop.round()
        time.sleep(0.001)
    assert "running" not in living.loop._engine.states("").values()


def test_the_report_is_busy_until_orders_and_transitions_are_done_and_not_while_a_rollout_waits(folder: Path) -> None:
    """In a replay, time goes on when the report is idle: each state begins at the instant at which it was due."""
    with town(folder, "late.retrain_when()", data=SAME, in_replay=True) as living:
        give_order(living.system, MODEL, actor="ada", reason="to see")
        settle(living)
        (rollout,) = living.system.rollouts.of(MODEL)
        deployed = living.system.deployment.of(MODEL)
        assert deployed is not None
        assert (rollout.state, rollout.began_at) == ("shadow", TRAINED)
        assert deployed.shadow is not None, "the deployment record has followed"
        for _ in range(3):  # too few rows: nothing is due, and nothing is waited for
            living.go_on(EVERY)
            settle(living)
        assert living.system.rollouts.one(rollout.number).state == "shadow"
        for state in ("canary", "watching"):
            living.go_on(DAY)
            settle(living)
            present = living.system.rollouts.one(rollout.number)
            assert (present.state, present.entered_at) == (state, living.clock.instant)
        assert living.champion == 2
        assert living.orders[0].state == "shipped"


def test_what_ended_more_than_a_week_ago_is_pruned_hourly(folder: Path) -> None:
    with town(folder, "late.retrain_when()", data=SAME) as living:
        living.round()
        order = give_order(living.system, MODEL, actor="ada", reason="to see")
        shipped(living)
        ended = living.loop._engine.states("")
        assert set(ended.values()) == {"done"}
        with closing(sqlite3.connect(folder / ".everfit" / "loop.db")) as database, database:
            database.execute("update workflow_status set completed_at = completed_at - 8 * 24 * 3600 * 1000")
        living.round()
        assert living.loop._engine.states("") == ended, "the first round pruned, the next hour has not begun"
    with town(folder, "late.retrain_when()", data=SAME) as living:
        living.round()
        assert not living.loop._engine.states("")
        living.live(2 * HOUR)
        assert [record.number for record in living.orders] == [order.number]
        assert living.champion == 2


def test_a_round_that_cannot_read_the_source_is_a_finding_and_made_up_for(folder: Path) -> None:
    with town(folder, "late.retrain_when(ef.Every('5d'))", data=SAME) as living:
        data = folder / "rides.parquet"
        data.rename(folder / "elsewhere")
        living.go_on(5 * DAY)
        living.round()
        assert not living.orders
        (incident,) = living.system.incidents.of(MODEL, since=living.clock.instant)
        assert incident.finding.kind == "loop_trouble"
        assert "rides.parquet" in incident.finding.sentence
        (folder / "elsewhere").rename(data)
        living.round()
        assert len(living.orders) == 1
        assert living.system.incidents.one(incident.number).resolved_at is not None


def test_a_challenger_that_is_worse_is_taken_back(folder: Path) -> None:
    """For half a day the labels are turned round, and version 2 is trained at its end."""
    turned = pl.col("at").is_between(TRAINED, TRAINED + DAY / 2, closed="left")
    data = SAME.with_columns(late=pl.when(turned).then(~pl.col("late")).otherwise("late"))
    policy = "late.retrain_when(ef.Every('12h'), cooldown='20d', least_labels=0)\n"
    policy += "late.roll_out(ef.Shadow(requests=5_000), watch='1d')"
    with town(folder, policy, data=data) as living:
        living.go_on(DAY / 2)
        living.round()
        living.live(3 * DAY, step=6 * HOUR)
        (order,) = living.orders
        assert order.state == "taken_back", order
        assert "The challenger's log loss" in order.sentence
        assert living.champion == 1


def test_at_level_manual_nothing_is_ordered(folder: Path) -> None:
    settings = folder / "everfit.toml"
    settings.write_text(settings.read_text() + '\n[loop]\nlevel = "manual"\n')
    with town(folder, "late.retrain_when(ef.Every('1h'), least_labels=0)", data=SAME) as living:
        living.live(DAY, step=6 * HOUR)
        assert not living.orders
        assert living.says == ""


def test_a_loop_that_starts_again_reads_what_is_new(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, rows, read = "late.retrain_when(ef.Every('30d'))", list[int](), JournalFeed.read

    def counted(feed: JournalFeed, *args: Any, **kwargs: Any) -> NewRows:
        new = read(feed, *args, **kwargs)
        rows.append(new.predictions.rows.height)
        return new

    monkeypatch.setattr(JournalFeed, "read", counted)
    now, served = TRAINED, TRAINED
    for expected in (36, 36, 3 * 36):
        rows.clear()
        with town(folder, policy, data=SAME) as living:
            living.clock.instant, living._served_until = now, served
            living.live(6 * HOUR, step=6 * HOUR)
            now, served = living.clock.instant, living._served_until
        assert sum(rows) == expected
        if now == TRAINED + 12 * HOUR:
            # It may be deleted: then everything is read again.
            shutil.rmtree(living.system.state / "monitoring")


@pytest.mark.slow
def test_a_report_on_the_newest_predictions_has_the_alarm_of_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with town(folder, "late.retrain_when()") as living:
        living.live(3 * DAY, step=6 * HOUR)
        whole = monitor(living.system, MODEL)
        monkeypatch.setattr(prediction_history, "_MOST_ROWS", 200)
        report = monitor(living.system, MODEL)
    (newest,), (every,) = report.versions, whole.versions
    assert (newest.overall.rows, every.overall.rows) == (200, 432)
    assert newest.alarm == every.alarm
    assert newest.alarm is not None
    assert newest.alarm.current is not None
    assert "the newest 200 are shown; alarms are about all" in report.notes[-1]
    assert [(one.kind, one.numbers) for one in report.findings if one.kind == "performance_drop"] == [
        (one.kind, one.numbers) for one in whole.findings if one.kind == "performance_drop"
    ]
