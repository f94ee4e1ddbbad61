"""QuickScorer: trees executed for many rows at once by table look-ups, without branches and pointers.

A tree's state for a row is a word with a bit for each leaf, those at the left in the high bits. A split that sends the
row to the right clears the leaves of its left side; after all splits the highest bit that is set is the leaf. The bits
that a tree's splits on one feature clear depend only on the place of the row's value among all thresholds of that
feature, so one look-up serves all trees, and the features' words are combined by AND.

Lucchese et al., "QuickScorer: a Fast Algorithm to Rank Documents with Additive Ensembles of Regression Trees",
SIGIR 2015.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from everfit.artifact.runtimes.lightgbm_trees import Forest, TreeSplit

_ZERO = float(np.float32(1e-35))
"""LightGBM treats numbers up to this magnitude as 0."""
_MISSING_ZERO = 1
_MISSING_NAN = 2
_CHUNK_WORDS = 25_000
"""Trees times rows of a chunk, so that it stays in the processor's cache."""
_TABLE_BYTES = 32 * 2**20
_FRACTION_BITS = 52
_EXPONENT_OF_ONE = 1023


class QuickScorer:
    """A forest as tables, if :meth:`can_hold` accepts it."""

    def __init__(self, forest: Forest) -> None:
        self._outputs = forest.outputs
        self._trees = len(forest.trees)
        self._word = word_type(forest)
        splits: dict[int, list[tuple[int, TreeSplit]]] = {}
        for number, tree in enumerate(forest.trees):
            for split in tree.splits:
                splits.setdefault(split.feature, []).append((number, split))
        self._features = np.array(list(splits))
        edges = [_edges(split.threshold for _, split in own) for own in splits.values()]
        parts = zip(edges, splits.values(), strict=True)
        self._tables = [_table(ends, own, self._trees, self._word) for ends, own in parts]
        self._steps = max(map(len, edges)).bit_length()
        padded = np.full((len(edges), 2**self._steps), np.inf)
        for row, ends in zip(padded, edges, strict=True):
            row[: len(ends)] = ends
        self._edges = padded.reshape(-1)
        self._first_places = (np.arange(len(edges)) * 2**self._steps)[:, None]
        self._last_places = self._first_places + 2**self._steps - 1
        bits = 8 * self._word.itemsize
        leaves = np.zeros((self._trees, bits))
        for row, tree in zip(leaves, forest.trees, strict=True):
            row[bits - len(tree.leaves) :] = tree.leaves[::-1]
        self._leaves = leaves.reshape(-1)
        self._first_leaves = (np.arange(self._trees) * bits - _EXPONENT_OF_ONE)[:, None]

    @staticmethod
    def can_hold(forest: Forest) -> bool:
        """Return true if there is a split, no tree has more than 64 leaves, and the tables take at most 32 MB."""
        width = max((len(tree.leaves) for tree in forest.trees), default=0)
        thresholds = {(split.feature, split.threshold) for tree in forest.trees for split in tree.splits}
        # A feature has four places more than thresholds.
        places = len(thresholds) + 4 * len({feature for feature, _ in thresholds})
        words = places * len(forest.trees)
        return 1 < width <= 64 and words * word_type(forest).itemsize <= _TABLE_BYTES

    def add_up(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum the leaves that rows fall into, tree by tree as LightGBM does, so that the sums are the same bits.

        From at least two rows, float64 of shape ``(rows, columns)``, to float64 of shape ``(rows, outputs)``.
        """
        sums = np.empty((len(matrix), self._outputs))
        chunks = -(-len(matrix) * self._trees // _CHUNK_WORDS)
        # Chunks of equal size, as NumPy would sum a lone row's leaves in another order.
        bounds = np.linspace(0, len(matrix), max(min(chunks, len(matrix) // 2), 1) + 1).astype(int).tolist()
        for start, end in pairwise(bounds):
            sums[start:end] = self._add_up_chunk(matrix[start:end])
        return sums

    def _add_up_chunk(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        places = self._find_places(rows)
        words = self._tables[0].take(places[0], axis=0, mode="clip")
        more = np.empty_like(words)
        for table, place in zip(self._tables[1:], places[1:], strict=True):
            table.take(place, axis=0, out=more, mode="clip")
            np.bitwise_and(words, more, out=words)
        if self._word == np.uint64:
            # A float64 has 53 bits: with the bit below the highest one cleared, rounding cannot reach the next power.
            words &= ~(words >> np.uint64(1))
        exponents = words.astype(np.float64).view(np.int64)
        exponents >>= _FRACTION_BITS
        numbers = np.add(exponents.T, self._first_leaves, order="C")
        leaves = exponents.view(np.float64).reshape(numbers.shape)  # the same memory: fresh pages cost more than this
        self._leaves.take(numbers, out=leaves, mode="clip")
        rounds = leaves.reshape(-1, self._outputs, len(rows))
        return np.add.reduce(rounds, axis=0).T  # type: ignore[no-any-return]

    def _find_places(self, rows: NDArray[np.float64]) -> NDArray[np.intp]:
        """Count the edges below each value, by a vectorised binary search; NaN is above all.

        The shape is ``(features, rows)``; places beyond a table stand for its last row.
        """
        values = rows.T[self._features]
        found = np.repeat(self._last_places, len(rows), axis=1)
        probe, edge, below = np.empty_like(found), np.empty_like(values), np.empty(values.shape, dtype=bool)
        for step in reversed(range(self._steps)):
            np.subtract(found, 2**step, out=probe)
            self._edges.take(probe, out=edge, mode="clip")
            # Never true for NaN, which so stays at the last place.
            np.less_equal(values, edge, out=below)
            np.multiply(below, 2**step, out=probe)
            found -= probe
        found -= self._first_places
        return found


def word_type(forest: Forest) -> np.dtype[Any]:
    """Return the type of a tree's state: 4 bytes, or 8 if a tree has more than 32 leaves."""
    return np.dtype(np.uint32 if max(len(tree.leaves) for tree in forest.trees) <= 32 else np.uint64)


def _edges(thresholds: Iterable[float]) -> NDArray[np.float64]:
    """Return the upper ends of the intervals within which all values go the same ways; the last is infinity."""
    # Not numpy.unique, which imports numpy.ma and so delays a service's start by 50 ms.
    return np.array(sorted({*thresholds, math.nextafter(-_ZERO, -math.inf), _ZERO, math.inf}))


def _table(
    edges: NDArray[np.float64], splits: Sequence[tuple[int, TreeSplit]], trees: int, word: np.dtype[Any]
) -> NDArray[Any]:
    """Make the table of the leaves that remain, shape ``(intervals + 1, trees)``: NaN has the last row.

    Each interval has its upper end in ``edges``; ``splits`` are one feature's, with their trees' numbers, in order.
    """
    owners = np.array([tree for tree, _ in splits])
    _, thresholds, default_left, missing, firsts, rights = map(
        np.array, zip(*(split for _, split in splits), strict=True)
    )
    # Each interval behaves as its upper end does.
    values = np.append(np.where(np.abs(edges) <= _ZERO, 0.0, edges), np.nan)[:, None]
    values = np.where(np.isnan(values) & (missing != _MISSING_NAN), 0.0, values)
    is_missing = np.isnan(values) | ((missing == _MISSING_ZERO) & (values == 0.0))
    goes_left = np.where(is_missing, default_left, values <= thresholds)
    every = np.array(np.iinfo(word).max, dtype=word)
    # A tree's right side has a leaf, so neither shift reaches the word's width.
    cleared = (every >> firsts.astype(word)) ^ (every >> rights.astype(word))
    words = np.where(goes_left, every, ~cleared)
    first_of_tree = np.flatnonzero(np.diff(owners, prepend=-1))
    table = np.full((len(values), trees), every)
    table[:, owners[first_of_tree]] = np.bitwise_and.reduceat(words, first_of_tree, axis=1)
    return table
