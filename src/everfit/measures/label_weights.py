"""How much each known row must count, since outcomes of one class come sooner than those of another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from everfit.measures.delays import LEAST_OUTCOMES, Delays
from everfit.measures.weighting import Floats

MOST_WEIGHT = 20.0
"""No row counts for more than this many: a few early ones would outvote the rest. Beyond it, weighing is biased."""
NEARLY_ALL = 0.98
"""Where so large a share of outcomes is known, what is still to come could not mislead anyone, and all count alike."""


def judging_weights(delays: Delays, ages_s: Floats, codes: NDArray[np.int64]) -> Floats:
    """How much each known row must count, so that a young cohort's metrics are what they will be.

    Of the rows of one age, those of a slow class are known more seldom: a row counts by the inverse of the chance that
    one of its class is known at its age, times the chance that any is. So the classes of each age come into their
    proportion, while an age of which little is known counts little: without the second factor, the few early outcomes
    of the youngest rows would speak for all of them (on the hotel bookings the cancel rate is then off by 0.017 instead
    of 0.009). Source: Robins, Hernán, Brumback 2000, "Marginal structural models", the stabilised weights.

    For a regression it is the inverse of the chance that any outcome is known at the row's age, which makes every age
    count as in the end, but cannot mend that high values may take longer.

    Args:
        delays: As of the same instant.
        ages_s: Of each row at that instant, seconds, shape ``(rows,)``.
        codes: The classes, 0 for every outcome of a regression; all known.

    Returns:
        Shape ``(rows,)``, about one on average (for a regression at least one), at most :data:`MOST_WEIGHT`.
    """
    aim = delays.chance_known(ages_s) if delays.classes else np.ones(len(ages_s))
    return _capped(aim, _chance(delays, ages_s, codes))


def inverse_weights(delays: Delays, ages_s: Floats, codes: NDArray[np.int64]) -> Floats:
    """How many rows each known row stands for: the inverse of the chance that one of its class is known at its age.

    Source: Horvitz, Thompson 1952, "A generalization of sampling without replacement from a finite universe". So the
    known rows stand for all that were asked, of every age and class. Where fewer than
    :data:`~everfit.measures.delays.LEAST_OUTCOMES` outcomes are known, every row stands for itself.

    Args and returns as for :func:`judging_weights`, but never less than one.
    """
    if delays.labelled < LEAST_OUTCOMES:
        return np.ones(len(ages_s))
    return _capped(np.ones(len(ages_s)), _chance(delays, ages_s, codes))


def _chance(delays: Delays, ages_s: Floats, codes: NDArray[np.int64]) -> Floats:
    """That a row of its class is known by its age."""
    chances: Floats = delays.chance_known_by_class(ages_s)[np.arange(len(ages_s)), codes]
    return chances


def _capped(aim: Floats, chance: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found = aim / chance
    # Of a class that history does not hold, nothing is known that a weight could mend.
    capped: Floats = np.minimum(np.where(np.isnan(found), 1.0, found), MOST_WEIGHT)
    return capped
