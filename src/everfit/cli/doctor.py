"""``everfit doctor``: checks of the installation and of a project's state."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from msgspec import Struct

from everfit.artifact.package import open_package
from everfit.cli.options import ProjectFolder
from everfit.cli.output import FAILED, OK, Output, bold
from everfit.cli.printing import printed
from everfit.cli.release_process import open_in_release
from everfit.core.errors import EverfitError
from everfit.features.labels import known_times
from everfit.system import System
from everfit.wiring import find_root

_CORE = ("polars", "mlflow-skinny", "scikit-learn", "optuna", "sqlalchemy", "uvloop")
_EXTRAS = {
    "lightgbm": "lightgbm",
    "xgboost": "xgboost",
    "onnx": "onnxruntime",
    "sql": "psycopg",
    "pandas": "pandas",
    "asgi": "uvicorn",
}
"""A module that each extra installs."""
_LOW_DISK_BYTES = 1024**3


class Diagnosis(Struct, frozen=True):
    """Result of one check."""

    what: str
    ok: bool
    sentence: str


@printed
def doctor(project: ProjectFolder = None) -> Output:
    """Check the installation and the project's stores and packages."""
    findings = [*_machine(), *_project(project)]
    healthy = all(finding.ok for finding in findings)
    text = [(OK if finding.ok else FAILED, bold(finding.what), "", finding.sentence) for finding in findings]
    return Output({"healthy": healthy, "findings": findings}, text, code=0 if healthy else 1)


def _machine() -> Iterator[Diagnosis]:
    yield Diagnosis("python", True, f"{platform.python_version()} on {platform.system()}, {os.cpu_count()} cores")
    for name in _CORE:
        try:
            yield Diagnosis(name, True, version(name))
        except PackageNotFoundError:
            yield Diagnosis(name, False, "is missing; install everfit again")
    absent = [f"everfit[{extra}]" for extra, module in _EXTRAS.items() if importlib.util.find_spec(module) is None]
    yield Diagnosis("extras", True, f"not installed: {', '.join(absent)}" if absent else "all are installed")


def _project(folder: Path | None) -> Iterator[Diagnosis]:
    try:
        root = find_root(folder)
        system = open_in_release(folder)
    except EverfitError as error:
        yield Diagnosis("project", False, str(error))
        return
    models = ", ".join(system.project.models) or "no model"
    yield Diagnosis("project", True, f"{system.project.name} in {root}: {models}")
    free = shutil.disk_usage(root).free
    yield Diagnosis("disk", free > _LOW_DISK_BYTES, f"{free / 1e9:.1f} GB free")
    for what, describe in (("registry", _registry), ("deployment", _packages), ("indexes", _indexes)):
        try:
            yield Diagnosis(what, True, describe(system))
        except EverfitError as error:
            yield Diagnosis(what, False, str(error))


def _registry(system: System) -> str:
    counts = {name: len(system.registry.versions(name)) for name in system.project.models}
    return ", ".join(f"{name}: {count} versions" for name, count in counts.items()) or "empty"


def _indexes(system: System) -> str:
    """Name the time columns of databases without an index; that is slow, but not wrong."""
    project = system.project
    used = {(name, source.timestamp) for name, source in project.sources.items()}
    used |= {(view.source.name, view.timestamp) for view in project.views.values()}
    for model in project.models.values():
        times = [model.events.timestamp, *known_times(model, model.label.columns)]
        used |= {(model.events.source.name, column) for column in times}
    found = []
    for name, source in project.sources.items():
        missing = system.reader.without_index(source, {column for owner, column in used if owner == name})
        found += [f"{name}.{column}" for column in missing]
    if not found:
        return "no time column of a database needs one"
    return f"{', '.join(found)}: without an index on it, each range of time is found by reading all rows"


def _packages(system: System) -> str:
    deployment = system.deployment.read()
    if deployment is None:
        return "nothing is deployed yet"
    found = []
    for model in deployment.models:
        for deployed in filter(None, (model.champion, model.canary, model.shadow)):
            package = open_package(system.deployment.folder_of(deployed), trust=system.trust)
            if deployed is model.champion:
                served = f"served {package.describe_runtime()}"
                if package.uncompiled:
                    served += f"; not compiled, about 0.5 ms a row each: on-demand {', '.join(package.uncompiled)}"
                found.append(f"{model.model} version {deployed.version}, package verified, {served}")
    return "; ".join(found)
