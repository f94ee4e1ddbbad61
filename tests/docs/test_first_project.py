"""The README's project file does what the README says."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.tracking import place_tracking

import everfit as ef
from everfit.commands.train import train
from everfit.commands.validate import check


@pytest.fixture
def project(tmp_path: Path, repository: Path) -> Path:
    shutil.copy(repository / "docs/snippets/first_project.py", tmp_path / "project.py")
    (tmp_path / "everfit.toml").write_text("[training]\ntrials = 2\n")
    random = np.random.default_rng(0)
    rows = 3_000
    distance = random.gamma(2.0, 2.0, rows)
    shops = random.integers(0, 8, rows)
    ordered = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=10 * number) for number in range(rows)]
    chance = 1 / (1 + np.exp(3 - distance / 2 - shops / 4))
    pl.DataFrame(
        {
            "delivery_id": [f"delivery-{number}" for number in range(rows)],
            "shop": [f"shop-{number}" for number in shops],
            "distance_km": distance,
            "ordered_at": ordered,
            "delivered_at": [instant + timedelta(minutes=40) for instant in ordered],
            "is_late": random.random(rows) < chance,
        }
    ).write_parquet(tmp_path / "deliveries.parquet")
    place_tracking(tmp_path)
    return tmp_path


def test_it_checks_and_trains(project: Path) -> None:
    system = ef.open_system(project)
    end = datetime(2026, 1, 21, 20, tzinfo=UTC)
    found = check(system, as_of=end)
    assert found.passed, found.problems
    learned = train(system, as_of=end)
    assert learned.version is not None, learned.report.failures
    assert learned.manifest.rows == 3_000
    assert learned.scores[0].metric == "log_loss"
