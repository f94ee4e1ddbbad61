"""The alarm goes on from a state: however a life is divided, it is the alarm of the whole life."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.monitoring.lives import DAY
from tests.monitoring.test_recovery import BAD_UNTIL, KINDS, PER_DAY, START, TASKS, Life, cyclic, rows

import everfit as ef
from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.evidence import Task
from everfit.monitoring.performance import Scale
from everfit.monitoring.performance_alarm import Alarm, performance_alarm, performance_test
from everfit.monitoring.reference import HELD_OUT, ReferenceProfile

WATCH = ef.PerformanceDrop(alpha=0.05)


def life_of(task: Task, seed: int, *, days: int = 90) -> tuple[ReferenceProfile, pl.DataFrame]:
    """A life that is worse for six days, better for some weeks, and worse again."""
    kind, dice = KINDS[task], np.random.default_rng(seed)
    life = Life.of(kind, dice)
    good = rows(kind, dice, BAD_UNTIL, cyclic(kind.usual, days))
    bad = rows(kind, dice, BAD_UNTIL + days * DAY, cyclic(min(3 * kind.usual, 0.5), 6))
    return life.reference, pl.concat([life.bad, good, bad])


def ranked(seed: int) -> tuple[ReferenceProfile, pl.DataFrame]:
    """A life of pairs: a score that ranks, and after ten days does not."""
    dice, scale = np.random.default_rng(seed), Scale(task="binary", metric="roc_auc", classes=(False, True))

    def answers(start: int, days: int, sharp: float) -> pl.DataFrame:
        kind = KINDS["binary"]
        made = rows(kind, dice, START + start * DAY, np.full(days * PER_DAY, 0.4))
        return made.with_columns(prediction=pl.Series(made[LABEL].to_numpy() * sharp + dice.random(made.height)))

    held_out = answers(-20, 20, 0.5).with_columns(pl.lit(True).alias(HELD_OUT))
    reference = ReferenceProfile(held_out, scale, (), {}, DAY)
    return reference, pl.concat([answers(0, 10, 0.5), answers(10, 30, 0.1), answers(40, 120, 0.5)])


LIVES: dict[str, tuple[ReferenceProfile, pl.DataFrame]] = {"pairs": ranked(0)}
LIVES.update({task: life_of(task, 3) for task in TASKS})


def same(found: Alarm | None, expected: Alarm | None) -> None:
    assert found is not None
    assert expected is not None
    assert [(one.since, one.alarmed_at, one.recovered_at) for one in found.episodes] == [
        (one.since, one.alarmed_at, one.recovered_at) for one in expected.episodes
    ]
    pairs = zip(found.episodes, expected.episodes, strict=True)
    numbers = [value for one, other in pairs for value in (one.loss - other.loss, one.surprise - other.surprise)]
    np.testing.assert_allclose(numbers, 0.0, atol=1e-12)
    np.testing.assert_allclose(np.log(found.evidence + 1e-300), np.log(expected.evidence + 1e-300), rtol=1e-9)
    np.testing.assert_allclose(found.tolerated, expected.tolerated, rtol=1e-12)
    assert (found.outcomes, found.group, found.reference) == (expected.outcomes, expected.group, expected.reference)


@settings(max_examples=25)
@given(name=st.sampled_from(sorted(LIVES)), cuts=st.lists(st.floats(0, 1), max_size=6), end=st.floats(0.2, 1))
def test_however_a_life_is_divided(name: str, cuts: list[float], end: float) -> None:
    reference, life = LIVES[name]
    seen = life.head(int(end * life.height))
    test = performance_test(reference, WATCH)
    assert test is not None
    entered, state = test.in_order(seen), test.beginning
    places = [0, *sorted(int(cut * entered.height) for cut in cuts), entered.height]
    for start, stop in pairwise(places):
        state = test.advance(state, entered[start:stop])
    same(test.alarm(state), performance_alarm(seen, reference, WATCH))


@pytest.mark.parametrize("name", sorted(LIVES))
def test_these_lives_have_alarms_that_end(name: str) -> None:
    reference, life = LIVES[name]
    alarm = performance_alarm(life, reference, WATCH)
    assert alarm is not None
    assert alarm.episodes[0].recovered_at is not None


@settings(max_examples=20)
@given(
    name=st.sampled_from(sorted(LIVES)),
    days=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    late=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 9)), max_size=5),
    corrected=st.lists(st.floats(0, 1), max_size=3),
)
def test_rows_that_come_late_or_change_are_taken_where_they_belong(
    name: str, days: list[int], late: list[tuple[float, int]], corrected: list[float]
) -> None:
    reference, life = LIVES[name]
    life = life.with_row_index("place")
    shown_at = dict.fromkeys(range(life.height), 0)
    shown_at.update({int(share * (life.height - 1)): after for share, after in late})
    test = performance_test(reference, WATCH)
    assert test is not None
    now = START
    for number, passed in enumerate(days):
        now += passed * DAY
        hidden = [place for place, after in shown_at.items() if after > number]
        changed = [int(share * (life.height - 1)) for share in corrected] if number >= len(days) // 2 else []
        turned = pl.when(pl.col("place").is_in(changed)).then(1.0 - pl.col(LABEL)).otherwise(LABEL).alias(LABEL)
        seen = life.filter(pl.col(TIME) <= now, ~pl.col("place").is_in(hidden)).with_columns(turned)
        seen = seen.with_columns(pl.when(pl.col(KNOWN_AT) <= now).then(LABEL).alias(LABEL)).drop("place")
        same(test.of(seen), performance_alarm(seen, reference, WATCH))


def test_what_is_remembered_does_not_grow() -> None:
    reference, life = LIVES["binary"]
    test = performance_test(reference, WATCH)
    assert test is not None
    for days in range(1, 41):
        test.of(life.head(days * PER_DAY))
    assert len(test._checkpoints) <= 2 + np.log2(life.height)
