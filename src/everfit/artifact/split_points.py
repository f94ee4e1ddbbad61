"""Thresholds that the trees within an estimator compare features with: where two runtimes may disagree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from everfit.artifact.runtimes.lightgbm import find_booster as find_lightgbm
from everfit.artifact.runtimes.lightgbm_trees import read_splits
from everfit.artifact.runtimes.xgboost import find_booster as find_xgboost


def find_split_points(estimator: Any, *, columns: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the distinct pairs of a column and a threshold.

    Args:
        estimator: Of scikit-learn (at any depth: members of ensembles, steps of pipelines), LightGBM or XGBoost.
        columns: Number of columns of the matrix; splits of columns beyond are left out.

    Returns:
        Columns and thresholds, both of shape ``(pairs,)``; empty if there are no trees that are known here.
    """
    found = sorted({pair for pair in _pairs(estimator) if 0 <= pair[0] < columns and np.isfinite(pair[1])})
    return np.array([column for column, _ in found], dtype=np.intp), np.array([point for _, point in found])


def _pairs(estimator: Any) -> Iterator[tuple[int, float]]:
    booster = find_lightgbm(estimator)
    if booster is not None:
        yield from read_splits(booster.model_to_string())
        return
    booster = find_xgboost(estimator)
    if booster is not None:
        for tree in booster.get_dump(dump_format="json"):
            yield from _xgboost_pairs(json.loads(tree), booster.feature_names or ())
        return
    for part in parts_within(estimator):
        kind = type(part).__name__
        if kind == "Tree":
            yield from zip(part.feature.tolist(), part.threshold.tolist(), strict=True)
        elif kind == "TreePredictor":
            inner = part.nodes[part.nodes["is_leaf"] == 0]
            yield from zip(inner["feature_idx"].tolist(), inner["num_threshold"].tolist(), strict=True)


def _xgboost_pairs(node: Any, names: Any) -> Iterator[tuple[int, float]]:
    if "children" in node and isinstance(node.get("split_condition"), int | float):
        name = str(node["split"])
        place = list(names).index(name) if name in names else int(name.removeprefix("f"))
        yield place, float(node["split_condition"])
    for child in node.get("children", ()):
        yield from _xgboost_pairs(child, names)


def parts_within(thing: Any) -> Iterator[Any]:
    """Every object within an estimator, itself included, each one once."""
    waiting, seen = [thing], set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | type | type(None)):
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, np.ndarray):
            waiting += part.ravel().tolist() if part.dtype == object else []
        elif isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, list | tuple | set):
            waiting += part
        else:
            waiting += getattr(part, "__dict__", {}).values()
