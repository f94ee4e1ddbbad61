"""Label maturity: expected class shares of a cohort while many labels are not known yet.

Outcomes of one class often come sooner than those of another, so the known part of a young cohort misleads. How long
each class takes is learnt with rows that still wait as censored (:mod:`everfit.measures.competing_risks`), and then
each waiting row of the cohort is given the classes it may still turn into *at its age*.

That is Aalen-Johansen itself where the cohort is its own history (Efron's redistribution of a censored row's mass to
the right, 1967), and better with a longer one: on the hotel bookings of 90 days, as of the first of eight months, the
cancel rate is off by 0.071 raw, by 0.035 with Aalen-Johansen on the cohort, by 0.017 with it on a year's bookings, and
by 0.009 with a year's curves on the cohort's rows.
"""

from __future__ import annotations

import math
from datetime import datetime
from statistics import NormalDist

import numpy as np
import polars as pl
from msgspec import Struct

from everfit.core.class_names import NEW_CLASSES
from everfit.measures.competing_risks import WAITING
from everfit.measures.confidence import wilson_interval
from everfit.measures.delays import Delays, judging_weights
from everfit.measures.weighting import Floats
from everfit.monitoring.delays import ages_of_s, class_codes, known_then
from everfit.monitoring.performance import LEAST_LABELLED

_Z = NormalDist().inv_cdf(0.975)


class ClassShare(Struct, frozen=True, kw_only=True):
    """Share of one class."""

    value: str
    labelled: int
    """Rows known to be of this class."""
    raw: float | None
    """Its share of the known rows, which is not that of the cohort; ``None`` without any."""
    raw_low: float
    """Lower end of the 95 % interval (Wilson's)."""
    raw_high: float
    matured: float | None
    """The share to expect once every outcome is in; ``None`` where too few outcomes are known to learn delays from."""
    low: float | None
    """Lower end of the range that holds the final share in 95 of 100 cases, if weeks to come differ no more than those
    of the history."""
    high: float | None


class Cohort(Struct, frozen=True, kw_only=True):
    """Rows of a cohort, as they were known at an instant."""

    as_of: datetime
    rows: int
    labelled: int
    reach: float | None
    """The share of rows whose outcome is known, or will be within the longest delay that could be seen. The matured
    shares are those among them."""
    classes: tuple[ClassShare, ...]
    """In the order of the schema; none for a regression. Classes that the version does not know are one, the last."""

    @property
    def shown(self) -> ClassShare:
        """The class whose share stands for the cohort in a plot: of a binary label, the positive one."""
        return [share for share in self.classes if share.value != NEW_CLASSES][-1]


def cohort(rows: pl.DataFrame, delays: Delays, *, as_of: datetime) -> Cohort:
    """Return what was known of some rows at an instant, and the expected shares of their classes.

    Delays are learnt from a longer history, of the same instant.
    """
    seen = known_then(rows, as_of=as_of)
    codes = class_codes(seen, delays.classes)
    waiting = codes == WAITING
    ages = ages_of_s(seen, pl.lit(as_of))[waiting]
    forecast = delays.incidence.ahead[delays.incidence.place(ages)]
    known = np.bincount(codes[~waiting], minlength=delays.incidence.kinds)
    expected = known + forecast.sum(axis=0)
    learnt = delays.labelled >= LEAST_LABELLED and expected.sum() > 0
    labelled, shares = int(known.sum()), []
    for code, (value, hits) in enumerate(zip(delays.classes, known.tolist(), strict=False)):
        raw_low, raw_high = wilson_interval(hits, labelled)
        matured, low, high = _matured(code, expected, forecast, ages, delays) if learnt else (None, None, None)
        shares.append(
            ClassShare(
                value=str(value),
                labelled=hits,
                raw=hits / labelled if labelled else None,
                raw_low=raw_low,
                raw_high=raw_high,
                matured=matured,
                low=low,
                high=high,
            )
        )
    return Cohort(
        as_of=as_of,
        rows=seen.height,
        labelled=labelled,
        reach=float(expected.sum()) / seen.height if learnt else None,
        classes=tuple(shares),
    )


def weights(rows: pl.DataFrame, delays: Delays, *, as_of: datetime) -> pl.Series:
    """Return :func:`~everfit.measures.delays.judging_weights`, so that a young cohort's metrics are unbiased.

    They are aligned with the rows; null where no outcome was known at the instant.
    """
    codes = class_codes(rows, delays.classes, as_of=as_of)
    known = codes != WAITING
    full = np.full(rows.height, np.nan)
    full[known] = judging_weights(delays, ages_of_s(rows, pl.lit(as_of))[known], codes[known])
    return pl.Series("weight", full, nan_to_null=True)


def _matured(code: int, expected: Floats, forecast: Floats, ages: Floats, delays: Delays) -> tuple[float, float, float]:
    """Return the final share of a class, with its 95 % range.

    The final share is a ratio of counts, so a row that turns out to be of class ``l`` moves it by ``value[l]``. Two
    things are uncertain: what the waiting rows become, if the curves are right, and the curves. Both are the more so
    where the rows of one time are alike (on the hotel bookings the variance is 9 to 190 times that of independent rows:
    with it the ranges hold the final rate on all eight days, without on three).
    """
    share = float(expected[code] / expected.sum())
    value = (np.eye(len(expected))[code] - share) / expected.sum()
    becoming = float((forecast @ value**2 - (forecast @ value) ** 2).sum())
    curves, dispersion = delays.forecast_variance(ages, value)
    reach = _Z * math.sqrt(dispersion * (becoming + curves))
    # What has never happened in so many rows may still happen.
    reach = max(reach, float(forecast.sum() / expected.sum()) * wilson_interval(0, delays.labelled)[1])
    return share, max(0.0, share - reach), min(1.0, share + reach)
