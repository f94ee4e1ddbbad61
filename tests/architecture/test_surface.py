"""What can be seen from outside is what is promised."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.architecture.sources import PACKAGE, Module

import everfit

#: Packages beside the stations: what they are built on, what puts them together, and who asks the service.
ROOMS = {
    "artifact",
    "cli",
    "client",
    "commands",
    "core",
    "definitions",
    "loop",
    "measures",
    "backtest",
    "replay",
    "runtime",
    "store",
}
ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"mlflow", "pandas", "sklearn", "scipy", "optuna", "pandera", "pyarrow", "lightgbm", "polars", "numpy"}


def loaded_by(code: str, *, among: set[str]) -> set[str]:
    """The top-level packages out of ``among`` that a fresh interpreter has loaded after running ``code``."""
    report = f"{code}\nimport json, sys\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1])) & among


def test_public_names_are_those_imported_for_type_checkers() -> None:
    tree = Module(PACKAGE / "__init__.py").tree
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    homes = {
        str(alias.asname): str(node.module)
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(homes) == everfit.__all__ == sorted(set(dir(everfit)) - {"__version__"})
    for name, home in homes.items():
        assert getattr(everfit, name) is getattr(importlib.import_module(home), name)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="Sauce"):
        _ = everfit.Sauce


def test_the_ring_names_exactly_the_stations_that_exist() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - {"examples"}
    ring = re.search(r"^    (design → .* → triggers) ↺$", importlib.import_module("everfit.loop").__doc__ or "", re.M)
    assert ring is not None
    assert set(ring[1].split(" → ")) == packages - ROOMS
    assert packages >= ROOMS
    assert ring[1] in (ROOT / "docs" / "architecture.md").read_text()


def test_importing_loads_nothing_heavy() -> None:
    assert loaded_by("import everfit", among=HEAVY) == set()


def test_help_loads_nothing_heavy() -> None:
    code = textwrap.dedent("""
        import sys
        sys.argv = ["everfit", "--help"]
        from everfit.cli.main import main
        try:
            main()
        except SystemExit as leaving:
            assert not leaving.code, leaving.code
    """)
    assert loaded_by(code, among=HEAVY - {"numpy"}) == set()


def test_the_prediction_process_loads_no_frames() -> None:
    """Reading a schema, encoding a row and finding features need no DataFrame library."""
    code = "import everfit.store.sqlite_online, everfit.artifact.encode, everfit.artifact.schema"
    code += ", everfit.artifact.predictor"
    if (PACKAGE / "serving" / "app.py").exists():
        code += ", everfit.serving.app"
    assert loaded_by(code, among=HEAVY - {"numpy"}) == set()


def test_the_pins_name_no_place_to_fetch_from(repository: Path) -> None:
    """Where packages come from is the machine's business, not the project's."""
    for line in (repository / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert re.fullmatch(r"[\w.-]+==[\w.+!-]+( ; .+)?", line), line


def test_a_command_that_serves_loads_no_database_library() -> None:
    assert not loaded_by("import everfit.runtime.launcher, everfit.cli.serve", among=HEAVY | {"sqlalchemy"})
