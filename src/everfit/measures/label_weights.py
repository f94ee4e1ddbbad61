"""Weights of labelled rows that correct for label delay, since labels of some classes come sooner than others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from everfit.measures.delays import LEAST_OUTCOMES, Delays
from everfit.measures.weighting import Floats

MOST_WEIGHT = 20.0
"""Largest weight of a row, so that a few early ones do not outweigh the rest. Beyond it, the weighting is biased."""
NEARLY_ALL = 0.98
"""With this share of outcomes known, the missing ones cannot bias a metric much, and all rows count alike."""


def judging_weights(delays: Delays, ages_s: Floats, codes: NDArray[np.int64]) -> Floats:
    """Return weights of labelled rows with which a young cohort's metrics are those of the mature cohort.

    Of the rows of one age, those of a slow class are known less often: a row counts by the inverse of the probability
    that one of its class is known at its age, times the probability that any is. So the classes of each age are in
    proportion, while an age of which little is known counts little: without the second factor, the few early outcomes
    of the youngest rows would stand for all of them (on the hotel bookings the cancel rate is then off by 0.017 instead
    of 0.009). Source: Robins, Hernán, Brumback 2000, "Marginal structural models", the stabilised weights.

    For a regression it is the inverse of the probability that any outcome is known at the row's age, which weights
    every age as in the mature cohort, but cannot correct for high values that take longer.

    Args:
        delays: As of the instant of the ages.
        ages_s: Of each row, shape ``(rows,)``.
        codes: The classes, 0 for every outcome of a regression; all known.

    Returns:
        Shape ``(rows,)``, about one on average (for a regression at least one), at most :data:`MOST_WEIGHT`.
    """
    aim = delays.chance_known(ages_s) if delays.classes else np.ones(len(ages_s))
    return _weights(aim, delays, ages_s, codes)


def inverse_weights(delays: Delays, ages_s: Floats, codes: NDArray[np.int64]) -> Floats:
    """Return inverse probability weights: one over the probability that a row of its class is known at its age.

    Source: Horvitz, Thompson 1952, "A generalization of sampling without replacement from a finite universe". The
    known rows so represent all predictions, of every age and class. Where fewer than
    :data:`~everfit.measures.delays.LEAST_OUTCOMES` outcomes are known, every weight is 1.

    Args and returns as for :func:`judging_weights`, but never less than one.
    """
    if delays.labelled < LEAST_OUTCOMES:
        return np.ones(len(ages_s))
    return _weights(np.ones(len(ages_s)), delays, ages_s, codes)


def _weights(aim: Floats, delays: Delays, ages_s: Floats, codes: NDArray[np.int64]) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found = aim / delays.chance_known_by_class(ages_s)[np.arange(len(ages_s)), codes]
    # Of a class that history does not hold, nothing is known that a weight could mend.
    capped: Floats = np.minimum(np.where(np.isnan(found), 1.0, found), MOST_WEIGHT)
    return capped
