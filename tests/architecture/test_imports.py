"""Imports stand at the top of a file, except where they defer a heavy library."""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from pathlib import Path

from tests.architecture.sources import PACKAGE, Module, modules

ROOT = Path(__file__).parents[2]
#: Libraries that take tens of milliseconds or megabytes to load.
HEAVY = {
    "alembic",
    "apprise",
    "asyncio",
    "catboost",
    "cloudpickle",
    "croniter",
    "cryptography",
    "dbos",
    "deltalake",
    "httptools",
    "joblib",
    "lightgbm",
    "mlflow",
    "numpy",
    "onnx",
    "onnxruntime",
    "optuna",
    "pandas",
    "pandera",
    "plotly",
    "polars",
    "pyarrow",
    "rich",
    "scipy",
    "skl2onnx",
    "sklearn",
    "skops",
    "sqlalchemy",
    "treelite",
    "typer",
    "uvicorn",
    "uvloop",
    "xgboost",
}
#: The prediction worker starts without the project's definitions, which take 40 ms.
DEFERRED_ROOMS = {"everfit.definitions.project"}
MOST_DEFERRED = 92
"""This number only shrinks."""

MODULES = {
    f"everfit.{module.name.removesuffix('.py').replace('/', '.')}".removesuffix(".__init__"): module
    for module in modules()
}


def imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Modules that a statement imports, by their full names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    names = [f"{node.module}.{alias.name}" for alias in node.names]
    return [name if name in MODULES else str(node.module) for name in names]


@cache
def at_the_top(name: str) -> frozenset[str]:
    """Modules that are imported when a module is, without those for type checkers, and with the packages around it."""
    found = {name.rpartition(".")[0]} - {"everfit"}
    waiting: list[ast.stmt] = list(MODULES[name].tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.update(imported(node))
        elif (isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.dump(node.test)) or isinstance(node, ast.Try):
            waiting += [*node.body, *node.orelse]
    return frozenset(found)


@cache
def is_heavy(name: str) -> bool:
    """Importing the module loads a heavy library."""
    seen, waiting = {name}, [name]
    while waiting:
        module = waiting.pop()
        if module.partition(".")[0] in HEAVY:
            return True
        new = at_the_top(module) - seen if module in MODULES else frozenset()
        seen |= new
        waiting += new
    return False


def deferred(module: Module) -> list[ast.Import | ast.ImportFrom]:
    """Imports inside functions."""
    functions = [node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    found = {
        id(node): node for each in functions for node in ast.walk(each) if isinstance(node, ast.Import | ast.ImportFrom)
    }
    return list(found.values())


def test_an_import_inside_a_function_defers_something_heavy() -> None:
    wrong = [
        f"{module.place(node)}: {ast.unparse(node)}"
        for module in modules()
        for node in deferred(module)
        if not any(name in DEFERRED_ROOMS or is_heavy(name) for name in imported(node))
    ]
    assert not wrong


def test_few_imports_are_deferred() -> None:
    assert sum(len(deferred(module)) for module in modules()) <= MOST_DEFERRED


def test_every_room_is_under_every_contract() -> None:
    settings = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8"))
    contracts = {contract["name"]: contract for contract in settings["tool"]["importlinter"]["contracts"]}
    rooms = {
        f"everfit.{path.stem}"
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or path.joinpath("__init__.py").is_file()
    }
    rooms -= {"everfit.__init__", "everfit.__main__", "everfit.examples"}
    mlflow = set(contracts["Only the registry talks to MLflow"]["source_modules"])
    terminal = set(contracts["Only the command line draws on the terminal"]["source_modules"])
    client = set(contracts["The client needs nothing but the core"]["forbidden_modules"])
    assert rooms - mlflow == {"everfit.registry"}
    assert rooms - terminal == {"everfit.cli"}
    assert rooms - client == {"everfit.client", "everfit.core"}
