"""Whatever goes wrong gives one clear finding, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from msgspec import structs
from tests.monitoring.counted import counted_before
from tests.monitoring.lives import DAY

import everfit as ef
from everfit.core.columns import ID, KNOWN_AT, LABEL, PREDICTION, RECORDED_AT, ROUTE, TIME, VERSION
from everfit.core.evidence import SourceFreshness
from everfit.core.finding import Finding
from everfit.monitoring.evaluation import EvaluationScope, build_report
from everfit.monitoring.labels import count_reports
from everfit.monitoring.performance import Comparison, Scale
from everfit.monitoring.performance_alarm import performance_alarm
from everfit.monitoring.reference import HELD_OUT, ReferenceProfile
from everfit.monitoring.report.gauges import samples_of
from everfit.monitoring.report.page import write_page
from everfit.monitoring.report.report import MonitorReport, Served, ServedFeature
from everfit.store.gauges import GAUGES

START = datetime(2026, 3, 1, tzinfo=UTC)
SHIPPED, END = START + 40 * DAY, START + 70 * DAY
PER_DAY = 100
SCALE = Scale(task="binary", metric="log_loss", classes=(False, True))


def history() -> pl.DataFrame:
    """Seventy calm days: the outcome follows from the distance, and is known two hours later."""
    dice = np.random.default_rng(0)
    rows = 70 * PER_DAY
    distance = dice.gamma(2.0, 2.0, rows)
    chance = 1 / (1 + np.exp(3 - distance))
    asked = [START + number * DAY / PER_DAY for number in range(rows)]
    return pl.DataFrame(
        {
            ID: [f"order-{number}" for number in range(rows)],
            TIME: asked,
            RECORDED_AT: asked,
            VERSION: [1] * rows,
            ROUTE: ["champion"] * rows,
            PREDICTION: chance,
            LABEL: (dice.random(rows) < chance).astype(float),
            KNOWN_AT: [moment + timedelta(hours=2) for moment in asked],
            "distance": distance,
            "view.load": dice.normal(size=rows),
            "constant": np.zeros(rows),
            "chain": dice.choice(["a", "b", "c"], rows),
        }
    ).with_columns(pl.col(TIME, RECORDED_AT, KNOWN_AT).dt.cast_time_unit("us"))


HISTORY = history()
FEATURES = ("distance", "view.load", "constant", "chain")


@pytest.fixture(scope="module")
def reference() -> ReferenceProfile:
    rows = HISTORY.filter(pl.col(TIME) < SHIPPED).with_columns((pl.col(TIME) >= SHIPPED - 20 * DAY).alias(HELD_OUT))
    rows = rows.with_columns(pl.when(HELD_OUT).then(PREDICTION).alias(PREDICTION))
    return ReferenceProfile(rows, SCALE, FEATURES, {"distance": 0.3, "view.load": 0.1, "chain": 0.001}, DAY)


def live() -> pl.DataFrame:
    """Thirty days of answers."""
    return HISTORY.filter(pl.col(TIME) >= SHIPPED)


def seen(rows: pl.DataFrame, reference: ReferenceProfile, *, as_of: datetime = END, **more: Any) -> MonitorReport:
    unknown = pl.col(KNOWN_AT) > as_of
    rows = rows.with_columns(pl.when(~unknown).then(pl.col(each)).alias(each) for each in (LABEL, KNOWN_AT))
    scope = EvaluationScope(
        model="late", champion=1, references={1: reference}, scale=SCALE,
        counted=counted_before(rows, {1: reference}, until=as_of),
        watches=(ef.PerformanceDrop(), ef.Drift()), **more,
    )  # fmt: skip
    return build_report(rows, scope, since=as_of - 14 * DAY, as_of=as_of)


def only(report: MonitorReport) -> Finding:
    assert len(report.findings) == 1, [each.sentence for each in report.findings]
    return report.findings[0]


def test_calm_days_have_no_finding(reference: ReferenceProfile) -> None:
    report = seen(live(), reference)
    assert report.findings == ()
    [version] = report.versions
    assert version.overall.value is not None
    assert version.overall.labelled < version.overall.rows
    assert version.delays[0].median_s == pytest.approx(7200)
    assert "Nothing is worth your attention" in write_page(report)
    told = {each.gauge for each in samples_of(report, ())}
    assert told == {each.name for each in GAUGES} - {"everfit_model_source_age_seconds"}


def test_a_request_without_a_time_counts_for_no_instant(reference: ReferenceProfile) -> None:
    rows = live()
    undated = rows.head(1).with_columns(pl.lit("undated").alias(ID), pl.lit(None, rows.schema[TIME]).alias(TIME))
    (version,) = seen(pl.concat([rows, undated]).sort(TIME), reference).versions
    assert version.first_asked == rows[TIME].min()


def test_infinite_values_of_a_view_are_named(reference: ReferenceProfile) -> None:
    part = SourceFreshness(source="kitchen_reports", view="view", age=DAY / 2, ttl=DAY, rows=10, infinite={"load": 3})
    found = only(seen(live(), reference, freshness=[part], sources={"view": "kitchen_reports"}))
    assert (found.kind, found.subject, found.severity) == ("infinite_values", "view.load", "warning")
    assert "infinite in 3 of 10 rows of the source kitchen_reports" in found.sentence


@pytest.mark.parametrize(
    ("expected", "severity", "meaning"),
    [(timedelta(minutes=10), "warning", "is noticed, later than planned"), (DAY, "info", "can be corrected")],
)
def test_labels_that_come_at_another_time_than_the_design_expects(
    reference: ReferenceProfile, expected: timedelta, severity: str, meaning: str
) -> None:
    found = only(seen(live(), reference, expected_delay=expected))
    assert (found.kind, found.severity) == ("label_delay", severity)
    assert meaning in found.sentence
    assert "known after 2h, where the design record expects" in found.sentence
    assert found.numbers["measured_s"] == pytest.approx(7200)


@pytest.mark.parametrize("expected", [timedelta(hours=1), timedelta(hours=2), timedelta(hours=4)])
def test_labels_that_come_about_as_expected(reference: ReferenceProfile, expected: timedelta) -> None:
    assert seen(live(), reference, expected_delay=expected).findings == ()


def test_a_source_that_stops(reference: ReferenceProfile) -> None:
    stale = SourceFreshness(source="kitchen_reports", view="view", age=5 * DAY, ttl=DAY)
    gone = live().with_columns(pl.when(pl.col(TIME) < END - 4 * DAY).then("view.load").alias("view.load"))
    found = only(seen(gone, reference, freshness=[stale], sources={"view": "kitchen_reports"}))
    assert (found.kind, found.subject, found.severity) == ("stale_source", "kitchen_reports", "critical")
    assert "5d old" in found.sentence
    assert found.since == END - 5 * DAY


def test_a_column_that_turns_all_null(reference: ReferenceProfile) -> None:
    gone = live().with_columns(pl.when(pl.col(TIME) < END - 2 * DAY).then("distance").alias("distance"))
    found = only(seen(gone, reference))
    assert (found.kind, found.subject, found.severity) == ("missing_values", "distance", "critical")
    assert "in every one of 100 rows" in found.sentence


def test_values_never_met(reference: ReferenceProfile) -> None:
    new = live().with_columns(
        pl.when((pl.col(TIME) >= END - 2 * DAY) & (pl.col("chain") == "a"))
        .then(pl.lit("z"))
        .otherwise("chain")
        .alias("chain")
    )
    found = only(seen(new, reference))
    assert (found.kind, found.subject) == ("unseen_categories", "chain")


def test_a_column_of_names_has_its_usual_strangers(reference: ReferenceProfile) -> None:
    """Of three flights, two are by the company's own aircraft; the third by one that is hired for ten days."""

    def named(rows: pl.DataFrame) -> pl.DataFrame:
        day, turn = (pl.col(TIME) - START).dt.total_days(), pl.int_range(pl.len()) % 39
        hired = pl.format("H{}-{}", turn, (day + turn) // 10)
        return rows.with_columns(pl.when(turn % 3 == 0).then(hired).otherwise(pl.format("N{}", turn)).alias("tail"))

    tails = replace(reference, rows=named(reference.rows), features=(*FEATURES, "tail"))
    assert 0.2 < tails.inputs.novelty["tail"] < 0.35
    assert "unseen_categories" not in {each.kind for each in seen(named(live()), tails).findings}

    new = named(live()).with_columns(pl.format("X{}", pl.int_range(pl.len()) % 400).alias("tail"))
    [found] = (each for each in seen(new, tails).findings if each.kind == "unseen_categories")
    assert found.subject == "tail"
    assert "100.0%), where 2" in found.sentence


def test_a_constant_that_comes_alive(reference: ReferenceProfile) -> None:
    alive = live().with_columns(
        pl.when(pl.col(TIME) >= END - 2 * DAY).then(1.0).otherwise("constant").alias("constant")
    )
    found = only(seen(alive, reference))
    assert (found.kind, found.subject) == ("constant_alive", "constant")
    assert "was always 0" in found.sentence


def test_a_label_feed_that_stops(reference: ReferenceProfile) -> None:
    stopped = END - 5 * DAY
    late = live().with_columns(
        pl.when(pl.col(KNOWN_AT) < stopped).then(pl.col(each)).alias(each) for each in (LABEL, KNOWN_AT)
    )
    found = only(seen(late, reference))
    assert (found.kind, found.severity) == ("labels_stopped", "critical")
    assert found.since is not None
    assert abs(found.since - stopped) < timedelta(hours=1)


def test_a_month_without_labels(reference: ReferenceProfile) -> None:
    # What was asked in the rest of April was never told; May's is.
    april = (pl.col(TIME) >= SHIPPED) & (pl.col(TIME) < datetime(2026, 5, 1, tzinfo=UTC))
    forgotten = live().with_columns(pl.when(~april).then(pl.col(each)).alias(each) for each in (LABEL, KNOWN_AT))
    found = only(seen(forgotten, reference))
    assert (found.kind, found.subject) == ("unlabelled", "2026-04")


def test_clocks_that_disagree(reference: ReferenceProfile) -> None:
    skewed = live().with_columns((pl.col(TIME) + timedelta(hours=3)).alias(TIME))
    found = only(seen(skewed, reference))
    assert found.kind == "clock_skew"
    assert "3h after their prediction" in found.sentence


def test_label_files_that_say_everything_twice(reference: ReferenceProfile) -> None:
    once = live().select(pl.col(ID), pl.col(LABEL).cast(pl.String).alias("value"))
    found = only(seen(live(), reference, reports=count_reports(pl.concat([once, once]))))
    assert (found.kind, found.severity) == ("duplicate_labels", "info")
    other = once.with_columns(pl.lit("2.0").alias("value"))
    assert only(seen(live(), reference, reports=count_reports(pl.concat([once, other])))).kind == "contradicting_labels"


def test_nobody_asks(reference: ReferenceProfile) -> None:
    found = only(seen(live(), reference, as_of=END + timedelta(hours=20)))
    assert found.kind == "predictions_stopped"


def test_a_version_that_became_wrong(reference: ReferenceProfile) -> None:
    change = END - 7 * DAY
    wrong = live().with_columns(pl.when(pl.col(TIME) >= change).then(1 - pl.col(LABEL)).otherwise(LABEL).alias(LABEL))
    found = only(seen(wrong, reference))
    assert (found.kind, found.version, found.severity) == ("performance_drop", 1, "critical")
    assert found.since is not None
    assert abs(found.since - change) < timedelta(hours=12)


def test_the_quicker_alarm_is_quicker(reference: ReferenceProfile) -> None:
    change = END - 7 * DAY
    wrong = live().with_columns(pl.when(pl.col(TIME) >= change).then(1 - pl.col(LABEL)).otherwise(LABEL).alias(LABEL))
    sure = performance_alarm(wrong, reference, ef.PerformanceDrop(alpha=0.01))
    quick = performance_alarm(wrong, reference, ef.PerformanceDrop(alpha=0.01, run_length=1_000))
    assert sure is not None
    assert quick is not None
    assert change < quick.episodes[-1].alarmed_at < sure.episodes[-1].alarmed_at


def test_inputs_that_move(reference: ReferenceProfile) -> None:
    moved = live().with_columns(
        pl.when(pl.col(TIME) >= END - 3 * DAY).then(pl.col("view.load") + 1.5).otherwise("view.load").alias("view.load")
    )
    found = only(seen(moved, reference))
    assert (found.kind, found.subject) == ("drift", "view.load")
    assert found.since == END - 3 * DAY
    assert "upwards" in found.sentence


def test_a_shadow_is_compared_on_the_same_rows(reference: ReferenceProfile) -> None:
    shadow = live().with_columns(
        pl.lit(2, pl.Int64).alias(VERSION), pl.lit("shadow").alias(ROUTE), pl.lit(0.5).alias(PREDICTION)
    )
    report = seen(pl.concat([live(), shadow]), reference)
    found = {(each.version, each.route): each.comparison for each in report.versions}
    comparison = found[2, "shadow"]
    assert comparison is not None
    assert comparison.paired
    assert comparison.low > 0
    assert found[1, "answers"] is None


def test_a_canary_is_compared_on_rows_dealt_out_by_chance(reference: ReferenceProfile) -> None:
    """Its share grows on days when questions are harder, which is not its fault."""
    share = pl.when(pl.col(TIME) < END - 7 * DAY).then(0.1).otherwise(0.5)
    dealt = pl.col(ID).hash(7) % 1_000 < share * 1_000
    hard = live().with_columns(pl.when(pl.col(TIME) >= END - 7 * DAY).then(0.4).otherwise(PREDICTION).alias(PREDICTION))

    def comparison(answers: pl.Expr) -> Comparison:
        rows = hard.with_columns(
            pl.when(dealt).then(2).otherwise(1).alias(VERSION),
            pl.when(dealt).then(pl.lit("canary")).otherwise(pl.lit("champion")).alias(ROUTE),
            pl.when(dealt).then(answers).otherwise(PREDICTION).alias(PREDICTION),
        )
        report = seen(rows, reference)
        [found] = (each.comparison for each in report.versions if each.version == 2)
        assert found is not None
        assert "assigned by chance" in write_page(report)
        return found

    alike, worse = comparison(pl.col(PREDICTION)), comparison(1 - pl.col(PREDICTION))
    assert not alike.paired
    assert alike.rows < alike.rows_against
    assert alike.low < 0 < alike.high
    assert worse.low > 0


def test_the_page_shows_served_features_and_says_what_was_left_out(reference: ReferenceProfile) -> None:
    wrong = Served(rows=200, different=20, features=(ServedFeature(feature="view.load", rows=200, different=20),))
    report = seen(live(), reference)
    assert report.champion == 1
    page = write_page(structs.replace(report, served=wrong, notes=("The source <ovens> could not be read.",)))
    assert "The features of the newest 200 predictions" in page
    assert "90.0%" in page
    assert "&lt;ovens&gt;" in page
