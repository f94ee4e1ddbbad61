"""Measure Everfit against its goals and its peers: ``python -m benchmarks [NAME ...]``.

Results go to ``benchmarks/results/`` (not kept); ``baseline.json`` holds the figures of the last release.
Exit code 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import RESULTS, Figure, goal_text, verdict

BENCHMARKS = ("startup", "join", "online", "serving", "frames", "drift", "loop", "growth", "release", "orchestration")
BASELINE = Path(__file__).parent / "baseline.json"


def main() -> int:
    """Run what was asked for, all by default, and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"out of {', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--save-baseline", action="store_true", help="write the figures to benchmarks/baseline.json")
    options = parser.parse_args()
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"a benchmark must be one of {', '.join(BENCHMARKS)}, but got {', '.join(sorted(unknown))}")
    baseline: dict[str, float] = json.loads(BASELINE.read_text()) if BASELINE.is_file() else {}
    figures: list[Figure] = []
    for name in options.names or BENCHMARKS:
        if importlib.util.find_spec(f"benchmarks.{name}") is None:
            continue
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        found: list[Figure] = importlib.import_module(f"benchmarks.{name}").run()
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=2) + "\n")
        figures += found
    _print_table(figures, baseline)
    if options.save_baseline:
        measured = [figure for figure in figures if math.isfinite(figure["value"])]
        baseline |= {figure["name"]: float(f"{figure['value']:.4g}") for figure in measured}
        BASELINE.write_text(json.dumps(baseline, indent=2, sort_keys=True) + "\n")
    return 1 if any(verdict(figure) == "missed" for figure in figures) else 0


def _print_table(figures: Sequence[Figure], baseline: Mapping[str, float]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("measured", "value", "goal", "verdict", "baseline", "ratio", "reference"):
        table.add_column(column, justify="right" if column in {"value", "goal", "baseline", "ratio"} else "left")
    for figure in figures:
        judged = verdict(figure)
        mark = {"met": "[green]met[/]", "missed": "[bold red]missed[/]"}.get(judged, "")
        reference = figure.get("reference") or ""
        earlier, ratio = baseline.get(figure["name"]), figure.get("ratio")
        table.add_row(
            figure["name"],
            f"{figure['value']:,.4g} {figure['unit']}",
            goal_text(figure),
            mark,
            "" if earlier is None else f"{earlier:,.4g}",
            "" if ratio is None else f"{ratio:.2f}",
            reference if isinstance(reference, str) else f"{reference:,.4g} {figure['unit']}",
        )
    Console(width=None if sys.stdout.isatty() else 200).print(table)


if __name__ == "__main__":
    sys.exit(main())
