"""Label delay: its distribution, with labels that have not come yet as censored, and weights that correct for it.

Labels of some classes come sooner than those of others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from everfit.measures.competing_risks import Incidence, cumulative_incidence
from everfit.measures.weighting import Floats

HISTORY = timedelta(days=365)
"""Age limit of the rows that delays are estimated from: every season once, and nothing outdated. On the hotel bookings,
half a year is as good (off by 0.011), one and a half is worse (0.024)."""
LEAST_OUTCOMES = 30
"""With fewer outcomes the delay counts as unknown."""
MOST_WEIGHT = 20.0
"""Largest weight of a row, so that a few early ones do not outweigh the rest. Beyond it, the weighting is biased."""
NEARLY_ALL = 0.98
"""With this share of outcomes known, the missing ones cannot bias a metric much, and all rows count alike."""
MOST_APART = 2.0
"""Ratio of the measured delay and the one that was expected from which they differ; chosen."""
_BLOCKS = 26
"""Time blocks that the history is cut into to measure its overdispersion: two weeks each, if it is a year."""
_LEAST_BLOCKS = 7


class Delay(Struct, frozen=True, kw_only=True):
    """Quantiles of the label delay, among outcomes that come within the longest delay that could be observed."""

    value: str | None
    """The class; ``None`` for all together."""
    labelled: int
    """Outcomes it was estimated from."""
    p10_s: float | None
    """One in ten outcomes has come by this age; ``None`` where there are none."""
    median_s: float | None
    p90_s: float | None

    def differs_from(self, expected: timedelta) -> bool:
        """Return true if nine of ten outcomes come much sooner or later than expected; false if too few are known."""
        if self.labelled < LEAST_OUTCOMES or self.p90_s is None:
            return False
        expected_s = expected.total_seconds()
        return not expected_s / MOST_APART <= self.p90_s <= expected_s * MOST_APART


@dataclass(frozen=True, kw_only=True, eq=False)
class Delays:
    """Distribution of the label delay.

    Args:
        incidence: Ages in seconds; the kinds are the classes, or one for a regression.
        classes: The label's values; empty for a regression.
        ages_s: Of each row that it was estimated from, at its outcome, or now.
        codes: Its class, or :data:`~everfit.measures.competing_risks.WAITING`.
        blocks: The time block of its prediction.
    """

    incidence: Incidence
    classes: tuple[object, ...]
    ages_s: Floats
    codes: NDArray[np.int64]
    blocks: NDArray[np.int64]

    @property
    def labelled(self) -> int:
        """Number of outcomes it was estimated from."""
        return int(self.incidence.events.sum())

    @property
    def overall(self) -> Delay:
        """The delay of all outcomes together."""
        return self._delay(None, self.incidence.incidence.sum(axis=1), self.labelled)

    @property
    def by_class(self) -> tuple[Delay, ...]:
        """The delay of each class."""
        curves, counts = self.incidence.incidence, self.incidence.events.sum(axis=0)
        return tuple(self._delay(str(label), curves[:, k], int(counts[k])) for k, label in enumerate(self.classes))

    def chance_known(self, ages_s: Floats) -> Floats:
        """Return the probability that an outcome which comes has come by an age, of any class; shape ``(rows,)``."""
        curve = self.incidence.incidence.sum(axis=1)
        return _share(curve[self.incidence.place(ages_s)], curve[-1])

    def chance_known_by_class(self, ages_s: Floats) -> Floats:
        """Return the same for each class, shape ``(rows, classes)``; NaN for a class that was never seen."""
        curves = self.incidence.incidence
        return _share(curves[self.incidence.place(ages_s)], curves[-1])

    def age_known_s(self, share: float) -> float | None:
        """Return the age by which this share of all outcomes has come, and of those of each class.

        A class with fewer than :data:`LEAST_OUTCOMES` outcomes is left out; ``None`` if there are not that many at all.
        """
        if self.labelled < LEAST_OUTCOMES:
            return None
        curves, counts = self.incidence.incidence, self.incidence.events.sum(axis=0)
        parts = [curves.sum(axis=1), *(curves[:, k] for k in np.flatnonzero(counts >= LEAST_OUTCOMES))]
        return max(self._age(curve, share) for curve in parts)

    def forecast_variance(self, ages_s: Floats, value: Floats) -> tuple[float, float]:
        """Return the variance of the forecast value of waiting rows if rows were independent, and its design effect.

        The factor is above 1 where rows of one time block are alike; see
        :meth:`~everfit.measures.competing_risks.Incidence.influence`.
        """
        if not len(ages_s):  # as in most cohorts of an old model: nothing to forecast, nothing to be uncertain of
            return 0.0, 1.0
        influence = self.incidence.influence(ages_s, value, self.ages_s, self.codes)
        alone, count = float((influence**2).sum()), len(np.unique(self.blocks))
        if count < _LEAST_BLOCKS or alone <= 0:
            return alone, 1.0
        together = np.bincount(self.blocks, weights=influence)
        return alone, max(1.0, float((together**2).sum()) / alone * count / (count - 1))

    def _delay(self, value: str | None, curve: Floats, labelled: int) -> Delay:
        p10, median, p90 = (self._age(curve, share) if labelled else None for share in (0.1, 0.5, 0.9))
        return Delay(value=value, labelled=labelled, p10_s=p10, median_s=median, p90_s=p90)

    def _age(self, curve: Floats, share: float) -> float:
        """Return the age by which a curve has reached a share of its end, which must be above zero."""
        # Rounding must not put the last outcome beyond the end.
        place = int(np.searchsorted(curve, share * curve[-1] * (1 - 1e-12), side="left"))
        return float(self.incidence.ages[place - 1])


def delays_of(
    ages_s: Floats,
    codes: NDArray[np.int64],
    asked_ago_s: Floats,
    *,
    classes: Sequence[object] = (),
    history: timedelta = HISTORY,
) -> Delays:
    """Estimate the label delay from the outcomes known at an instant.

    Args:
        ages_s: Of each row at its outcome, or at the instant if there is none; shape ``(rows,)``, seconds.
        codes: Its class, 0 for every outcome of a regression, or :data:`~everfit.measures.competing_risks.WAITING`.
        asked_ago_s: Time from its prediction to the instant, seconds.
        classes: The label's values in the order of the codes; empty for a regression.
        history: Older rows are left out. It bounds the longest delay that can be observed.
    """
    recent = asked_ago_s <= history.total_seconds()
    ages, seen, asked_ago = ages_s[recent], codes[recent], asked_ago_s[recent]
    oldest = asked_ago.max(initial=0.0)
    return Delays(
        incidence=cumulative_incidence(ages, seen, kinds=max(1, len(classes))),
        classes=tuple(classes),
        ages_s=ages,
        codes=seen,
        blocks=(asked_ago * (_BLOCKS / oldest if oldest > 0 else 0.0)).astype(np.int64).clip(max=_BLOCKS - 1),
    )


def _share(part: Floats, whole: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        found: Floats = part / whole
    return found


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
