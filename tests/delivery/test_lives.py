"""Whole rollouts: what is as good stays, what is worse goes."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from tests.delivery.live import NOISE, PLAN, Life
from tests.delivery.situation import rollout

from everfit.definitions.rollout import RolloutPlan, Shadow

LIVES = 200
WORSE_NOISE = 0.96
"""A log loss that is a tenth higher than the champion's, as 10 ** 6 rows say."""


@pytest.mark.slow
def test_a_version_that_is_as_good_is_seldom_taken_back() -> None:
    ends = [Life(seed, noise=NOISE).run(rollout("shadow")).state for seed in range(LIVES)]
    taken_back = sum(state != "kept" for state in ends)
    sys.stdout.write(f"{taken_back} of {LIVES} taken back without cause\n")
    assert taken_back <= PLAN.alpha * LIVES


@pytest.mark.slow
def test_a_version_that_is_as_good_is_seldom_proven_better() -> None:
    plan = replace(PLAN, fast_when="proven better")
    ends = [Life(seed, noise=NOISE, plan=plan).run(rollout("shadow")) for seed in range(LIVES)]
    proven = sum(any("is proven better" in entry.sentence for entry in end.history) for end in ends)
    sys.stdout.write(f"{proven} of {LIVES} proven better without cause\n")
    assert proven <= PLAN.alpha * LIVES


def test_a_version_that_is_better_is_the_champion_earlier() -> None:
    """A shadow stage of 20,000 rows need not be waited for."""
    slow = RolloutPlan(stages=(Shadow(20_000, at_most=None),), watch="5d")
    fast = replace(slow, fast_when="proven better")
    for seed in range(5):
        waits, skips = (Life(seed, noise=0.0, plan=plan) for plan in (slow, fast))
        assert waits.run(rollout("shadow"), most=4_000).state == "shadow"
        ended = skips.run(rollout("shadow"), most=4_000)
        assert "is proven better" in ended.history[1].sentence
        assert ended.state in {"watching", "kept"}


@pytest.mark.slow
def test_a_version_that_is_worse_is_taken_back_within_two_thousand_labels() -> None:
    labels = []
    for seed in range(40):
        life = Life(seed, noise=WORSE_NOISE)
        ended = life.run(rollout("shadow"))
        assert ended.state in {"refused", "rolled_back"}, seed
        labels.append(life.rows)
    sys.stdout.write(f"taken back after {np.median(labels):.0f} rows, {max(labels)} at most\n")
    # Of these rows, 360 have no outcome yet, and 400 were answered by either version alone.
    assert np.median(labels) <= 2_000
