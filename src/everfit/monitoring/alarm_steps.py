"""Steps of an alarm's test: what of a version's losses is bet on at a time, and how much of it was to be expected.

Where days differ, or are too thin to say, a step is a day, of which is taken what it inherits from the day before.
Where a reference shows its days to be alike, a step is as many rows as count as one, and an alarm need not wait for the
end of a day.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from everfit.measures.confidence import RunningMean, go_on
from everfit.measures.serial_dependence import SerialDependence, fewest_rows, serial_dependence
from everfit.measures.weighting import Floats
from everfit.monitoring.sequential_test import Steps

DAY_US = 86_400_000_000
_LEAST_BLOCKS = 7
_AT_ONCE, _OVER_LIFE = 0.75, 0.25
"""Shares of the error probability of the hold-out's mean: as it was, and as the version's own life makes it closer."""
_LEARNT_AFTER = 7
"""Days until a day is learnt from, so that a change is found before it is usual."""
_NOT_LEARNT = 3.0
"""Standard deviations beyond the mean from which a day is never learnt from."""
_ALIKE = 0.5
"""Days whose levels differ by no more than this share of what is tolerated decide nothing."""


@dataclass(frozen=True, kw_only=True)
class EnteredLosses:
    """Losses in the order of their entry, each of shape ``(losses,)``."""

    losses: Floats
    surprises: Floats
    """Beyond the expected ones."""
    times_us: NDArray[np.int64]
    """Event times, in microseconds since 1970."""
    entered_us: NDArray[np.int64]
    """Entries, in microseconds since 1970; they never fall."""


class DayMean(NamedTuple):
    """Mean surprise of a day, or of some days together."""

    surprise: float
    rows: int
    since_us: int
    """Event time of the first row, in microseconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class StepState:
    """All that further steps need to know of the losses before."""

    mean: RunningMean
    """Of the surprise, the hold-out's included."""
    tolerated: float
    """Tolerated surprise in the last step."""
    losses: Floats = field(default_factory=lambda: np.empty(0))
    """Of the rows that do not make a whole step yet, in order; of a day, their sum alone."""
    surprises: Floats = field(default_factory=lambda: np.empty(0))
    rows: int = 0
    """Number of these rows."""
    since_us: int = 0
    """Event time of the first of these rows."""
    last_us: tuple[int, int] | None = None
    """Event time and entry of the last row."""
    days: tuple[DayMean, ...] = ()
    """The last ones, which are not learnt from yet."""
    dependence: SerialDependence | None = None
    """Of the days before these, the hold-out's included."""
    learnt: float | None = None
    """Mean of the last day that was learnt from, if that is the one before :attr:`days`."""


class StepMaker(Protocol):
    """Makes steps of losses, a pure function of a state."""

    normal: bool
    """True if steps are means that are about normal."""
    group: int
    """Number of dependent rows that count as one; of days, as their mean."""
    beginning: StepState

    def go_on(self, state: StepState, entered: EnteredLosses) -> tuple[StepState, Steps]:
        """Return the state after further losses, and the steps that they complete."""
        ...


class RowSteps:
    """Steps of as many rows as count as one, scaled to [0, 1].

    Args:
        known: The hold-out's.
        group: Number of rows that count as one.
        by: Tolerated surprise beyond the hold-out's.
        hardest: The greatest expected loss; surprises are not below its negative.
        reach: The greatest loss.
        alpha: Error probability of the hold-out's mean.
    """

    normal = False

    def __init__(
        self, known: EnteredLosses, *, group: int, by: float, hardest: float, reach: float, alpha: float
    ) -> None:
        self.group, self._by, self._hardest, self._alpha = group, by, hardest, alpha
        self._span = hardest + reach
        self._least = float(known.surprises.mean())
        before = _means(known.surprises, group)
        self._first = max(len(before), 2)
        mean, _ = go_on(RunningMean(), before, alpha, first=self._first)
        self.beginning = StepState(mean=mean, tolerated=by)

    def go_on(self, state: StepState, entered: EnteredLosses) -> tuple[StepState, Steps]:
        """Return the state after further losses, and the steps that they complete."""
        surprises = np.append(state.surprises, entered.surprises)
        losses = np.append(state.losses, entered.losses)
        group, whole = self.group, len(losses) // self.group * self.group
        # A step ends with a new row, whatever was left from before.
        last = slice(group - 1 - len(state.losses), None, group)
        after = _means(surprises, group)
        mean, said = go_on(state.mean, after, self._alpha, first=self._first)
        # What is held before a step must not know of it.
        bounds = np.maximum(np.append(state.mean.bound, said)[:-1], self._least) + self._by
        scaled = np.clip((after + self._hardest) / self._span, 0.0, 1.0)
        steps = Steps(
            worse=scaled,
            better=scaled,
            bounds=np.clip((bounds + self._hardest) / self._span, 1e-9, 1.0 - 1e-9),
            rows=np.full(len(after), group, dtype=np.int64),
            losses=_means(losses, group),
            surprises=after,
            times_us=entered.times_us[last][: len(after)],
            entered_us=entered.entered_us[last][: len(after)],
        )
        tolerated = float(bounds[-1]) if len(bounds) else state.tolerated
        rest = StepState(
            mean=mean,
            tolerated=tolerated,
            losses=losses[whole:],
            surprises=surprises[whole:],
            rows=len(losses) - whole,
        )
        return rest, steps


class DaySteps:
    """Steps of a day, or of as many days as have rows enough, in standard deviations beyond what is tolerated.

    A bad day excuses what the next one inherits of it, while a good day excuses nothing: under the null hypothesis what
    is left has a mean of at most 0 given the days before, if levels are an autoregressive series whose mean, which may
    change, is at most what is tolerated. A block of rows is over with the first row of a day after that on which it has
    rows enough.

    Days of the version's life are learnt from, too, as they pass: what is allowed for the few days of a hold-out
    vanishes.

    Args:
        dependence: Of the hold-out's blocks.
        least_rows: Fewest rows of a block.
        wait_us: Time after its event time with which a row usually enters, in microseconds.
        length_us: Usual distance of blocks, in microseconds.
        by: Tolerated surprise beyond the hold-out's.
        alpha: Error probability of the hold-out's mean.
    """

    normal = True

    def __init__(
        self, dependence: SerialDependence, *, least_rows: int, wait_us: int, length_us: float, by: float, alpha: float
    ) -> None:
        self._known, self._least_rows, self._wait_us, self._length_us = dependence, least_rows, wait_us, length_us
        self._by, self._alpha = by, alpha
        self.group = max(1, round(dependence.typical_rows))
        count, mean = dependence.blocks, dependence.mean
        before = RunningMean(
            count=count,
            total=mean * count,
            squares=(mean**2 + dependence.long_run_variance()) * count,
            bound=dependence.mean_at_most(_AT_ONCE * alpha),
        )
        self.beginning = StepState(mean=before, tolerated=max(before.bound, mean) + by, dependence=dependence)

    def go_on(self, state: StepState, entered: EnteredLosses) -> tuple[StepState, Steps]:
        """Return the state after further losses, and the steps that they complete."""
        count = len(entered.losses)
        if not count:
            return state, _no_steps()
        ends = block_ends(state.rows, state.last_us, entered, least_rows=self._least_rows, wait_us=self._wait_us)
        starts = np.append(0, ends).astype(np.int64)
        held_rows = np.append(starts[1:], count) - starts
        held_rows[0] += state.rows
        block = np.searchsorted(ends, np.arange(count), side="right")
        losses, surprises = (
            np.bincount(block, weights=values, minlength=len(starts)).astype(np.float64)
            for values in (entered.losses, entered.surprises)
        )
        losses[0] += float(state.losses.sum())
        surprises[0] += float(state.surprises.sum())
        since = entered.times_us[starts].copy()
        if state.rows:
            since[0] = state.since_us
        whole = len(ends)
        rows = held_rows[:whole]
        means = surprises[:whole] / np.maximum(rows, 1)
        days = map(DayMean, means.tolist(), rows.tolist(), since[:whole].tolist())
        after, deviations = state, np.empty((whole, 2))
        for place, day in enumerate(days):
            after, deviations[place] = self._day(after, day)
        steps = Steps(
            worse=deviations[:, 0],
            better=deviations[:, 1],
            bounds=np.zeros(whole),
            rows=rows,
            losses=losses[:whole] / np.maximum(rows, 1),
            surprises=means,
            times_us=since[:whole],
            entered_us=entered.entered_us[ends],
        )
        rest = replace(
            after,
            losses=losses[whole:],
            surprises=surprises[whole:],
            rows=int(held_rows[whole]),
            since_us=int(since[whole]),
            last_us=(int(entered.times_us[-1]), int(entered.entered_us[-1])),
        )
        return rest, steps

    def _day(self, state: StepState, day: DayMean) -> tuple[StepState, tuple[float, float]]:
        """Return the state after a further day, and its deviations for bets on worse and on better."""
        usual = state.dependence or self._known
        bound = max(state.mean.bound, self._known.mean) + self._by
        own, unit, fresh = (day.surprise - bound) / usual.spread(day.rows), usual.widening, day.surprise
        bad = good = 0.0
        if state.days:
            before = state.days[-1]
            correlation = usual.correlation
            inherited = correlation ** max((day.since_us - before.since_us) / self._length_us, 1.0)
            deviation = inherited * (before.surprise - bound) / usual.spread(before.rows)
            bad, good = max(deviation, 0.0), min(deviation, 0.0)
            unit *= math.sqrt(1.0 - inherited**2)
            fresh = (day.surprise - correlation * before.surprise) / (1.0 - correlation)
        mean, _ = go_on(state.mean, np.array([fresh]), _OVER_LIFE * self._alpha, first=self._known.blocks)
        after = replace(_learn(state, usual), mean=mean, tolerated=bound)
        return replace(after, days=(*after.days, day)), ((own - bad) / unit, (own - good) / unit)


def _learn(state: StepState, usual: SerialDependence) -> StepState:
    """Return the state after the first of its days was learnt from, once there are enough."""
    if len(state.days) < _LEARNT_AFTER:
        return state
    first = state.days[0]
    if (first.surprise - usual.mean) / usual.spread(first.rows) > _NOT_LEARNT * usual.widening:
        return replace(state, days=state.days[1:], learnt=None)
    dependence = usual.add(first.surprise, first.rows, state.learnt)
    return replace(state, days=state.days[1:], dependence=dependence, learnt=first.surprise)


def day_steps(known: EnteredLosses, *, wait_us: int, by: float, alpha: float) -> DaySteps | None:
    """Return steps of days by a hold-out; ``None`` if its days are shown to be alike, or are too few."""
    days = np.bincount((known.times_us - known.times_us.min()) // DAY_US)
    usual = float(np.median(days[days > 0]))
    least = max(math.ceil(usual / 2.0), fewest_rows(known.surprises))
    ends = block_ends(0, None, known, least_rows=least, wait_us=wait_us)
    # The last block may not be whole.
    whole = int(ends[-1]) if len(ends) else 0
    if len(ends) < _LEAST_BLOCKS:
        return None
    blocks = np.zeros(whole, dtype=np.int64)
    blocks[ends[:-1]] = 1
    found = serial_dependence(known.surprises[:whole], blocks.cumsum())
    if math.sqrt(found.most_level_variance) <= _ALIKE * by:
        return None
    length = max(float(known.times_us[whole - 1] - known.times_us[0]) / len(ends), float(DAY_US) / 2.0)
    return DaySteps(found, least_rows=least, wait_us=wait_us, length_us=length, by=by, alpha=alpha)


def block_ends(
    rows: int, last_us: tuple[int, int] | None, entered: EnteredLosses, *, least_rows: int, wait_us: int
) -> NDArray[np.int64]:
    """Return the places of losses with which the block before is over.

    A day ends with the day of entry, less the usual wait; of labels that came all at once, with that of the event.

    Args:
        rows: Number of rows of the block that goes on.
        last_us: Event time and entry of the row before these; ``None`` if there is none.
        entered: Further losses.
        least_rows: A block with fewer rows goes on.
        wait_us: Time after its event time with which a row usually enters, in microseconds.
    """
    time, entry = (entered.times_us[0], entered.entered_us[0]) if last_us is None else last_us
    times, entries = np.append(time, entered.times_us), np.append(entry, entered.entered_us)
    new_entry = np.diff((entries - wait_us) // DAY_US) != 0
    new_event = (np.diff(times // DAY_US) != 0) & (np.diff(entries) == 0)
    ends, begin = [], -rows
    for place in np.flatnonzero(new_entry | new_event).tolist():
        if place - begin >= least_rows:
            ends.append(place)
            begin = place
    return np.array(ends, dtype=np.int64)


def _means(values: Floats, group: int) -> Floats:
    """Return means of successive values, ``group`` at a time; a remainder at the end is left out."""
    count = len(values) // group
    means: Floats = values[: count * group].reshape(count, group).mean(axis=1)
    return means


def _no_steps() -> Steps:
    none, whole = np.empty(0), np.empty(0, dtype=np.int64)
    return Steps(
        worse=none, better=none, bounds=none, rows=whole, losses=none, surprises=none, times_us=whole, entered_us=whole
    )
