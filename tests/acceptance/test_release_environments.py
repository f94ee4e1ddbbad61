"""Two versions serve side by side during a canary, each with the libraries and features of its release."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.acceptance.bakery import MODEL, Bakery, make_bakery, shops, wait
from tests.loop.calling import Callers
from tests.loop.parcels import running
from tests.releases.local_index import LocalIndex

from everfit.journal.tables import scan_predictions

USES = """import tinylib


@ef.on_demand
def scaled(request: pl.DataFrame) -> pl.DataFrame:
    \"\"\"The price, in units of a library.\"\"\"
    return request.select(scaled=pl.col("price") * tinylib.NUMBER)


demand = ef.Model("""
CHANGES = {
    "scaled=": "scaled_price=",
    "last_day=": "yesterday=",
    "import tinylib\n": "import morelib\nimport tinylib\n",
}


@pytest.fixture
def bakery(tmp_path: Path) -> Bakery:
    return make_bakery(tmp_path)


@pytest.mark.slow
def test_a_renamed_feature_and_a_new_dependency(bakery: Bakery, tmp_path: Path) -> None:
    index = LocalIndex(tmp_path / "index")
    index.add_wheel("morelib", "1.0", {"morelib.py": "USED = True\n"})
    first = bakery.push("first")
    with running(bakery.folder) as url:
        assert bakery.released(first).state == "active"
        wait(lambda: (lineage := bakery.champion) is not None and lineage.code.commit == first)
        with Callers(int(url.rpartition(":")[2]), shops) as callers:
            bakery.replace("demand = ef.Model(", USES)
            bakery.replace("calendar, recent_sales]", "calendar, recent_sales, scaled]")
            index.lock(bakery.folder, ["tinylib==1.0"])
            old = bakery.released(bakery.push("use a library"))
            assert old.state == "active", old.sentence
            before = bakery.champion_of(old)

            for former, name in CHANGES.items():
                bakery.replace(former, name)
            own = bakery.folder.joinpath("tests", "test_project.py").read_text()
            bakery.write("tests/test_project.py", own.replace("last_day", "yesterday"))
            index.lock(bakery.folder, ["tinylib==2.0", "morelib==1.0"])
            new = bakery.released(bakery.push("rename features, and use another library"))
            assert new.state == "active", new.sentence
            assert new.environment != old.environment
            after = bakery.champion_of(new)
            assert (before.release, after.release) == (old.number, new.number)
        assert not callers.refusals, callers.refusals[0]
        assert callers.unanswered == 0
    assert_each_in_its_own(bakery)


def assert_each_in_its_own(bakery: Bakery) -> None:
    """Read from the journal what both versions computed while they served side by side."""
    rollout = bakery.system.rollouts.of(MODEL)[0]
    stages = {step.state: step.at for step in rollout.history}
    answered = scan_predictions(bakery.system.lake, bakery.system.journal, MODEL).collect()
    at_once = answered.filter(pl.col("recorded_at") >= stages["canary"])
    for version, suffix, number, view in ((2, "scaled", 1.0, "last_day"), (3, "scaled_price", 2.0, "yesterday")):
        rows = at_once.filter(pl.col("version") == version)
        assert rows.height > 0
        assert rows[f"feature.recent_sales.{view}"].null_count() == 0
        assert rows.filter(
            (pl.col(f"feature.scaled.{suffix}") / pl.col("request.price") - number).abs() > 1e-9
        ).is_empty()
