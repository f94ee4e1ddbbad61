"""One-row requests against the real service, and against FastAPI with pandas and the same LightGBM model.

Everfit looks two views up, computes three on-demand features and encodes categories; the peer is handed its seven
numbers. Each service has a process of its own, as has the client; the best of three rounds counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import FOLDER, Figure, environment, run_alone

ROUNDS = 3
SECONDS = 3.0
CONNECTIONS = 16
PEER = ("fastapi>=0.115", "uvicorn[standard]", "pandas>=2.3")

Load = dict[str, float]


def run() -> list[Figure]:
    """Measure both services, in turn."""
    from tests.serving.orders import ROW, lightgbm, make_shop

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        estimator = lightgbm()
        shop = make_shop(folder / "shop", estimator)
        ours, theirs = folder / "ours.json", folder / "theirs.json"
        ours.write_text(json.dumps({"inputs": [ROW]}))
        theirs.write_text(json.dumps({"inputs": [dict.fromkeys(shop.schema.names, 1.0)]}))
        many, alone = _measure([sys.executable, "-m", "tests.serving.process", str(shop.folder), "0"], ours)
        peer, remark = _peer(folder, estimator, theirs)
    return _figures(many, alone, peer, remark)


def _figures(many: Load, alone: Load, peer: tuple[Load, Load] | None, remark: str) -> list[Figure]:
    figures = [
        Figure(name="serving: requests a second, 16 connections", value=many["per_second"], unit="/s"),
        Figure(name="serving: latency of one connection, p50", value=alone["p50_us"], unit="µs"),
        Figure(name="serving: latency of one connection, p99", value=alone["p99_us"], unit="µs"),
        Figure(name="serving: latency of 16 connections, p99", value=many["p99_us"], unit="µs"),
    ]
    if peer is None:
        figures[0]["reference"] = remark
        return figures
    theirs_many, theirs_alone = peer
    for figure, theirs in zip(
        figures,
        (theirs_many["per_second"], theirs_alone["p50_us"], theirs_alone["p99_us"], theirs_many["p99_us"]),
        strict=True,
    ):
        figure["reference"] = f"FastAPI and pandas: {theirs:,.0f} {figure['unit']}"
        figure["ratio"] = figure["value"] / theirs if figure["unit"] == "/s" else theirs / figure["value"]
    times = many["per_second"] / theirs_many["per_second"]
    return [*figures, Figure(name="serving: requests a second over FastAPI's", value=times, unit="×", goal=">= 4")]


def _peer(folder: Path, estimator: object, body: Path) -> tuple[tuple[Load, Load] | None, str]:
    """The peer's figures, or why there are none."""
    import joblib

    joblib.dump(estimator, folder / "model.joblib")
    same = [f"{name}=={version(name)}" for name in ("lightgbm", "scikit-learn", "numpy", "joblib")]
    try:
        python = environment("fastapi", (*PEER, *same))
    except subprocess.CalledProcessError as error:
        return None, f"FastAPI could not be installed: {error}"
    return _measure([str(python), "-m", "benchmarks.serving_fastapi", str(folder / "model.joblib")], body), ""


def _measure(command: list[str], body: Path) -> tuple[Load, Load]:
    """The best round with many connections, and with one."""
    with _running(command) as url:
        rounds = [[_ask(url, body, connections) for _ in range(ROUNDS)] for connections in (CONNECTIONS, 1)]
    many, alone = (max(each, key=lambda load: load["per_second"]) for each in rounds)
    return many, alone


def _ask(url: str, body: Path, connections: int) -> Load:
    words = (f"{url}/predict/late", body, connections, SECONDS)
    return run_alone(sys.executable, "benchmarks.serving_load", *words, variables=os.environ)


@contextmanager
def _running(command: list[str]) -> Iterator[str]:
    # One thread for LightGBM in both: a pool for one row only costs.
    variables = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=FOLDER.parent, env=variables, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        _wait(url)
        yield url
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _wait(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError:  # it answers, whatever it says
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
