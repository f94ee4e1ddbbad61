"""What ``everfit doctor`` looks at."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from everfit.artifact.package import open_package
from everfit.core.errors import EverfitError
from everfit.wiring import find_root, open_system

if TYPE_CHECKING:
    from everfit.system import System

_CORE = ("polars", "mlflow-skinny", "scikit-learn", "optuna", "sqlalchemy", "uvloop")
_OPTIONAL = {
    "lightgbm": "lightgbm",
    "xgboost": "xgboost",
    "onnxruntime": "onnx",
    "psycopg": "sql",
    "pandas": "pandas",
    "river": "river",
}
_LOW_DISK_BYTES = 1024**3


class Diagnosis(Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    what: str
    ok: bool
    sentence: str


def diagnose(folder: Path | None) -> list[Diagnosis]:
    """Look at the machine, and at the project if there is one."""
    return [*_machine(), *_project(folder)]


def _machine() -> Iterator[Diagnosis]:
    yield Diagnosis(
        what="python", ok=True, sentence=f"{platform.python_version()} on {platform.system()}, {os.cpu_count()} cores"
    )
    for name in _CORE:
        try:
            yield Diagnosis(what=name, ok=True, sentence=version(name))
        except PackageNotFoundError:
            yield Diagnosis(what=name, ok=False, sentence="is missing; install everfit again")
    absent = [f"everfit[{extra}]" for module, extra in _OPTIONAL.items() if importlib.util.find_spec(module) is None]
    yield Diagnosis(
        what="extras", ok=True, sentence=f"not installed: {', '.join(absent)}" if absent else "all are installed"
    )


def _project(folder: Path | None) -> Iterator[Diagnosis]:

    try:
        root = find_root(folder)
        system = open_system(folder)
    except EverfitError as error:
        yield Diagnosis(what="project", ok=False, sentence=str(error))
        return
    models = ", ".join(system.project.models) or "no model"
    yield Diagnosis(what="project", ok=True, sentence=f"{system.project.name} in {root}: {models}")
    free = shutil.disk_usage(root).free
    yield Diagnosis(what="disk", ok=free > _LOW_DISK_BYTES, sentence=f"{free / 1e9:.1f} GB free")
    for what, look in (("registry", _registry), ("deployment", _packages)):
        yield _guarded(what, look, system)


def _guarded(what: str, look: Callable[[System], str], system: System) -> Diagnosis:
    try:
        return Diagnosis(what=what, ok=True, sentence=look(system))
    except EverfitError as error:
        return Diagnosis(what=what, ok=False, sentence=str(error))


def _registry(system: System) -> str:
    counts = {name: len(system.registry.versions(name)) for name in system.project.models}
    return ", ".join(f"{name}: {count} versions" for name, count in counts.items()) or "empty"


def _packages(system: System) -> str:

    deployment = system.deployment.read()
    if deployment is None:
        return "nothing is deployed yet"
    found = []
    for each in deployment.models:
        for deployed in filter(None, (each.champion, each.canary, each.shadow)):
            package = open_package(system.deployment.folder_of(deployed), trust=system.trust)
            if deployed is each.champion:
                served = f"served {package.runtime()}"
                found.append(f"{each.model} version {deployed.version}, package verified, {served}")
    return "; ".join(found)
