"""Schedules with zones and windows, over a virtual clock: nights stay nights."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import everfit as ef
from everfit.core.errors import DefinitionError
from everfit.core.order import OrderRecord, OrderState
from everfit.definitions.policy import Policy
from everfit.definitions.trigger import Trigger
from everfit.triggers.decide import consider
from everfit.triggers.signals import Champion, Facts

BERLIN = "Europe/Berlin"
ZONES = ("UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Antarctica/Troll", "Asia/Kolkata")
NIGHTLY = "0 3 * * *"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TRAINED = datetime(2026, 1, 1, tzinfo=UTC)


def facts(rows: int = 5_000) -> Facts:
    champion = Champion(version=3, as_of=TRAINED, trained_until=TRAINED, code="a")
    return Facts(model="late", champion=champion, code="a", labels_since=5_000, rows_since=rows)


def ordered(
    trigger: Trigger, instants: list[datetime], *, state: OrderState = "shipped", rows: Any = 5_000, **limits: Any
) -> list[OrderRecord]:
    """The orders of a policy that is asked at these instants; each ends ten minutes after it was given."""
    policy, history = Policy(trigger=trigger, **limits), list[OrderRecord]()
    for now in instants:
        known = rows(now) if callable(rows) else rows
        order = consider(policy, facts(known), history, now).order
        if order is not None:
            ended_at = now + timedelta(minutes=10)
            history.append(OrderRecord(number=len(history) + 1, order=order, state=state, ended_at=ended_at))
    return history


def rounds(days: int, zone: str, seed: int = 0) -> list[datetime]:
    """A few rounds a day, some of them in the hour after three o'clock, never at the same second."""
    rng, found = random.Random(seed), []
    for number in range(days):
        date = (TRAINED + timedelta(days=number + 1)).date()
        three = datetime(date.year, date.month, date.day, 3, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        early, late = sorted(rng.uniform(0, 3_500) for _ in range(2))
        offsets = (-600.0, early, late, 4_000.0, 40_000.0, 60_000.0)
        found += [three + timedelta(seconds=offset) for offset in offsets]
    return found


@pytest.mark.parametrize("zone", ["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe"])
def test_a_night_has_one_order_the_year_round_whatever_the_clocks_do(zone: str) -> None:
    history = ordered(ef.Cron(NIGHTLY, zone=zone, within="1h"), rounds(365, zone), cooldown="1d", budget=30)
    local = [record.order.asked_at.astimezone(ZoneInfo(zone)) for record in history]
    assert [instant.hour for instant in local] == [3] * 365
    assert len({instant.date() for instant in local}) == 365


def test_what_is_missing_at_night_is_not_made_up_for_at_noon() -> None:
    def rows(now: datetime) -> int:
        return 1_000 if now >= datetime(2026, 1, 10, 13, 7, tzinfo=UTC) else 999

    nightly = ef.Cron(NIGHTLY, zone=BERLIN, within="1h") & ef.NewData(1_000)
    record, *_ = ordered(nightly, rounds(20, BERLIN), rows=rows)
    assert record.order.asked_at.astimezone(ZoneInfo(BERLIN)).strftime("%d %H") == "11 03"
    # Without a window it is made up for; that is what the window is for.
    record, *_ = ordered(ef.Cron(NIGHTLY, zone=BERLIN) & ef.NewData(1_000), rounds(20, BERLIN), rows=rows)
    assert record.order.asked_at.astimezone(ZoneInfo(BERLIN)).strftime("%d %H") == "10 19"


def test_an_order_that_came_late_does_not_move_the_nights_that_follow() -> None:
    instants = [datetime(2026, 1, 2, 14, 7, tzinfo=UTC), *rounds(10, "UTC")[6:]]
    history = ordered(ef.Cron(NIGHTLY), instants, cooldown="1d")
    assert history[0].order.asked_at.hour == 14
    assert [record.order.asked_at.hour for record in history[1:]] == [3] * 9


def test_what_was_missed_while_the_machine_was_off_waits_for_the_next_night() -> None:
    instants = [datetime(2026, 1, 5, hour, 30, tzinfo=UTC) for hour in range(4, 24)]
    assert ordered(ef.Cron(NIGHTLY, within="1h"), instants) == []
    [record] = ordered(ef.Cron(NIGHTLY, within="1h"), [*instants, datetime(2026, 1, 6, 3, 59, tzinfo=UTC)])
    assert record.order.due_at == datetime(2026, 1, 6, 3, tzinfo=UTC)
    assert ordered(ef.Cron(NIGHTLY, within="1h"), [datetime(2026, 1, 6, 4, tzinfo=UTC)]) == []


def test_the_back_off_doubles_from_night_to_night() -> None:
    history = ordered(ef.Cron(NIGHTLY, within="1h"), rounds(30, "UTC"), state="refused", cooldown="1d", back_off="8d")
    days = [record.order.asked_at.day for record in history]
    assert days == [2, 4, 8, 16, 24]
    assert {record.order.asked_at.hour for record in history} == {3}


def test_an_order_of_another_cause_is_cooled_down_from_as_ever() -> None:
    policy = Policy(trigger=ef.Cron(NIGHTLY, within="1h"), cooldown="1d")
    noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    [late] = ordered(ef.Every("1h"), [noon])
    assert consider(policy, facts(), [late], datetime(2026, 1, 3, 3, 10, tzinfo=UTC)).order is None
    assert consider(policy, facts(), [late], datetime(2026, 1, 4, 3, 10, tzinfo=UTC)).order is not None


@pytest.mark.parametrize(
    ("expression", "now", "due"),
    [
        # 02:30 does not exist on 29 March 2026: it comes at the change, 01:00 UTC.
        ("30 2 * * *", "2026-03-28T12:00", "2026-03-29T01:00"),
        ("30 2 * * *", "2026-03-29T01:00", "2026-03-30T00:30"),
        # 02:30 exists twice on 25 October 2026: only the first counts.
        ("30 2 * * *", "2026-10-24T12:00", "2026-10-25T00:30"),
        ("30 2 * * *", "2026-10-25T00:30", "2026-10-26T01:30"),
        ("0 3 * * *", "2026-07-01T12:00", "2026-07-02T01:00"),
        ("0 3 * * *", "2026-12-01T12:00", "2026-12-02T02:00"),
    ],
)
def test_a_time_that_is_skipped_or_comes_twice_is_due_once(expression: str, now: str, due: str) -> None:
    cron, after = ef.Cron(expression, zone=BERLIN), datetime.fromisoformat(f"{now}+00:00")
    expected = datetime.fromisoformat(f"{due}+00:00")
    assert cron.after(after) == expected
    assert cron.until(expected) == expected
    assert cron.until(expected + timedelta(minutes=59)) == expected


@settings(max_examples=150, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    expression=st.sampled_from([NIGHTLY, "30 2 * * *", "*/20 * * * *", "15 */6 * * 1-5", "0 0 1 * *", "45 1 * * 0"]),
    now=st.integers(2_000, 25_000).flatmap(
        lambda days: st.integers(0, 86_399).map(lambda s: EPOCH + timedelta(days, s))
    ),
)
def test_times_are_in_order_and_none_is_left_out(zone: str, expression: str, now: datetime) -> None:
    cron = ef.Cron(expression, zone=zone)
    before, after = cron.until(now), cron.after(now)
    assert before <= now < after
    assert cron.after(before) == after
    assert cron.until(after - timedelta(microseconds=1)) == before
    assert cron.until(after) == after


@pytest.mark.parametrize("shift", range(0, 180, 7))
@pytest.mark.parametrize("change", ["2026-03-29T00:00", "2026-10-24T23:30"])
def test_times_are_in_order_around_a_change_of_the_clocks(change: str, shift: int) -> None:
    now = datetime.fromisoformat(f"{change}+00:00") + timedelta(minutes=shift)
    test_times_are_in_order_and_none_is_left_out.hypothesis.inner_test(BERLIN, "*/20 * * * *", now)  # type: ignore[attr-defined]


@pytest.mark.parametrize("arguments", [{"zone": "Berlin"}, {"zone": "../etc"}, {"zone": ""}, {"within": "-1h"}])
def test_a_zone_or_window_that_is_none_is_refused(arguments: dict[str, str]) -> None:
    with pytest.raises(DefinitionError, match=r"zone|within"):
        ef.Cron(NIGHTLY, **arguments)
