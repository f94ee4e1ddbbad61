"""Parser of LightGBM's text format, of the trees that :mod:`everfit.artifact.runtimes.quick_scorer` can execute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

_DEFAULT_LEFT = 2
_MISSING_SHIFT = 2


class TreeSplit(NamedTuple):
    """An inner node: a row goes to the left if its value is at most the threshold."""

    feature: int
    threshold: float
    default_left: bool
    missing: int
    """Values that take the default direction: 0 none, 1 zeros, 2 NaN, LightGBM's codes."""
    first_leaf: int
    """First leaf of its left side, the tree's leaves counted from left to right."""
    first_right_leaf: int
    """First leaf of its right side."""


class Tree(NamedTuple):
    """Splits in any order, and the leaves' values from left to right."""

    splits: tuple[TreeSplit, ...]
    leaves: tuple[float, ...]


class Forest(NamedTuple):
    """A model."""

    trees: tuple[Tree, ...]
    """Those of the first round, one per output, then those of the second."""
    outputs: int
    columns: int
    objective: str
    """With its parameters, as LightGBM writes it; empty if it was the user's own."""


def read_forest(text: str) -> Forest | None:
    """Read a model of splits at thresholds and leaves with constants.

    It is ``None`` if the model has categorical splits or linear leaves, or averages its trees.
    """
    head, *parts = text.partition("\nend of trees")[0].split("\nTree=")
    if "\naverage_output" in head:
        return None
    model = _entries(head)
    trees = []
    for part in parts:
        entries = _entries(part)
        if entries.get("num_cat") != "0" or entries.get("is_linear", "0") != "0":
            return None
        trees.append(_read_tree(entries))
    return Forest(
        trees=tuple(trees),
        outputs=int(model["num_tree_per_iteration"]),
        columns=int(model["max_feature_idx"]) + 1,
        objective=model.get("objective", ""),
    )


def read_splits(text: str) -> Iterator[tuple[int, float]]:
    """Yield column and threshold of every split in a model of any kind."""
    for part in text.partition("\nend of trees")[0].split("\nTree=")[1:]:
        entries = _entries(part)
        yield from zip(_integers(entries.get("split_feature", "")), _floats(entries.get("threshold", "")), strict=True)


def _entries(text: str) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition("=") for line in text.splitlines())}


def _read_tree(entries: Mapping[str, str]) -> Tree:
    values = _floats(entries["leaf_value"])
    if len(values) == 1:
        return Tree(splits=(), leaves=tuple(values))
    lefts, rights = _integers(entries["left_child"]), _integers(entries["right_child"])
    spans: dict[int, tuple[int, int]] = {}
    leaves: list[float] = []

    def walk(node: int) -> None:
        if node < 0:
            leaves.append(values[~node])
            return
        first = len(leaves)
        walk(lefts[node])
        spans[node] = first, len(leaves)
        walk(rights[node])

    walk(0)
    features, decisions = _integers(entries["split_feature"]), _integers(entries["decision_type"])
    nodes = zip(features, _floats(entries["threshold"]), decisions, strict=True)
    splits = tuple(
        TreeSplit(feature, threshold, bool(decision & _DEFAULT_LEFT), decision >> _MISSING_SHIFT & 3, *spans[node])
        for node, (feature, threshold, decision) in enumerate(nodes)
    )
    return Tree(splits=splits, leaves=tuple(leaves))


def _integers(text: str) -> list[int]:
    return [int(word) for word in text.split()]


def _floats(text: str) -> list[float]:
    return [float(word) for word in text.split()]
