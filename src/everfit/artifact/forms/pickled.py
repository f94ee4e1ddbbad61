"""Anything, as a pickle: the last resort, accepted only with the signature of a trusted key."""

from __future__ import annotations

import contextlib
import importlib.metadata
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everfit.core.settings import is_project_code

if TYPE_CHECKING:
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


@contextlib.contextmanager
def _by_value(module: str) -> Iterator[None]:
    import cloudpickle

    if module == "__main__" or module not in sys.modules or _is_installed(module.partition(".")[0]):
        yield
        return
    cloudpickle.register_pickle_by_value(sys.modules[module])
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[module])


def _is_installed(top: str) -> bool:
    """Whether the service will have a top-level module too: it came with Python or a distribution."""
    if top in sys.stdlib_module_names:
        return True
    file = Path(getattr(sys.modules.get(top), "__file__", None) or ".")
    # Where a module lies nearly always tells; to read what all distributions hold takes a quarter of a second.
    if any(file.is_relative_to(sysconfig.get_path(name)) for name in ("purelib", "platlib")):
        return True
    return not is_project_code(file) and top in importlib.metadata.packages_distributions()
