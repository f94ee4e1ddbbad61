"""scikit-learn's estimators as skops files, which hold no code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from everfit.artifact.predictor import Predictor
from everfit.artifact.runtimes.native import NativePredictor
from everfit.artifact.schema import InputSchema
from everfit.core.errors import CorruptPackageError, UntrustedPackageError

_FILE = "estimator.skops"
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


class SklearnRuntime:
    """skops, trusting its own list and a few of scikit-learn's internals."""

    name = "skops"
    executes_code = False

    def save(self, estimator: Any, folder: Path, schema: InputSchema) -> tuple[str, ...]:  # noqa: ARG002
        """As :class:`everfit.artifact.runtimes.runtime.Runtime` promises."""
        if not type(estimator).__module__.startswith("sklearn."):
            return ()
        # Here, since loading it takes a second.
        import skops.io
        from skops.io.exceptions import UnsupportedTypeException

        try:
            content = skops.io.dumps(estimator)
        except (UnsupportedTypeException, TypeError):
            return ()
        if not set(skops.io.get_untrusted_types(data=content)) <= _HARMLESS:
            return ()
        (folder / _FILE).write_bytes(content)
        return (_FILE,)

    def load(self, folder: Path, schema: InputSchema) -> Predictor:
        """As :class:`everfit.artifact.runtimes.runtime.Runtime` promises.

        Raises:
            UntrustedPackageError: If the file holds a type that is not known to be harmless.
        """
        import skops.io

        path = folder / _FILE
        types = set(skops.io.get_untrusted_types(file=path))
        if not types <= _HARMLESS:
            raise UntrustedPackageError("skops files may only hold known types", value=sorted(types - _HARMLESS))
        estimator = skops.io.load(path, trusted=sorted(types))
        _require_sound_trees(estimator, columns=len(schema.columns))
        return NativePredictor(self.name, estimator, schema)


def _require_sound_trees(thing: Any, *, columns: int) -> None:
    """Look at every tree within an estimator: scikit-learn follows the indices in its nodes without checking them.

    Raises:
        CorruptPackageError: If a node's child or feature does not exist, or a child is not behind its parent.
    """
    waiting: list[tuple[Any, int]] = [(thing, columns)]
    seen: set[int] = set()
    while waiting:
        part, columns = waiting.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | type(None)):
            continue
        seen.add(id(part))
        kind = type(part).__name__
        if kind == "Tree":
            leaf = part.children_left < 0
            _require_nodes(part.children_left, part.children_right, part.feature, leaf, part.n_features)
        elif kind == "TreePredictor":
            nodes = part.nodes
            leaf = nodes["is_leaf"].astype(bool)
            _require_nodes(nodes["left"], nodes["right"], nodes["feature_idx"], leaf, columns)
            if (nodes["bitset_idx"][nodes["is_categorical"].astype(bool)] >= len(part.raw_left_cat_bitsets)).any():
                raise CorruptPackageError("every node of a tree must point at what exists", value="a set of categories")
        elif isinstance(part, np.ndarray):
            inside = part.ravel().tolist() if part.dtype == object else []
            waiting += [(one, columns) for one in inside]
        elif isinstance(part, dict):
            waiting += [(one, columns) for one in part.values()]
        elif isinstance(part, list | tuple | set):
            waiting += [(one, columns) for one in part]
        else:
            # A step of a pipeline may see more columns than the pipeline; scikit-learn checks their number itself.
            width = getattr(part, "n_features_in_", columns)
            waiting += [(one, width) for one in getattr(part, "__dict__", {}).values()]


def _require_nodes(left: Any, right: Any, feature: Any, leaf: Any, columns: int) -> None:
    inner = ~leaf
    place = np.arange(len(leaf))[inner]
    for children in (left[inner].astype(np.int64), right[inner].astype(np.int64)):
        if (children <= place).any() or (children >= len(leaf)).any():
            raise CorruptPackageError("every node of a tree must point at what exists", value="a child")
    features = feature[inner].astype(np.int64)
    if (features < 0).any() or (features >= columns).any():
        raise CorruptPackageError("every node of a tree must point at what exists", value="a feature")
