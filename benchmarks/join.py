"""The point-in-time join of a million labels with views of 10 M, 1 M and 100 k rows, against its peers.

Each contender runs in its own environment and process, in turn, several rounds; the best round counts, since whatever
else a machine does only ever adds time. No row carries a known time of its own, because Feast would let late rows leak
into the past and pandas knows no such thing: so all must give the same answer, and that is checked cell by cell.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.measure import DATA, Figure, environment, run_alone

ROUNDS: Mapping[str, int] = {"everfit": 3, "scan": 3, "late": 2, "pandas": 2, "feast": 2}
PEERS: Mapping[str, tuple[str, ...]] = {
    "feast": ("feast[duckdb]==0.67.*",),
    "pandas": ("pandas>=2.3", "pyarrow>=20"),
}


def run() -> list[Figure]:
    """Measure all contenders and hold Everfit against them."""
    folder = _data()
    contenders: dict[str, Path | str] = {"everfit": sys.executable, "scan": sys.executable, "late": sys.executable}
    contenders |= {name: environment(name, requirements) for name, requirements in PEERS.items()}
    best: dict[str, dict[str, Any]] = {}
    for turn in range(max(ROUNDS.values())):
        for name, python in contenders.items():
            if turn < ROUNDS[name]:
                report = run_alone(
                    python, f"benchmarks.join_{name}", folder, folder / f"{name}.out", variables=os.environ
                )
                kept = best.setdefault(name, report)
                kept["seconds"] = min(kept["seconds"], report["seconds"])
                kept["peak_mib"] = max(kept["peak_mib"], report["peak_mib"])
    return _figures(best, {peer: _differences(folder, peer) for peer in PEERS})


def _data() -> Path:
    folder = DATA / "join"
    if not (folder / "complete").is_file():
        run_alone(sys.executable, "benchmarks.join_data", folder, variables=os.environ)
        (folder / "complete").touch()
    return folder


def _differences(folder: Path, peer: str) -> int:
    """In how many cells a peer's answer is not Everfit's."""
    import polars as pl

    ours, theirs = (pl.read_parquet(folder / f"{name}.out") for name in ("everfit", peer))
    if ours.shape != theirs.shape or not ours["id"].equals(theirs["id"]):
        return ours.height * (ours.width - 1)
    # pandas writes a missing number as NaN.
    theirs = theirs.with_columns(pl.exclude("id").fill_nan(None))
    return sum(int(ours[name].ne_missing(theirs[name]).sum()) for name in ours.columns)


def _figures(best: Mapping[str, Mapping[str, float]], differences: Mapping[str, int]) -> list[Figure]:
    ours, scan, feast, pandas = (best[name] for name in ("everfit", "scan", "feast", "pandas"))
    figures: list[Figure] = [
        {"name": "join: 1 M labels, 11.1 M feature rows", "value": ours["seconds"], "unit": "s"},
        {
            "name": "join: times as fast as Feast on DuckDB",
            "value": feast["seconds"] / ours["seconds"],
            "unit": "×",
            "goal": ">= 4",
            "reference": f"Feast {feast['seconds']:.2f} s, {feast['peak_mib']:.0f} MiB",
        },
        {
            "name": "join: times as long as the bare scan",
            "value": ours["seconds"] / scan["seconds"],
            "unit": "×",
            "goal": "<= 3",
            "reference": f"Polars scan {scan['seconds']:.2f} s, {scan['peak_mib']:.0f} MiB",
        },
        {
            "name": "join: times as fast as pandas merge_asof",
            "value": pandas["seconds"] / ours["seconds"],
            "unit": "×",
            "reference": f"pandas {pandas['seconds']:.2f} s, {pandas['peak_mib']:.0f} MiB",
        },
        {
            "name": "join: peak memory of the process",
            "value": ours["peak_mib"] / 1024,
            "unit": "GiB",
            "goal": "<= 1.3",
            "reference": f"Feast {feast['peak_mib'] / 1024:.2f} GiB",
            "ratio": ours["peak_mib"] / feast["peak_mib"],
        },
        {
            "name": "join: largest view alone, rows late and in random order",
            "value": best["late"]["seconds"],
            "unit": "s",
            "reference": f"peak {best['late']['peak_mib']:.0f} MiB",
        },
    ]
    figures += [
        {"name": f"join: cells that differ from {peer}'s", "value": count, "unit": "of 15 M", "goal": "<= 0"}
        for peer, count in differences.items()
    ]
    return figures
