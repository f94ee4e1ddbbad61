"""A pipeline of eight steps that do nothing: what durable workflows cost, beside the peers' pipelines.

Each contender runs in its own environment and process, one after the other, in the local form of its documentation,
with its records on the disk and without telemetry; nothing needs the network. Imports and the first run of a process,
which sets things up, are not counted but told; the best of the later runs is. Metaflow is a command whose every step
is a process of its own, hence it has no later runs.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import DATA, FOLDER, Figure, environment, run_alone
from benchmarks.orchestration_process import STEPS


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One of them."""

    title: str
    requirements: tuple[str, ...]
    variables: Mapping[str, str]
    """Where a folder of its own stands as ``{folder}``."""
    words: tuple[str, ...] = field(default=())


#: The newest versions that can be installed here: later ones of Prefect ask for a certifi that is not there yet, and
#: Prefect does not import beside the newest FastAPI.
PEERS = (
    Peer(
        title="Prefect",
        requirements=("prefect==3.8.5", "fastapi==0.139.*"),
        variables={
            "PREFECT_HOME": "{folder}",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_LOGGING_LEVEL": "WARNING",
            # It gives up after 20 s, which a busy machine may take.
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        },
    ),
    Peer(
        title="Dagster",
        requirements=("dagster==1.13.29",),
        variables={"DAGSTER_HOME": "{folder}", "DAGSTER_DISABLE_TELEMETRY": "1"},
    ),
    Peer(
        title="Metaflow",
        requirements=("metaflow==2.19.39",),
        variables={
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": "{folder}",
            "METAFLOW_HOME": "{folder}",
            "METAFLOW_USER": "bench",
            "METAFLOW_DEFAULT_METADATA": "local",
        },
        words=("measure",),
    ),
    Peer(
        title="ZenML",
        requirements=("zenml[local]==0.98.0",),
        variables={
            "ZENML_CONFIG_PATH": "{folder}",
            "ZENML_LOCAL_STORES_PATH": "{folder}/stores",
            "ZENML_ANALYTICS_OPT_IN": "false",
            "ZENML_LOGGING_VERBOSITY": "WARN",
            "AUTO_OPEN_DASHBOARD": "false",
        },
    ),
)


def run() -> list[Figure]:
    """Measure Everfit and the peers, in turn."""
    DATA.mkdir(exist_ok=True)
    # Not where temporary files go: that may be memory, where durability costs nothing.
    with tempfile.TemporaryDirectory(dir=DATA) as name:
        folder = Path(name)
        ours = run_alone(sys.executable, "benchmarks.orchestration_everfit", folder, variables=os.environ)
        own = Figure(
            name=f"pipeline of {STEPS} empty steps",
            value=ours["run_s"],
            unit="s",
            reference=f"the first of a process {ours['first_s']:.3f} s",
        )
        return [own, *(_peer(peer, folder / peer.title.lower(), ours["run_s"]) for peer in PEERS)]


def _peer(peer: Peer, folder: Path, ours_s: float) -> Figure:
    """How many times as long a peer takes; why not, where it cannot be measured."""
    figure = Figure(name=f"pipeline: times as fast as {peer.title}", value=math.nan, unit="×")
    folder.mkdir()
    try:
        theirs = _measure(peer, folder)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        print(f"{peer.title}: {error}", file=sys.stderr)
        return figure | Figure(reference=f"not measured: {str(error).strip().splitlines()[-1][:120]}")
    said = f"{peer.requirements[0]}: {theirs['run_s']:.2f} s, the first of a process {theirs['first_s']:.2f} s"
    return figure | Figure(value=theirs["run_s"] / ours_s, goal="> 1", reference=said)


def _measure(peer: Peer, folder: Path) -> dict[str, Any]:
    python = environment(peer.title.lower(), peer.requirements)
    own = {name: value.format(folder=folder) for name, value in peer.variables.items()}
    variables = {**os.environ, **own, "PYTHONPATH": str(FOLDER.parent)}
    return run_alone(python, f"benchmarks.orchestration_{peer.title.lower()}", *peer.words, variables=variables)
