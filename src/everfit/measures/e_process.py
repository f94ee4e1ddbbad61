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
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

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


@dataclass(frozen=True, kw_only=True)
class Wealth:
    """Wealth of every bet after some steps: all that the next step needs to know of those before."""

    steps: int = 0
    held: Floats = field(default_factory=lambda: np.full(len(BETS), -math.inf))
    """Its logarithm by bet, shape ``(bets,)``."""

    @property
    def evidence(self) -> float:
        """The logarithm of the mean wealth; minus infinity before the first step."""
        return float(np.logaddexp.reduce(self.held)) - math.log(len(BETS))


def bet(
    wealth: Wealth, losses: Floats, bound: float | Floats, *, stakes: Stakes = lifetime_stakes
) -> tuple[Wealth, Floats]:
    """Go on with bets on losses above a bound, and return the wealth afterwards and its logarithm after each loss.

    Args:
        wealth: After the losses before; ``Wealth()`` in the beginning.
        losses: In the order in which they came, float64 of shape ``(steps,)``, each in [0, 1].
        bound: What their conditional mean is held to be at most, in (0, 1); for all, or for each step what is
            held before it.
        stakes: What is put in at each step: :func:`lifetime_stakes` or :func:`steady_stakes`.

    Returns:
        The second is of shape ``(steps,)``. An alarm at level ``alpha`` is due where it reaches ``log(1 / alpha)``.

    Raises:
        DataError: If a loss is outside [0, 1], or the bound outside (0, 1).

    >>> calm, bad = np.tile([0.0, 1.0, 0.0, 0.0], 500), np.tile([0.0, 1.0], 500)
    >>> wealth, before = bet(Wealth(), calm, 0.3)
    >>> wealth, after = bet(wealth, bad, 0.3)
    >>> bool((before < math.log(20)).all()), bool(after[-1] > math.log(20)), wealth.steps
    (True, True, 3000)
    """
    bounds = np.broadcast_to(np.asarray(bound, dtype=np.float64), losses.shape)
    if len(losses) and not (bounds.min() > 0.0 and bounds.max() < 1.0):
        raise DataError("the bound of a loss in [0, 1] must lie within", value=(bounds.min(), bounds.max()))
    if len(losses) and not (losses.min() >= 0.0 and losses.max() <= 1.0):
        raise DataError("losses must lie in [0, 1]", value=(float(losses.min()), float(losses.max())))
    found = np.empty((len(BETS), len(losses)))
    share, held = np.array(BETS)[:, None], wealth.held[:, None]
    for start in range(0, len(losses), _CHUNK):
        part = losses[start : start + _CHUNK]
        factors = np.log1p(share * (part / bounds[start : start + _CHUNK] - 1.0))
        grown = np.cumsum(factors, axis=1)
        new = np.log(stakes(len(part), wealth.steps + start))
        # Each new stake grows by all factors from its own step on. Sums are taken of plain numbers, in units of the
        # greatest: within so few steps none that matters is too small to be one.
        brought = new - (grown - factors)
        unit = np.maximum(brought.max(axis=1, keepdims=True), held)
        total = np.exp(held - unit) + np.exp(brought - unit).cumsum(axis=1)
        found[:, start : start + len(part)] = np.log(total) + unit + grown
        held = found[:, start + len(part) - 1 : start + len(part)]
    evidence: Floats = np.empty(0)
    if len(losses):
        greatest = found.max(axis=0)
        evidence = np.log(np.exp(found - greatest).mean(axis=0)) + greatest
    return Wealth(steps=wealth.steps + len(losses), held=held[:, 0].copy()), evidence


@dataclass(frozen=True, kw_only=True)
class BlockWealth:
    """Wealth of bets on *lower* losses: after whole blocks, and what the block in progress multiplies it by.

    A block is one whole cycle, such as a day. The null hypothesis is that the mean of the conditional means of a block
    is at least a bound, whatever they are within it: losses may be low every night. Stakes enter at the beginning of a
    block and the wealth is read at its end; within it, the product of the factors has an expectation of at most 1,
    since the geometric mean of ``1 + bet * (bound - mean)`` does not exceed the arithmetic one. By Ville's inequality
    the null hypothesis may be rejected at level ``alpha`` once the evidence reaches ``log(1 / alpha)``.

    >>> cycle, found = np.repeat([0.2, 0.6], 50), []
    >>> for losses in (cycle, cycle - 0.2):
    ...     wealth = BlockWealth()
    ...     for _ in range(20):
    ...         wealth = wealth.bet(losses, 0.4).end()
    ...     found.append(wealth.evidence > math.log(20))
    >>> found
    [False, True]
    """

    blocks: int = 0
    """Those that are over."""
    held: Floats = field(default_factory=lambda: np.full(len(BETS), -math.inf))
    """Logarithm of the wealth after them, by bet."""
    bound: float | None = None
    """Least that the mean of the block in progress is held to be; ``None`` before its first loss."""
    factor: Floats = field(default_factory=lambda: np.zeros(len(BETS)))
    """Logarithm of the product of its factors so far, by bet."""

    @property
    def evidence(self) -> float:
        """The logarithm of the mean wealth after the last block that is over."""
        return float(np.logaddexp.reduce(self.held)) - math.log(len(BETS))

    def bet(self, losses: Floats, bound: float) -> BlockWealth:
        """Go on within the block; losses are in [0, 1], and the bound in (0, 1), which counts with the first loss."""
        bound = bound if self.bound is None else self.bound
        factors = np.log1p(np.array(BETS)[:, None] * ((1.0 - losses) / (1.0 - bound) - 1.0))
        return replace(self, bound=bound, factor=self.factor + factors.sum(axis=1))

    def end(self, *, stakes: Stakes = lifetime_stakes) -> BlockWealth:
        """End the block in progress."""
        stake = float(np.log(stakes(1, self.blocks))[0])
        return BlockWealth(blocks=self.blocks + 1, held=np.logaddexp(self.held, stake) + self.factor)
