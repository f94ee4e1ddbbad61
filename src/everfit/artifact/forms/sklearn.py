"""scikit-learn's estimators as skops files, which hold no code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from everfit.core.errors import UntrustedPackageError

if TYPE_CHECKING:
    from pathlib import Path

    from everfit.artifact.predictor import Predictor
    from everfit.artifact.schema import InputSchema

_FILE = "estimator.skops"
_HARMLESS = frozenset(
    {
        # HistGradientBoosting's trees and its input check, a partial of check_array. A partial executes nothing while
        # it is loaded, and skops asks about the function inside it separately.
        "functools.partial",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.utils.validation.check_array",
        # The trees of forests and of gradient boosting: arrays of nodes. As with every format of trees, made-up nodes
        # could crash the process that walks them, but they are no code; the digests are there to notice.
        "sklearn.tree._tree.Tree",
    }
)
"""Types beyond skops' own list whose loading was read and found to execute nothing."""


class SklearnForm:
    """skops, trusting its own list and a few of scikit-learn's internals."""

    name = "skops"
    executes_code = False

    def save(self, estimator: Any, folder: Path, schema: InputSchema) -> tuple[str, ...]:  # noqa: ARG002
        """As :class:`everfit.artifact.forms.form.Form` promises."""
        import skops.io
        from skops.io.exceptions import UnsupportedTypeException

        if not type(estimator).__module__.startswith("sklearn."):
            return ()
        try:
            content = skops.io.dumps(estimator)
        except (UnsupportedTypeException, TypeError):
            return ()
        if not set(skops.io.get_untrusted_types(data=content)) <= _HARMLESS:
            return ()
        (folder / _FILE).write_bytes(content)
        return (_FILE,)

    def load(self, folder: Path, schema: InputSchema) -> Predictor:
        """As :class:`everfit.artifact.forms.form.Form` promises.

        Raises:
            UntrustedPackageError: If the file holds a type that is not known to be harmless.
        """
        import skops.io

        from everfit.artifact.forms.native import NativePredictor

        path = folder / _FILE
        types = set(skops.io.get_untrusted_types(file=path))
        if not types <= _HARMLESS:
            raise UntrustedPackageError("skops files may only hold known types", value=sorted(types - _HARMLESS))
        return NativePredictor(self.name, skops.io.load(path, trusted=sorted(types)), schema)
