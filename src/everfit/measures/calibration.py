"""Whether chances come true as often as they say."""

from __future__ import annotations

import numpy as np

from everfit.measures.weighting import Floats, Weighing, ratio, weigh

BINS = 10


def calibration_error(truth: Floats, predicted: Floats, weight: Floats | None = None, *, bins: int = BINS) -> float:
    """Expected calibration error: how far, on average, the stated chance is from the share that came true.

    The rows are put into ``bins`` bins of about equally many rows, by the quantiles of the predictions (equal widths
    would leave most bins of a rare class empty); a bin's gap counts by its weight. Edges do not depend on the
    weights, so that all resamples of a bootstrap are judged on the same bins. Chance alone makes it positive: about
    ``sqrt(bins / rows)`` times a number below one half, even for perfect chances.

    Source: Naeini, Cooper, Hauskrecht 2015, "Obtaining well calibrated probabilities using Bayesian binning";
    quantile bins as in Nguyen, O'Connor 2015 (1508.05154).

    Args:
        truth: 0 or 1, shape ``(rows,)``; -1 is a third class, a row of which has the largest gap, 1.
        predicted: The chance of class 1, shape ``(rows,)``.
        weight: How often each row counts, shape ``(rows,)``, not negative.
        bins: How many bins at most; equal predictions always share one.

    >>> calibration_error(np.array([0.0, 1.0, 1.0, 1.0]), np.array([0.5, 0.5, 0.5, 0.5]))
    0.25
    """
    return weigh(calibration_error_on(truth, predicted, bins=bins), weight, len(truth))


def calibration_error_on(truth: Floats, predicted: Floats, *, bins: int = BINS) -> Weighing:
    """:func:`calibration_error` of fixed rows."""
    # Edges are predictions themselves, found by whole-number ranks: an interpolated quantile can miss a tied value by
    # a rounding error and part what is equal.
    third = truth < 0
    known = predicted[~third]
    ranks = -(-len(known) * np.arange(1, bins) // bins) - 1
    edges = np.unique(np.sort(known)[ranks]) if len(known) else known
    place = np.searchsorted(edges, predicted, side="left")
    excess = np.where(third, 0.0, truth - predicted)

    def weighing(weight: Floats) -> float:
        gaps = np.bincount(place, weights=weight * excess)
        return ratio(np.abs(gaps).sum() + weight[third].sum(), weight.sum())

    return weighing
