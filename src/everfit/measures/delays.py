"""How long outcomes take, learnt in spite of those that have not come yet."""

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
"""How far back delays are learnt from: every season once, yet not how things were long ago. On the hotel bookings, half
a year is as good (off by 0.011), one and a half is worse (0.024)."""
LEAST_OUTCOMES = 30
"""With fewer outcomes, how long they take is not known."""
_BLOCKS = 26
"""Into as many stretches of time is the history cut to see how much more it varies than independent rows would: two
weeks each, if it is a year."""
_LEAST_BLOCKS = 7


class Delay(Struct, frozen=True, kw_only=True):
    """How long outcomes take, among those that come within the longest delay that could be seen."""

    value: str | None
    """The class; ``None`` for all together."""
    labelled: int
    """Outcomes it was learnt from."""
    p10_s: float | None
    """One in ten outcomes has come by this age; ``None`` where there are none."""
    median_s: float | None
    p90_s: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Delays:
    """How long outcomes take.

    Args:
        incidence: Ages in seconds; the kinds are the classes, or one for a regression.
        classes: The label's values; empty for a regression.
        ages_s: Of each row that it was learnt from, when its outcome came, or now.
        codes: Its class, or :data:`~everfit.measures.competing_risks.WAITING`.
        blocks: In which stretch of time it was asked.
    """

    incidence: Incidence
    classes: tuple[object, ...]
    ages_s: Floats
    codes: NDArray[np.int64]
    blocks: NDArray[np.int64]

    @property
    def labelled(self) -> int:
        """Outcomes it was learnt from."""
        return int(self.incidence.events.sum())

    @property
    def overall(self) -> Delay:
        """Of all outcomes together."""
        return self._delay(None, self.incidence.incidence.sum(axis=1), self.labelled)

    @property
    def by_class(self) -> tuple[Delay, ...]:
        """Of each class."""
        curves, counts = self.incidence.incidence, self.incidence.events.sum(axis=0)
        return tuple(self._delay(str(each), curves[:, k], int(counts[k])) for k, each in enumerate(self.classes))

    def chance_known(self, ages_s: Floats) -> Floats:
        """The chance that an outcome which comes has come by an age, whatever its class; shape ``(rows,)``."""
        curve = self.incidence.incidence.sum(axis=1)
        return _share(curve[self.incidence.place(ages_s)], curve[-1])

    def chance_known_by_class(self, ages_s: Floats) -> Floats:
        """The same for each class, shape ``(rows, classes)``; NaN for a class that was never seen."""
        return _share(self.incidence.happened(ages_s), self.incidence.incidence[-1])

    def age_known_s(self, share: float) -> float | None:
        """The age by which so large a share of all outcomes has come, and of those of each class.

        A class with fewer than :data:`LEAST_OUTCOMES` outcomes has no say; ``None`` if there are not that many at all.
        """
        if self.labelled < LEAST_OUTCOMES:
            return None
        curves, counts = self.incidence.incidence, self.incidence.events.sum(axis=0)
        parts = [curves.sum(axis=1), *(curves[:, k] for k in np.flatnonzero(counts >= LEAST_OUTCOMES))]
        return max(self._age(curve, share) for curve in parts)

    def forecast_variance(self, ages_s: Floats, value: Floats) -> tuple[float, float]:
        """How uncertain the curves leave the worth of waiting rows, if rows were independent, and by what factor it is
        more, since rows asked in one stretch of time are alike; see
        :meth:`~everfit.measures.competing_risks.Incidence.influence`.
        """
        if not len(ages_s):  # as in most cohorts of an old model: nothing to forecast, nothing to be uncertain of
            return 0.0, 1.0
        influence = self.incidence.influence(ages_s, value, self.ages_s, self.codes)
        alone = float((influence**2).sum())
        together = np.bincount(self.blocks, weights=influence)
        count = len(np.unique(self.blocks))
        if count < _LEAST_BLOCKS or alone <= 0:
            return alone, 1.0
        return alone, max(1.0, float((together**2).sum()) / alone * count / (count - 1))

    def _delay(self, value: str | None, curve: Floats, labelled: int) -> Delay:
        p10, median, p90 = (self._age(curve, share) if labelled else None for share in (0.1, 0.5, 0.9))
        return Delay(value=value, labelled=labelled, p10_s=p10, median_s=median, p90_s=p90)

    def _age(self, curve: Floats, share: float) -> float:
        """By which a curve has reached a share of its end, which must be above zero."""
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
    """How long outcomes take, from what was known at an instant.

    Args:
        ages_s: Of each row when its outcome came, or at the instant if it has not; shape ``(rows,)``, seconds.
        codes: Its class, 0 for every outcome of a regression, or :data:`~everfit.measures.competing_risks.WAITING`.
        asked_ago_s: How long before the instant it was asked.
        classes: The label's values in the order of the codes; empty for a regression.
        history: Rows asked longer ago than this are left out. It bounds the longest delay that can be seen.

    Raises:
        DataError: if the shapes differ, an age is not finite, or a code is unknown.
    """
    recent = asked_ago_s <= history.total_seconds()
    ages, seen = ages_s[recent], codes[recent]
    return Delays(
        incidence=cumulative_incidence(ages, seen, kinds=max(1, len(classes))),
        classes=tuple(classes),
        ages_s=ages,
        codes=seen,
        blocks=_blocks(asked_ago_s[recent]),
    )


def _blocks(ages_s: Floats) -> NDArray[np.int64]:
    """The stretch of time of each row, from its age."""
    oldest = ages_s.max(initial=0.0)
    return (ages_s * (_BLOCKS / oldest if oldest > 0 else 0.0)).astype(np.int64).clip(max=_BLOCKS - 1)


def _share(part: Floats, whole: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        found: Floats = part / whole
    return found
