"""How long outcomes take, learnt in spite of those that have not come yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from msgspec import Struct
from numpy.typing import NDArray

from everfit.measures.competing_risks import WAITING, Incidence, cumulative_incidence
from everfit.measures.weighing import Floats
from everfit.monitoring.rows import ASKED, KNOWN, TRUTH

HISTORY = timedelta(days=365)
"""How far back delays are learnt from: every season once, yet not how things were long ago. On the hotel bookings, half
a year is as good (off by 0.011), one and a half is worse (0.024)."""
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
        codes: Its class, or :data:`WAITING`.
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

    def forecast_variance(self, ages_s: Floats, value: Floats) -> tuple[float, float]:
        """How uncertain the curves leave the worth of waiting rows, if rows were independent, and by what factor it is
        more, since rows asked in one stretch of time are alike; see
        :meth:`~everfit.measures.competing_risks.Incidence.influence`.
        """
        influence = self.incidence.influence(ages_s, value, self.ages_s, self.codes)
        alone = float((influence**2).sum())
        together = np.bincount(self.blocks, weights=influence)
        count = len(np.unique(self.blocks))
        if count < _LEAST_BLOCKS or alone <= 0:
            return alone, 1.0
        return alone, max(1.0, float((together**2).sum()) / alone * count / (count - 1))

    def _delay(self, value: str | None, curve: Floats, labelled: int) -> Delay:
        def quantile(level: float) -> float | None:
            # Rounding must not put the last outcome beyond the end.
            place = int(np.searchsorted(curve, level * curve[-1] * (1 - 1e-12), side="left"))
            return float(self.incidence.ages[place - 1]) if labelled else None

        return Delay(value=value, labelled=labelled, p10_s=quantile(0.1), median_s=quantile(0.5), p90_s=quantile(0.9))


def learn_delays(
    rows: pl.DataFrame, *, as_of: datetime, classes: Sequence[object] = (), history: timedelta = HISTORY
) -> Delays:
    """How long outcomes take, from what was known at an instant.

    Args:
        rows: In the form of :mod:`everfit.monitoring.rows`, of a longer time than the cohorts to be matured. What was
            asked or known later is not looked at.
        as_of: The instant.
        classes: The label's values in the order of the codes; empty for a regression.
        history: Rows asked longer ago than this are left out. It bounds the longest delay that can be seen.
    """
    seen = known_then(rows, as_of=as_of).filter(pl.col(ASKED) >= as_of - history)
    codes = class_codes(seen, classes)
    until = pl.when(pl.Series(codes) == WAITING).then(pl.lit(as_of)).otherwise(pl.col(KNOWN))
    ages = ages_of_s(seen, until)
    return Delays(
        incidence=cumulative_incidence(ages, codes, kinds=max(1, len(classes))),
        classes=tuple(classes),
        ages_s=ages,
        codes=codes,
        blocks=_blocks(ages_of_s(seen, pl.lit(as_of))),
    )


def known_then(rows: pl.DataFrame, *, as_of: datetime) -> pl.DataFrame:
    """Rows in the form of :mod:`everfit.monitoring.rows` as they were at an instant: what was asked before it, with the
    outcomes known by it.
    """
    known = pl.col(KNOWN) <= as_of
    return rows.filter(pl.col(ASKED) < as_of).with_columns(
        pl.when(known).then(pl.col(TRUTH)).alias(TRUTH), pl.when(known).then(pl.col(KNOWN)).alias(KNOWN)
    )


def class_codes(rows: pl.DataFrame, classes: Sequence[object], *, as_of: datetime | None = None) -> NDArray[np.int64]:
    """The class of each row, 0 for every outcome of a regression, or :data:`WAITING`."""
    known = pl.col(TRUTH).is_not_null() & pl.col(KNOWN).is_not_null()
    if as_of is not None:
        known &= pl.col(KNOWN) <= as_of
    code = pl.col(TRUTH).cast(pl.Int64) if classes else pl.lit(0, pl.Int64)
    return rows.select(pl.when(known).then(code).otherwise(WAITING)).to_series().to_numpy()


def ages_of_s(rows: pl.DataFrame, until: pl.Expr) -> Floats:
    """From the question until an instant, in seconds; an outcome known before it was asked for came at once."""
    age = (until - pl.col(ASKED)).dt.total_microseconds() / 1e6
    return rows.select(age.clip(lower_bound=0.0)).to_series().to_numpy()


def _blocks(ages_s: Floats) -> NDArray[np.int64]:
    """The stretch of time of each row, from its age."""
    oldest = ages_s.max(initial=0.0)
    return (ages_s * (_BLOCKS / oldest if oldest > 0 else 0.0)).astype(np.int64).clip(max=_BLOCKS - 1)


def _share(part: Floats, whole: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        found: Floats = part / whole
    return found
