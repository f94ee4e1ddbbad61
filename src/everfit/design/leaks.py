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
from everfit.core.suggestion import did_you_mean
from everfit.core.user_code import run_users
from everfit.definitions.model import Model
from everfit.definitions.view import FeatureView
from everfit.design.problems import error, warning
from everfit.design.sample import Samples
from everfit.measures.quality import metric_for
from everfit.store.known_values import instant_of, known_rows
from everfit.store.reader import Reader
from everfit.store.timestamps import INSTANT
from everfit.store.value_equality import differing_columns

ALMOST_PERFECT = 0.985
"""Area under the ROC curve that a single feature hardly reaches without a leak; chosen."""
_FEWEST = 30
"""Rows, and rows of each class, with fewer than which a strong feature may be chance; chosen."""
_SAMPLE = 50_000


def check_request(model: Model) -> list[Problem]:
    """Check that the request has no column of the label."""
    used = set(model.label.columns) | {model.label.known_at}
    place, rule = f"model {model.name}, request", "the label must not be a request field"
    return [error(place, rule, name, "Remove it from request.") for name in model.request if name in used]


def check_leaks(model: Model, frame: TrainingFrame) -> list[Problem]:
    """Find times in the labelled rows of a frame that are known only with the label."""
    labelled = _labelled(frame)
    return [*_early_labels(model, labelled), *_late_instants(model, labelled)]


def check_strength(model: Model, frame: TrainingFrame) -> Iterator[Problem]:
    """Find features that predict the label almost alone, as a copy of it or what is known only with it does.

    Left out are those that the model declares as known at the event, and features of views whose rows are known only
    when the labels are.
    """
    labelled = _labelled(frame)
    truth, is_later = labelled[LABEL], (labelled[KNOWN_AT] > labelled[TIME]).all()
    safe = tuple(f"{view.name}." for view in model.views if is_later and _known_with_label(model, view))
    if model.task == "binary" and model.label.positive is not None:
        truth = truth == model.label.positive
    for name in frame.features:
        if name in model.known_at_event or name.startswith(safe):
            continue
        strength = _strength_of(labelled[name], truth, task=model.task)
        if strength >= ALMOST_PERFECT:
            place, rule = f"model {model.name}, feature {name}", "no single feature should predict the label alone"
            value = f"a strength of {strength:.4f}, of 1 at most, on {labelled.height} rows"
            remedy = "If it is the label, or known only with it, remove it. If it is known at the event, declare it in "
            yield warning(place, rule, value, f"{remedy}the model: known_at_event=[{name!r}].")
    for name in set(model.known_at_event) - set(frame.features):
        remedy = did_you_mean(name, frame.features)
        yield error(f"model {model.name}, known_at_event", "only features may be named", name, remedy)


def check_view_against_label(
    model: Model, view: FeatureView, reader: Reader, *, as_of: datetime, samples: Samples
) -> list[Problem]:
    """Check that a view of the events' rows does not use labels before they are known.

    Labels that were not known at an instant are set to null; the view's rows up to that instant must not change.
    """
    label_columns, source = model.label.columns, view.source
    if not _reads_events(model, view):
        return []
    rows = known_rows(
        reader.scan(source, within=samples.range(source, view.timestamp), by=view.timestamp), source, as_of
    )
    schema = rows.collect_schema()
    if not {view.timestamp, model.label.known_at, *label_columns} <= set(schema):
        return []
    time, label_known = instant_of(rows, view.timestamp), instant_of(rows, model.label.known_at)
    # The time of a row: between two of them, all labels may be known.
    middle = time.cast(pl.Int64).quantile(0.5, interpolation="lower").cast(pl.Int64).cast(INSTANT)
    cut = rows.filter(label_known > time).select(middle).collect().item()
    if cut is None:
        return []
    recent = rows.filter(time <= cut)
    if view.lookback is not None:
        recent = recent.filter(time >= cut - view.look_back * 2)
    blanked = recent.with_columns(pl.when(label_known <= cut).then(pl.col(name)).alias(name) for name in label_columns)
    as_is, as_known = (_visible(view, frame, cut) for frame in (recent, blanked))
    changed = [name for name in differing_columns(as_is, as_known) if name not in {*view.keys, view.timestamp}]
    if not changed:
        return []
    rule = f"a row at {view.timestamp} must use only outcomes that are known by then"
    value = f"{', '.join(changed)} changes if {', '.join(label_columns)} after {cut} is set to null"
    remedy = f"Compute it at the time at which outcomes are known: timestamp={model.label.known_at!r}."
    return [error(f"feature view {view.name}", rule, value, remedy)]


def _visible(view: FeatureView, rows: pl.LazyFrame, at: datetime) -> pl.DataFrame:
    """Compute a view's rows of source rows; return those that are known at an instant, in order."""
    place = f"feature view {view.name}"
    if view.transform is not None:
        rows = run_users(view.transform, rows, error=SourceError, what="its function", place=place)
    else:
        rows = rows.select(
            *view.keys, view.timestamp, *(view.features or ()), *([view.created] if view.created else [])
        )
    known = instant_of(rows, view.created or view.timestamp)
    return rows.filter(known <= at).collect().sort(view.timestamp, *view.keys)


def _reads_events(model: Model, view: FeatureView) -> bool:
    """Return ``True`` if a view's rows are computed from the rows of the model's events."""
    pair = (view.source, model.events.source)
    one, other = ((source.path, source.url, source.query, source.function) for source in pair)
    return view.source is model.events.source or one == other


def _known_with_label(model: Model, view: FeatureView) -> bool:
    """Return ``True`` if no row of a view can be seen before the label of the event that it is made from is known."""
    return _reads_events(model, view) and (view.created or view.timestamp) == model.label.known_at


def _labelled(frame: TrainingFrame) -> pl.DataFrame:
    labelled = frame.data.filter(pl.col(LABEL).is_not_null())
    return labelled.sample(_SAMPLE, seed=0) if len(labelled) > _SAMPLE else labelled


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


def _strength_of(values: pl.Series, truth: pl.Series, *, task: str) -> float:
    """Return the strength of one column, or if that is more, of its being there: 0.5 for none, 1 for perfect."""
    if values.dtype.is_float():
        values = values.fill_nan(None)
    if values.dtype.is_temporal():
        values = values.to_physical()
    there = values.is_not_null()
    columns = [column for column in (values, there) if column.n_unique() > 1]
    return max((_strength(column, truth, task=task) for column in columns), default=0.5)


def _strength(values: pl.Series, truth: pl.Series, *, task: str) -> float:
    """Return the strength of one column as a predictor of the label: 0.5 for none, 1 for perfect."""
    if task == "multiclass":
        return max(_strength(values, (truth == one).cast(pl.Float64), task="binary") for one in truth.unique())
    target = truth.cast(pl.Float64).to_numpy()
    if len(target) < _FEWEST or (task == "binary" and min(target.sum(), len(target) - target.sum()) < _FEWEST):
        return 0.5
    if not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        # The score of a category is the label's rate in the other half of the rows, so that no row scores itself.
        half = len(values) // 2
        rates = pl.DataFrame({"value": values[:half], "target": target[:half]}).group_by("value").mean()
        scored = pl.DataFrame({"value": values[half:]}).join(rates, on="value", how="left", maintain_order="left")
        score, target = scored["target"].fill_null(target[:half].mean()).to_numpy(), target[half:]
        if target.min() == target.max():
            return 0.5
    else:
        number = values.cast(pl.Float64)
        score = number.fill_null(number.median()).fill_null(0.0).to_numpy()
    if task == "regression":
        ranks = [pl.Series(values).rank().to_numpy() for values in (score, target)]
        return 0.5 + abs(float(np.corrcoef(ranks[0], ranks[1])[0, 1])) / 2 if np.ptp(score) > 0 else 0.5
    area = metric_for("roc_auc", "binary").compute(target, score)
    return max(area, 1 - area)
