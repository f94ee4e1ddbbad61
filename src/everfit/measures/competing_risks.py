"""Competing risks: cumulative incidence of several kinds of event from rows of which many are still censored.

Source: Aalen, Johansen 1978, "An empirical transition matrix for non-homogeneous Markov chains based on censored
observations". With one kind of event it is the estimate of Kaplan and Meier.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from everfit.measures.weighting import Floats

WAITING = -1
"""The code of a censored row: no event by the age given."""


@dataclass(frozen=True, eq=False)
class Incidence:
    """Rows at risk and events at each age, with the curves that follow from them.

    Args:
        ages: Ages with an event, ascending and distinct, shape ``(ages,)``, in any unit.
        at_risk: Rows observed just before each age, shape ``(ages,)``.
        events: Number of events of each kind at each age, shape ``(ages, kinds)``.
    """

    ages: Floats
    at_risk: Floats
    events: Floats

    @property
    def kinds(self) -> int:
        """Number of kinds of event."""
        return int(self.events.shape[1])

    @cached_property
    def hazards(self) -> Floats:
        """Probability of each event at each age, given no earlier event; shape ``(ages, kinds)``."""
        return self.events / self.at_risk[:, None]

    @cached_property
    def waiting(self) -> Floats:
        """Survival function: probability of no event, before the first age and after each; shape ``(1 + ages,)``."""
        return np.concatenate([[1.0], np.cumprod(1.0 - self.events.sum(axis=1) / self.at_risk)])

    @cached_property
    def incidence(self) -> Floats:
        """Cumulative incidence of each event, before the first age and after each; ``(1 + ages, kinds)``."""
        steps = self.waiting[:-1, None] * self.hazards
        return np.concatenate([np.zeros((1, self.kinds)), np.cumsum(steps, axis=0)])

    @cached_property
    def ahead(self) -> Floats:
        """Probability that each event is still to come, given none by each age; ``(1 + ages, kinds)``."""
        to_come = self.incidence[-1] - self.incidence
        waiting = self.waiting[:, None]
        found: Floats = np.divide(to_come, waiting, out=np.zeros_like(to_come), where=waiting > 0)
        return np.clip(found, 0.0, 1.0)

    def place(self, ages: Floats) -> NDArray[np.intp]:
        """Return the rows of the curves that hold at some ages; events at exactly that age are included."""
        return np.searchsorted(self.ages, ages, side="right")

    def influence(self, waiting: Floats, value: Floats, ages: Floats, codes: NDArray[np.int64]) -> Floats:
        """Return the influence of each row that the curves were estimated from on a forecast made with them.

        The forecast is the sum over waiting rows of their expected value, ``ahead @ value``. A change of the hazard at
        one age acts on the waiting rows that are expected to reach it, and there replaces the expected value of the
        remaining ages by the event's own. The influences add up to zero; the sum of their squares is the variance by
        the delta method; for dependent rows, use the sum of squares of the sums over each cluster.

        Sources: Efron 1982, "The Jackknife, the Bootstrap and Other Resampling Plans", chapter 6 (the infinitesimal
        jackknife); Lin, Wei 1989, "The robust inference for the Cox proportional hazards model", for groups of rows.

        Args:
            waiting: The ages of rows without an event yet, shape ``(n,)``.
            value: The value of each event, shape ``(kinds,)``; no event has the value 0.
            ages: Those that the curves were estimated from, shape ``(rows,)``, as ``codes`` and the result.
        """
        alive = self.waiting[:-1]
        starting = np.bincount(self.place(waiting), minlength=len(self.ages) + 1)[:-1]
        # A row that starts at some age reaches a later one with the ratio of the chances of waiting so long.
        started = np.divide(starting, alive, out=np.zeros(len(alive)), where=alive > 0)
        weight = alive * np.cumsum(started) / self.at_risk
        worth = value[None, :] - (self.ahead[1:] @ value)[:, None]
        expected = np.concatenate([[0.0], np.cumsum(weight * (self.hazards * worth).sum(axis=1))])
        place = self.place(ages)
        found: Floats = -expected[place]
        happened = codes != WAITING
        last = place[happened] - 1
        found[happened] += weight[last] * worth[last, codes[happened]]
        return found


def cumulative_incidence(ages: Floats, codes: NDArray[np.int64], *, kinds: int) -> Incidence:
    """Estimate cumulative incidence from rows that may be censored, by Aalen and Johansen.

    Args:
        ages: Of each row at its event, or when it was last observed without one; shape ``(rows,)``.
        codes: The kind of event, ``0 .. kinds - 1``, or :data:`WAITING`; shape ``(rows,)``. A row that is censored at
            the age of an event counts as at risk for it.
        kinds: Number of kinds of event.

    Four rows: event 0 after one day, one seen waiting after two days, event 1 after three, and one waiting since four.

    >>> found = cumulative_incidence(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, -1, 1, -1]), kinds=2)
    >>> found.ages, found.at_risk
    (array([1., 3.]), array([4., 2.]))
    >>> found.incidence.tolist()
    [[0.0, 0.0], [0.25, 0.0], [0.25, 0.375]]
    """
    happened = codes != WAITING
    distinct, place = np.unique(ages[happened], return_inverse=True)
    flat = np.bincount(place * kinds + codes[happened], minlength=len(distinct) * kinds)
    at_risk = len(ages) - np.searchsorted(np.sort(ages), distinct, side="left")
    return Incidence(distinct, at_risk.astype(np.float64), flat.reshape(len(distinct), kinds).astype(np.float64))
