"""A project as small as one can be that a loop still has something to do for, and the running system around it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

MODEL = "late"
ROWS = 2_000
WORKERS = 2
EVERFIT = Path(sys.executable).parent / "everfit"

_SETTINGS = f"""
[project]
name = "bench"
module = "bench"

[training]
trials = 0
bootstrap = 100

[serving]
workers = {WORKERS}
"""
# Everything but these is a default: what is measured is what a user waits for. With the approval no version answers
# before it is promoted, not even as a canary. Labels are only reported; the policy would wait for some in the source.
_DEFINITIONS = """
import numpy as np

import everfit as ef

parcels = ef.Source("parcels", path="parcels.parquet", timestamp="sent_at")
late = ef.Model(
    "late",
    task="binary",
    events=ef.Events(parcels, id="parcel"),
    request=["distance_km"],
    features=["distance_km"],
    label=ef.Label("late", known_at="arrived_at"),
)
late.retrain_when(ef.PerformanceDrop(by=0.02, alpha=0.01), least_labels=0)
late.roll_out(ef.Shadow(), approval="required")


class Rule:
    classes_ = np.array([False, True])

    def predict_proba(self, X):
        late = 1 / (1 + np.exp(np.clip(4 - np.nan_to_num(X[:, 0]), -20, 20)))
        return np.column_stack([1 - late, late])

    def predict(self, X):
        return self.predict_proba(X)[:, 1] > 0.5


@late.trainer()
def train(X, y):
    return Rule()
"""


def sent(rows: int, *, seed: int) -> pl.DataFrame:
    """Parcels: the farther, the later."""
    random = np.random.default_rng(seed)
    distance = random.gamma(2.0, 2.0, rows)
    return pl.DataFrame({"distance_km": distance, "late": random.random(rows) < 1 / (1 + np.exp(4 - distance))})


def make_project(folder: Path) -> Path:
    """Write the project's files, train a version and let it answer."""
    folder.mkdir(parents=True)
    folder.joinpath("everfit.toml").write_text(_SETTINGS)
    folder.joinpath("bench.py").write_text(_DEFINITIONS)
    end = datetime.now(UTC) - timedelta(hours=1)
    at = [end - (ROWS - number) * timedelta(minutes=10) for number in range(ROWS)]
    sent(ROWS, seed=0).with_columns(
        pl.Series("sent_at", at),
        pl.Series("arrived_at", [instant + timedelta(minutes=40) for instant in at]),
        parcel=pl.format("past-{}", pl.int_range(pl.len())),
    ).write_parquet(folder / "parcels.parquet")
    for words in (("train",), ("promote",)):
        run(folder, *words)
    return folder


def run(folder: Path, *words: str) -> str:
    """A command of Everfit's, in the folder; gives what it printed.

    Raises:
        RuntimeError: If it fails, with what it said.
    """
    done = subprocess.run([EVERFIT, *words], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"everfit {' '.join(words)} failed:\n{done.stderr[-4000:]}")
    return done.stdout


@contextmanager
def up(folder: Path) -> Iterator[tuple[str, int]]:
    """The whole system: its URL, and the number of the process that looks after the others.

    Raises:
        RuntimeError: If it does not start, with what it said.
    """
    log = folder / "up.log"
    command = [str(EVERFIT), "up", "--port", "0", "--json"]
    with (
        log.open("w") as errors,
        subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            yield _url(process, log), process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()


def _url(process: subprocess.Popen[str], log: Path) -> str:
    text = ""
    for line in process.stdout or ():
        text += line
        if text.count("{") == text.count("}"):
            return str(json.loads(text)["url"])
    raise RuntimeError(f"everfit up must start, but: {text}{log.read_text()[-2000:]}")
