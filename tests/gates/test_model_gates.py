"""The tests of the model: each catches what it is for, and seldom cries falsely."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest

import everfit as ef
from everfit.core.errors import CorruptPackageError, DefinitionError, TrainingError
from everfit.core.records import Verdict
from everfit.gates.comparison import BeatsBaseline, BeatsChampion
from everfit.gates.custom import gate
from everfit.gates.judge import STANDARD_GATES, gates_of, judge
from everfit.gates.model_gates import Determinism, MaxLatency, Reload, Robustness
from everfit.gates.slices import Slices
from everfit.measures.quality import metric_for
from everfit.measures.weighting import Floats


def only(verdicts: Any) -> Verdict:
    (verdict,) = verdicts
    assert isinstance(verdict, Verdict)
    return verdict


class TestBeatsChampion:
    def test_without_a_champion_there_is_nothing_to_beat(self, world: Any) -> None:
        assert only(BeatsChampion().judge(world.evidence)).outcome == "skipped"

    def test_a_champion_that_cannot_be_scored_refuses(self, world: Any) -> None:
        evidence = world.but(champion_version=3, champion_problem="its package is gone.")
        verdict = only(BeatsChampion().judge(evidence))
        assert verdict.outcome == "failed"
        assert verdict.sentence.endswith("version 3, could not be scored on the same rows: its package is gone.")

    def test_a_clearly_worse_candidate_is_refused_and_an_equal_one_is_not(self, world: Any) -> None:
        """200 candidates of each kind, on fresh labels every time."""
        refused_worse = refused_equal = 0
        for seed in range(200):
            random = np.random.default_rng(1000 + seed)
            truth = (random.random(len(world.odds)) < world.evidence.predicted).astype(np.float64)
            worse = world.noisy(1.0, seed)
            one, other = world.noisy(0.3, 2 * seed), world.noisy(0.3, 2 * seed + 1)
            champion = world.but(truth=truth, champion=world.evidence.predicted, champion_version=1, seed=seed)
            refused_worse += (
                only(BeatsChampion().judge(dataclasses.replace(champion, predicted=worse))).outcome == "failed"
            )
            equal = dataclasses.replace(champion, predicted=one, champion=other)
            refused_equal += only(BeatsChampion().judge(equal)).outcome == "failed"
        assert refused_worse >= 190, refused_worse
        assert refused_equal <= 20, refused_equal

    def test_margin_is_what_may_be_lost(self, world: Any) -> None:
        evidence = world.but(predicted=world.noisy(1.0), champion=world.evidence.predicted, champion_version=1)
        verdict = only(BeatsChampion().judge(evidence))
        assert verdict.outcome == "failed"
        assert verdict.value is not None
        assert verdict.value > 0
        assert "significantly worse by more than 0.00568: log_loss is" in verdict.sentence
        assert "significantly worse: log_loss is" in only(BeatsChampion(margin=0).judge(evidence)).sentence
        assert only(BeatsChampion(margin=verdict.value).judge(evidence)).outcome == "passed"

    def test_by_default_one_per_cent_of_the_champion_s_value_may_be_lost(self, world: Any) -> None:
        champion = world.evidence.predicted
        evidence = world.but(predicted=world.noisy(1.0), champion=champion, champion_version=1)
        loss = metric_for("log_loss", "binary").compute(evidence.truth, champion, evidence.weight)
        verdict = only(BeatsChampion().judge(evidence))
        assert verdict.threshold == pytest.approx(0.01 * loss)

    def test_a_champion_that_has_learnt_from_the_rows_is_shown_as_deployed_on_newer_ones(self, world: Any) -> None:
        champion = world.evidence.predicted
        deployed = champion.copy()
        deployed[:-200] = np.nan
        more = {"champion": champion, "champion_version": 1, "champion_stand_in": True}
        sentence = only(BeatsChampion().judge(world.but(**more, champion_deployed=deployed))).sentence
        assert "its recipe was fitted again without them. On the newer rows, log_loss is" in sentence
        assert "the deployed champion's" in sentence
        assert "on 200 rows" in sentence
        deployed[:-29] = np.nan
        sentence = only(BeatsChampion().judge(world.but(**more, champion_deployed=deployed))).sentence
        assert sentence.endswith("its recipe was fitted again without them.")
        kept = world.but(**more, champion_recipe="The champion's parameters are kept.")
        assert only(BeatsChampion().judge(kept)).sentence.endswith("without them. The champion's parameters are kept.")

    def test_strictly_wants_a_gain(self, world: Any) -> None:
        same = world.but(champion=world.evidence.predicted, champion_version=1)
        assert only(BeatsChampion().judge(same)).outcome == "passed"
        refused = only(BeatsChampion(strictly=True).judge(same))
        assert (refused.outcome, refused.threshold) == ("failed", 0.0)
        better = world.but(champion=world.noisy(1.0), champion_version=1)
        assert only(BeatsChampion(strictly=True).judge(better)).outcome == "passed"

    def test_what_makes_no_sense(self) -> None:
        with pytest.raises(DefinitionError, match="margin must not be negative, but got -1"):
            BeatsChampion(margin=-1)
        with pytest.raises(DefinitionError, match=r"alpha must be between 0 and 0\.5"):
            BeatsChampion(alpha=0.7)


class TestBeatsBaseline:
    def test_a_model_that_knows_nothing_is_refused(self, world: Any) -> None:
        assert only(BeatsBaseline().judge(world.evidence)).outcome == "passed"
        refused = 0
        for seed in range(100):
            guess = np.clip(world.evidence.baseline + np.random.default_rng(seed).normal(0, 0.05, 1500), 0.01, 0.99)
            refused += only(BeatsBaseline().judge(world.but(predicted=guess))).outcome == "failed"
        assert refused >= 95, refused


class TestSlices:
    def test_a_town_that_is_served_worse_is_named(self, world: Any) -> None:
        bremen = (world.evidence.holdout["town"] == "Bremen").to_numpy()
        bad = np.where(bremen, 1 - world.evidence.predicted, world.evidence.predicted)
        assert only(Slices("town").judge(world.evidence)).outcome == "passed"
        verdict = only(Slices("town").judge(world.but(predicted=bad)))
        assert verdict.outcome == "failed"
        assert "1 of 3 slices fall behind; the worst is town = Bremen (" in verdict.sentence

    def test_small_slices_do_not_fail_by_chance(self, world: Any) -> None:
        """60 slices of 25 rows scatter far beyond the gap that is allowed; chance explains it."""
        group = pl.Series([row % 60 for row in range(1500)])
        cried = 0
        for seed in range(20):
            truth = (np.random.default_rng(seed).random(1500) < world.evidence.predicted).astype(np.float64)
            evidence = world.but(truth=truth, holdout=world.evidence.holdout.with_columns(group=group))
            verdict = only(Slices("group", max_gap=0.05, min_rows=20).judge(evidence))
            assert verdict.value is not None
            assert verdict.value > 0.05, "some slice looks worse than allowed"
            cried += verdict.outcome == "failed"
        assert cried <= 4, cried

    def test_too_few_rows_are_not_judged(self, world: Any) -> None:
        assert only(Slices("passenger").judge(world.evidence)).outcome == "skipped"

    def test_missing_values_and_numbers_are_slices(self, world: Any) -> None:
        cell = pl.Series([None if row % 3 == 0 else float(row % 3) for row in range(1500)])
        holdout = world.evidence.holdout.with_columns(cell=cell)
        bad = np.where(cell.is_null().to_numpy(), 1 - world.evidence.predicted, world.evidence.predicted)
        verdict = only(Slices("cell").judge(world.but(holdout=holdout, predicted=bad)))
        assert "1 of 3 slices fall behind; the worst is cell = missing (500 rows)" in verdict.sentence

    def test_an_unknown_column_is_refused(self, world: Any) -> None:
        verdict = only(Slices("country").judge(world.evidence))
        assert verdict.outcome == "failed"
        assert "town" in verdict.sentence

    def test_regression_counts_in_standard_deviations(self, build_world: Callable[..., Any]) -> None:
        evidence = build_world("regression").evidence
        in_seconds = dataclasses.replace(evidence, truth=evidence.truth * 60, predicted=evidence.predicted * 60)
        minutes, seconds = only(Slices("town").judge(evidence)), only(Slices("town").judge(in_seconds))
        assert minutes.outcome == seconds.outcome == "passed"
        assert minutes.value == pytest.approx(seconds.value)


class TestReload:
    def test_another_answer_is_refused(self, world: Any) -> None:
        assert only(Reload().judge(world.evidence)).value == 0.0
        near = world.but(predict_packaged=lambda: world.evidence.predicted + 1e-12)
        assert only(Reload().judge(near)).outcome == "passed"
        off = world.but(predict_packaged=lambda: world.evidence.predicted + 1e-6)
        assert only(Reload().judge(off)).outcome == "failed"

    def test_a_package_that_cannot_be_opened_is_refused(self, world: Any) -> None:
        def broken() -> Floats:
            raise CorruptPackageError("the digest of model.txt must be that of the manifest")

        verdict = only(Reload().judge(world.but(predict_packaged=broken)))
        assert verdict.outcome == "failed"
        assert "model.txt" in verdict.sentence


class TestDeterminism:
    def test_a_trainer_that_rolls_dice_is_refused(self, world: Any) -> None:
        dice = world.but(fit_again=lambda: (world.noisy(0.1, 1), world.noisy(0.1, 2)))
        verdict = only(Determinism().judge(dice))
        assert verdict.outcome == "failed"
        assert "random_state" in verdict.sentence

    def test_a_trainer_that_raises_is_refused(self, world: Any) -> None:
        def broken() -> tuple[Floats, Floats]:
            raise TrainingError("the trainer raised ValueError: no")

        assert only(Determinism().judge(world.but(fit_again=broken))).outcome == "failed"


class TestRobustness:
    def test_an_estimator_that_cannot_take_missing_values_is_refused(self, world: Any) -> None:
        def answer(row: Mapping[str, Any]) -> Floats:
            if row["distance"] is None:
                raise ValueError("Input contains NaN.")
            return np.array([0.5])

        verdict = only(Robustness().judge(world.but(answer=answer)))
        assert (verdict.outcome, verdict.value) == ("failed", 2.0)
        assert "every feature missing: ValueError: Input contains NaN." in verdict.sentence

    @pytest.mark.parametrize(
        ("answer", "problems"),
        [
            # All missing, each of three missing, an unseen town; two numbers at two extremes may overflow.
            (np.array([np.nan]), 5),
            (np.array([np.inf]), 5),
            (np.array([1.5]), 9),
            (np.array([0.5, 0.5]), 9),
            (np.array([[0.5]]), 9),
        ],
    )
    def test_an_answer_that_is_none_is_refused(self, world: Any, answer: Floats, problems: int) -> None:
        verdict = only(Robustness().judge(world.but(answer=lambda row: answer)))
        assert verdict.outcome == "failed"
        assert verdict.value == problems, verdict.sentence

    def test_a_prediction_may_overflow_for_an_extreme_number(self, world: Any) -> None:
        def answer(row: Mapping[str, Any]) -> Floats:
            with np.errstate(over="ignore"):
                return np.array([np.exp(row["distance"] or 0.0) if (row["distance"] or 0.0) > 1e9 else 0.5])

        verdict = only(Robustness().judge(world.but(answer=answer)))
        assert verdict.outcome == "passed"
        assert "8 of 9 rows" in verdict.sentence
        assert "the service refuses the row" in verdict.sentence

    def test_chances_must_add_up(self, build_world: Callable[..., Any]) -> None:
        evidence = build_world("multiclass").evidence
        half = dataclasses.replace(evidence, answer=lambda row: np.array([[0.2, 0.2, 0.2]]))
        assert "add up to 0.6" in only(Robustness().judge(half)).sentence

    def test_every_awkward_question_is_asked(self, world: Any) -> None:
        rows = []

        def answer(row: Mapping[str, Any]) -> Floats:
            rows.append(dict(row))
            return np.array([0.5])

        assert only(Robustness().judge(world.but(answer=answer))).outcome == "passed"
        assert {"town": None, "distance": None, "weather.rain": None} in rows
        assert {row["distance"] for row in rows} >= {1e15, -1e15}
        assert len({row["town"] for row in rows}) == 3


class TestMaxLatency:
    def test_without_a_limit_it_only_records(self, world: Any) -> None:
        verdict = only(MaxLatency().judge(world.evidence))
        assert (verdict.outcome, verdict.threshold) == ("passed", None)
        assert verdict.value is not None

    def test_a_slow_model_is_refused(self, world: Any) -> None:
        import time

        def slow(row: Mapping[str, Any]) -> Floats:
            time.sleep(0.002)
            return np.array([0.5])

        verdict = only(MaxLatency(p99_ms=1).judge(world.but(answer=slow, holdout=world.evidence.holdout.head(20))))
        assert verdict.outcome == "failed"
        assert verdict.value is not None
        assert verdict.value >= 2
        assert only(MaxLatency(p99_ms=1000).judge(world.evidence)).outcome == "passed"

    def test_a_limit_is_positive(self) -> None:
        with pytest.raises(DefinitionError, match="p99_ms must be positive, but got 0"):
            MaxLatency(p99_ms=0)


class TestOwnGate:
    def test_a_bool_and_the_docstring(self, world: Any) -> None:
        @gate
        def knows_rain(evidence: ef.Evidence) -> bool:
            """Rain is among
            the features."""
            return "weather.rain" in evidence.features

        assert knows_rain.judge(world.evidence) == [
            Verdict(gate="knows_rain", outcome="passed", sentence="Rain is among the features.")
        ]
        assert only(knows_rain.judge(world.but(features=()))).outcome == "failed"

    def test_a_value_and_a_threshold(self, world: Any) -> None:
        @gate
        def enough_rows(evidence: ef.Evidence) -> tuple[bool, int, int]:
            """There are rows enough."""
            return len(evidence.truth) >= 2000, len(evidence.truth), 2000

        verdict = only(enough_rows.judge(world.evidence))
        assert verdict == Verdict(
            gate="enough_rows",
            outcome="failed",
            sentence="There are rows enough. Found 1500, threshold 2000.",
            value=1500.0,
            threshold=2000.0,
        )

    def test_numpy_answers_and_own_sentences(self, world: Any) -> None:
        @gate
        def spread(evidence: ef.Evidence) -> Any:
            std = evidence.predicted.std()
            return std > 0.01, std, 0.01, f"Answers spread by {std:.2f}."

        verdict = only(spread.judge(world.evidence))
        assert verdict.outcome == "passed"
        assert verdict.sentence.startswith("Answers spread by 0.")

    def test_verdicts_of_its_own(self, world: Any) -> None:
        mine = Verdict(gate="two", outcome="skipped", sentence="Not today.")
        assert gate(lambda evidence: [mine, mine]).judge(world.evidence) == [mine, mine]
        assert gate(lambda evidence: mine).judge(world.evidence) == [mine]

    def test_a_gate_that_raises_fails_with_its_words(self, world: Any) -> None:
        @gate
        def broken(evidence: ef.Evidence) -> bool:
            raise KeyError("no such thing")

        verdict = only(broken.judge(world.evidence))
        assert verdict.outcome == "failed"
        assert "raised KeyError: 'no such thing'" in verdict.sentence

    @pytest.mark.parametrize("said", [None, 0.3, "yes", (), (True,), ("yes", 1, 2)])
    def test_any_other_answer_fails(self, world: Any, said: object) -> None:
        @gate
        def vague(evidence: ef.Evidence) -> object:
            return said

        verdict = only(vague.judge(world.evidence))
        assert verdict.outcome == "failed"
        assert "A gate returns a bool" in verdict.sentence


def the_model(*gates: Any) -> ef.Model:
    rides = ef.Source("rides", path="rides.parquet", timestamp="asked_at")
    model = ef.Model(
        "late",
        task="binary",
        events=ef.Events(rides, id="ride"),
        request=["town", "distance"],
        features=["town", "distance"],
        label=ef.Label("late", known_at="arrived_at"),
    )
    model.ship_when(*gates)
    return model


class TestJudge:
    def test_the_report_of_a_good_candidate(self, world: Any) -> None:
        report = judge(the_model(Slices("town"), Slices("passenger")), world.evidence)
        assert report.passed, report.failures
        assert report.model == "late"
        assert [verdict.gate for verdict in report.verdicts] == [
            *(each.name for each in STANDARD_GATES),
            "slices_town",
            "slices_passenger",
        ]

    def test_own_gates_replace_standard_ones_of_the_same_class(self) -> None:
        own = BeatsChampion(margin=0.01)
        gates = gates_of(the_model(own))
        assert [each for each in gates if isinstance(each, BeatsChampion)] == [own]
        assert len(gates) == len(STANDARD_GATES)

    def test_own_functions_replace_nothing(self) -> None:
        one, other = gate(lambda evidence: True), gate(lambda evidence: True)
        assert len(gates_of(the_model(one, other))) == len(STANDARD_GATES) + 2

    def test_one_failure_does_not_hide_another(self, world: Any) -> None:
        evidence = world.but(
            predicted=world.evidence.baseline, fit_again=lambda: (world.noisy(0.1, 1), world.noisy(0.1, 2))
        )
        assert [each.gate for each in judge(the_model(), evidence).failures] == [
            "beats_baseline",
            "reload",
            "determinism",
        ]

    def test_judging_twice_says_the_same(self, world: Any) -> None:
        gates = [each for each in gates_of(the_model(Slices("town"))) if not isinstance(each, MaxLatency)]
        first, second = ([each.judge(world.evidence) for each in gates] for _ in range(2))
        assert first == second
