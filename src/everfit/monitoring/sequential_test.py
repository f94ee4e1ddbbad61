"""Sequential test of a life: episodes open and end by evidence. A pure state, which further steps advance.

An episode opens by a betting e-process against "no worse than tolerated", and ends by a reversed one against "still
worse than tolerated", at the same level (Ville's inequality). After its end a new life begins, with new stakes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from everfit.measures.e_process import SHIFTS, BlockWealth, Stakes, Wealth, betting_factors, go_on, normal_factors
from everfit.measures.weighting import Floats

_DAY_US = 86_400_000_000
_PLAIN_BET = SHIFTS.index(1.0)
_CHUNK = 128
"""Steps that are evaluated at a time, so that little is computed beyond an alarm."""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Steps of a test, in the order in which they entered. All arrays are of shape ``(steps,)``."""

    worse: Floats
    """Values for bets on a worse mean: in [0, 1], or, where means are normal, standard deviations beyond the bound."""
    better: Floats
    """Values for bets on a better mean, likewise."""
    bounds: Floats
    """Greatest mean of each under the null hypothesis: in (0, 1), or 0."""
    rows: NDArray[np.int64]
    """Number of rows that it is the mean of."""
    losses: Floats
    """The loss, in its own unit."""
    surprises: Floats
    """The loss beyond the expected one."""
    times_us: NDArray[np.int64]
    """Event times, in microseconds since 1970."""
    entered_us: NDArray[np.int64]
    """Entries, in microseconds since 1970; they never fall."""

    def __len__(self) -> int:
        return len(self.worse)

    def between(self, start: int, end: int) -> Steps:
        """Return the steps from ``start`` to before ``end``."""
        return Steps(**{name: values[start:end] for name, values in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Sums over the rows of successive steps."""

    since_us: int = 0
    """Event time of the first."""
    rows: int = 0
    losses: float = 0.0
    surprises: float = 0.0

    def add(self, steps: Steps) -> Stretch:
        """Return the sums with further steps."""
        if not len(steps):
            return self
        return Stretch(
            since_us=self.since_us if self.rows else int(steps.times_us[0]),
            rows=self.rows + int(steps.rows.sum()),
            losses=self.losses + float((steps.losses * steps.rows).sum()),
            surprises=self.surprises + float((steps.surprises * steps.rows).sum()),
        )


@dataclass(frozen=True, kw_only=True)
class Ended:
    """An episode that is over."""

    alarmed_us: int
    """Entry of the step with which the evidence sufficed, in microseconds since 1970."""
    recovered_us: int
    """Entry of the step with which the evidence of its end sufficed."""
    stretch: Stretch
    """Since it seems to have begun."""


@dataclass(frozen=True, kw_only=True)
class LifeState:
    """All that the next step needs to know of those before."""

    wealth: Wealth = field(default_factory=Wealth)
    """Since the last episode ended."""
    stretch: Stretch = field(default_factory=Stretch)
    """Steps since there was last no evidence at all; of an episode, all of its steps."""
    rise: float = 0.0
    """Evidence since then of a shift by one standard deviation, where means are normal."""
    alarmed_us: int | None = None
    """Entry of the alarm of the episode that goes on."""
    day: int = 0
    """Of the last step, counted from the alarm."""
    recovery: BlockWealth = field(default_factory=BlockWealth)
    """Evidence that the episode is over, by its days."""
    last_us: int = 0
    """Entry of the last step."""
    ended: tuple[Ended, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SequentialTest:
    """Bets at some level."""

    level: float
    """The logarithm of the wealth at which a hypothesis is rejected."""
    stakes: Stakes
    normal: bool = False
    """True if steps are means that are about normal."""

    def advance(self, state: LifeState, steps: Steps) -> LifeState:
        """Return the state after further steps."""
        place = 0
        while place < len(steps):
            if state.alarmed_us is None:
                part = steps.between(place, place + _CHUNK)
                state, taken = self._watch(state, part)
            else:
                state, taken = self._await_recovery(state, steps.between(place, len(steps)))
            place += taken
        return state

    def _watch(self, state: LifeState, steps: Steps) -> tuple[LifeState, int]:
        """Bet until there is an alarm; return the state and the number of steps that were taken."""
        factors = self._worse(steps)
        wealth, evidence = go_on(state.wealth, factors, stakes=self.stakes)
        crossed = np.flatnonzero(evidence >= self.level)
        taken = int(crossed[0]) + 1 if len(crossed) else len(steps)
        if taken < len(steps):
            wealth, _ = go_on(state.wealth, factors[:, :taken], stakes=self.stakes)
        rise, rises = self._rise(state.rise, factors[:, :taken])
        # The step of the alarm itself belongs to the episode.
        calm = rises == 0.0 if self.normal else evidence[:taken] < 0.0
        quiet = np.flatnonzero(calm[: taken - 1 if len(crossed) else taken])
        stretch, first = (Stretch(), int(quiet[-1]) + 1) if len(quiet) else (state.stretch, 0)
        last_us = int(steps.entered_us[taken - 1])
        return replace(
            state,
            wealth=wealth,
            rise=rise,
            stretch=stretch.add(steps.between(first, taken)),
            alarmed_us=last_us if len(crossed) else None,
            day=0,
            recovery=BlockWealth(),
            last_us=last_us,
        ), taken

    def _await_recovery(self, state: LifeState, steps: Steps) -> tuple[LifeState, int]:
        """Take the steps of one day after the alarm, so that better nights are no recovery.

        A day is over once a later step has entered. If "still worse than tolerated" is rejected by then, no step is
        taken: with it a new life begins.
        """
        assert state.alarmed_us is not None
        days = (steps.entered_us - state.alarmed_us) // _DAY_US
        day, recovery = int(days[0]), state.recovery
        if recovery.bound is not None and day != state.day:
            recovery = recovery.end(stakes=self.stakes)
            if recovery.evidence >= self.level:
                ended = Ended(alarmed_us=state.alarmed_us, recovered_us=state.last_us, stretch=state.stretch)
                return LifeState(ended=(*state.ended, ended), last_us=state.last_us), 0
        taken = int(np.searchsorted(days, day, side="right"))
        part = steps.between(0, taken)
        wealth, _ = go_on(state.wealth, self._worse(part), stakes=self.stakes)
        bound = float(part.bounds[0]) if recovery.bound is None else recovery.bound
        return replace(
            state,
            wealth=wealth,
            stretch=state.stretch.add(part),
            day=day,
            recovery=recovery.bet(self._better(part, bound), bound),
            last_us=int(part.entered_us[-1]),
        ), taken

    def _rise(self, before: float, factors: Floats) -> tuple[float, Floats]:
        """Return the evidence of one bet since it was last none, after all steps and after each of them.

        Few and strong steps make an alarm from stakes so small that all evidence is negative long after the change has
        begun. Source: Page 1954, "Continuous inspection schemes", whose statistic begins where the likelihood is
        greatest.
        """
        grown = np.append(before, factors[_PLAIN_BET]).cumsum()
        rises: Floats = (grown - np.minimum(np.minimum.accumulate(grown), 0.0))[1:]
        return (float(rises[-1]) if len(rises) else before), rises

    def _worse(self, steps: Steps) -> Floats:
        """Return factors of bets against "no worse than tolerated"."""
        return normal_factors(steps.worse) if self.normal else betting_factors(steps.worse, steps.bounds)

    def _better(self, steps: Steps, bound: float) -> Floats:
        """Return factors of bets against "still worse than tolerated"."""
        return normal_factors(-steps.better) if self.normal else betting_factors(1.0 - steps.better, 1.0 - bound)


def evidence_of(state: LifeState) -> float:
    """Return the wealth since the last episode ended, 0 before the first step; at most ``exp(700)``."""
    return math.exp(min(state.wealth.evidence, 700.0))
