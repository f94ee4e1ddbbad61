"""E-process against "the mean loss is at most a bound": a betting test that is valid at every step.

While the mean loss is below its bound, the wealth of a bet against the bound is a supermartingale; by Ville's
inequality it reaches ``1 / alpha`` with probability at most ``alpha``, at any stopping time. The change-point is
unknown, so a little new stake is added at every step (a mixture over restart times); losses before the change then
delay nothing.

Sources: Waudby-Smith, Ramdas 2020, "Estimating means of bounded random variables by betting" (arXiv 2010.09686); Shin,
Ramdas, Rinaldo 2022, "E-detectors" (2203.03532), for the restarts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from everfit.core.errors import DataError
from everfit.measures.weighting import Floats

BETS = (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.7)
"""Betting fractions, in units of the greatest, which would lose all to a loss of 0; the stake is split among them."""
_SUM = 2.109742801236892
"""Of ``1 / (t * log(t) ** 2)`` over all whole ``t`` from 2."""
Stakes = Callable[[int, int], Floats]
"""New stakes of some steps, shape ``(steps,)``, from their number and the first of them."""
_CHUNK = 128
"""Steps at a time: no product of so many factors is too small for a float, even if nearly all is bet and lost."""


def lifetime_stakes(steps: int, first: int = 0) -> Floats:
    """New stakes that add up to 1 over an endless life.

    So the probability of *ever* crossing ``1 / alpha`` under the null hypothesis is at most ``alpha``.
    """
    times = np.arange(first, first + steps, dtype=np.float64) + 2.0
    stakes: Floats = 1.0 / (_SUM * times * np.log(times) ** 2)
    return stakes


def steady_stakes(steps: int, first: int = 0) -> Floats:  # noqa: ARG001 - alike at all times
    """The same new stake at every step: quicker, but on average every ``1 / alpha`` steps there is a false alarm."""
    return np.ones(steps)


def betting_evidence(
    losses: Floats, bound: float | Floats, *, stakes: Stakes = lifetime_stakes, bets: Sequence[float] = BETS
) -> Floats:
    """Return the logarithm of the wealth after each loss.

    Args:
        losses: In the order in which they came, float64 of shape ``(steps,)``, each in [0, 1].
        bound: What their conditional mean is held to be at most, in (0, 1); for all, or for each step what is
            held before it.
        stakes: What is put in at each step: :func:`lifetime_stakes` or :func:`steady_stakes`.
        bets: See :data:`BETS`.

    Returns:
        Shape ``(steps,)``. An alarm at level ``alpha`` is due where it reaches ``log(1 / alpha)``.

    Raises:
        DataError: If a loss is outside [0, 1], or the bound outside (0, 1).

    >>> calm, bad = np.tile([0.0, 1.0, 0.0, 0.0], 500), np.tile([0.0, 1.0], 500)
    >>> evidence = betting_evidence(np.concatenate([calm, bad]), 0.3)
    >>> bool((evidence[:2000] < math.log(20)).all()), bool(evidence[-1] > math.log(20))
    (True, True)
    """
    bounds = np.broadcast_to(np.asarray(bound, dtype=np.float64), losses.shape)
    if len(losses) and not (bounds.min() > 0.0 and bounds.max() < 1.0):
        raise DataError("the bound of a loss in [0, 1] must lie within", value=(bounds.min(), bounds.max()))
    if len(losses) and not (losses.min() >= 0.0 and losses.max() <= 1.0):
        raise DataError("losses must lie in [0, 1]", value=(float(losses.min()), float(losses.max())))
    found = np.empty((len(bets), len(losses)))
    share, held = np.array(bets)[:, None], np.full((len(bets), 1), -math.inf)
    for start in range(0, len(losses), _CHUNK):
        part = losses[start : start + _CHUNK]
        factors = np.log1p(share * (part / bounds[start : start + _CHUNK] - 1.0))
        grown = np.cumsum(factors, axis=1)
        new = np.log(stakes(len(part), start))
        # Each new stake grows by all factors from its own step on. Sums are taken of plain numbers, in units of the
        # greatest: within so few steps none that matters is too small to be one.
        brought = new - (grown - factors)
        unit = np.maximum(brought.max(axis=1, keepdims=True), held)
        total = np.exp(held - unit) + np.exp(brought - unit).cumsum(axis=1)
        found[:, start : start + len(part)] = np.log(total) + unit + grown
        held = found[:, start + len(part) - 1 : start + len(part)]
    greatest = found.max(axis=0)
    mean: Floats = np.log(np.exp(found - greatest).mean(axis=0)) + greatest
    return mean


def reversed_evidence(
    losses: Floats, bound: Floats, blocks: NDArray[np.integer], *, stakes: Stakes = lifetime_stakes
) -> Floats:
    """Return the log wealth of bets on *lower* losses, after each block: evidence against "the mean is still so high".

    A block is one whole cycle, such as a day. The null hypothesis is that the mean of the conditional means of a block
    is at least the bound, whatever they are within it: losses may be low every night. Stakes enter at the beginning of
    a block and the wealth is read at its end; within it, the product of the factors has an expectation of at most 1,
    since the geometric mean of ``1 + bet * (bound - mean)`` does not exceed the arithmetic one.

    Args:
        losses: As for :func:`betting_evidence`.
        bound: For each loss, the least that the mean is held to be, in (0, 1); that of a block's first loss counts.
        blocks: The block of each loss, in ascending order.
        stakes: As for :func:`betting_evidence`, by block.

    Returns:
        Shape ``(blocks,)``, one value for each block with a loss. By Ville's inequality the null hypothesis may be
        rejected at level ``alpha`` where it reaches ``log(1 / alpha)``.

    >>> cycle = np.repeat([0.2, 0.6], 50)
    >>> days = np.arange(2_000) // 100
    >>> still, over = np.tile(cycle, 20), np.tile(cycle - 0.2, 20)
    >>> [float(reversed_evidence(losses, np.full(2_000, 0.4), days)[-1]) > math.log(20) for losses in (still, over)]
    [False, True]
    """
    first = np.flatnonzero(np.diff(blocks, prepend=blocks[:1] - 1))
    bounds = np.repeat(bound[first], np.diff(first, append=len(losses)))
    factors = np.log1p(np.array(BETS)[:, None] * ((1.0 - losses) / (1.0 - bounds) - 1.0))
    grown = np.add.reduceat(factors, first, axis=1) if len(first) else factors
    found, held = np.empty(grown.shape), np.full(len(BETS), -math.inf)
    for number, stake in enumerate(np.log(stakes(len(first), 0))):
        held = np.logaddexp(held, stake) + grown[:, number]
        found[:, number] = held
    evidence: Floats = np.logaddexp.reduce(found, axis=0) - math.log(len(BETS))
    return evidence
