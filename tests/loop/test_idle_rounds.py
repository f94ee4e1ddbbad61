"""Rounds of a controller in which nothing has changed, and reports: what they must not load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mlflow import MlflowClient
from tests.loop.town import found

_ROUNDS = """
import sys
from pathlib import Path
from everfit.loop.monitoring_run import monitor
from tests.loop.town import HOUR, town

with town(Path(sys.argv[1]), "late.retrain_when()") as living:
    loaded = {name.partition(".")[0] for name in sys.modules}
    for _ in range(3):
        living.loop._models["late"]._reconcile_at_s = 0.0
        living.loop._online._others._next_s = 0.0
        living.go_on(HOUR)
        living.round()
    begun = {name.partition(".")[0] for name in sys.modules} - loaded
    monitor(living.system)
    print("mlflow" in loaded, "mlflow" in begun, "mlflow" in sys.modules)
"""


def rounds(folder: Path) -> list[str]:
    """Make three rounds with predictions, and a report, in a process of their own; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", _ROUNDS, str(folder)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_idle_rounds_and_reports_do_not_import_mlflow_and_a_round_with_a_moved_alias_does(tmp_path: Path) -> None:
    folder = found(tmp_path / "town")
    assert rounds(folder) == ["False", "False", "False"]
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/.everfit/tracking.db")
    client.create_model_version("late", source="file:///nowhere")
    client.set_registered_model_alias("late", "champion", "2")
    # A version without a package is not delivered: the alias is moved back.
    assert rounds(folder)[:2] == ["False", "True"]
    assert client.get_model_version_by_alias("late", "champion").version == 1
