"""Thresholds that the trees within an estimator compare features with: where two runtimes may disagree."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from everfit.artifact.runtimes.boosters import find_lightgbm, find_xgboost
from everfit.artifact.runtimes.lightgbm_trees import read_splits


def find_split_points(estimator: Any, *, columns: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the distinct pairs of a column and a threshold as two arrays of shape ``(pairs,)``.

    They come from scikit-learn's trees (at any depth: members of ensembles, steps of pipelines), LightGBM's or
    XGBoost's; splits of columns beyond ``columns``, the matrix's width, are left out.
    """
    found = sorted({pair for pair in _pairs(estimator) if 0 <= pair[0] < columns and np.isfinite(pair[1])})
    return np.array([column for column, _ in found], dtype=np.intp), np.array([point for _, point in found])


def _pairs(estimator: Any) -> Iterator[tuple[int, float]]:
    if (booster := find_lightgbm(estimator)) is not None:
        yield from read_splits(booster.model_to_string())
        return
    if (booster := find_xgboost(estimator)) is not None:
        for tree in booster.get_dump(dump_format="json"):
            yield from _xgboost_pairs(json.loads(tree), booster.feature_names or ())
        return
    for part, _ in parts_within(estimator):
        if type(part).__name__ == "Tree":
            yield from zip(part.feature.tolist(), part.threshold.tolist(), strict=True)
        elif type(part).__name__ == "TreePredictor":
            inner = part.nodes[part.nodes["is_leaf"] == 0]
            yield from zip(inner["feature_idx"].tolist(), inner["num_threshold"].tolist(), strict=True)


def _xgboost_pairs(node: Any, names: Any) -> Iterator[tuple[int, float]]:
    if "children" in node and isinstance(node.get("split_condition"), int | float):
        name = str(node["split"])
        place = list(names).index(name) if name in names else int(name.removeprefix("f"))
        yield place, float(node["split_condition"])
    for child in node.get("children", ()):
        yield from _xgboost_pairs(child, names)


def parts_within(thing: Any, columns: int = 0) -> Iterator[tuple[Any, int]]:
    """Yield every object within an estimator once, itself included, with the number of columns that it sees.

    A step of a pipeline may see more columns than the pipeline; scikit-learn checks their number itself.
    """
    waiting, seen = [(thing, columns)], set()
    while waiting:
        part, width = waiting.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | type | type(None)):
            continue
        seen.add(id(part))
        yield part, width
        inside: Iterable[Any]
        if isinstance(part, np.ndarray):
            inside = part.ravel().tolist() if part.dtype == object else []
        elif isinstance(part, list | tuple | set):
            inside = part
        elif isinstance(part, dict):
            inside = part.values()
        else:
            inside, width = getattr(part, "__dict__", {}).values(), getattr(part, "n_features_in_", width)
        waiting += [(one, width) for one in inside]
