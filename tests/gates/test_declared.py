"""Gates of a design record: which there are, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from tests.design.records import FRONT, design
from tests.design.test_check import PROJECT
from tests.design.test_record import made
from tests.gates.conftest import World, build

from everfit.core.design_record import DeclaredBaseline, DesignRecord, ModelSuccess
from everfit.core.evidence import Task
from everfit.core.records import Verdict
from everfit.definitions.gate import Gate
from everfit.design.record import parse_design
from everfit.gates.declared import BeatsDeclaredBaseline, DeclaredMetric
from everfit.gates.judge import STANDARD_GATES, gates_of
from everfit.gates.model_gates import MaxLatency
from everfit.gates.slices import Slices


def record(front: str = FRONT) -> DesignRecord:
    document = parse_design(design(front), model="late", place="design.md")
    assert document is not None
    assert document.record is not None, document.faults
    return document.record


def only(gate: Gate, world: World, **changes: object) -> Verdict:
    (verdict,) = gate.judge(world.but(**changes))
    return verdict


@pytest.mark.parametrize(("limit", "outcome"), [(0.9, "passed"), (0.3, "failed")])
def test_a_loss_may_be_at_most_the_threshold(world: World, limit: float, outcome: str) -> None:
    verdict = only(DeclaredMetric(at_most=limit), world)
    assert (verdict.gate, verdict.outcome, verdict.threshold) == ("design_metric", outcome, limit)
    assert f"the design record requires at most {limit:g}" in verdict.sentence


@pytest.mark.parametrize(("limit", "outcome"), [(0.6, "passed"), (0.95, "failed")])
def test_a_gain_must_be_at_least_the_threshold(world: World, limit: float, outcome: str) -> None:
    verdict = only(DeclaredMetric(at_least=limit), world, metric="roc_auc")
    assert (verdict.outcome, verdict.threshold) == (outcome, limit)


def test_the_threshold_itself_is_good_enough(world: World) -> None:
    value = only(DeclaredMetric(at_most=9.0), world).value
    assert value is not None
    assert only(DeclaredMetric(at_most=value), world).outcome == "passed"
    assert only(DeclaredMetric(at_most=np.nextafter(value, 0)), world).outcome == "failed"


def test_of_a_bias_the_distance_from_zero_counts() -> None:
    world = build("regression")
    low = world.evidence.predicted - 3.0
    assert only(DeclaredMetric(at_most=2.0), world, metric="bias", predicted=low).outcome == "failed"
    assert only(DeclaredMetric(at_most=4.0), world, metric="bias", predicted=low).outcome == "passed"


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize(("by", "outcome"), [(0.0, "passed"), (1e6, "failed")])
def test_the_trivial_baseline_must_be_beaten_by_as_much(task: Task, by: float, outcome: str) -> None:
    verdict = only(BeatsDeclaredBaseline(by=by), build(task))
    assert (verdict.gate, verdict.outcome) == ("design_baseline", outcome)
    assert verdict.value is not None
    assert verdict.value > 0


def test_a_rule_in_a_column_must_be_beaten(world: World) -> None:
    gate = BeatsDeclaredBaseline(by=0.0, column="rule")
    truth = world.evidence.truth
    for rule, outcome in ((np.full(len(truth), 0.4), "passed"), (0.05 + 0.9 * truth, "failed")):
        holdout = world.evidence.holdout.with_columns(pl.Series("rule", rule))
        verdict = only(gate, world, holdout=holdout)
        assert verdict.outcome == outcome, verdict.sentence
    # Rows in which the rule says nothing do not count.
    bad = pl.when(pl.int_range(pl.len()) < 1_000).then(0.4).alias("rule")
    verdict = only(gate, world, holdout=world.evidence.holdout.with_columns(bad))
    assert "on 1000 rows" in verdict.sentence


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (pl.lit("a"), "must be a number, but rule is String"),
        (pl.lit(None, dtype=pl.Float64), "rule has none in 1500 rows"),
        (pl.lit(7.0), "must be a probability, but rule is between 7 and 7"),
        (pl.lit(1).alias("other"), "must be a request field or a feature"),
    ],
)
def test_a_column_that_is_no_baseline_refuses(world: World, rule: pl.Expr, message: str) -> None:
    holdout = world.evidence.holdout.with_columns(rule if rule.meta.output_name() == "other" else rule.alias("rule"))
    verdict = only(BeatsDeclaredBaseline(by=0.0, column="rule"), world, holdout=holdout)
    assert verdict.outcome == "failed"
    assert message in verdict.sentence


@pytest.mark.parametrize(("value", "by", "outcome"), [(0.9, 0.0, "passed"), (0.9, 0.8, "failed"), (0.1, 0.0, "failed")])
def test_a_value_measured_elsewhere_must_be_beaten(world: World, value: float, by: float, outcome: str) -> None:
    assert only(BeatsDeclaredBaseline(by=by, value=value), world).outcome == outcome


def test_a_record_adds_its_gates_to_the_standard_ones(tmp_path: Path) -> None:
    model = made(tmp_path).model("late")
    added = set(gates_of(model, record())) - set(STANDARD_GATES)
    assert added == {DeclaredMetric(at_most=0.9), MaxLatency(p99_ms=1000.0)}
    assert [gate.name for gate in gates_of(model, record())].count("max_latency") == 1
    full = msgspec.structs.replace(
        record(FRONT.replace("slices: []", "slices: [{column: shop, max_gap: 0.4}]")),
        baseline=DeclaredBaseline(what="x", column="shop_record.late"),
    )
    assert {gate.name for gate in gates_of(model, full)} == {
        *(gate.name for gate in STANDARD_GATES), "design_metric", "design_baseline", "slices_shop",
    }  # fmt: skip


def test_the_code_s_gates_come_first(tmp_path: Path) -> None:
    code = "late.ship_when(ef.MaxLatency(p99_ms=7), ef.Slices('shop', max_gap=0.2))"
    model = made(tmp_path, f"{PROJECT}\n{code}\n").model("late")
    sliced = record(FRONT.replace("slices: []", "slices: [{column: shop, max_gap: 0.2}]"))
    gates = gates_of(model, sliced)
    assert [gate for gate in gates if isinstance(gate, MaxLatency | Slices)] == list(model.gates)


def test_a_latency_gate_without_a_limit_gets_the_record_s(tmp_path: Path) -> None:
    model = made(tmp_path, f"{PROJECT}\nlate.ship_when(ef.MaxLatency())\n").model("late")
    latency = [gate for gate in gates_of(model, record()) if isinstance(gate, MaxLatency)]
    assert latency == [MaxLatency(p99_ms=1000.0)]


def test_without_a_threshold_only_the_trivial_baseline_counts(tmp_path: Path) -> None:
    unset = record()
    success = msgspec.structs.replace(unset.success, model=ModelSuccess(metric="log_loss"))
    model = made(tmp_path).model("late")
    names = {gate.name for gate in gates_of(model, msgspec.structs.replace(unset, success=success))}
    assert names == {gate.name for gate in STANDARD_GATES}
