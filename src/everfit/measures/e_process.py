"""E-processes against "the mean loss is at most a bound": tests by betting that are valid at every step.

While the mean loss is below its bound, the wealth of a bet against the bound is a supermartingale; by Ville's
inequality it reaches ``1 / alpha`` with probability at most ``alpha``, at any stopping time. The change-point is
unknown, so a little new stake is added at every step (a mixture over restart times); losses before the change then
delay nothing.

Sources: Waudby-Smith, Ramdas 2020, "Estimating means of bounded random variables by betting" (arXiv 2010.09686) for
losses of rows; Robbins 1970, "Statistical methods related to the law of the iterated logarithm", for means that are
about normal; Shin, Ramdas, Rinaldo 2022, "E-detectors" (2203.03532), for the restarts.
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
SHIFTS = (0.25, 0.5, 1.0, 2.0, 3.0)
"""Shifts of the mean that are bet on, in standard deviations; the stake is split among them."""
FARTHEST = 3.5
"""Standard deviations at which values are clipped: one such step makes no alarm, however far it is."""
_SUMS = {2: 2.109742801236892, 20: 0.33663259324358513}
"""Of ``1 / (t * log(t) ** 2)`` over all whole ``t`` from some first one."""
Stakes = Callable[[int, int], Floats]
"""New stakes of some steps, shape ``(steps,)``, from their number and the first of them."""


def lifetime_stakes(steps: int, first: int = 0, *, calm: int = 2) -> Floats:
    """New stakes that add up to 1 over an endless life.

    So the probability of *ever* crossing ``1 / alpha`` under the null hypothesis is at most ``alpha``.

    Args:
        calm: Stakes fall only little during as many steps, 2 or 20.
    """
    times = np.arange(first, first + steps, dtype=np.float64) + calm
    stakes: Floats = 1.0 / (_SUMS[calm] * times * np.log(times) ** 2)
    return stakes


def steady_stakes(steps: int, first: int = 0) -> Floats:  # noqa: ARG001 - alike at all times
    """The same new stake at every step: quicker, but on average every ``1 / alpha`` steps there is a false alarm."""
    return np.ones(steps)


def betting_factors(losses: Floats, bound: float | Floats) -> Floats:
    """Return the logarithm of what each loss multiplies the wealth of bets on greater losses by.

    Args:
        losses: Float64 of shape ``(steps,)``, each in [0, 1].
        bound: What their conditional mean is held to be at most, in (0, 1); for all, or for each step what is
            held before it.

    Returns:
        Shape ``(bets, steps)``. With ``1 - losses`` and ``1 - bound`` they are those of bets on smaller losses.

    Raises:
        DataError: If a loss is outside [0, 1], or the bound outside (0, 1).
    """
    bounds = np.broadcast_to(np.asarray(bound, dtype=np.float64), losses.shape)
    if len(losses) and not (bounds.min() > 0.0 and bounds.max() < 1.0):
        raise DataError("the bound of a loss in [0, 1] must lie within", value=(bounds.min(), bounds.max()))
    if len(losses) and not (losses.min() >= 0.0 and losses.max() <= 1.0):
        raise DataError("losses must lie in [0, 1]", value=(float(losses.min()), float(losses.max())))
    factors: Floats = np.log1p(np.array(BETS)[:, None] * (losses / bounds - 1.0))
    return factors


def normal_factors(deviations: Floats) -> Floats:
    """Return the logarithm of what each value multiplies the wealth of bets on greater means by.

    It is the likelihood ratio of a shift. Clipping from above can only lower it, so that rare great values, whose
    distribution is not known, decide nothing alone.

    Args:
        deviations: Of values from the greatest mean under the null hypothesis, in standard deviations; about normal,
            given those before; float64 of shape ``(steps,)``.

    Returns:
        Shape ``(shifts, steps)``. With ``-deviations`` they are those of bets on smaller means.
    """
    shifts = np.array(SHIFTS)[:, None]
    factors: Floats = shifts * np.minimum(deviations, FARTHEST) - shifts**2 / 2.0
    return factors


@dataclass(frozen=True, kw_only=True)
class Wealth:
    """Wealth of every bet after some steps: all that the next step needs to know of those before."""

    steps: int = 0
    held: Floats = field(default_factory=lambda: np.full(1, -math.inf))
    """Its logarithm by bet, shape ``(bets,)``; before the first step, of any."""

    @property
    def evidence(self) -> float:
        """The logarithm of the mean wealth; minus infinity before the first step."""
        return float(np.logaddexp.reduce(self.held)) - math.log(len(self.held))


def go_on(wealth: Wealth, factors: Floats, *, stakes: Stakes = lifetime_stakes) -> tuple[Wealth, Floats]:
    """Go on with bets, and return the wealth afterwards and its logarithm after each step.

    Args:
        wealth: After the steps before; ``Wealth()`` in the beginning.
        factors: Of :func:`betting_factors` or :func:`normal_factors`, in the order in which their losses came.
        stakes: What is put in at each step: :func:`lifetime_stakes` or :func:`steady_stakes`.

    Returns:
        The second is of shape ``(steps,)``. An alarm at level ``alpha`` is due where it reaches ``log(1 / alpha)``.

    >>> calm, bad = np.tile([0.0, 1.0, 0.0, 0.0], 500), np.tile([0.0, 1.0], 500)
    >>> wealth, before = go_on(Wealth(), betting_factors(calm, 0.3))
    >>> wealth, after = go_on(wealth, betting_factors(bad, 0.3))
    >>> bool((before < math.log(20)).all()), bool(after[-1] > math.log(20)), wealth.steps
    (True, True, 3000)
    """
    bets, steps = factors.shape
    grown = np.cumsum(factors, axis=1)
    # Each new stake grows by all factors from its own step on.
    brought = np.log(stakes(steps, wealth.steps)) - (grown - factors)
    before = np.broadcast_to(wealth.held[:, None], (bets, 1))
    found = np.logaddexp.accumulate(np.concatenate([before, brought], axis=1), axis=1)[:, 1:] + grown
    evidence: Floats = np.empty(0)
    if steps:
        greatest = found.max(axis=0)
        evidence = np.log(np.exp(found - greatest).mean(axis=0)) + greatest
    held = found[:, -1].copy() if steps else wealth.held
    return Wealth(steps=wealth.steps + steps, held=held), evidence


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
    ...         wealth = wealth.bet(betting_factors(1 - losses, 1 - 0.4), 0.4).end()
    ...     found.append(wealth.evidence > math.log(20))
    >>> found
    [False, True]
    """

    blocks: int = 0
    """Those that are over."""
    held: Floats = field(default_factory=lambda: np.full(1, -math.inf))
    """Logarithm of the wealth after them, by bet."""
    bound: float | None = None
    """Least that the mean of the block in progress is held to be; ``None`` before its first loss."""
    factor: Floats = field(default_factory=lambda: np.zeros(1))
    """Logarithm of the product of its factors so far, by bet."""

    @property
    def evidence(self) -> float:
        """The logarithm of the mean wealth after the last block that is over."""
        return float(np.logaddexp.reduce(self.held)) - math.log(len(self.held))

    def bet(self, factors: Floats, bound: float) -> BlockWealth:
        """Go on within the block by factors of shape ``(bets, steps)``; the bound counts with its first loss."""
        bound = bound if self.bound is None else self.bound
        return replace(self, bound=bound, factor=self.factor + factors.sum(axis=1))

    def end(self, *, stakes: Stakes = lifetime_stakes) -> BlockWealth:
        """End the block in progress."""
        stake = float(np.log(stakes(1, self.blocks))[0])
        return BlockWealth(blocks=self.blocks + 1, held=np.logaddexp(self.held, stake) + self.factor)
