"""The peers: what others serve the same estimator with, handed all 20 numbers, without look-up and without a record.

Each is set up as its documentation says, with one process that predicts and without a log of requests, which all of
them would write by default, on their cost.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.measure import FOLDER, environment, run_alone
from benchmarks.serving_process import free_port, running
from benchmarks.serving_project import NAMES, Project
from benchmarks.serving_wrk import Load, ask, write_bodies

BODIES = 1_000


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One of them."""

    title: str
    requirements: tuple[str, ...]
    path: str
    body: Callable[[Sequence[float]], Any]
    """A request's, from the row's numbers."""
    command: Callable[[Path, Path, int], Sequence[str | Path]]
    """How it is started, given its interpreter, the folder with ``model.joblib``, which may be written to, and a port.
    """
    variables: Mapping[str, str] = field(default_factory=dict)
    goal: str | None = None
    """How many times its requests a second Everfit must answer."""


def measure(peer: Peer, project: Project, folder: Path, expected: float) -> Load:
    """Install it, start it, and ask.

    Args:
        peer: Which.
        project: Where the numbers come from.
        folder: Holds ``model.joblib``, of a scikit-learn estimator.
        expected: What the estimator answers to the first row.

    Raises:
        RuntimeError: If it cannot be started, or answers something else.
        subprocess.CalledProcessError: If it cannot be installed.
    """
    python = environment(peer.title.lower(), (*peer.requirements, *_same()))
    port = free_port()
    command = peer.command(python, folder, port)
    rows = project.numbers[:BODIES].tolist()
    bodies = write_bodies(folder / "bodies.jsonl", map(peer.body, rows))
    variables = {
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(FOLDER.parent),
        "MODEL": str(folder / "model.joblib"),
        **peer.variables,
    }
    with running(command, port=port, path=peer.path, bodies=bodies, folder=folder, variables=variables) as service:
        require_answer(service.answer, expected)
        return ask(service.url, bodies)


def require_answer(answer: bytes, expected: float) -> None:
    """That a service predicts what the estimator does: the number must be somewhere in its answer.

    Raises:
        RuntimeError: If it is not.
    """
    if not any(abs(number - expected) < 1e-9 for number in _numbers(json.loads(answer))):
        raise RuntimeError(f"the first answer must hold {expected}, but was {answer[:500]!r}")


def _numbers(document: Any) -> list[float]:
    if isinstance(document, dict):
        document = list(document.values())
    if isinstance(document, list):
        return [number for part in document for number in _numbers(part)]
    return [document] if isinstance(document, float) else []


def _same() -> list[str]:
    """What reads the estimator, in the versions that wrote it."""
    return [f"{name}=={version(name)}" for name in ("lightgbm", "scikit-learn", "numpy", "joblib")]


def _fastapi(python: Path, folder: Path, port: int) -> Sequence[str | Path]:
    return [python, "-m", "benchmarks.serving_fastapi", folder / "model.joblib", str(port)]


def _bentoml(python: Path, folder: Path, port: int) -> Sequence[str | Path]:
    return [python.parent / "bentoml", "serve", "benchmarks.serving_bentoml:Churn", "--port", str(port)]


def _mlserver(python: Path, folder: Path, port: int) -> Sequence[str | Path]:
    model = {
        "name": "churn",
        "implementation": "mlserver_lightgbm.LightGBMModel",
        "parameters": {"uri": "./model.bst"},
    }
    # No process besides its own, which it advises where there is one model.
    service = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": 0,
        "debug": False,
    }
    home = folder / "mlserver"
    home.mkdir()
    (home / "model-settings.json").write_text(json.dumps(model))
    (home / "settings.json").write_text(json.dumps(service))
    save = "import joblib, sys; joblib.load(sys.argv[1]).booster_.save_model(sys.argv[2])"
    subprocess.run([python, "-c", save, folder / "model.joblib", home / "model.bst"], check=True)
    return [python.parent / "mlserver", "start", home]


def _mlflow(python: Path, folder: Path, port: int) -> Sequence[str | Path]:
    home = folder / "mlflow"
    run_alone(python, "benchmarks.serving_mlflow", folder / "model.joblib", home, variables=os.environ)
    serve = ("models", "serve", "--model-uri", home, "--env-manager", "local", "--workers", "1", "--port", str(port))
    return [python.parent / "mlflow", *serve]


PEERS = (
    Peer(
        title="FastAPI",
        requirements=("fastapi==0.165.*", "uvicorn[standard]==0.54.*", "pandas==3.1.*"),
        path="/predict/churn",
        body=lambda row: {"inputs": [dict(zip(NAMES, row, strict=True))]},
        command=_fastapi,
        goal=">= 10",
    ),
    Peer(
        title="BentoML",
        requirements=("bentoml==1.4.39",),
        path="/predict",
        body=lambda row: {"rows": [row]},
        command=_bentoml,
        variables={"BENTOML_DO_NOT_TRACK": "True"},
        goal=">= 10",
    ),
    Peer(
        title="MLServer",
        requirements=("mlserver==1.7.1", "mlserver-lightgbm==1.7.1"),
        path="/v2/models/churn/infer",
        body=lambda row: {"inputs": [{"name": "rows", "shape": [1, len(row)], "datatype": "FP64", "data": list(row)}]},
        command=_mlserver,
    ),
    Peer(
        title="MLflow",
        requirements=("mlflow==3.17.2",),
        path="/invocations",
        body=lambda row: {"dataframe_split": {"columns": NAMES, "data": [row]}},
        command=_mlflow,
        variables={"MLFLOW_DISABLE_TELEMETRY": "true", "UVICORN_ACCESS_LOG": "0"},
        goal=">= 50",
    ),
)
