"""Confidence limits of a proportion."""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson_interval(hits: int, rows: int, *, level: float = 0.95) -> tuple[float, float]:
    """Return the confidence interval of a share, given ``hits`` among ``rows`` independent rows.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference". Unlike the share plus
    and minus its standard error, it is right near 0 and 1.

    >>> tuple(round(end, 4) for end in wilson_interval(10, 100))
    (0.0552, 0.1744)
    >>> wilson_interval(0, 0)
    (0.0, 1.0)
    """
    if rows == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1.0 + level) / 2.0)
    share = hits / rows
    centre = share + z * z / (2 * rows)
    reach = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    scale = 1 + z * z / rows
    return max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale)


def clopper_pearson_low(hits: int, rows: int, *, alpha: float) -> float:
    """Return the exact lower confidence limit of a share, at level ``alpha``, for any share and number of rows.

    Source: Clopper, Pearson 1934, "The use of confidence or fiducial limits illustrated in the case of the binomial".

    >>> round(clopper_pearson_low(3, 500, alpha=0.01), 5)
    0.00087
    >>> clopper_pearson_low(0, 500, alpha=0.01)
    0.0
    """
    from scipy.special import betaincinv

    return float(betaincinv(hits, rows - hits + 1, alpha)) if hits else 0.0
