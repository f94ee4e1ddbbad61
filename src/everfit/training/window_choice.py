"""Choice of a training's history by rolling-origin validation: the widest window, unless a shorter one is better.

Source: Tashman 2000, "Out-of-sample tests of forecasting accuracy". An origin is an instant before the hold-out. At
each one a window is what was known by then and is as long as the window says; what is learnt from it is scored on the
rows up to the next origin. So a window is judged as it is used: on what comes after it.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import polars as pl
from msgspec import structs

from everfit.artifact.infer import infer_schema
from everfit.core.columns import LABEL, TIME
from everfit.core.errors import EmptyWindowError, LabelError, TrainingError
from everfit.core.evidence import TrainingFrame
from everfit.core.progress import SILENT, Progress
from everfit.core.records import TimeSplit
from everfit.core.settings import TrainingSettings
from everfit.definitions.model import Model
from everfit.definitions.training_window import LEAST_LABELS, TrainingWindow
from everfit.measures.block_means import MeanLimit, mean_limit
from everfit.measures.row_loss import LOSS_KINDS, LOSS_WORDS, MEAN_LOSSES, LossKind
from everfit.measures.weighting import Floats
from everfit.store.digest import frame_digest
from everfit.training.labels import judging, known_by, learnable
from everfit.training.split import split_by_time
from everfit.training.trainer import encode_rows, fit, predict_rows

MOST_ORIGINS = 6
"""Two to three months of judgement by default. Four to eight choose alike on bikes and Elec2 (decision 45)."""
MOST_ROWS = 50_000
"""Of a larger frame every second, third, … row is fitted and scored, but all rows since a change. A short window loses
most by it."""
ALPHA = 0.05
"""Chance that some window is taken for better though none is, shared by the shorter windows (Bonferroni), and that of
the rows since a change, for which there is an alarm besides; chosen."""
_LEAST_SINCE = 100
"""Labelled rows since a change from which it is learnt; chosen."""
_LEAST_BLOCKS = 4
_LEAST_BLOCK, _MICROSECOND = timedelta(days=1), timedelta(microseconds=1)
_BLOCKS_AFTER_CHANGE = 8
"""The rows since a change are few, and an alarm has said already that the world is another one. Then blocks may be
shorter than a day."""

_Option: TypeAlias = TrainingWindow | datetime | None
"""A window; the rows since an instant; or all history."""
_log = logging.getLogger(__name__)


def choose_history(
    model: Model, frame: TrainingFrame, *, settings: TrainingSettings, progress: Progress = SILENT
) -> TrainingFrame:
    """Return the part of a frame that a model is trained on: one of its windows, or the rows since a change.

    The frame is the widest window. In the order of their length, each shorter window must beat the best one so far:
    the upper confidence limit of the mean difference of the losses, on the same rows, must be below 0. The limit is
    that of means of time blocks (:func:`everfit.measures.block_means.mean_limit`): half the time between two origins,
    a day at least. Origins are :data:`MOST_ORIGINS` in the newer half of what comes before the hold-out, and no farther
    apart than the validation part is long; windows must differ at two of them. Rows since a change are compared in the
    same way, at origins since then (:func:`everfit.training.part_start.after_change`); one origin and shorter blocks
    suffice.

    Fits are with every parameter's default: at most :data:`MOST_ORIGINS` for a window, and twice as many for a change.
    After ``[training] seconds`` no further window is judged. Nothing from the hold-out on is used. Where there is
    nothing to choose from, nothing is fitted. The sentence on the choice is ``history_choice`` of the manifest.
    """
    plain, changed = replace(frame, changed_at=None), frame.changed_at
    if changed is None and len(model.histories) == 1:
        return frame
    progress.start("choosing history")
    contest = _Contest(model, frame, settings)
    chosen: _Option = model.history
    if len(model.histories) > 1:
        origins = _origins(model, plain, settings)
        for window in model.histories[1:]:
            chosen = contest.better(window, chosen, origins)
    if changed is not None and changed > (contest.first(chosen, contest.end) or frame.manifest.start):
        chosen = contest.better(changed, chosen, _origins(model, frame, settings))
    parts, sentence = contest.part(chosen), contest.sentence(chosen)
    if sentence:
        _log.info("%s: %s", model.name, sentence)
    progress.finish("choosing history", note=_words(chosen))
    return replace(parts, manifest=structs.replace(parts.manifest, history_choice=sentence))


@dataclass(frozen=True, kw_only=True)
class _Origins:
    """Instants at which windows end, ascending, and the end of the rows that the last one is scored on."""

    instants: tuple[datetime, ...] = ()
    until: datetime | None = None
    is_after_change: bool = False

    @property
    def slices(self) -> list[tuple[datetime, datetime]]:
        """The origins, each with the end of its rows."""
        return [] if self.until is None else list(pairwise((*self.instants, self.until)))

    def block_us(self, span_us: float) -> float:
        """Return the length of a time block in microseconds, for scored rows that span a time."""
        (first, until), *_ = self.slices
        length = max((until - first) / 2, _LEAST_BLOCK) / _MICROSECOND
        return min(length, span_us / _BLOCKS_AFTER_CHANGE) if self.is_after_change else length


def _origins(model: Model, frame: TrainingFrame, settings: TrainingSettings) -> _Origins:
    """Return the origins before the hold-out; none where the frame cannot be split, which the training will say.

    After a change they are those since then: its hold-out leaves rows since then to learn from.
    """
    try:
        split = _split(model, frame, settings)
    except (EmptyWindowError, LabelError):
        return _Origins()
    changed, step, end = frame.changed_at, split.holdout_from - split.validation_from, split.holdout_from
    earliest = split.start + (end - split.start) / 2 if changed is None else changed
    if changed is None:
        step = min(step, (end - earliest) // MOST_ORIGINS)
    found = (end - step * number for number in range(MOST_ORIGINS, 0, -1))
    instants = tuple(instant for instant in found if instant >= earliest)
    return _Origins(instants=instants, until=end, is_after_change=changed is not None)


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    """A shorter window against a wider one, at the origins at which they differ."""

    shorter: _Option
    wider: _Option
    limit: MeanLimit
    """Of the loss of the shorter one beyond that of the wider one."""
    rows: int
    origins: int

    @property
    def is_better(self) -> bool:
        """True if the shorter window is proven to be better."""
        return self.limit.high < 0


@dataclass
class _Contest:
    """Comparisons of windows, with the losses of what was fitted for them."""

    model: Model
    frame: TrainingFrame
    settings: TrainingSettings
    found: list[_Comparison] = field(default_factory=list)
    fits: int = 0
    began_s: float = field(default_factory=time.monotonic)
    _losses: dict[tuple[datetime, int, int], Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.every = -(-max(self.frame.manifest.labelled, 1) // MOST_ROWS)
        data, changed = self.frame.data, self.frame.changed_at
        self._thin = self._since = replace(self.frame, data=data.gather_every(self.every))
        if changed is not None and self.every > 1:
            # The rows since then are few; what they teach must not be lost.
            sampled = pl.int_range(pl.len()) % self.every == 0
            self._since = replace(self.frame, data=data.filter(sampled | (pl.col(TIME) >= changed)))
        kind = LOSS_KINDS[self.model.metric]
        # The order of pairs has no loss of single rows.
        self._kind: LossKind = kind if kind in MEAN_LOSSES else "log_loss"

    @property
    def end(self) -> datetime:
        """The instant at which the windows of the training end."""
        return min(self.frame.manifest.end, self.frame.manifest.as_of)

    def better(self, shorter: _Option, wider: _Option, origins: _Origins) -> _Option:
        """Return the shorter window if it is proven to be better, and has rows for every part, else the wider one."""
        try:
            comparison = self._compare(shorter, wider, origins)
        except TrainingError as failure:
            _log.info("%s: %s cannot be judged: %s", self.model.name, _words(shorter), failure)
            return wider
        if comparison is None or (comparison.is_better and not self._has_parts(shorter)):
            return wider
        self.found.append(comparison)
        return shorter if comparison.is_better else wider

    def part(self, option: _Option) -> TrainingFrame:
        """Return the rows of a window, as a frame that is built from its first event time on has them."""
        frame, start = self.frame, self.first(option, self.end)
        changed = frame.changed_at if isinstance(option, datetime) else None
        if option == self.model.history or start is None:
            return replace(frame, changed_at=changed)
        data = frame.data.filter(pl.col(TIME) >= start)
        labelled = data.height - data[LABEL].null_count()
        digest = frame_digest(data)
        manifest = structs.replace(frame.manifest, start=start, rows=data.height, labelled=labelled, digest=digest)
        return replace(frame, data=data, manifest=manifest, changed_at=changed)

    def _has_parts(self, option: _Option) -> bool:
        try:
            _split(self.model, self.part(option), self.settings)
        except (EmptyWindowError, LabelError):
            return False
        return True

    def sentence(self, chosen: _Option) -> str:
        """Return the choice with its figures; empty where there was too little history to compare windows on."""
        if not self.found:
            return ""
        decisive = [one for one in self.found if one.shorter == chosen or not one.is_better]
        shown = next((one for one in decisive if one.shorter == chosen), None)
        shown = shown or min(decisive, key=lambda one: one.limit.mean)
        limit, loss = shown.limit, LOSS_WORDS[self._kind]
        sample = f", one in {self.every}" if self.every > 1 and not isinstance(shown.shorter, datetime) else ""
        return (
            f"It learns from {_words(chosen)}: the {loss} of what {_words(shown.shorter)} taught minus that of "
            f"{_words(shown.wider)} is {limit.mean:.3g}, between {limit.low:.3g} and {limit.high:.3g} by "
            f"{limit.blocks} time blocks ({shown.rows:,} rows{sample} after {shown.origins} origins, {self.fits} fits)."
        )

    def _compare(self, shorter: _Option, wider: _Option, origins: _Origins) -> _Comparison | None:
        """Return the comparison on the rows after origins at which both can be learnt from and differ.

        ``None`` without enough of them, or if there is too little to learn from at the last one with labelled rows.
        """
        differences, times, compared, last = list[Floats](), list[pl.Series](), list[datetime](), None
        frame = self._since if origins.is_after_change else self._thin
        for origin, until in origins.slices:
            if time.monotonic() - self.began_s > self.settings.seconds:
                _log.info("%s: [training] seconds are over before %s was judged", self.model.name, _words(shorter))
                return None
            known = learnable(self.model, frame, by=origin, before=origin)
            long, short = (self._within(known, option, origin) for option in (wider, shorter))
            scored = judging(self.model, frame, by=origins.slices[-1][1], since=origin, before=until)
            last = last if scored.is_empty() else origin
            if short.height == long.height or scored.is_empty() or not self._can_teach(short, long, shorter):
                continue
            own, others = (self._losses_of(rows, scored, origin) for rows in (short, long))
            differences.append(own - others)
            times.append(scored[TIME])
            compared.append(origin)
        if len(compared) < (1 if origins.is_after_change else 2) or compared[-1] != last:
            return None
        since_us = (together := pl.concat(times).dt.epoch("us").to_numpy()) - together[0]
        blocks = np.floor(since_us / origins.block_us(float(since_us[-1]) + 1.0))
        alpha = ALPHA if origins.is_after_change else ALPHA / (len(self.model.histories) - 1)
        limit = mean_limit(np.concatenate(differences), blocks, alpha=alpha)
        if limit is None or limit.blocks < _LEAST_BLOCKS:
            return None
        return _Comparison(shorter=shorter, wider=wider, limit=limit, rows=len(since_us), origins=len(compared))

    def _within(self, known: pl.DataFrame, option: _Option, origin: datetime) -> pl.DataFrame:
        """Return the rows of a window that ends at an origin."""
        return known.filter(pl.col(TIME) >= first) if (first := self.first(option, origin)) else known

    def first(self, option: _Option, end: datetime) -> datetime | None:
        """Return the first event time of a window that ends at an instant; ``None`` for all rows."""
        if option is None or isinstance(option, datetime):
            return option
        if option.span is not None:
            return end - option.span
        times = known_by(self.frame.data.filter(pl.col(TIME) < end), end)[TIME]
        first: datetime | None = times[-option.rows] if option.rows and option.rows < len(times) else None
        return first

    def _can_teach(self, short: pl.DataFrame, long: pl.DataFrame, option: _Option) -> bool:
        """Return true if a window has sufficient rows, and every class; a version must not forget one."""
        least = _LEAST_SINCE if isinstance(option, datetime) else LEAST_LABELS
        if short.height * (1 if isinstance(option, datetime) else self.every) < least:
            return False
        return self.model.task == "regression" or short[LABEL].n_unique() == long[LABEL].n_unique()

    def _losses_of(self, rows: pl.DataFrame, scored: pl.DataFrame, origin: datetime) -> Floats:
        """Return the losses of scored rows, in order, by what is learnt from some rows; each is fitted once."""
        key = (origin, scored.height, rows.height)
        if key not in self._losses:
            self._losses[key] = self._fitted_losses(rows, scored)
        return self._losses[key]

    def _fitted_losses(self, rows: pl.DataFrame, scored: pl.DataFrame) -> Floats:
        model = self.model
        schema = infer_schema(model, self.frame, rows)
        params = {name: parameter.untuned for name, parameter in model.learner.space.items()}
        self.fits += 1
        fitted = fit(model, schema, encode_rows(schema, rows), params, seed=self.settings.seed)
        valid = encode_rows(schema, scored)
        predicted = predict_rows(fitted, valid.inputs_of(fitted), rows="validation rows", model=model.name)
        losses = MEAN_LOSSES[self._kind](valid.y.astype(np.float64), predicted)
        return np.asarray(losses * valid.weight / valid.weight.mean())


def _words(option: _Option) -> str:
    if option is None:
        return "all history"
    return f"the rows since the change on {option:%Y-%m-%d}" if isinstance(option, datetime) else str(option)


def _split(model: Model, frame: TrainingFrame, settings: TrainingSettings) -> TimeSplit:
    parts = split_by_time(
        model, frame, holdout_share=settings.holdout_share, validation_share=settings.validation_share
    )
    return parts.split
