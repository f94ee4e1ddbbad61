"""Anything, as a pickle: the last resort, accepted only with the signature of a trusted key."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from everfit.artifact.predictor import Predictor
    from everfit.artifact.schema import InputSchema

_FILE = "estimator.pkl"


class PickledForm:
    """cloudpickle, with the project's own classes by value, so that the service needs no project code."""

    name = "pickle"
    executes_code = True

    def save(self, estimator: Any, folder: Path, schema: InputSchema) -> tuple[str, ...]:  # noqa: ARG002
        """As :class:`everfit.artifact.forms.form.Form` promises."""
        (folder / _FILE).write_bytes(pickle_by_value(estimator))
        return (_FILE,)

    def load(self, folder: Path, schema: InputSchema) -> Predictor:
        """As :class:`everfit.artifact.forms.form.Form` promises."""
        from everfit.artifact.forms.native import NativePredictor

        return NativePredictor(self.name, unpickle((folder / _FILE).read_bytes()), schema)


def pickle_by_value(thing: Any) -> bytes:
    """Pickle an object; classes and functions of modules that are not installed go with it.

    Args:
        thing: Any object that cloudpickle can write.
    """
    import cloudpickle

    with _by_value(getattr(thing, "__module__", None) or type(thing).__module__):
        content: bytes = cloudpickle.dumps(thing)
    return content


def unpickle(content: bytes) -> Any:
    """Execute a pickle. Whoever calls this has verified its signature.

    Args:
        content: The pickle's bytes.
    """
    import cloudpickle

    return cloudpickle.loads(content)


@functools.cache
def _distributed_modules() -> frozenset[str]:
    """Modules that came with a distribution; to read what they all hold takes a quarter of a second."""
    return frozenset(importlib.metadata.packages_distributions())


@contextlib.contextmanager
def _by_value(module: str) -> Iterator[None]:
    import cloudpickle

    top = module.partition(".")[0]
    installed = top in sys.stdlib_module_names or top in _distributed_modules()
    if installed or module == "__main__" or module not in sys.modules:
        yield
        return
    cloudpickle.register_pickle_by_value(sys.modules[module])
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[module])
