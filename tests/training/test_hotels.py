"""Bookings whose cancellations are known sooner than their stays: what that does to gates, and to learning."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

import everfit as ef
from everfit.artifact.encode import encode_frame
from everfit.artifact.fitted_model import Fitted
from everfit.artifact.infer import infer_schema
from everfit.core.columns import LABEL
from everfit.core.evidence import Evidence, TrainingFrame
from everfit.core.records import Verdict
from everfit.core.settings import TrainingSettings
from everfit.features.history import build_frame
from everfit.gates.data_gates import LabelCoverage
from everfit.gates.label_shift import LabelBalance
from everfit.measures.quality import metric_for
from everfit.measures.weighting import Floats
from everfit.store.reader import Reader
from everfit.training.candidate import Candidate
from everfit.training.evidence import gather_evidence
from everfit.training.labels import known_by, learnable
from everfit.training.train import train
from everfit.training.trainer import encode_labels, encode_rows, fit

pytestmark = [pytest.mark.data, pytest.mark.slow]

FIELDS = [
    "hotel", "lead_time", "stays_in_weekend_nights", "stays_in_week_nights", "adults", "meal", "market_segment",
    "distribution_channel", "is_repeated_guest", "previous_cancellations", "previous_bookings_not_canceled",
    "reserved_room_type", "deposit_type", "customer_type", "adr", "total_of_special_requests",
]  # fmt: skip
UNTUNED = TrainingSettings(trials=0, bootstrap=100)
LATER = datetime(2018, 1, 1, tzinfo=UTC)
"""When every label is known."""


def booking_model(folder: Path, labels: Any = "known") -> ef.Model:
    bookings = ef.Source("bookings", path=str(folder / "hotel_bookings.parquet"), timestamp="booking_ts")
    model = ef.Model(
        "cancelled",
        task="binary",
        events=ef.Events(bookings, id="booking_id"),
        request=FIELDS,
        features=FIELDS,
        label=ef.Label("is_canceled", known_at="label_ts"),
        labels=labels,
    )

    @model.trainer()
    def fit(X: Any, y: Any, weight: Any, seed: int) -> Any:
        return HistGradientBoostingClassifier(random_state=seed).fit(X, y, sample_weight=weight)

    return model


def frame_at(
    model: ef.Model, as_of: datetime, *, start: datetime | None = None, end: datetime | None = None
) -> TrainingFrame:
    return build_frame(model, Reader(Path(), {}), as_of=as_of, start=start, end=end)


def evidence_of(model: ef.Model, frame: TrainingFrame) -> tuple[Evidence, Candidate]:
    candidate = train(model, frame, settings=UNTUNED)
    evidence = gather_evidence(
        model, frame, candidate, settings=UNTUNED,
        freshness=(), predict_packaged=lambda: np.zeros(0), answer=lambda row: np.zeros(1),
    )  # fmt: skip
    return evidence, candidate


def final_answers(model: ef.Model, fitted: Fitted, *, start: datetime, end: datetime) -> tuple[Floats, Floats]:
    """Truth and prediction of every event of a window, once all labels are in."""
    rows = known_by(frame_at(model, LATER, start=start, end=end).data, LATER)
    return encode_labels(fitted.schema, rows[LABEL]).astype(np.float64), fitted.predict(
        encode_frame(fitted.schema, rows)
    )


def only(verdicts: Any) -> Verdict:
    (verdict,) = verdicts
    assert isinstance(verdict, Verdict)
    return verdict


def test_gates_do_not_take_early_labels_for_the_truth(data_folder: Path) -> None:
    """In April 2016, a year's history reaches back to where the data was cut by arrival, and misleads the weights."""
    model, metric, off = booking_model(data_folder), metric_for("log_loss", "binary"), []
    table = ["hold-out of  from        labelled  cancel rate: raw  weighted  final  log loss: raw  weighted  final"]
    for month in (4, 7, 10):
        as_of = datetime(2016, month, 1, tzinfo=UTC)
        frame = frame_at(model, as_of)
        evidence, candidate = evidence_of(model, frame)
        since = candidate.split.holdout_from
        truth, predicted = final_answers(model, candidate.fitted, start=since, end=as_of)
        rates = evidence.truth.mean(), np.average(evidence.truth, weights=evidence.weight), truth.mean()
        losses = (
            metric.compute(evidence.truth, evidence.predicted),
            candidate.scores[0].value,
            metric.compute(truth, predicted),
        )
        coverage, balance = only(LabelCoverage().judge(evidence)), only(LabelBalance().judge(evidence))
        share = len(evidence.truth) / len(truth)
        table.append(
            f"{as_of:%Y-%m-%d}   {since:%Y-%m-%d}  {share:8.3f}  "
            "{:16.3f}  {:8.3f}  {:5.3f}  {:13.3f}  {:8.3f}  {:5.3f}".format(*rates, *losses)
        )
        table += [f"  {coverage.sentence}", f"  {balance.sentence}"]
        assert coverage.outcome == "passed"
        assert f"{len(evidence.truth)} of the {len(truth)} rows" in coverage.sentence
        assert evidence.labels_to_come == pytest.approx(evidence.unlabelled, rel=0.2)
        if month > 4:
            off.append([abs(early - rates[2]) for early in rates[:2]])
    raw, weighted = np.mean(off, axis=0)
    table.append(f"rate off by on average, but for April: {raw:.3f} raw, {weighted:.3f} weighted")
    sys.stdout.write("\n".join(["", *table, ""]))
    assert weighted < 0.5 * raw


def test_which_labels_to_learn_from_is_measured(data_folder: Path) -> None:
    """Refitted at an instant in three ways, and scored on the two months after it by their final labels."""
    metric, losses = metric_for("log_loss", "binary"), []
    table = ["as of       known           mature          weighted"]
    for month in (1, 5, 10):
        as_of = datetime(2016, month, 1, tzinfo=UTC)
        line, found = [f"{as_of:%Y-%m-%d}"], []
        for labels in ("known", "mature", "weighted"):
            model = booking_model(data_folder, labels)
            rows = learnable(model, frame := frame_at(model, as_of), by=as_of)
            schema = infer_schema(model, frame, rows)
            fitted = fit(model, schema, encode_rows(schema, rows), {}, seed=0)
            truth, predicted = final_answers(model, fitted, start=as_of, end=as_of + timedelta(days=61))
            found.append(metric.compute(truth, predicted))
            line.append(f"{found[-1]:.3f} ({rows.height:6,})")
        losses.append(found)
        table.append("  ".join(line))
    known, mature, weighted = np.mean(losses, axis=0)
    table.append(f"on average  {known:.3f}           {mature:.3f}           {weighted:.3f}")
    sys.stdout.write("\n".join(["", *table, ""]))
    # Freshness outweighs the bias here: that is why every known label is the default.
    assert known < mature - 0.05
    assert abs(weighted - known) < 0.05
