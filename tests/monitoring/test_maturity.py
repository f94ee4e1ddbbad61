from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from everfit.core.columns import ID, KNOWN_AT, LABEL, PREDICTION, TIME
from everfit.measures.competing_risks import cumulative_incidence
from everfit.measures.delays import MOST_WEIGHT
from everfit.measures.weighting import Floats
from everfit.monitoring import performance
from everfit.monitoring.maturity import Cohort, cohort, known_then, learn_delays, weights
from everfit.monitoring.performance import Scale, figure

DAY_S = 86_400.0
START = datetime(2024, 1, 1, tzinfo=UTC)
AS_OF = datetime(2024, 7, 1, tzinfo=UTC)
YOUNG = AS_OF - timedelta(days=30)
CLASSES = ("no", "yes")
RATE = 0.3


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals are not what is tested here."""
    monkeypatch.setattr(performance, "RESAMPLES", 2)


def simulated(seed: int, *, size: int = 6000, lost: float = 0.0, wavering: float = 0.0) -> pl.DataFrame:
    """Half a year: the truth of "yes" comes after five days on average, of "no" after twenty, or (lost) never.

    The rate of each week is above or below the mean by ``wavering``.
    """
    rng = np.random.default_rng(seed)
    asked = np.sort(rng.uniform(0.0, (AS_OF - START) / timedelta(days=1), size))
    rate = RATE + wavering * rng.choice([-1.0, 1.0], 30)[(asked // 7).astype(np.int64)]
    truth = (rng.random(size) < rate).astype(np.float64)
    delay = rng.exponential(np.where(truth == 1.0, 5.0, 20.0))
    chance = np.clip(0.2 + 0.5 * truth + rng.normal(0.0, 0.2, size), 0.01, 0.99)
    known: list[datetime | None] = instants(asked + delay)
    for place in np.flatnonzero(rng.random(size) < lost):
        known[place] = None
    return frame(instants(asked), truth, known).with_columns(pl.Series(PREDICTION, chance))


def instants(days: Floats) -> list[datetime | None]:
    return [START + timedelta(days=float(each)) for each in days]


def frame(
    asked: Sequence[datetime | None], truth: Floats | list[float], known: Sequence[datetime | None]
) -> pl.DataFrame:
    moment = pl.Datetime("us", "UTC")
    columns = {ID: range(len(asked)), TIME: asked, LABEL: truth, KNOWN_AT: known}
    return pl.DataFrame(columns, schema_overrides={TIME: moment, KNOWN_AT: moment, LABEL: pl.Float64})


def young(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col(TIME) >= YOUNG)


def share(found: Cohort) -> tuple[float, float, float, float]:
    """Raw, matured, and the range of what it matures to, of the class "yes"."""
    yes = found.classes[1]
    return number(yes.raw), number(yes.matured), number(yes.low), number(yes.high)


def number(value: float | None) -> float:
    assert value is not None
    return value


def test_the_matured_share_is_right_where_the_raw_one_is_not() -> None:
    raw, matured, held, width = [], [], 0, []
    for seed in range(60):
        rows = simulated(seed)
        own = young(rows)
        found = cohort(own, learn_delays(rows, as_of=AS_OF, classes=CLASSES), as_of=AS_OF)
        final = float(own[LABEL].to_numpy().mean())
        early, late, low, high = share(found)
        raw.append(early - final)
        matured.append(late - final)
        held += low <= final <= high
        width.append(high - low)
        assert found.reach == pytest.approx(1.0, abs=0.01)
    assert np.mean(raw) > 0.1
    assert abs(np.mean(matured)) < 0.01
    assert 0.9 <= held / 60 <= 1.0
    assert np.mean(width) < 0.12


def test_the_range_holds_where_weeks_differ() -> None:
    """Half of the weeks have many of the swift class, half have few: far fewer independent rows than there are."""
    held, alone = 0, 0
    for seed in range(40):
        rows = simulated(seed, wavering=0.25)
        own, delays = young(rows), learn_delays(rows, as_of=AS_OF, classes=CLASSES)
        final = float(own[LABEL].to_numpy().mean())
        _, _, low, high = share(cohort(own, delays, as_of=AS_OF))
        held += low <= final <= high
        one_block = replace(delays, blocks=np.zeros_like(delays.blocks))
        _, _, low, high = share(cohort(own, one_block, as_of=AS_OF))
        alone += low <= final <= high
    assert held >= 0.85 * 40
    assert alone < 0.5 * 40


def test_outcomes_that_never_come_are_left_out_and_told() -> None:
    rows = simulated(1, size=20_000, lost=0.25)
    found = cohort(young(rows), learn_delays(rows, as_of=AS_OF, classes=CLASSES), as_of=AS_OF)
    _, matured, _, _ = share(found)
    assert matured == pytest.approx(RATE, abs=0.02)
    assert found.reach == pytest.approx(0.75, abs=0.02)


def test_a_cohort_that_is_its_own_history_gives_aalen_johansen() -> None:
    own = young(simulated(2))
    found = cohort(own, learn_delays(own, as_of=AS_OF, classes=CLASSES), as_of=AS_OF)
    known = known_then(own, as_of=AS_OF)
    until = pl.coalesce(KNOWN_AT, pl.lit(AS_OF))
    ages = known.select((until - pl.col(TIME)).dt.total_microseconds() / 1e6).to_series().to_numpy()
    codes: NDArray[np.int64] = known[LABEL].cast(pl.Int64).fill_null(-1).to_numpy()
    plain = cumulative_incidence(ages, codes, kinds=2).incidence[-1]
    assert share(found)[1] == pytest.approx(plain[1] / plain.sum(), abs=1e-12)
    assert found.reach == pytest.approx(plain.sum(), abs=1e-12)


def test_a_cohort_whose_outcomes_are_all_in_is_what_it_is() -> None:
    rows = simulated(3)
    later = AS_OF + timedelta(days=330)
    delays = learn_delays(rows, as_of=later, classes=CLASSES)
    found = cohort(young(rows), delays, as_of=later)
    raw, matured, low, high = share(found)
    assert found.labelled == found.rows
    assert raw == matured == low == high


def test_what_has_never_happened_may_still_happen() -> None:
    rows = simulated(10, size=2000).with_columns(pl.lit(0.0).alias(LABEL))
    found = cohort(young(rows), learn_delays(rows, as_of=AS_OF, classes=CLASSES), as_of=AS_OF)
    _, matured, low, high = share(found)
    assert matured == low == 0.0
    assert 0.0 < high < 0.01


def test_weighted_metrics_are_what_they_will_be() -> None:
    scale = Scale(task="binary", metric="log_loss", classes=CLASSES)
    raw, weighted, rates = [], [], []
    for seed in range(30):
        rows = simulated(seed)
        own, delays = young(rows), learn_delays(rows, as_of=AS_OF, classes=CLASSES)
        known, weight = known_then(own, as_of=AS_OF), weights(own, delays, as_of=AS_OF)
        final = number(figure(own, scale, start=YOUNG, end=AS_OF).value)
        early = number(figure(known, scale, start=YOUNG, end=AS_OF).value)
        mended = number(figure(known, scale, start=YOUNG, end=AS_OF, weight=weight).value)
        raw.append(early - final)
        weighted.append(mended - final)
        labelled = weight.is_not_null()
        rates.append(np.average(own[LABEL].filter(labelled), weights=weight.drop_nulls()))
        assert weight.mean() == pytest.approx(1.0, abs=0.05)
        assert labelled.to_list() == known[LABEL].is_not_null().to_list()
    assert np.mean(rates) == pytest.approx(RATE, abs=0.01)
    assert abs(np.mean(raw)) > 4 * abs(np.mean(weighted))
    assert abs(np.mean(weighted)) < 0.01


def test_the_weights_of_a_regression_make_every_age_count() -> None:
    rows = simulated(4).drop(PREDICTION)
    weight = weights(rows, learn_delays(rows, as_of=AS_OF), as_of=AS_OF)
    assert weight.sum() == pytest.approx(rows.height, rel=0.05)
    assert weight.min() == pytest.approx(1.0, abs=0.01)
    assert cohort(rows, learn_delays(rows, as_of=AS_OF), as_of=AS_OF).classes == ()


def test_no_row_outvotes_the_rest() -> None:
    """Of the slow class, one outcome in thirty has come by the age of the youngest row."""
    day = timedelta(days=1)
    asked = [AS_OF - 50 * day] * 60 + [AS_OF - 2 * day]
    delays_days = [1] * 30 + [1] + [40] * 29 + [1]
    known = [at + each * day for at, each in zip(asked, delays_days, strict=True)]
    rows = frame(asked, [0.0] * 30 + [1.0] * 31, known)
    delays = learn_delays(rows[:-1], as_of=AS_OF, classes=CLASSES)
    found = weights(rows, delays, as_of=AS_OF)
    assert found[-1] == pytest.approx(31 / 60 / (1 / 30))
    slower = learn_delays(rows[:30].vstack(rows[31:-1]), as_of=AS_OF, classes=CLASSES)
    assert weights(rows, slower, as_of=AS_OF)[-1] == MOST_WEIGHT


def test_a_class_that_history_does_not_hold_weighs_one() -> None:
    rows = simulated(5)
    no = learn_delays(rows.filter(pl.col(LABEL) == 0.0), as_of=AS_OF, classes=CLASSES)
    assert set(weights(rows.filter(pl.col(LABEL) == 1.0), no, as_of=AS_OF).drop_nulls()) == {1.0}


def test_delays_are_told_in_spite_of_what_still_waits() -> None:
    rows = simulated(6, size=40_000)
    delays = learn_delays(rows, as_of=AS_OF, classes=CLASSES)
    no, yes = delays.by_class
    assert yes.median_s == pytest.approx(5 * np.log(2) * DAY_S, rel=0.05)
    assert no.p10_s == pytest.approx(-20 * np.log(0.9) * DAY_S, rel=0.05)
    assert no.p90_s == pytest.approx(20 * np.log(10) * DAY_S, rel=0.05)
    assert delays.overall.labelled == no.labelled + yes.labelled == delays.labelled
    assert (delays.overall.value, yes.value) == (None, "yes")


def test_nothing_that_came_later_is_looked_at() -> None:
    rows = simulated(8)
    delays = learn_delays(rows, as_of=YOUNG, classes=CLASSES)
    then = known_then(rows, as_of=YOUNG)
    assert then.height < rows.height
    again = learn_delays(then, as_of=YOUNG, classes=CLASSES)
    assert np.array_equal(delays.incidence.incidence, again.incidence.incidence)
    assert cohort(rows, delays, as_of=YOUNG) == cohort(then, again, as_of=YOUNG)


def test_without_outcomes_nothing_is_promised() -> None:
    rows = simulated(9, size=500)
    for as_of in (START, START + timedelta(days=1)):
        delays = learn_delays(rows, as_of=as_of, classes=CLASSES)
        found = cohort(rows, delays, as_of=as_of)
        assert [each.matured for each in found.classes] == [None, None]
        assert found.reach is None
    assert found.rows > 0
    nothing = learn_delays(rows, as_of=START).overall
    assert (nothing.labelled, nothing.p10_s, nothing.median_s) == (0, None, None)


@pytest.mark.data
def test_the_cancel_rate_of_hotel_bookings_is_matured(data_folder: Path) -> None:
    """As of the first of eight months, with only what was known that day."""
    source = data_folder / "hotel_bookings.parquet"
    named = {"booking_id": ID, "booking_ts": TIME, "is_canceled": LABEL, "label_ts": KNOWN_AT}
    rows = pl.read_parquet(source, columns=list(named)).rename(named).with_columns(pl.col(LABEL).cast(pl.Float64))
    raw_off, matured_off, weighted_off, held = [], [], [], 0
    table = ["as of       rows  coverage    raw  matured  (95 %)          weighted  final"]
    for month in range(6, 14):
        as_of = datetime(2016 + month // 13, (month - 1) % 12 + 1, 1, tzinfo=UTC)
        own = rows.filter(pl.col(TIME) >= as_of - timedelta(days=90), pl.col(TIME) < as_of)
        final = float(own[LABEL].to_numpy().mean())
        delays = learn_delays(rows, as_of=as_of, classes=("0", "1"))
        found = cohort(own, delays, as_of=as_of)
        raw, matured, low, high = share(found)
        weight = weights(own, delays, as_of=as_of)
        weighted = float(np.average(own[LABEL].filter(weight.is_not_null()), weights=weight.drop_nulls()))
        raw_off.append(abs(raw - final))
        matured_off.append(abs(matured - final))
        weighted_off.append(abs(weighted - final))
        held += low <= final <= high
        interval = f"{low:.3f} .. {high:.3f}"
        table.append(
            f"{as_of:%Y-%m-%d}  {found.rows:5}  {found.labelled / found.rows:8.3f}  "
            f"{raw:.3f}  {matured:7.3f}  {interval}  "
            f"{weighted:8.3f}  {final:.3f}"
        )
    off = [f"{np.mean(each):.4f}" for each in (raw_off, matured_off, weighted_off)]
    table.append("off by on average: raw {}, matured {}, weighted {}".format(*off))
    sys.stdout.write("\n".join(["", *table, ""]))
    assert 0.06 <= np.mean(raw_off) <= 0.09
    assert np.mean(matured_off) <= 0.015
    assert max(matured_off) <= 0.03
    assert np.mean(weighted_off) <= 0.015
    assert held >= 7
