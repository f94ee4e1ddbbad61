"""Versions of two definitions of a view, each in a release of its own: both read rows that are kept up to date."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.acceptance.shop import AS_OF, DEFINITIONS, everfit, make_project, orders
from tests.acceptance.test_walk import post, service

import everfit as ef
from everfit.commands.rollouts import promote, roll_back
from everfit.commands.train import train
from everfit.core.errors import SourceError
from everfit.core.order import RetrainOrder
from everfit.core.progress import Progress
from everfit.core.records import ModelVersion
from everfit.loop import materialize_job
from everfit.loop.loop import Loop
from everfit.loop.materialize_job import OnlineRefresh
from everfit.loop.online_generations import VersionViews, needed_versions, not_needed, of_other_definitions
from everfit.loop.retrain_job import RecordedTraining
from everfit.runtime.launcher import RELEASE_VARIABLE, Launcher
from everfit.store.active_release import ActiveRelease, ReleaseFolder, change_active, write_release
from everfit.store.sqlite_online import Generation
from everfit.system import System
from everfit.wiring import open_system

MODEL, VIEW, WHO = "late", "shop_record", "a person"
NOW = datetime(2026, 1, 21, 20, tzinfo=UTC)
SHARE = 'agg(pl.col("late").mean())'
PERCENT = 'agg(pl.col("late").mean() * 100)'


class Tasks(Progress):
    """The tasks that were begun."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def start(self, task: str, total: int | None = None) -> None:
        del total
        self.begun.append(task)


def release(root: Path, number: int, definitions: str) -> None:
    """Write a release with other definitions."""
    state, tree = root / ".everfit", f"releases/trees/{number}"
    (state / tree).mkdir(parents=True)
    shutil.copy(root / "everfit.toml", state / tree)
    (state / tree / "shop.py").write_text(definitions)
    write_release(state, ReleaseFolder(number=number, commit=f"{number}" * 40, code=f"sha256:{number}", tree=tree))


def trained(system: System) -> ModelVersion:
    version = train(system, as_of=NOW, actor=WHO).version
    assert version is not None
    return version


def put(system: System, version: ModelVersion, progress: Progress | None = None) -> None:
    promote(system, MODEL, version.version, actor=WHO, reason="a test", progress=progress or Progress())


def again(system: System, version: ModelVersion) -> ModelVersion:
    """Register the package of a version as another one."""
    registry = system.registry
    run_id, package = registry.start_run(MODEL, tags={}), registry.fetch(version)
    return registry.register(MODEL, package=package, digest=f"sha256:{run_id}", run_id=run_id, tags={})


def values(system: System, definition: str) -> Any:
    found = system.online.get_one(VIEW, ("shop-1",), at_us=None, ttl_us=0, definition=definition)
    return None if found is None else found[0]


def definition_of(system: System, version: ModelVersion) -> str:
    return next(found.views[VIEW] for found in needed_versions(system) if found.version == version.version)


def deliver(root: Path, *, late: Sequence[bool]) -> None:
    """Add orders of one shop that arrive now."""
    at, count = datetime.now(UTC), len(late)
    more = orders(count).with_columns(
        pl.Series("order_id", [f"{at:%d%H}-{number}" for number in range(count)]),
        pl.lit("shop-1").alias("shop"),
        pl.lit(at - timedelta(minutes=30)).alias("ordered_at"),
        pl.lit(at).alias("delivered_at"),
        pl.Series("late", list(late)),
    )
    file = root / "orders.parquet"
    present = pl.read_parquet(file)
    pl.concat([present, more.select(pl.col(name).cast(kind) for name, kind in present.schema.items())]).write_parquet(
        file
    )


@pytest.mark.slow
def test_two_releases_that_differ_in_a_view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_project(tmp_path / "shop")
    release(root, 1, DEFINITIONS)
    release(root, 2, DEFINITIONS.replace(SHARE, PERCENT))
    monkeypatch.setenv(RELEASE_VARIABLE, "1")
    old = open_system(root)
    first = trained(old)
    change_active(old.state, lambda _: ActiveRelease(number=1))
    put(old, first)
    share = definition_of(old, first)
    assert [(found.definition, found.current) for found in old.online.generations()] == [(share, True)]

    monkeypatch.setenv(RELEASE_VARIABLE, "2")
    new = open_system(root)
    change_active(new.state, lambda _: ActiveRelease(number=2))
    second = trained(new)
    put(new, second)
    percent = definition_of(new, second)
    assert [(found.definition, found.current) for found in new.online.generations()] == [
        (share, False),
        (percent, True),
    ]
    assert values(new, percent) == pytest.approx(100 * values(new, share))

    # Both are brought up to date, by the code of each, while a version that reads it may predict.
    deliver(root, late=[True, True, False, False])
    refresh = OnlineRefresh(new, 60)
    assert refresh.refresh_if_due() == ""
    refresh.wait()
    assert refresh.refresh_if_due() == ""
    assert (values(new, share), values(new, percent)) == (0.5, 50.0)

    # What nothing reads any more is dropped.
    third = again(new, second)
    put(new, third)
    monkeypatch.setattr(materialize_job, "_IDLE_S", 0.0)
    assert OnlineRefresh(new, 60).refresh_if_due() == ""
    assert [found.definition for found in new.online.generations()] == [percent]
    assert len(list(root.glob(".everfit/online.db-*.lock"))) == 1

    # To return to the first version, its rows are computed again, by its release, before it predicts.
    tasks = Tasks()
    put(new, first, tasks)
    assert tasks.begun == [f"materialize {VIEW} as {MODEL} version 1 has it"]
    assert (values(new, share), values(new, percent)) == (0.5, 50.0)
    new.online.drop(VIEW, percent)
    tasks = Tasks()
    roll_back(new, MODEL, actor=WHO, reason="back", progress=tasks)
    assert tasks.begun == [f"materialize {VIEW}"]
    assert values(new, percent) == 50.0


@pytest.mark.slow
def test_a_project_without_releases_computes_old_rows_by_the_code_in_the_package(tmp_path: Path) -> None:
    root = make_project(tmp_path / "shop")
    assert everfit(root, "train", *AS_OF).code == 0
    assert everfit(root, "promote").code == 0
    (root / "shop.py").write_text(DEFINITIONS.replace(SHARE, PERCENT))
    deliver(root, late=[True, False])
    with service(root) as url:
        row = {"shop": "shop-1", "distance_km": 4.5, "ordered_at": datetime.now(UTC).isoformat()}
        assert post(f"{url}/predict/late", {"inputs": row})[0] == 200
    done = everfit(root, "features", "materialize", "--json")
    assert done.code == 0, done.err
    assert [view["view"] for view in done.json] == [VIEW, VIEW]
    system = open_system(root)
    [version] = needed_versions(system)
    share, percent = version.views[VIEW], system.project.view(VIEW).definition
    assert (values(system, share), values(system, percent)) == (0.5, 50.0)

    [view] = everfit(root, "features", "list", "--json").json
    assert (view["definition"], view["readers"], view["materialized_until"] is None) == (percent, [], False)
    [other] = view["others"]
    assert (other["definition"], other["readers"], other["keys"]) == (share, ["late version 1"], ["shop"])
    assert share[7:15] in everfit(root, "features", "list").out
    for digest, late in (("", 50.0), (percent[7:15], 50.0), (share[7:15], 0.5)):
        found = everfit(root, "features", "get", VIEW, "shop-1", "--definition", digest, "--json")
        assert found.json["features"] == {"late": late}
    unknown = everfit(root, "features", "get", VIEW, "shop-1", "--definition", "xyz")
    assert (unknown.code, f"{share[7:15]}" in unknown.err) == (2, True)
    # What was served by the older definition is not held against today's.
    parity = everfit(root, "features", "parity", "--json").json
    assert (parity["rows"], parity["different"], parity["features"]) == (1, 0, [])
    assert parity["other_definitions"] == [f"{VIEW} of version 1"]


@pytest.mark.slow
def test_a_version_whose_features_cannot_be_computed_is_not_rolled_out(tmp_path: Path) -> None:
    root = make_project(tmp_path / "shop")
    system = open_system(root)
    version = trained(system)
    order = RetrainOrder(model=MODEL, cause="a test", reason="A test.", asked_at=NOW, actor=WHO)
    number = system.orders.ask(order).number
    system.orders.begin(number, now=NOW)
    recorded = RecordedTraining(
        order=system.orders.deliver(number, version=version.version, run_id=version.run_id), version=version
    )
    source = root / "orders.parquet"
    away = source.rename(source.with_suffix(".away"))
    loop = Loop(system, lambda _: Launcher(root=root), open_engine=lambda _: pytest.fail("no workflow is needed"))
    problem = loop._materialize(recorded)
    assert "there must be a file to read" in problem
    loop._deliver(recorded, problem)
    ended = system.orders.one(number)
    assert ended.state == "failed"
    assert "everfit rollouts begin late 1" in ended.sentence
    assert system.deployment.of(MODEL) is None
    # Nothing is deployed by hand either, before it can be.
    with pytest.raises(SourceError):
        put(system, version)
    assert system.deployment.of(MODEL) is None
    away.rename(source)
    assert loop._materialize(recorded) == ""
    put(system, version)
    assert system.deployment.of(MODEL) is not None


def test_a_view_that_did_not_change_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_project(tmp_path / "shop")
    release(root, 1, DEFINITIONS)
    # Moved within its file, with another description and another ttl.
    release(root, 2, '"""More orders."""\n\nSIXTY = 60\n' + DEFINITIONS.replace('ttl="2d"', 'ttl="3d"'))
    definitions = []
    for number in ("1", "2"):
        monkeypatch.setenv(RELEASE_VARIABLE, number)
        system = open_system(root)
        assert OnlineRefresh(system, 60).refresh_if_due() == ""
        definitions.append(system.project.view(VIEW).definition)
        [only] = system.online.generations()
        assert only.number == 1
    assert definitions[0] == definitions[1]


def version(number: int, **views: str) -> VersionViews:
    return VersionViews(model=MODEL, version=number, folder="", views=views, release=0, commit="")


def generation(number: int, view: str, definition: str, *, current: bool = False) -> Generation:
    return Generation(number, view, definition, (), (), None, complete=True, current=current)


def defined(name: str) -> ef.FeatureView:
    source = ef.Source("rows", path="rows.parquet", timestamp="at")
    return ef.FeatureView(name, entities=[ef.Entity("key", dtype=pl.String)], source=source, features=["x"], ttl="1d")


def test_the_generations_that_are_needed() -> None:
    view = defined("a")
    active, own = {"a": view}, view.definition
    versions = [version(3, a=own), version(2, a="old", b="old"), version(1, a="old", c="older", d="")]
    assert of_other_definitions(versions, active) == [(versions[1], ("a", "b")), (versions[2], ("c",))]
    present = [
        generation(1, "a", "oldest"),
        generation(2, "a", "old"),
        generation(3, "a", own, current=True),
        generation(4, "b", "new", current=True),
        generation(5, "d", "some"),
        generation(6, "d", "other", current=True),
    ]
    assert [found.number for found in not_needed(present, versions, active)] == [1, 4, 5]
    assert [found.number for found in not_needed(present, [], active)] == [1, 2, 4, 5, 6]
