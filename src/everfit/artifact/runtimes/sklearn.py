"""scikit-learn's estimators as skops files, which hold no code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from everfit.artifact.predictor import Predictor
from everfit.artifact.runtimes.native import NativePredictor
from everfit.artifact.runtimes.runtime import Runtime
from everfit.artifact.schema import InputSchema
from everfit.artifact.split_points import parts_within
from everfit.core.errors import CorruptPackageError, UntrustedPackageError

_HARMLESS = frozenset(
    {
        # HistGradientBoosting's trees and its input check, a partial of check_array. A partial executes nothing while
        # it is loaded, and skops checks the function inside it separately.
        "functools.partial",
        # An imputer keeps the type of what it was fitted on.
        "numpy.dtype",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.utils.validation.check_array",
        # Arrays of nodes, walked without bounds checks: _require_sound_trees looks at them before anyone walks.
        "sklearn.tree._tree.Tree",
    }
)
"""Types beyond skops' own list whose loading was read and found to execute nothing."""


def _save(estimator: Any, path: Path, schema: InputSchema) -> bool:  # noqa: ARG001
    if not type(estimator).__module__.startswith("sklearn."):
        return False
    # Here, since loading it takes a second.
    import skops.io
    from skops.io.exceptions import UnsupportedTypeException

    try:
        content = skops.io.dumps(estimator)
    except (UnsupportedTypeException, TypeError):
        return False
    if not set(skops.io.get_untrusted_types(data=content)) <= _HARMLESS:
        return False
    path.write_bytes(content)
    return True


def _load(path: Path, schema: InputSchema) -> Predictor:
    import skops.io

    types = set(skops.io.get_untrusted_types(file=path))
    if not types <= _HARMLESS:
        raise UntrustedPackageError("skops files may only hold known types", value=sorted(types - _HARMLESS))
    estimator = skops.io.load(path, trusted=sorted(types))
    _require_sound_trees(estimator, columns=len(schema.columns))
    return NativePredictor(SKOPS.name, estimator, schema)


def _require_sound_trees(estimator: Any, *, columns: int) -> None:
    """Check every tree within an estimator: scikit-learn follows the indices in its nodes without checking them."""
    for part, width in parts_within(estimator, columns):
        if type(part).__name__ == "Tree":
            leaf = part.children_left < 0
            _require_nodes(part.children_left, part.children_right, part.feature, leaf, part.n_features)
        elif type(part).__name__ == "TreePredictor":
            nodes = part.nodes
            _require_nodes(nodes["left"], nodes["right"], nodes["feature_idx"], nodes["is_leaf"].astype(bool), width)
            sets = nodes["bitset_idx"][nodes["is_categorical"].astype(bool)]
            _require_inside("a set of categories", sets, 0, len(part.raw_left_cat_bitsets))


def _require_nodes(left: Any, right: Any, feature: Any, leaf: Any, columns: int) -> None:
    behind = np.flatnonzero(~leaf) + 1
    for children in (left[~leaf], right[~leaf]):
        _require_inside("a child", children, behind, len(leaf))
    _require_inside("a feature", feature[~leaf], 0, columns)


def _require_inside(what: str, places: Any, first: Any, end: int) -> None:
    places = places.astype(np.int64)
    if (places < first).any() or (places >= end).any():
        raise CorruptPackageError("every node of a tree must point at what exists", value=what)


SKOPS = Runtime(name="skops", file="estimator.skops", save=_save, load=_load)
