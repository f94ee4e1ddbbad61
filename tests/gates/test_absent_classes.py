"""Gates on a hold-out whose classes are not those of the candidate, or of the champion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gates.conftest import World, build

from everfit.core.columns import LABEL
from everfit.core.evidence import Evidence, Paired
from everfit.core.records import Verdict
from everfit.gates.comparison import BeatsBaseline, BeatsChampion
from everfit.gates.label_shift import LabelBalance
from everfit.gates.slices import Slices

GATES = (LabelBalance(), BeatsBaseline(), BeatsChampion(), Slices("town", min_rows=50))


def judged(evidence: Evidence) -> dict[str, Verdict]:
    return {verdict.gate: verdict for gate in GATES for verdict in gate.judge(evidence)}


def relabelled(evidence: Evidence, truth: Any) -> Evidence:
    """The same rows with other labels; -1 is the class 9, which the candidate does not know."""
    labels = pl.Series(LABEL, np.where(truth < 0, 9, truth).astype(np.int64))
    return replace(evidence, truth=truth, holdout=evidence.holdout.with_columns(labels))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), there=st.sets(st.integers(-1, 2), min_size=1))
def test_no_gate_fails_to_judge_whatever_classes_the_hold_out_has(seed: int, there: set[int]) -> None:
    rng = np.random.default_rng(seed)
    evidence = build("multiclass", rows=200, seed=3).evidence
    truth = rng.choice(sorted(there), size=200).astype(np.float64)
    evidence = replace(relabelled(evidence, truth), bootstrap=20, champion=evidence.predicted, champion_version=1)
    for metric in ("log_loss", "macro_auc", "macro_f1", "accuracy"):
        for name, verdict in judged(replace(evidence, metric=metric)).items():
            assert verdict.sentence, name
            assert verdict.value is None or not np.isnan(verdict.value) or verdict.outcome == "failed", verdict


def test_rows_of_a_class_that_only_the_hold_out_has_are_said_and_not_judged(build_world: Callable[..., World]) -> None:
    evidence = build_world("multiclass").evidence
    truth = evidence.truth.copy()
    truth[:150] = -1
    verdicts = judged(relabelled(evidence, truth))
    assert verdicts["label_balance"].outcome == "passed"
    assert (
        "150 of 1,500 rows (10 %) are of classes that only the hold-out has (9)" in verdicts["label_balance"].sentence
    )


def test_a_class_that_the_champion_did_not_learn_may_grow_from_nothing(build_world: Callable[..., World]) -> None:
    world = build_world("multiclass").evidence
    rare = world.reference.with_columns(pl.Series(LABEL, np.where(np.arange(world.reference.height) < 10, 2, 0)))
    evidence = replace(world, reference=rare.with_columns(pl.col(LABEL).cast(pl.Int64)))
    assert judged(evidence)["label_balance"].outcome == "failed"
    grown = LabelBalance().judge(replace(evidence, champion_learnt=(0, 1)))[0]
    assert "New since the champion was trained: 2," in grown.sentence


def pair(evidence: Evidence, *, champion_knows: Sequence[int]) -> Evidence:
    champion = evidence.predicted.copy()
    for place in range(3):
        if place not in champion_knows:
            champion[:, place] = 0.0
    champion /= champion.sum(axis=1, keepdims=True)
    return replace(
        evidence,
        champion=champion,
        champion_version=1,
        champion_classes=tuple(champion_knows),
        paired=Paired(truth=evidence.truth, predicted=evidence.predicted, champion=champion),
    )


@pytest.mark.parametrize("metric", ["log_loss", "macro_auc", "macro_f1", "accuracy"])
def test_a_champion_is_charged_for_the_class_that_it_does_not_know(
    build_world: Callable[..., World], metric: str
) -> None:
    evidence = replace(build_world("multiclass").evidence, metric=metric)
    verdict = judged(pair(evidence, champion_knows=(0, 1)))["beats_champion"]
    assert verdict.outcome == "passed"
    assert verdict.value is not None
    assert verdict.value <= 0
    assert "2 is known to the candidate only, and scored as impossible for the champion" in verdict.sentence


def test_a_candidate_is_charged_for_the_class_that_only_the_champion_knows(build_world: Callable[..., World]) -> None:
    evidence = pair(build_world("multiclass").evidence, champion_knows=(0, 1, 2))
    assert evidence.paired is not None
    blind = evidence.predicted.copy()
    blind[:, 2] = 0.0
    both = replace(evidence.paired, predicted=blind)
    (verdict,) = BeatsChampion().judge(replace(evidence, classes=(0, 1), paired=both))
    assert verdict.outcome == "failed"
    assert "2 is known to the champion only" in verdict.sentence
