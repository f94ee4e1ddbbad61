"""Sequential alarm on a performance drop; its false-alarm probability holds however often it is evaluated.

An episode opens by a betting e-process against "no worse than tolerated", and ends by a reversed one against "still
worse than tolerated", at the same level (Ville's inequality).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from msgspec import Struct
from numpy.typing import NDArray

from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.finding import Finding
from everfit.definitions.watch import PerformanceDrop
from everfit.measures.confidence import upper_sequence
from everfit.measures.e_process import betting_evidence, lifetime_stakes, reversed_evidence, steady_stakes
from everfit.measures.overdispersion import design_effect
from everfit.measures.weighting import Floats
from everfit.monitoring.loss import Losses, loss_for
from everfit.monitoring.performance import Scale
from everfit.monitoring.reference import ReferenceProfile

_REFERENCE_SHARE = 0.2
"""Of alpha, spent on how well the hold-out is known."""
_RELATIVE = 0.05
_LONGEST_WAIT = timedelta(days=30)
_LEAST_HELD_OUT = 50
_FIRST_STEPS = 1_024
"""Steps that are evaluated first; twice as many while nothing is decided."""
_DAY_US = 86_400_000_000
_ENTRY = "__entry"


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
    """Number of dependent rows that count as one."""
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


def performance_alarm(rows: pl.DataFrame, reference: ReferenceProfile, watch: PerformanceDrop) -> Alarm | None:
    """Test sequentially that the version is no worse than on its hold-out; ``None`` if that is too small.

    Rows are all of the version since its deployment. A label enters when its row has the age at which nine in ten
    labels used to be known (thirty days at most), or when it becomes known if that is later, since the first labels to
    come are not like the rest. Rows of a day are dependent (a storm makes all flights late): as many rows as have the
    information of one independent row (:func:`everfit.measures.overdispersion.design_effect`, on the hold-out) count as
    one, by their mean.

    The test is on the loss beyond the expected loss of such predictions: a week of hard rows is no drop as long as the
    version predicts how hard they are. That also removes most of the dependence within days.

    The probability of any false alarm is at most ``alpha`` if, without a change, the conditional mean is at most that
    of the hold-out, whose upper confidence bound is used, plus ``by``. The version's own life makes that bound closer,
    but never lower than the hold-out's mean. With ``run_length`` it is instead the e-detector of Shin, Ramdas, Rinaldo
    2022, with that mean number of steps to a false alarm.
    """
    held_out, scale = reference.labelled, reference.scale
    if held_out.height < _LEAST_HELD_OUT:
        return None
    truth, predicted = scale.read(held_out)
    loss = loss_for(scale, truth, predicted)
    known = loss.of(truth, predicted)
    surprise, usual = known.values - known.expected, float(known.values.mean())
    group = math.ceil(design_effect(surprise, held_out[TIME].dt.epoch("d").to_numpy()[known.rows]))
    before = _means(surprise, group)

    entered = _in_order(rows, scale, _waiting(held_out))
    found = loss.of(*scale.read(entered))
    # No easier than the easiest: what bets can lose is bounded by how hard rows are expected to be.
    hardest = float(known.expected.max())
    after = _means(found.values - np.minimum(found.expected, hardest), group)
    said = upper_sequence(np.append(before, after), _REFERENCE_SHARE * watch.alpha, first=max(len(before), 2))
    tolerated = _RELATIVE * usual if watch.by is None else watch.by
    # What is held before a step must not know of it.
    bounds = np.maximum(said[len(before) - 1 : -1], float(surprise.mean())) + tolerated
    span = hardest + loss.reach
    places = found.rows[group - 1 :: group]
    episodes, evidence = _SequentialTest(
        losses=np.clip((after + hardest) / span, 0.0, 1.0),
        bounds=np.clip((bounds + hardest) / span, 1e-9, 1.0 - 1e-9),
        entered_us=entered[_ENTRY].dt.epoch("us").to_numpy()[places[: len(after)]],
        level=math.log(watch.run_length or 1.0 / ((1.0 - _REFERENCE_SHARE) * watch.alpha)),
        stakes=steady_stakes if watch.run_length else lifetime_stakes,
    ).episodes()
    return Alarm(
        episodes=tuple(_episode(steps, entered, found, places, after) for steps in episodes),
        evidence=math.exp(min(evidence, 700.0)),
        outcomes=entered.height,
        group=group,
        loss=loss.name,
        reference=usual,
        tolerated=float(bounds[-1]) if len(bounds) else tolerated,
        alpha=watch.alpha,
        run_length=watch.run_length,
    )


@dataclass(frozen=True, kw_only=True)
class _SequentialTest:
    """Bets at some level on scaled losses, with the bound of the mean of each."""

    losses: Floats
    bounds: Floats
    entered_us: NDArray[np.int64]
    level: float
    stakes: Callable[[int, int], Floats]

    def episodes(self) -> tuple[list[tuple[int, int, int | None]], float]:
        """Return the first step, the alarm and the recovery of each episode, and the log evidence in the end.

        After a recovery a new life begins, with new stakes.
        """
        found: list[tuple[int, int, int | None]] = []
        start, size = 0, _FIRST_STEPS
        while start < len(self.losses):
            evidence = self._evidence(slice(start, start + size))
            crossed = np.flatnonzero(evidence >= self.level)
            if not len(crossed):
                if start + size >= len(self.losses):
                    return found, float(evidence[-1])
                size *= 2
                continue
            quiet = np.flatnonzero(evidence[: crossed[0]] < 0.0)
            since, alarmed = start + (int(quiet[-1]) + 1 if len(quiet) else 0), start + int(crossed[0])
            recovered = self._recovery(alarmed)
            found.append((since, alarmed, recovered))
            if recovered is None:
                return found, float(self._evidence(slice(start, None))[-1])
            start, size = recovered + 1, _FIRST_STEPS
        return found, -math.inf

    def _evidence(self, steps: slice) -> Floats:
        return betting_evidence(self.losses[steps], self.bounds[steps], stakes=self.stakes)

    def _recovery(self, alarmed: int) -> int | None:
        """Return the step at which "still worse than tolerated" is rejected; ``None`` if it is not.

        Whole days from the alarm on are tested, so that better nights are no recovery. A day is complete once a later
        step has entered.
        """
        days = (self.entered_us[alarmed + 1 :] - self.entered_us[alarmed]) // _DAY_US
        complete = int(np.searchsorted(days, days[-1])) if len(days) else 0
        after = slice(alarmed + 1, alarmed + 1 + complete)
        evidence = reversed_evidence(self.losses[after], self.bounds[after], days[:complete], stakes=self.stakes)
        crossed = np.flatnonzero(evidence >= self.level)
        if not len(crossed):
            return None
        day = np.unique(days[:complete])[crossed[0]]
        return alarmed + int(np.searchsorted(days, day, side="right"))


def _episode(
    steps: tuple[int, int, int | None], entered: pl.DataFrame, found: Losses, places: NDArray[np.intp], after: Floats
) -> Episode:
    """Return the episode between some steps; ``places`` are the last row of each in ``entered``."""
    (since, alarmed, recovered), entry = steps, entered[_ENTRY]
    first = np.searchsorted(found.rows, places[since - 1], side="right") if since else 0
    last = len(found.rows) if recovered is None else np.searchsorted(found.rows, places[recovered], side="right")
    return Episode(
        since=entered[TIME][int(places[since])],
        alarmed_at=entry[int(places[alarmed])],
        recovered_at=None if recovered is None else entry[int(places[recovered])],
        loss=float(found.values[first:last].mean()),
        surprise=float(after[since : recovered and recovered + 1].mean()),
    )


def _means(values: Floats, group: int) -> Floats:
    """Return means of successive values, ``group`` at a time; a remainder at the end is left out."""
    count = len(values) // group
    means: Floats = values[: count * group].reshape(count, group).mean(axis=1)
    return means


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


def _in_order(rows: pl.DataFrame, scale: Scale, wait: timedelta) -> pl.DataFrame:
    """Return labelled rows in the order of entry. They come ordered by event time and id: a stable sort is enough."""
    entry = pl.max_horizontal(pl.col(KNOWN_AT), pl.col(TIME) + wait).alias(_ENTRY)
    known = rows.lazy().filter(pl.col(LABEL).is_not_null()).select(entry, TIME, LABEL, *scale.columns)
    return known.sort(_ENTRY, maintain_order=True).collect()
