"""One measured figure, what it is held against, and how a process measures itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

FOLDER = Path(__file__).parent
DATA = FOLDER / ".data"
ENVIRONMENTS = FOLDER / ".environments"
RESULTS = FOLDER / "results"

Verdict = Literal["met", "missed", ""]


class Figure(TypedDict, total=False):
    """A row of the table."""

    name: str
    value: float
    unit: str
    goal: str | float | None
    """What ``value`` must be, such as ``<= 10``; ``None`` where it is only for comparison. A bare number is a bound:
    from below for a rate (``rows/s``), from above for all else."""
    reference: str | float | None
    """What it is compared with: words, or a figure in the same unit."""
    ratio: float
    """``value`` over the reference's, or the other way round where more is better."""


def goal_text(figure: Figure) -> str:
    """A goal with its direction.

    >>> goal_text({"unit": "rows/s", "goal": 250_000})
    '>= 250,000'
    """
    goal = figure.get("goal")
    if isinstance(goal, int | float):
        return f"{'>=' if figure['unit'].endswith('/s') else '<='} {goal:,}"
    return goal or ""


def verdict(figure: Figure) -> Verdict:
    """Whether a figure meets its goal.

    >>> verdict({"value": 3.2, "unit": "×", "goal": ">= 4"})
    'missed'
    """
    found = re.fullmatch(r"(<=|>=|≤|≥|<|>)\s*([\d.,_]+)", goal_text(figure))
    if not found:
        return ""
    value, bound = float(figure["value"]), float(re.sub("[,_]", "", found[2]))
    met = {"<": value < bound, ">": value > bound}.get(found[1])
    if met is None:
        met = value <= bound if found[1] in {"<=", "≤"} else value >= bound
    return "met" if met else "missed"


def environment(name: str, requirements: Sequence[str]) -> Path:
    """The interpreter of a peer's own environment, made on the first call."""
    home = ENVIRONMENTS / name
    python = home / "bin" / "python"
    stamp = home / "requirements.txt"
    wanted = "\n".join(requirements)
    if not stamp.is_file() or stamp.read_text() != wanted:
        uv = Path(sys.executable).parent / "uv"
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, home], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *requirements], check=True)
        stamp.write_text(wanted)
    return python


def run_alone(python: Path | str, module: str, *arguments: object, variables: Mapping[str, str]) -> dict[str, Any]:
    """Run a module in a process of its own; the last line it prints is a JSON object."""
    command = [str(python), "-m", module, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(variables), cwd=FOLDER.parent, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report
