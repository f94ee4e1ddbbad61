"""Outcomes of classes that a version does not know, and versions that do not know the same classes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

import everfit as ef
from everfit.artifact.schema import InputSchema
from everfit.core.class_names import NEW_CLASSES, ClassValue
from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.delivery.scoring import Scoring
from everfit.monitoring import performance
from everfit.monitoring.estimate import learn_estimator
from everfit.monitoring.evaluation import EvaluationScope, build_report
from everfit.monitoring.labels import new_class_findings
from everfit.monitoring.maturity import cohort, learn_delays, weights
from everfit.monitoring.performance import Scale, compare, figure, in_scale
from everfit.monitoring.performance_alarm import performance_alarm
from everfit.monitoring.prediction_frame import NEW_CLASS, chances, standard_rows
from everfit.monitoring.reference import HELD_OUT, ReferenceProfile, reference_of

START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 20
END = START + timedelta(days=DAYS)
ROWS = 1_200
METRICS = ["log_loss", "macro_auc", "macro_f1", "accuracy"]


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals are not what is tested here."""
    monkeypatch.setattr(performance, "RESAMPLES", 20)


def schema(*classes: ClassValue) -> InputSchema:
    return InputSchema(
        model="m", task="multiclass", request=(), event_time="", lookups=(), computations=(), columns=(),
        classes=classes,
    )  # fmt: skip


def scale(*classes: ClassValue, metric: str = "log_loss") -> Scale:
    return Scale(task="multiclass", metric=metric, classes=classes)


def answers(classes: tuple[str, ...], *, version: int, route: str = "champion", seed: int = 0) -> pl.DataFrame:
    """Predictions of the journal with their outcomes; the likeliest known class is right in 8 of 10 rows."""
    truth = np.random.default_rng(0).choice(["a", "b", "c", "d"], size=ROWS, p=[0.4, 0.3, 0.2, 0.1])
    rng = np.random.default_rng([seed, version])
    said = np.where(rng.random(ROWS) < 0.8, truth, rng.choice(classes, size=ROWS))
    chances = rng.dirichlet(np.ones(len(classes)), size=ROWS) * 0.3
    for place, name in enumerate(classes):
        chances[:, place] += 0.7 * (said == name)
    chances /= chances.sum(axis=1, keepdims=True)
    asked = [START + timedelta(minutes=round(number * DAYS * 1_440 / ROWS)) for number in range(ROWS)]
    delay = np.where(truth == "d", 30, 5)
    return pl.DataFrame(
        {
            "id": [f"i-{number}" for number in range(ROWS)],
            "event_time": asked,
            "recorded_at": asked,
            "version": version,
            "route": route,
            "label": truth,
            "label_known_at": [at + timedelta(hours=int(hours)) for at, hours in zip(asked, delay, strict=True)],
            **{f"prediction.{name}": chances[:, place] for place, name in enumerate(classes)},
        }
    )


def rows(classes: tuple[str, ...], *, version: int = 1, route: str = "champion", seed: int = 0) -> pl.DataFrame:
    return standard_rows(answers(classes, version=version, route=route, seed=seed), schema(*classes))


def reference(classes: tuple[str, ...], *, metric: str = "log_loss", said: tuple[str, ...] = ()) -> ReferenceProfile:
    """Of a version; ``said`` are the classes of the candidate that answered, if it was fitted again with more."""
    journal = answers(said or classes, version=9)
    if not said:
        journal = journal.filter(pl.col("label").is_in(classes))
    chosen = [name for name in journal.columns if name.startswith("prediction.")]
    profile = journal.select(
        pl.col("event_time").alias(TIME), pl.col("label").alias(LABEL), pl.col("label_known_at").alias(KNOWN_AT),
        pl.lit(value=True).alias(HELD_OUT), *chosen,
    )  # fmt: skip
    return reference_of(profile, schema(*classes), metric=metric, importance={}, window=timedelta(days=1))


def test_an_outcome_of_another_class_is_kept_and_found() -> None:
    found = rows(("a", "b", "c"))
    new = found.filter(pl.col(LABEL) < 0)
    assert new.height > 80
    assert new[NEW_CLASS].unique().to_list() == ["d"]
    assert found.filter(pl.col(LABEL) >= 0)[NEW_CLASS].null_count() == ROWS - new.height
    (finding,) = new_class_findings(found, scale("a", "b", "c"), "m", 1)
    assert (finding.kind, finding.severity, finding.version) == ("new_class", "critical", 1)
    assert f"'d' on {new.height:,} outcomes" in finding.sentence
    assert new_class_findings(rows(("a", "b", "c", "d")), scale("a", "b", "c", "d"), "m", 1) == []


def test_many_and_long_names_stay_a_sentence() -> None:
    found = rows(("a", "b", "c")).with_columns(pl.format("{}" + "x" * 300, pl.col("id")).alias(NEW_CLASS))
    (finding,) = new_class_findings(found, scale("a", "b", "c"), "m", 1)
    assert len(finding.sentence) < 700
    assert finding.numbers["classes"] == ROWS


@pytest.mark.parametrize("metric", METRICS)
def test_a_new_class_makes_every_figure_worse_and_none_undefined(metric: str) -> None:
    own = rows(("a", "b", "c"))
    measured = scale("a", "b", "c", metric=metric)
    with_it = figure(own, measured, start=START, end=END).value
    without = figure(own.filter(pl.col(LABEL) >= 0), measured, start=START, end=END).value
    assert with_it is not None
    assert without is not None
    assert measured.measure.worse_by(with_it, without) > 0


@pytest.mark.parametrize("metric", METRICS)
def test_a_look_survives_versions_of_different_classes(metric: str) -> None:
    champion, shadow = rows(("b", "a", "c")), rows(("a", "d", "b", "c"), version=2, route="shadow")
    both = pl.concat([champion, shadow], how="diagonal_relaxed").sort("event_time", "id")
    scales = {1: scale("b", "a", "c", metric=metric), 2: scale("a", "d", "b", "c", metric=metric)}
    references = {
        1: reference(("b", "a", "c"), metric=metric),
        2: reference(("a", "d", "b", "c"), metric=metric, said=("a", "b", "c")),
    }
    scope = EvaluationScope(
        model="m",
        champion=1,
        references=references,
        scale=scales[1],
        scales=scales,
        watches=(),
        every=timedelta(days=5),
    )
    report = build_report(both, scope, since=START, as_of=END)
    assert {finding.kind for finding in report.findings} >= {"new_class"}
    newer, older = report.versions
    assert older.overall.value is not None
    assert newer.overall.value is not None
    assert scales[1].measure.worse_by(newer.overall.value, older.overall.value) < 0
    assert newer.comparison is not None
    assert newer.comparison.worse_by < 0
    assert [share.value for share in older.cohorts[0].cohort.classes] == ["b", "a", "c", NEW_CLASSES]
    assert older.cohorts[0].cohort.shown.value == "c"
    assert older.reconciled is not None


def test_versions_are_compared_by_class_and_not_by_position() -> None:
    straight = rows(("a", "b", "c", "d"))
    same = answers(("a", "b", "c", "d"), version=1)
    turned = standard_rows(same, schema("d", "c", "b", "a"))
    own, other = scale("a", "b", "c", "d"), scale("d", "c", "b", "a")
    found = compare(straight, turned, own, other, version=1, against=1, paired=True)
    assert found is not None
    assert found.worse_by == 0
    dealt = compare(straight, turned, own, other, version=1, against=1, paired=False)
    assert dealt is not None
    assert dealt.worse_by == pytest.approx(0)


def test_of_two_classes_the_other_way_round_both_are_turned() -> None:
    two = pl.DataFrame({LABEL: [1.0, 0.0, -1.0, None], "prediction": [0.9, 0.2, 0.3, 0.4]})
    own, wanted = (Scale(task="binary", metric="brier", classes=each) for each in (("no", "yes"), ("yes", "no")))
    found = in_scale(two, own, wanted)
    assert found[LABEL].to_list() == [0.0, 1.0, -1.0, None]
    assert found["prediction"].to_list() == pytest.approx([0.1, 0.8, 0.7, 0.6])


def test_new_classes_mature_as_one_class_of_their_own() -> None:
    own = rows(("a", "b", "c"))
    as_of = END - timedelta(hours=12)
    delays = learn_delays(own, as_of=as_of, classes=("a", "b", "c"))
    assert delays.classes == ("a", "b", "c", NEW_CLASSES)
    slow = {each.value: each.median_s for each in delays.by_class}
    assert slow[NEW_CLASSES] == 30 * 3_600
    found = cohort(own.filter(pl.col("event_time") >= as_of - timedelta(days=2)), delays, as_of=as_of)
    assert sum(share.matured or 0.0 for share in found.classes) == pytest.approx(1)
    weight = weights(own, delays, as_of=as_of)
    assert weight.drop_nulls().is_finite().all()


@pytest.mark.parametrize("metric", METRICS)
def test_alarm_and_estimate_survive_a_hold_out_with_a_class_that_the_version_does_not_know(metric: str) -> None:
    known = ("a", "b", "c")
    held = answers(known, version=9)
    profile = held.select(
        pl.col("event_time").alias(TIME), pl.col("label").alias(LABEL), pl.col("label_known_at").alias(KNOWN_AT),
        pl.lit(value=True).alias(HELD_OUT), "prediction.a", "prediction.b", "prediction.c",
    )  # fmt: skip
    made = reference_of(profile, schema(*known), metric=metric, importance={}, window=timedelta(days=1))
    assert (made.held_out[LABEL] < 0).any()
    alarm = performance_alarm(rows(known), made, ef.PerformanceDrop(alpha=0.01))
    assert alarm is not None
    assert np.isfinite(alarm.reference)
    assert alarm.current is None
    worse = rows(known).with_columns(pl.lit(-1.0).alias(LABEL))
    rung = performance_alarm(worse, made, ef.PerformanceDrop(alpha=0.01))
    assert rung is not None
    assert rung.current is not None
    estimator = learn_estimator(made)
    assert estimator is not None
    found = estimator.reconcile(rows(known), start=START, end=END)
    assert found.estimated.value is not None
    assert found.realised.value is not None


def test_a_rollout_scores_both_over_every_class_that_either_knows() -> None:
    older, newer = answers(("a", "b", "c"), version=1), answers(("d", "a", "b", "c"), version=2)
    both = pl.concat([older, newer], how="diagonal_relaxed")
    scoring = Scoring(task="multiclass", metric="log_loss", classes=("a", "b", "c", "d"), shared=("a", "b", "c"))
    places = {"a": 0.0, "b": 1.0, "c": 2.0, "d": 3.0}
    both = both.with_columns(
        pl.col("label").replace_strict(places).alias("label"), *chances(both.columns, scoring.columns)
    )
    mature = scoring.mature(both, END + timedelta(days=9))
    assert mature.height == 2 * ROWS
    losses = [scoring.losses(mature.filter(pl.col("version") == number)).values for number in (1, 2)]
    assert losses[0].mean() > losses[1].mean() + 0.2
    assert scoring.shared_columns == ("prediction.a", "prediction.b", "prediction.c")
