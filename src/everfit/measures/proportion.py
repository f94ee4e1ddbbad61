"""How sure a share of rows is."""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson_interval(hits: int, rows: int, *, level: float = 0.95) -> tuple[float, float]:
    """The range that holds the true share with the asked confidence, given ``hits`` among ``rows`` independent rows.

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
