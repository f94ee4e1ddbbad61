"""Leaks: features with values that are not known at the time of a request."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import polars as pl

from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.errors import SourceError
from everfit.core.evidence import TrainingFrame
from everfit.core.records import Problem
from everfit.core.user_code import run_users
from everfit.definitions.model import Model
from everfit.definitions.view import FeatureView
from everfit.design.problems import error, warning
from everfit.measures.quality import metric_for
from everfit.store.known_values import known_rows
from everfit.store.reader import Reader

ALMOST_PERFECT = 0.985
"""Area under the ROC curve that a single feature hardly reaches without a leak; chosen."""
_SAMPLE = 50_000


def check_leaks(model: Model, frame: TrainingFrame) -> list[Problem]:
    """Find leaks in the labelled rows of a frame."""
    labelled = frame.data.filter(pl.col(LABEL).is_not_null())
    if len(labelled) > _SAMPLE:
        labelled = labelled.sample(_SAMPLE, seed=0)
    return [
        *_label_in_request(model),
        *_early_labels(model, labelled),
        *_late_instants(model, labelled),
        *_almost_perfect(model, frame, labelled),
    ]


def check_view_against_label(model: Model, view: FeatureView, reader: Reader, *, as_of: datetime) -> list[Problem]:
    """Check that a computed view does not use labels before they are known.

    Labels that were not known at an instant are set to null; the view's rows up to that instant must not change.
    """
    label_columns = model.label.columns
    if view.transform is None or view.source is not model.events.source:
        return []
    rows = known_rows(reader.scan(view.source), view.source, as_of)
    schema = rows.collect_schema()
    if not {view.timestamp, model.label.known_at, *label_columns} <= set(schema):
        return []
    time = pl.col(view.timestamp)
    cut = rows.select(time.cast(pl.Int64).median().cast(pl.Int64).cast(schema[view.timestamp])).collect().item()
    recent = rows.filter(time <= cut)
    if view.lookback is not None:
        recent = recent.filter(time >= cut - view.look_back * 2)
    known = pl.col(model.label.known_at) <= cut
    blanked = recent.with_columns(pl.when(known).then(pl.col(name)) for name in label_columns)
    place = f"feature view {view.name}"
    as_is, as_known = (
        run_users(view.transform, frame, error=SourceError, what="its function", place=place)
        .collect()
        .sort(view.timestamp, *view.keys)
        for frame in (recent, blanked)
    )
    if as_is.equals(as_known):
        return []
    rule = f"a row at {view.timestamp} must use only outcomes that are known by then"
    value = f"it changes if {', '.join(label_columns)} after {cut} is set to null"
    remedy = f"Compute it at the time at which outcomes are known: timestamp={model.label.known_at!r}."
    return [error(place, rule, value, remedy)]


def _label_in_request(model: Model) -> list[Problem]:
    used = set(model.label.columns) | {model.label.known_at}
    place, rule = f"model {model.name}, request", "the label must not be a request field"
    return [error(place, rule, name, "Remove it from request.") for name in model.request if name in used]


def _early_labels(model: Model, rows: pl.DataFrame) -> list[Problem]:
    early = rows.filter(pl.col(KNOWN_AT) < pl.col(TIME)).height
    if not early:
        return []
    remedy = "Check both columns: a label that is known at the event need not be predicted."
    value = f"{early} of {rows.height} rows"
    return [error(f"model {model.name}, label", "no label may be known before its event", value, remedy)]


def _late_instants(model: Model, rows: pl.DataFrame) -> Iterator[Problem]:
    for name in model.request:
        dtype = rows.schema.get(name)
        if not isinstance(dtype, pl.Datetime) or name == model.events.timestamp:
            continue
        # Planned times may be later than the event; only one that coincides with the outcome is a leak.
        late = rows.filter(pl.col(name) > pl.col(TIME)).height
        close = rows.filter((pl.col(name) - pl.col(KNOWN_AT)).abs() <= pl.duration(minutes=1)).height
        if late and close > rows.height / 2:
            value = f"{name} is later than the event in {late} of {rows.height} rows and coincides with the label"
            remedy = "It is known only with the outcome: remove it from request."
            yield error(f"model {model.name}, request", "a field must be known at the event", value, remedy)


def _almost_perfect(model: Model, frame: TrainingFrame, rows: pl.DataFrame) -> Iterator[Problem]:
    truth = rows[LABEL]
    if model.task == "binary" and model.label.positive is not None:
        truth = truth == model.label.positive
    for name in frame.features:
        strength = _strength(rows[name], truth, task=model.task)
        if strength >= ALMOST_PERFECT:
            place, rule = f"model {model.name}, feature {name}", "no single feature should predict the label alone"
            remedy = "Make sure that it is known at the event, or remove it."
            yield warning(place, rule, f"{strength:.4f} on {rows.height} rows", remedy)


def _strength(values: pl.Series, truth: pl.Series, *, task: str) -> float:
    """Return the strength of one column as a predictor of the label: 0.5 for none, 1 for perfect."""
    if truth.n_unique() < 2 or values.null_count() == len(values):
        return 0.5
    if task == "multiclass":
        return max(_strength(values, (truth == one).cast(pl.Float64), task="binary") for one in truth.unique())
    target = truth.cast(pl.Float64).to_numpy()
    if not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        # The score of a category is the label's rate in the other half of the rows, so that no row scores itself.
        half = len(values) // 2
        rates = pl.DataFrame({"value": values[:half], "target": target[:half]}).group_by("value").mean()
        scored = pl.DataFrame({"value": values[half:]}).join(rates, on="value", how="left", maintain_order="left")
        score, target = scored["target"].fill_null(target[:half].mean()).to_numpy(), target[half:]
        if target.min() == target.max():
            return 0.5
    else:
        number = values.cast(pl.Float64).fill_nan(None)
        score = number.fill_null(number.median()).fill_null(0.0).to_numpy()
    if task == "regression":
        ranks = [pl.Series(values).rank().to_numpy() for values in (score, target)]
        return 0.5 + abs(float(np.corrcoef(ranks[0], ranks[1])[0, 1])) / 2 if np.ptp(score) > 0 else 0.5
    area = metric_for("roc_auc", "binary").compute(target, score)
    return max(area, 1 - area)
