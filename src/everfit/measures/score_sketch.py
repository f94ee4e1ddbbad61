"""What remains of scored rows whose labels are known: enough for every metric of a classifier, over any window.

Losses are exact sums. What depends on the order of the scores comes from a histogram of score by label, fine enough
that its area under the curve is the rows' own to the third digit.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from everfit.core.errors import DataError
from everfit.measures.exact_sum import as_float, pack, units, unpack
from everfit.measures.multiclass_metrics import likeliest
from everfit.measures.scoring_rules import SMALLEST, chance_of_truth
from everfit.measures.weighting import Floats, ratio

Counts = NDArray[np.int64]

_LOGIT_REACH = 12.0
_CHANCE_UNIT = 1 << 32
"""Chances are summed by bin in whole parts of this, since floats do not add up the same in every order; an int64 holds
the sum of two thousand million rows."""


def score_bins(reference: Floats | None = None, *, bins: int = 1_024) -> tuple[float, ...]:
    """Inner ends of the bins of a chance, half of them even in its logit, half at quantiles of the reference.

    The even ones find what a shifted model says where the reference had nothing; the quantiles part scores that crowd
    in a corner, such as those of a rare class.

    Args:
        reference: Chances, of any shape; all bins are even in the logit without.
        bins: How many at most.

    >>> len(score_bins()), len(score_bins(np.linspace(0.0, 1.0, 10_001)))
    (1023, 1023)
    """
    parts = bins if reference is None else bins // 2
    even = 1.0 / (1.0 + np.exp(-np.linspace(-_LOGIT_REACH, _LOGIT_REACH, parts - 1)))
    if reference is None:
        return tuple(even.tolist())
    ordered = np.sort(reference[np.isfinite(reference)], axis=None)
    ranks = -(-len(ordered) * np.arange(1, bins - parts + 1) // (bins - parts + 1)) - 1
    return tuple(np.unique(np.append(even, ordered[ranks] if len(ordered) else even)).tolist())


class ScoreSketch:
    """Score by label of a classifier's rows, of which :meth:`add` takes more.

    Args:
        edges: From :func:`score_bins`.
        classes: How many the model has a chance for; 2 is binary, where only class 1's chance is given.

    >>> january, february = ScoreSketch(score_bins()), ScoreSketch(score_bins())
    >>> january.add(np.array([0.0, 1.0]), np.array([0.1, 0.8]))
    >>> february.add(np.array([0.0, 1.0]), np.array([0.4, 0.35]))
    >>> {name: round(value, 3) for name, value in january.merge(february).metrics().items()}
    {'log_loss': 0.472, 'roc_auc': 0.75, 'average_precision': 0.833, 'brier': 0.158, 'calibration_error': 0.337, \
'accuracy': 0.75}
    """

    def __init__(self, edges: tuple[float, ...], *, classes: int = 2) -> None:
        self.edges = edges
        self.classes = classes
        self._ends = np.array(edges)
        charts = 1 if classes == 2 else classes
        self._counts: Counts = np.zeros((charts, len(edges) + 1, 2), dtype=np.int64)
        self._chances: Counts = np.zeros((charts, len(edges) + 1), dtype=np.int64)
        # Row: the true class, the last one for a class that the model has no chance for. Column: the likeliest one.
        self._confusion: Counts = np.zeros((classes + 1, classes), dtype=np.int64)
        self._log_loss = self._squares = 0
        self.unscored = 0
        """Rows without a finite chance, which count nowhere else."""

    @property
    def rows(self) -> int:
        """How many rows are scored."""
        return int(self._confusion.sum())

    def add(self, truth: Floats, predicted: Floats) -> None:
        """Count some more rows.

        Args:
            truth: 0 or 1, or the class's index, shape ``(rows,)``; -1 is a class that has no chance.
            predicted: The chance of class 1, shape ``(rows,)``, or of each class, shape ``(rows, classes)``.
        """
        charts = predicted[:, None] if predicted.ndim == 1 else predicted
        if charts.shape != (len(truth), len(self._counts)):
            raise DataError(
                f"chances must be of {len(self._counts)} columns and as many rows as labels", value=charts.shape
            )
        scored = np.isfinite(charts).all(axis=1)
        if not scored.all():
            self.unscored += int((~scored).sum())
            truth, charts = truth[scored], charts[scored]
        if len(truth) == 0:
            return
        unknown = truth < 0
        for index, column in enumerate(charts.T):
            positive = (truth > 0) if self.classes == 2 else (truth == index)
            # As in measures.ranking: a row of a class without a chance scores above all others.
            chance = np.where(unknown, 1.0, column)
            place = self._ends.searchsorted(chance)
            cells = np.bincount(place * 2 + positive, minlength=self._counts[index].size)
            self._counts[index] += cells.reshape(-1, 2)
            # Whole numbers below 2 ** 53 add exactly as floats.
            parts = np.rint(chance * _CHANCE_UNIT)
            self._chances[index] += np.bincount(place, weights=parts, minlength=len(self._ends) + 1).astype(np.int64)
        self._add_losses(truth, charts)
        best = likeliest(charts[:, 0] if self.classes == 2 else charts)
        cells = np.bincount(
            truth.astype(np.intp) % (self.classes + 1) * self.classes + best, minlength=self._confusion.size
        )
        self._confusion += cells.reshape(self._confusion.shape)

    def _add_losses(self, truth: Floats, charts: Floats) -> None:
        given = chance_of_truth(truth, charts[:, 0] if self.classes == 2 else charts)
        losses = -np.log(np.clip(given, SMALLEST, 1.0 - SMALLEST)).sum()
        squares = ((1.0 - given) ** 2).sum()
        log_loss, square = units(np.array([losses, squares]))
        self._log_loss += log_loss
        self._squares += square

    def merge(self, other: ScoreSketch) -> ScoreSketch:
        """The sketch of the rows of both; neither changes.

        Raises:
            DataError: If their bins or numbers of classes differ.
        """
        if (self.edges, self.classes) != (other.edges, other.classes):
            raise DataError("only score sketches of the same bins and classes can be merged")
        both = ScoreSketch(self.edges, classes=self.classes)
        both._counts = self._counts + other._counts
        both._chances = self._chances + other._chances
        both._confusion = self._confusion + other._confusion
        both._log_loss = self._log_loss + other._log_loss
        both._squares = self._squares + other._squares
        both.unscored = self.unscored + other.unscored
        return both

    def metrics(self) -> dict[str, float]:
        """Every metric of the task under the names of :mod:`everfit.measures.quality`, NaN where undefined.

        Log loss, Brier score, accuracy and F1 are exact; areas and calibration come from the bins.
        """
        rows = self.rows
        confusion = self._confusion
        log_loss = ratio(as_float(self._log_loss), rows)
        accuracy = ratio(float(confusion.diagonal().sum()), rows)
        areas = [_area(counts) for counts in self._counts]
        if self.classes > 2:
            known = [area for area in areas if not math.isnan(area)]
            macro_auc = sum(known) / len(known) if known else math.nan
            return {
                "log_loss": log_loss,
                "macro_auc": macro_auc,
                "macro_f1": _macro_f1(confusion),
                "accuracy": accuracy,
            }
        return {
            "log_loss": log_loss,
            "roc_auc": areas[0],
            "average_precision": _average_precision(self._counts[0]),
            "brier": ratio(as_float(self._squares), rows),
            "calibration_error": self._calibration_error(),
            "accuracy": accuracy,
        }

    def calibration(self, *, bins: int = 10, chart: int = 0) -> tuple[Floats, Floats, Counts]:
        """Mean chance, share that came true and number of rows in about equally full bins, each ``(bins,)`` at most.

        Args:
            bins: How many at most; a fine bin of scores is never parted.
            chart: The class, if there are more than two.
        """
        counts = self._counts[chart].sum(axis=1)
        held = counts > 0
        if not held.any():
            return np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64)
        ends = -(-counts.sum() * np.arange(1, bins) // bins)
        group = np.searchsorted(ends, counts[held].cumsum(), side="left")
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        rows = np.add.reduceat(counts[held], starts)
        chance = np.add.reduceat(self._chances[chart][held], starts) / _CHANCE_UNIT / rows
        return chance, np.add.reduceat(self._counts[chart][held, 1], starts) / rows, rows

    def _calibration_error(self) -> float:
        chance, share, rows = self.calibration()
        return ratio(float((np.abs(chance - share) * rows).sum()), float(rows.sum()))

    def to_bytes(self) -> bytes:
        """What :meth:`from_bytes` reads; equal sketches give equal bytes."""
        arrays = [array.ravel().tolist() for array in (self._counts, self._chances, self._confusion)]
        return msgspec.msgpack.encode((self.classes, *arrays, pack(self._log_loss), pack(self._squares), self.unscored))

    @classmethod
    def from_bytes(cls, data: bytes, edges: tuple[float, ...]) -> ScoreSketch:
        """What :meth:`to_bytes` wrote, with the bins it was counted in.

        Raises:
            DataError: If it was counted in another number of bins.
            msgspec.DecodeError: If it is no score sketch.
        """
        classes, counts, chances, confusion, log_loss, squares, unscored = msgspec.msgpack.decode(data, type=_Wire)
        sketch = cls(edges, classes=classes)
        if len(counts) != sketch._counts.size:
            raise DataError("a score sketch must be read with the bins that it was counted in", value=len(edges))
        sketch._counts = np.array(counts, dtype=np.int64).reshape(sketch._counts.shape)
        sketch._chances = np.array(chances, dtype=np.int64).reshape(sketch._chances.shape)
        sketch._confusion = np.array(confusion, dtype=np.int64).reshape(sketch._confusion.shape)
        sketch._log_loss, sketch._squares = unpack(log_loss), unpack(squares)
        sketch.unscored = unscored
        return sketch


_Packed = tuple[int, bytes]
_Wire = tuple[int, list[int], list[int], list[int], _Packed, _Packed, int]


def _area(counts: Counts) -> float:
    """As :func:`everfit.measures.ranking.roc_auc`, the rows of a bin being tied."""
    negative, positive = counts.T.astype(np.float64)
    beaten = negative.cumsum() - 0.5 * negative
    return ratio(float((positive * beaten).sum()), float(positive.sum() * negative.sum()))


def _average_precision(counts: Counts) -> float:
    """As :func:`everfit.measures.ranking.average_precision`."""
    negative, positive = counts[::-1].T.astype(np.float64)
    found = positive.cumsum()
    precision = found / np.maximum((positive + negative).cumsum(), 1.0)
    return ratio(float((positive * precision).sum()), float(positive.sum()))


def _macro_f1(confusion: Counts) -> float:
    """As :func:`everfit.measures.multiclass_metrics.macro_f1`; an impossible class that occurs counts, too."""
    true, predicted = confusion.sum(axis=1), np.append(confusion.sum(axis=0), 0)
    seen = (true + predicted) > 0
    hits = np.append(confusion.diagonal(), 0)
    return float(np.mean(2.0 * hits[seen] / (true + predicted)[seen])) if seen.any() else math.nan
