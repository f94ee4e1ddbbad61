"""Sequential alarm on a performance drop; its false-alarm probability holds however often it is evaluated."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from operator import itemgetter

import numpy as np
import polars as pl
from msgspec import Struct

from everfit.core.clock import from_us
from everfit.core.columns import ID, KNOWN_AT, LABEL, TIME
from everfit.core.finding import Finding
from everfit.definitions.watch import PerformanceDrop
from everfit.measures.e_process import Stakes, lifetime_stakes, steady_stakes
from everfit.measures.overdispersion import design_effect
from everfit.measures.row_loss import PairsWaiting
from everfit.monitoring.alarm_steps import DAY_US, EnteredLosses, RowSteps, StepMaker, StepState, day_steps
from everfit.monitoring.loss import Losses, loss_for
from everfit.monitoring.reference import ReferenceProfile
from everfit.monitoring.sequential_test import LifeState, SequentialTest, Stretch, evidence_of

_REFERENCE_SHARE = 0.2
"""Of alpha, spent on how well the hold-out is known."""
_RELATIVE = 0.05
_LONGEST_WAIT = timedelta(days=30)
_LEAST_HELD_OUT = 50
_CALM_DAYS = 20
_FIRST = itemgetter(0)
MOST_KEPT = 100_000
"""Rows that entered last, which a late row or a corrected label can still change; some thirty bytes each."""
ENTRY = "__entry"
"""When a label enters the test."""


class Episode(Struct, frozen=True, kw_only=True):
    """Period in which the version was worse."""

    since: datetime
    """Event time at which it seems to have begun."""
    alarmed_at: datetime
    """Entry of the label with which the evidence sufficed."""
    recovered_at: datetime | None
    """Entry of the label with which the evidence of its end sufficed; ``None`` if it goes on."""
    loss: float
    """The mean since it began, until it was over."""
    surprise: float
    """Mean loss beyond the expected one of such predictions."""


class Alarm(Struct, frozen=True, kw_only=True):
    """State of the sequential test."""

    episodes: tuple[Episode, ...]
    """The probability that an episode is a false alarm is at most ``alpha``, and so is that of a false end."""
    evidence: float
    """Wealth of the e-process since the last episode; an alarm is due at about ``1 / alpha``."""
    outcomes: int
    """Number of labelled rows used."""
    group: int
    """Number of dependent rows that count as one; where days count, as a day has in the mean."""
    loss: str
    """Name of the loss; see :mod:`everfit.monitoring.loss`."""
    reference: float
    """The loss on the hold-out, in its own unit."""
    tolerated: float
    """Tolerated excess over the expected loss: ``by``, and the uncertainty of the hold-out."""
    alpha: float
    run_length: int | None
    """If set, the mean number of steps to a false alarm, in place of ``alpha``."""

    @property
    def current(self) -> Episode | None:
        """The one that goes on."""
        return self.episodes[-1] if self.episodes and self.episodes[-1].recovered_at is None else None


@dataclass(frozen=True, kw_only=True)
class AlarmState:
    """All that the test of a version's further rows needs to know of those before."""

    test: LifeState = field(default_factory=LifeState)
    steps: StepState
    waiting: PairsWaiting = field(default_factory=PairsWaiting)
    outcomes: int = 0


@dataclass(frozen=True, kw_only=True)
class TestState:
    """State of a test between two calls."""

    __test__ = False
    settled: AlarmState
    """After the rows that were let go of."""
    entered: pl.DataFrame | None
    """Those since then, in the order of entry."""
    checkpoints: list[tuple[int, AlarmState]]
    """States by the number of rows that they hold."""


class PerformanceTest:
    """Test that a version is no worse than on its hold-out, prepared by its reference.

    Rows are all of the version since its deployment. A label enters when its row has the age at which nine in ten
    labels used to be known (thirty days at most), or when it becomes known if that is later, since the first labels to
    come are not like the rest.

    The test is on the loss beyond the expected loss of such predictions: a week of hard rows is no drop as long as the
    version predicts how hard they are. What remains still depends on the day (a storm makes all flights late), and
    often on the day before. So one step is a day, less what it inherits from the day before, in the standard deviations
    of the hold-out's days (:class:`~everfit.monitoring.alarm_steps.DaySteps`). One day alone makes no alarm, however
    bad it is. Only where the hold-out shows its days to be alike, or has too few of them, a step is of rows, as many as
    have the information of one independent row (:func:`everfit.measures.overdispersion.design_effect`).

    The probability of any false alarm is at most ``alpha`` if, without a change, the mean is at most that of the
    hold-out, whose upper confidence bound is used, plus ``by``; of days, if what they do not inherit is about normal.
    The version's own life makes that bound closer, but never lower than the hold-out's mean. With ``run_length`` it is
    instead the e-detector of Shin, Ramdas, Rinaldo 2022, with that mean number of rows to a false alarm.
    """

    def __init__(self, reference: ReferenceProfile, watch: PerformanceDrop, *, kept: int = MOST_KEPT) -> None:
        self._kept = kept
        self._scale, self._watch = reference.scale, watch
        self._wait = _waiting(reference.labelled)
        held_out = self.in_order(reference.labelled)
        truth, predicted = self._scale.read(held_out)
        self._loss = loss_for(self._scale, truth, predicted)
        known = self._loss.of(truth, predicted)
        # No easier than the easiest: what bets can lose is bounded by how hard rows are expected to be.
        self._hardest = float(known.expected.max())
        self._usual = float(known.values.mean())
        self._steps = self._step_maker(self._entered_losses(known, held_out))
        self.beginning = AlarmState(steps=self._steps.beginning)
        self._test = self._sequential_test()
        self._entered: pl.DataFrame | None = None
        self._checkpoints: list[tuple[int, AlarmState]] = []
        """States by the number of rows that they hold, of the last rows that were tested."""

    def _step_maker(self, known: EnteredLosses) -> StepMaker:
        by = _RELATIVE * self._usual if self._watch.by is None else self._watch.by
        alpha, wait_us = _REFERENCE_SHARE * self._watch.alpha, self._wait // timedelta(microseconds=1)
        days = day_steps(known, wait_us=wait_us, by=by, alpha=alpha)
        if days is not None:
            return days
        group = math.ceil(design_effect(known.surprises, known.times_us // DAY_US))
        return RowSteps(known, group=group, by=by, hardest=self._hardest, reach=self._loss.reach, alpha=alpha)

    def _sequential_test(self) -> SequentialTest:
        length, stakes = self._watch.run_length, lifetime_stakes
        chosen: Stakes = partial(stakes, calm=_CALM_DAYS) if self._steps.normal else stakes
        level = math.log(1.0 / ((1.0 - _REFERENCE_SHARE) * self._watch.alpha))
        if length is not None:
            chosen = steady_stakes
            level = math.log(max(length / self._steps.group, 2.0) if self._steps.normal else length)
        return SequentialTest(level=level, stakes=chosen, normal=self._steps.normal)

    def _entered_losses(self, found: Losses, entered: pl.DataFrame) -> EnteredLosses:
        # A request need not state its time.
        columns = entered.select(pl.col(TIME).fill_null(pl.col(ENTRY)), ENTRY)
        times, entries = (columns[name].dt.epoch("us").to_numpy()[found.rows] for name in (TIME, ENTRY))
        surprises = found.values - np.minimum(found.expected, self._hardest)
        return EnteredLosses(losses=found.values, surprises=surprises, times_us=times, entered_us=entries)

    def of(self, rows: pl.DataFrame) -> Alarm:
        """Return the alarm of a version's whole life, where the test goes on from the life of the last call.

        It is the alarm of :func:`performance_alarm`: a row that came late, or whose label was corrected, is tested
        again together with those that entered after it.
        """
        entered = self.in_order(rows)
        alike = 0 if self._entered is None else _alike(self._entered, entered)
        kept = [(0, self.beginning), *((held, state) for held, state in self._checkpoints if 0 < held <= alike)]
        held, state = kept[-1]
        # A state before the last rows, at which they can be settled.
        for end in (entered.height - self._kept, entered.height):
            if held < end:
                state = self.advance(state, entered[held:end])
                held = end
                kept.append((held, state))
        self._entered, self._checkpoints = entered, _thinned(kept)
        return self.alarm(state)

    def settle(self, until: datetime) -> pl.Series:
        """Let go of the rows that entered first, and return their ids; the next call of :meth:`of` is given the others.

        The last rows, and those that entered later than an instant, are kept, so that they can be tested again.
        """
        if self._entered is None or self._entered.height <= self._kept:
            return pl.Series(dtype=pl.String)
        most = min(self._entered.height - self._kept, int((self._entered[ENTRY] <= until).sum()))
        held, state = max(((h, s) for h, s in self._checkpoints if h <= most), key=_FIRST, default=(0, self.beginning))
        ids = self._entered[ID][:held]
        self.beginning, self._entered = state, self._entered[held:]
        self._checkpoints = [(h - held, s) for h, s in self._checkpoints if h > held]
        return ids

    def state(self) -> TestState:
        """Return the state by which another test can go on."""
        return TestState(settled=self.beginning, entered=self._entered, checkpoints=self._checkpoints)

    def resume(self, state: TestState) -> None:
        """Go on from a state, in place of the beginning."""
        self.beginning, self._entered, self._checkpoints = state.settled, state.entered, state.checkpoints

    def in_order(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return labelled rows in the order of entry. They come ordered by event time and id."""
        entry = pl.max_horizontal(pl.col(KNOWN_AT), pl.col(TIME) + self._wait).alias(ENTRY)
        columns = [name for name in (TIME, LABEL, *self._scale.columns, ID) if name != ID or ID in rows.columns]
        known = rows.lazy().filter(pl.col(LABEL).is_not_null()).select(entry, *columns)
        return known.sort(ENTRY, maintain_order=True).collect()

    def advance(self, state: AlarmState, entered: pl.DataFrame) -> AlarmState:
        """Return the state after further rows, as :meth:`in_order` returns them."""
        waiting, found = self._loss.go_on(state.waiting, *self._scale.read(entered))
        after, steps = self._steps.go_on(state.steps, self._entered_losses(found, entered))
        return AlarmState(
            test=self._test.advance(state.test, steps),
            steps=after,
            waiting=waiting,
            outcomes=state.outcomes + entered.height,
        )

    def alarm(self, state: AlarmState) -> Alarm:
        """Return the state of the test as it is shown."""
        test, alpha = state.test, self._watch.alpha
        episodes = [_episode(one.stretch, one.alarmed_us, one.recovered_us) for one in test.ended]
        if test.alarmed_us is not None:
            episodes.append(_episode(test.stretch, test.alarmed_us, None, rest=state.steps))
        return Alarm(
            episodes=tuple(episodes),
            evidence=evidence_of(test),
            outcomes=state.outcomes,
            group=self._steps.group,
            loss=self._loss.name,
            reference=self._usual,
            tolerated=state.steps.tolerated,
            alpha=alpha,
            run_length=self._watch.run_length,
        )


def performance_test(
    reference: ReferenceProfile, watch: PerformanceDrop, *, kept: int = MOST_KEPT
) -> PerformanceTest | None:
    """Return the test of a version, ``None`` if its hold-out is too small.

    Args:
        kept: Number of the last rows that are not settled: see :meth:`PerformanceTest.settle`.
    """
    return PerformanceTest(reference, watch, kept=kept) if reference.labelled.height >= _LEAST_HELD_OUT else None


def performance_alarm(rows: pl.DataFrame, reference: ReferenceProfile, watch: PerformanceDrop) -> Alarm | None:
    """Test a version's whole life at once; see :class:`PerformanceTest`. ``None`` if its hold-out is too small."""
    test = performance_test(reference, watch)
    return None if test is None else test.alarm(test.advance(test.beginning, test.in_order(rows)))


def _episode(stretch: Stretch, alarmed_us: int, recovered_us: int | None, *, rest: StepState | None = None) -> Episode:
    """Return an episode, with the rows that do not make a whole step yet."""
    losses, rows = (0.0, 0) if rest is None else (float(rest.losses.sum()), rest.rows)
    return Episode(
        since=from_us(stretch.since_us),
        alarmed_at=from_us(alarmed_us),
        recovered_at=None if recovered_us is None else from_us(recovered_us),
        loss=(stretch.losses + losses) / (stretch.rows + rows),
        surprise=stretch.surprises / stretch.rows,
    )


def _alike(before: pl.DataFrame, now: pl.DataFrame) -> int:
    """Return the number of rows at the beginning that are the same."""
    rows = min(before.height, now.height)
    differ = pl.any_horizontal(before[name][:rows].ne_missing(now[name][:rows]).alias(name) for name in now.columns)
    first = pl.select(differ.arg_max().alias("first"), differ.any().alias("any")).row(0, named=True)
    return int(first["first"]) if first["any"] else rows


def _thinned(checkpoints: list[tuple[int, AlarmState]]) -> list[tuple[int, AlarmState]]:
    """Return the newest of the checkpoints whose distance from the end has the same power of two."""
    last = checkpoints[-1][0]
    return sorted({(last - held).bit_length(): (held, state) for held, state in checkpoints}.values(), key=_FIRST)


def alarm_findings(alarm: Alarm | None, model: str, version: int) -> list[Finding]:
    """Return the finding of a current episode, if there is one."""
    if alarm is None or (episode := alarm.current) is None:
        return []
    shown = {"since_then": episode.loss, "hold_out": alarm.reference}
    if alarm.loss in {"roc_auc", "accuracy"}:  # these two are known by what is good about them
        shown = {name: 1.0 - value for name, value in shown.items()}
    shown |= {"unexpected": episode.surprise, "tolerated": alarm.tolerated}
    promise = f"The chance of ever saying so without cause is at most {alarm.alpha:.0%}."
    if alarm.run_length is not None:
        promise = f"Such is said without cause once in {alarm.run_length:,} outcomes, on average."
    finding = Finding(
        kind="performance_drop",
        model=model,
        version=version,
        severity="critical",
        sentence=f"Version {version} has become worse: its {alarm.loss.replace('_', ' ')} is "
        f"{shown['since_then']:.4f} since {episode.since:%Y-%m-%d}, against {shown['hold_out']:.4f} on its hold-out. "
        f"{episode.surprise:.4f} of it is not explained by harder rows, and {alarm.tolerated:.4f} is tolerated. "
        f"{promise}",
        numbers=shown | {"evidence": alarm.evidence, "outcomes": alarm.outcomes},
        since=episode.since,
    )
    return [finding]


def _waiting(held_out: pl.DataFrame) -> timedelta:
    delay = (held_out[KNOWN_AT] - held_out[TIME]).quantile(0.9, interpolation="higher")
    return min(delay, _LONGEST_WAIT) if isinstance(delay, timedelta) else timedelta(0)
