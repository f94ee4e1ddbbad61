"""Anything, as a pickle: the last resort, accepted only with the signature of a trusted key."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import io
import pickle
import sys
import sysconfig
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from everfit.artifact.carried_code import CarriedCode, imports_of
from everfit.artifact.predictor import Predictor
from everfit.artifact.runtimes.native import NativePredictor
from everfit.artifact.runtimes.runtime import Runtime
from everfit.artifact.schema import InputSchema
from everfit.core.errors import PackageError
from everfit.core.settings import is_project_code

PROJECT_FOLDER = "project"
"""Folder of a package's copy of the project's code."""


def pickle_by_value(thing: Any, code: Path) -> bytes:
    """Pickle an object with every class and function of modules that are not installed, wherever they are within it.

    What is imported only when a function runs must be in ``code``, the package's copy of the project's code; otherwise
    raises :class:`~everfit.core.errors.PackageError`.
    """
    import cloudpickle

    carried, installed = CarriedCode(code), _Installed()
    target = io.BytesIO()

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, ModuleType) and not installed.has(obj.__name__):
                _require_carried(obj.__name__, carried, "is used by name")
                return _carried_module, (obj.__name__,)
            if isinstance(obj, FunctionType) and not installed.has(obj.__module__ or ""):
                for name in imports_of(obj):
                    if name.partition(".")[0] in carried.tops or _is_elsewhere(name, installed):
                        _require_carried(name, carried, f"is imported by {obj.__qualname__} while it runs")
            return super().reducer_override(obj)

    with _by_value(installed):
        Pickler(target).dump(thing)
    return target.getvalue()


def unpickle(content: bytes, code: Path) -> Any:
    """Execute a pickle; the caller has verified its signature, and that of ``code``, the copy of the project's code."""
    return _Unpickler(content, CarriedCode(code)).load()


class _Unpickler(pickle.Unpickler):
    """Lets what it makes import the package's own copy of the project's code."""

    def __init__(self, content: bytes, carried: CarriedCode) -> None:
        super().__init__(io.BytesIO(content))
        self._carried = carried

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (__name__, _carried_module.__name__):
            return self._carried.module
        found: Callable[..., Any] = super().find_class(module, name)
        if not module.startswith("cloudpickle"):
            return found

        # A function takes its builtins from its globals when it is made, the functions within it when they are made.
        def make(code: CodeType, global_names: dict[str, Any], *rest: Any) -> FunctionType:
            self._carried.adopt(global_names)
            return FunctionType(code, global_names, *rest)

        def set_state(function: FunctionType, state: Any) -> Any:
            result = found(function, state)
            self._carried.adopt(function.__globals__)
            return result

        return {"_make_function": make, "_function_setstate": set_state}.get(name, found)


def _carried_module(name: str) -> ModuleType:
    """Stands in pickles for a module of the project; :class:`_Unpickler` puts the package's own import in its place."""
    raise PackageError("a module of the project must be loaded through its package", value=name)


def _require_carried(name: str, carried: CarriedCode, how: str) -> None:
    if not carried.holds(name):
        raise PackageError(
            f"every module that a packaged model needs must travel with it, and one that {how} must be in the "
            "project's folder",
            value=name,
            remedy="Move it there, install it, or import its classes and functions at the top: from it import them.",
        )


def _is_elsewhere(name: str, installed: _Installed) -> bool:
    """Return true if a module can be imported here, but belongs to no distribution."""
    top = name.partition(".")[0]
    if top in sys.modules:
        return not installed.has(top)
    try:
        return importlib.util.find_spec(top) is not None and not installed.has(top)
    except (ImportError, ValueError):
        return False


@contextlib.contextmanager
def _by_value(installed: _Installed) -> Iterator[None]:
    import cloudpickle

    tops = sorted({name.partition(".")[0] for name in list(sys.modules)} & sys.modules.keys() - {"__main__"})
    own = [sys.modules[top] for top in tops if not installed.has(top) and sys.modules[top].__name__ == top]
    for module in own:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in own:
            cloudpickle.unregister_pickle_by_value(module)


class _Installed:
    """Modules that the service can import as well, because they belong to Python or to a distribution."""

    def __init__(self) -> None:
        self._libraries = tuple(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib"))
        self._has_top = cache(self._find)
        # To read what all distributions hold takes a quarter of a second.
        self._distributed = cache(importlib.metadata.packages_distributions)

    def has(self, module: str) -> bool:
        """Return true if the module's top-level package is installed."""
        return self._has_top(module.partition(".")[0])

    def _find(self, top: str) -> bool:
        if top in {"__main__", "__mp_main__"}:
            return False
        if top in {"everfit", "", *sys.stdlib_module_names, *sys.builtin_module_names}:
            return True
        place = self._place(top)
        # Made while the program runs, like six.moves and the modules of tests.
        if place is None:
            return top not in sys.modules or top in self._distributed()
        # The folder of a module nearly always decides.
        if any(place.is_relative_to(folder) for folder in self._libraries):
            return True
        return not is_project_code(place) and top in self._distributed()

    def _place(self, top: str) -> Path | None:
        module = sys.modules.get(top)
        if module is None:
            spec = importlib.util.find_spec(top)
            origin, folders = (spec.origin, spec.submodule_search_locations) if spec else (None, None)
        else:
            origin, folders = getattr(module, "__file__", None), getattr(module, "__path__", None)
        if origin and origin not in {"built-in", "frozen", "namespace"}:
            return Path(origin)
        return next((Path(folder) / "__init__.py" for folder in folders or ()), None)


def _save(estimator: Any, path: Path, schema: InputSchema) -> bool:  # noqa: ARG001
    path.write_bytes(pickle_by_value(estimator, path.parents[1] / PROJECT_FOLDER))
    return True


def _load(path: Path, schema: InputSchema) -> Predictor:
    estimator = unpickle(path.read_bytes(), path.parents[1] / PROJECT_FOLDER)
    return NativePredictor(PICKLE.name, estimator, schema)


PICKLE = Runtime(name="pickle", file="estimator.pkl", save=_save, load=_load, executes_code=True)
"""cloudpickle, with the project's own classes by value, so that the service needs no project code."""
