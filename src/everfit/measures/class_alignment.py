"""Alignment of class probabilities of models with different classes to one order of columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from everfit.core.class_names import ClassValue
from everfit.measures.weighting import Floats


def union_of(classes: Sequence[ClassValue], others: Sequence[ClassValue]) -> tuple[ClassValue, ...]:
    """Return classes in their order, then those of the others that are not among them."""
    return tuple(dict.fromkeys((*classes, *others)))


def aligned(predicted: Floats, known: Sequence[ClassValue], wanted: Sequence[ClassValue]) -> Floats:
    """Reorder probabilities to another order of classes: 0 for a class that the model does not know.

    ``predicted`` is the probability of each known class, shape ``(rows, len(known))``; of two, that of the last may be
    given alone, shape ``(rows,)``, as is the result then. Raises ``KeyError`` if those wanted are not the same two.

    >>> aligned(np.array([[0.7, 0.3]]), ["a", "b"], ["b", "c", "a"]).tolist()
    [[0.3, 0.0, 0.7]]
    >>> aligned(np.array([0.75]), ["no", "yes"], ["yes", "no"]).tolist()
    [0.25]
    """
    if predicted.ndim == 1:
        if set(known) != set(wanted):
            raise KeyError(*sorted(map(str, set(wanted) - set(known))))
        return predicted if known[-1] == wanted[-1] else 1.0 - predicted
    places = {value: place for place, value in enumerate(known)}
    zero = np.zeros(len(predicted))
    return np.column_stack([predicted[:, places[value]] if value in places else zero for value in wanted])
