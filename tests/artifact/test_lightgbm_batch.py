from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from everfit.artifact.equivalence import difference, refer
from everfit.artifact.predictor import BATCH_ROWS
from everfit.artifact.runtimes import quick_scorer
from everfit.artifact.runtimes.lightgbm_batch import conversion, make_batch
from everfit.artifact.runtimes.lightgbm_fast import LightgbmFastPredictor
from everfit.artifact.runtimes.lightgbm_trees import Forest, read_forest
from everfit.artifact.runtimes.quick_scorer import QuickScorer
from everfit.core.evidence import Arithmetic, Task

ZERO = float(np.float32(1e-35))
ODD = [0.0, -0.0, ZERO, -ZERO, np.nextafter(ZERO, 1), np.nextafter(-ZERO, -1), 1e-36, -1e-36, 5e-324, -5e-324, 1e300]
EXTREME = [*ODD, np.nan, np.inf, -np.inf, -1e300, 1.7976931348623157e308]
ROWS = 300


def train(
    objective: str = "binary", *, columns: int = 4, rounds: int = 30, leaves: int = 31, seed: int = 0, **params: Any
) -> str:
    random = np.random.default_rng(seed)
    X = random.normal(size=(ROWS, columns)).round(1)
    X[random.random(X.shape) < 0.2] = 0.0
    X[random.random(X.shape) < 0.2] = np.nan
    score = np.nan_to_num(X).sum(axis=1) + random.normal(size=ROWS)
    labels: dict[str, NDArray[Any]] = {
        "binary": score > 0,
        "multiclass": np.digitize(score, [-1, 1]),
        "multiclassova": np.digitize(score, [-1, 1]),
        "cross_entropy": 1 / (1 + np.exp(-score)),
        "cross_entropy_lambda": 1 / (1 + np.exp(-score)),
    }
    label = labels.get(objective, np.abs(score))
    settings = {"objective": objective, "num_leaves": leaves, "min_data_in_leaf": 2, "num_threads": 1, "verbose": -1}
    if objective.startswith("multiclass"):
        settings["num_class"] = 3
    data = lightgbm.Dataset(X, label, categorical_feature=params.pop("categorical_feature", "auto"))
    return str(lightgbm.train({**settings, **params}, data, rounds).model_to_string())


def hard_rows(forest: Forest, seed: int, count: int = 400) -> NDArray[np.float64]:
    """Values at and next to the thresholds, and those that floating point or LightGBM treats in a way of their own."""
    random = np.random.default_rng(seed)
    thresholds = np.array([split.threshold for tree in forest.trees for split in tree.splits] or [0.0])
    beside = [thresholds, np.nextafter(thresholds, np.inf), np.nextafter(thresholds, -np.inf)]
    values = np.concatenate([*beside, EXTREME * (1 + len(thresholds) // 20), random.normal(size=len(thresholds))])
    return random.choice(values, (count, forest.columns))


def sums_by_library(text: str, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(lightgbm.Booster(model_str=text).predict(rows, raw_score=True, num_threads=1))


def read(text: str) -> Forest:
    forest = read_forest(text)
    assert forest is not None
    assert QuickScorer.can_hold(forest)
    return forest


def assert_same_bits(text: str, seed: int) -> None:
    forest = read(text)
    rows = hard_rows(forest, seed)
    expected = sums_by_library(text, rows).reshape(len(rows), -1)
    np.testing.assert_array_equal(QuickScorer(forest).add_up(rows), expected)


@settings(max_examples=40, deadline=None)
@given(
    objective=st.sampled_from(["binary", "regression", "multiclass", "poisson"]),
    columns=st.integers(1, 6),
    rounds=st.integers(1, 20),
    leaves=st.integers(2, 64),
    zero_as_missing=st.booleans(),
    use_missing=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_sums_are_the_librarys_to_the_last_bit(
    objective: str, columns: int, rounds: int, leaves: int, zero_as_missing: bool, use_missing: bool, seed: int
) -> None:
    text = train(
        objective,
        columns=columns,
        rounds=rounds,
        leaves=leaves,
        seed=seed,
        zero_as_missing=zero_as_missing,
        use_missing=use_missing,
    )
    if " " in "".join(re.findall("leaf_value=(.*)", text)):
        assert_same_bits(text, seed)


@settings(max_examples=60, deadline=None)
@given(leaves=st.sampled_from([2, 3, 31, 32, 33, 63, 64]), seed=st.integers(0, 2**31))
def test_any_thresholds_and_defaults_mean_what_the_library_takes_them_for(leaves: int, seed: int) -> None:
    random = np.random.default_rng(seed)

    def rewrite(match: re.Match[str]) -> str:
        name, values = match.group(1), match.group(2).split()
        choices: Sequence[Any] = [*ODD, *map(float, values)] if name == "threshold" else (0, 2, 4, 6, 8, 10)
        return f"{name}={' '.join(repr(each) for each in random.choice(choices, len(values)).tolist())}\n"

    text = re.sub(r"(threshold|decision_type)=(.+)\n", rewrite, train(rounds=5, leaves=leaves, seed=seed % 7))
    assert_same_bits(re.sub(r"tree_sizes=.*\n", "", text), seed)


def test_a_tree_of_64_leaves_and_one_of_a_single_leaf_stand_beside_each_other() -> None:
    text = train("multiclass", leaves=64, num_class=4)  # the fourth class has no rows, so its trees are constant
    sizes = {len(tree.leaves) for tree in read(text).trees}
    assert 1 in sizes
    assert max(sizes) > 32
    assert_same_bits(text, 0)


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_a_forest_too_large_for_the_cache_is_summed_in_the_same_order(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quick_scorer, "_CHUNK_WORDS", 10)
    text = train(rounds=200)
    forest = read(text)
    rows = hard_rows(forest, count, count)
    np.testing.assert_array_equal(QuickScorer(forest).add_up(rows)[:, 0], sums_by_library(text, rows))


@pytest.mark.parametrize(
    "objective",
    [
        "binary",
        "regression",
        "regression_l1",
        "huber",
        "fair",
        "quantile",
        "mape",
        "poisson",
        "gamma",
        "tweedie",
        "cross_entropy",
        "multiclass",
        "multiclassova",
    ],
)
def test_answers_of_every_objective_are_the_librarys(objective: str) -> None:
    text = train(objective, sigmoid=1.7)
    rows = hard_rows(read(text), 0)
    batch = make_batch(text)
    assert batch is not None
    expected = np.asarray(lightgbm.Booster(model_str=text).predict(rows)).reshape(len(rows), -1)
    np.testing.assert_allclose(batch.predict(rows), expected, rtol=1e-14, atol=0)


def test_sums_beyond_what_a_float_can_hold_are_certain() -> None:
    convert = conversion("binary sigmoid:1")
    assert convert is not None
    np.testing.assert_array_equal(convert(np.array([[-1e5], [1e5]])), [[0.0], [1.0]])


@pytest.mark.parametrize(
    "params",
    [
        {"leaves": 65},
        {"categorical_feature": [0], "min_data_per_group": 1, "cat_smooth": 0.0},
        {"linear_tree": True},
        {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
        {"objective": "regression", "reg_sqrt": True},
        {"objective": "cross_entropy_lambda"},
        {"rounds": 2},
        {"min_data_in_leaf": ROWS},
    ],
    ids="-".join,
)
def test_what_tables_cannot_hold_or_would_slow_is_left_to_the_library(params: dict[str, Any]) -> None:
    text = train(**params) if "objective" in params else train("regression", **params)
    if "leaves" in params:
        assert max(len(tree.leaves) for tree in read_any(text).trees) > 64
    assert make_batch(text) is None
    rows = np.random.default_rng(0).normal(size=(BATCH_ROWS, 4)).round(1)
    predictor = LightgbmFastPredictor(text.encode(), columns=4, task="regression")
    expected = np.asarray(lightgbm.Booster(model_str=text).predict(rows))
    np.testing.assert_array_equal(predictor.predict(rows), expected)


def read_any(text: str) -> Forest:
    forest = read_forest(text)
    assert forest is not None
    return forest


@pytest.mark.parametrize("objective", ["binary", "multiclass"])
@pytest.mark.parametrize("count", [1, 2, 3, 255, 256, 257, 1_000, 5_001])
def test_rows_have_the_same_answers_alone_and_in_batches_of_any_size(objective: Task, count: int) -> None:
    text = train(objective, rounds=60)
    rows = hard_rows(read(text), count, count)
    predictor = LightgbmFastPredictor(text.encode(), columns=4, task=objective)
    alone = np.array([predictor.predict_one(row.tolist()) for row in rows])
    np.testing.assert_allclose(predictor.predict(rows), alone, rtol=1e-14, atol=0)
    np.testing.assert_allclose(predictor.predict(np.asfortranarray(rows)), alone, rtol=1e-14, atol=0)


def test_threads_do_not_disturb_each_other() -> None:
    text = train(rounds=60)
    predictor = LightgbmFastPredictor(text.encode(), columns=4, task="binary")
    batches = [hard_rows(read(text), seed, 500) for seed in range(4)]
    expected = [predictor.predict(rows) for rows in batches]
    wrong: list[int] = []

    def ask(number: int) -> None:
        answers = [predictor.predict(batches[number]) for _ in range(50)]
        wrong.extend(number for each in answers if not np.array_equal(each, expected[number]))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


class WrongInBatches:
    """Stands for a form whose tables went wrong."""

    runtime = "wrong"
    arithmetic: Arithmetic = "float64"

    def __init__(self, fewest_rows: int, most_rows: int) -> None:
        self._wrong = range(fewest_rows, most_rows + 1)

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return matrix[:, 0] + (len(matrix) in self._wrong)

    def predict_one(self, vector: Sequence[float] | NDArray[np.float64]) -> float:
        return float(vector[0])


@pytest.mark.parametrize("rows", [1, 3, 40, 600])
def test_a_proof_asks_alone_a_few_and_many(rows: int) -> None:
    reference = refer(WrongInBatches(0, 0).predict, np.arange(float(rows))[:, None])
    assert difference(WrongInBatches(0, 0), reference, "binary") == 0
    assert difference(WrongInBatches(BATCH_ROWS, 10_000), reference, "binary") == 1
    assert difference(WrongInBatches(1, 2), reference, "binary") == 1
