"""Calibration: the gap between stated probabilities and the shares that came true."""

from __future__ import annotations

import numpy as np

from everfit.measures.weighting import Floats, Weighing, ratio

BINS = 10


def calibration_error_on(truth: Floats, predicted: Floats, *, bins: int = BINS) -> Weighing:
    """Expected calibration error: the mean gap between the stated probability and the share that came true.

    The rows are put into ``bins`` bins of about equally many rows, by the quantiles of the predictions (equal widths
    would leave most bins of a rare class empty); a bin's gap counts by its weight. Edges do not depend on the
    weights, so that all resamples of a bootstrap are judged on the same bins. Chance alone makes it positive: about
    ``sqrt(bins / rows)`` times a number below one half, even for perfect probabilities.

    Source: Naeini, Cooper, Hauskrecht 2015, "Obtaining well calibrated probabilities using Bayesian binning";
    quantile bins as in Nguyen, O'Connor 2015 (1508.05154).

    Args:
        truth: 0 or 1, shape ``(rows,)``; -1 is a third class, a row of which has the largest gap, 1.
        predicted: The probability of class 1, shape ``(rows,)``.
        bins: The largest number of bins; equal predictions always share one.

    >>> calibration_error_on(np.array([0.0, 1.0, 1.0, 1.0]), np.array([0.5, 0.5, 0.5, 0.5]))(np.ones(4))
    0.25
    """
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
