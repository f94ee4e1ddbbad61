"""A monitoring pass, a start of the controller and a report, by the number of predictions that there are.

Lakes are filled with labelled predictions of one version, written straight into the tables: 1 and 4 million of them, or
as many as EVERFIT_TEST_GROWTH_MILLIONS=0.25,1 says. A pass is measured after each of five shippings of 10,000 new rows
with their outcomes. The first report of a version also loads libraries, and keeps what its joint drift is held against.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.loop_project import make_project
from benchmarks.measure import FOLDER, Figure
from everfit.cli.main import VARIABLES

MILLIONS = tuple(float(text) for text in os.environ.get("EVERFIT_TEST_GROWTH_MILLIONS", "1,4").split(","))


def run() -> list[Figure]:
    """Return the figures of each size, and how they grow."""
    figures: list[Figure] = []
    passes = []
    with TemporaryDirectory() as folder:
        made = make_project(Path(folder) / "made")
        for millions in MILLIONS:
            own = Path(shutil.copytree(made, Path(folder) / f"{millions:g}"))
            found = _measured(own, int(millions * 1e6))
            shutil.rmtree(own)
            passes.append(found["pass_s"])
            size = f"{millions:g} M predictions"
            figures += [
                {"name": f"growth: a pass, {size}", "value": found["pass_s"], "unit": "s", "goal": "<= 0.5"},
                {"name": f"growth: memory, {size}", "value": found["memory_mib"], "unit": "MiB", "goal": "<= 400"},
                {"name": f"growth: first pass, {size}", "value": found["first_s"], "unit": "s", "goal": "<= 3"},
                {"name": f"growth: until all is read, {size}", "value": found["caught_up_s"], "unit": "s"},
                {"name": f"growth: first report, {size}", "value": found["first_report_s"], "unit": "s"},
                {"name": f"growth: second report, {size}", "value": found["report_s"], "unit": "s", "goal": "<= 3"},
                {"name": f"growth: shipping, {size}", "value": found["rows_s"], "unit": "rows/s", "goal": ">= 150_000"},
            ]
    largest = {"name": "growth: largest pass over smallest", "value": passes[-1] / passes[0], "unit": "×"}
    return [*figures, {**largest, "goal": "<= 1.3"}]  # type: ignore[typeddict-item]


def _measured(project: Path, rows: int) -> dict[str, float]:
    """Fill the lake in one process, and measure in another one, which holds nothing of that."""
    for step in ("fill", "measure"):
        command = [sys.executable, "-m", "benchmarks.growth_child", step, str(project), str(rows)]
        variables = VARIABLES | os.environ  # as of every command of Everfit
        done = subprocess.run(command, cwd=FOLDER.parent, env=variables, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found
