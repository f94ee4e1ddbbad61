"""The level of a project is judged from facts: each fact that is bad shows in its capabilities, and in no other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from everfit.loop.automation_level import LevelReport, judge_level
from everfit.loop.level_facts import (
    ControllerFacts,
    DefinitionFacts,
    DeploymentFacts,
    DocumentFacts,
    JournalFacts,
    LedgerFacts,
    Level,
    LevelFacts,
    OnlineFacts,
    RepositoryFacts,
    ServiceFacts,
    TrackingFacts,
    WorkerFacts,
    WorkflowFacts,
)

WORKER = WorkerFacts(slot=0, deployment=7)
HEALTHY = LevelFacts(
    definitions=DefinitionFacts(project="shop", level="full", gates=12, ttl_s={"rating": 3600.0}, trials=20),
    tracking=TrackingFacts(runs=5, versions={"late": (1, 2, 3)}),
    online=OnlineFacts(age_s={"rating": 60.0}),
    deployment=DeploymentFacts(number=7, age_s=600.0, champions={"late": 3}),
    controller=ControllerFacts(process=12, round_age_s=20.0),
    service=ServiceFacts(workers=(WORKER, replace(WORKER, slot=1)), url="http://127.0.0.1:8080"),
    repository=RepositoryFacts(name="the project's repository", branch="main", tip="f" * 40, watched="f" * 40),
    documents=DocumentFacts(tests=3, readme="README.md", design=("design.md",)),
)
"""Everything of level full is on."""
LEVELS: tuple[Level, ...] = ("manual", "semi", "full")
LOOP = {"orchestrated training and tuning", "delivery of models", "real-time monitoring", "triggered retraining"}
ALL_LOOP = LOOP | {"delivery of pipelines"}


def at(level: Level, **changed: Any) -> LevelFacts:
    """The healthy project at another level, with other facts."""
    return replace(HEALTHY, definitions=replace(HEALTHY.definitions, level=level), **changed)


def states(report: LevelReport, state: str) -> set[str]:
    return {one.name for one in report.capabilities if one.state == state}


def sentence(report: LevelReport, name: str) -> str:
    [found] = [one.sentence for one in report.capabilities if one.name == name]
    return found


def test_everything_is_on_at_level_full() -> None:
    report = judge_level(HEALTHY)
    assert states(report, "on") == {one.name for one in report.capabilities}
    assert (report.level, report.reached) == ("full", "full")
    assert not any(one.next_step for one in report.capabilities)


def test_a_level_asks_for_no_more_than_it_must() -> None:
    semi = judge_level(at("semi", repository=RepositoryFacts(problem="there is none"), documents=DocumentFacts()))
    assert states(semi, "broken") == set()
    assert states(semi, "off") >= {"source repository", "delivery of pipelines", "documentation"}
    assert semi.reached == "semi"
    manual = judge_level(at("manual", controller=ControllerFacts(problem="no controller leads")))
    assert states(manual, "off") == ALL_LOOP
    assert manual.reached == "manual"


BAD: list[tuple[str, dict[str, Any], set[str]]] = [
    ("no controller", {"controller": ControllerFacts(problem="no controller leads")}, ALL_LOOP),
    ("controller without rounds", {"controller": ControllerFacts(process=12, round_age_s=181.0)}, ALL_LOOP),
    ("ledger", {"ledger": LedgerFacts(problem="database is locked")}, {"metadata store", *ALL_LOOP}),
    ("ledger gone", {"ledger": LedgerFacts(exists=False)}, {"metadata store"}),
    ("tracking", {"tracking": TrackingFacts(problem="file is not a database")}, {"tracking", "registry"}),
    ("tracking gone", {"tracking": TrackingFacts(exists=False)}, {"tracking", "registry"}),
    ("registry", {"tracking": TrackingFacts(runs=5, registry_problem="no such table")}, {"registry"}),
    ("registry lacks it", {"tracking": TrackingFacts(runs=5, versions={"late": (1,)})}, {"registry"}),
    ("workflows", {"workflows": WorkflowFacts(problem="disk I/O error")}, {"orchestrated training and tuning"}),
    ("workflows gone", {"workflows": WorkflowFacts(exists=False)}, {"orchestrated training and tuning"}),
    ("training failed", {"ledger": LedgerFacts(failures=("It failed.",))}, {"orchestrated training and tuning"}),
    ("online store", {"online": OnlineFacts(problem="file is not a database")}, {"feature store"}),
    ("online store gone", {"online": OnlineFacts(exists=False)}, {"feature store"}),
    ("view never written", {"online": OnlineFacts()}, {"feature store"}),
    ("view expired", {"online": OnlineFacts(age_s={"rating": 3601.0})}, {"feature store"}),
    (
        "deployment record",
        {"deployment": DeploymentFacts(problem="could not be read")},
        {"delivery of models", "update of prediction services"},
    ),
    ("deployment record gone", {"deployment": DeploymentFacts()}, {"update of prediction services"}),
    (
        "service does not answer",
        {"service": ServiceFacts(problem="it did not answer within 2 s")},
        {"prediction service", "update of prediction services"},
    ),
    (
        "files",
        {"documents": DocumentFacts(problem="Input/output error")},
        {"tests of data and model", "standardised design", "documentation"},
    ),
    ("no worker", {"service": ServiceFacts()}, {"prediction service", "update of prediction services"}),
    (
        "one worker of two",
        {"service": ServiceFacts(workers=(WORKER, WorkerFacts(slot=1, problem="has ended")))},
        {"prediction service"},
    ),
    ("no health", {"service": ServiceFacts(workers=(WORKER,), problem="status 503")}, {"prediction service"}),
    (
        "old deployment",
        {"service": ServiceFacts(workers=(WORKER, WorkerFacts(slot=1, deployment=6)))},
        {"update of prediction services"},
    ),
    (
        "refused version",
        {"service": ServiceFacts(workers=(replace(WORKER, refused=("late 4 could not be loaded.",)),))},
        {"update of prediction services"},
    ),
    ("log", {"journal": JournalFacts(problem="Permission denied")}, {"real-time monitoring"}),
    ("log not shipped", {"journal": JournalFacts(unshipped_s=301.0)}, {"real-time monitoring"}),
    ("loop in trouble", {"ledger": LedgerFacts(trouble="The disk is full.")}, {"real-time monitoring"}),
    (
        "repository",
        {"repository": RepositoryFacts(problem="there must be a git repository")},
        {"source repository", "delivery of pipelines"},
    ),
    ("branch", {"repository": RepositoryFacts(branch="main")}, {"source repository", "delivery of pipelines"}),
    (
        "branch not watched",
        {"repository": replace(HEALTHY.repository, watched="")},
        {"delivery of pipelines"},
    ),
    (
        "failed release",
        {"ledger": LedgerFacts(pinned="pinned because uv must end", is_pinned_by_failure=True)},
        {"delivery of pipelines"},
    ),
    ("no tests", {"documents": replace(HEALTHY.documents, tests=0)}, {"tests of data and model"}),
    (
        "no design",
        {"documents": replace(HEALTHY.documents, design=(), undesigned=("late",))},
        {"standardised design", "documentation"},
    ),
    (
        "wrong design",
        {"documents": replace(HEALTHY.documents, faults=("owner must be given.",))},
        {"standardised design", "documentation"},
    ),
    (
        "design not filled in",
        {"documents": replace(HEALTHY.documents, unfilled=("design.md",))},
        {"standardised design", "documentation"},
    ),
    ("no README", {"documents": replace(HEALTHY.documents, readme="")}, {"documentation"}),
]


@pytest.mark.parametrize(("changed", "broken"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_what_is_bad_breaks_its_capabilities_and_no_other(changed: dict[str, Any], broken: set[str]) -> None:
    report = judge_level(replace(HEALTHY, **changed))
    assert states(report, "broken") == broken == set(report.broken)
    assert states(report, "off") == set()
    assert report.reached != "full"
    for one in report.capabilities:
        assert (one.state == "on") == (not one.next_step)
        assert one.sentence[0].isupper() or one.sentence[0].isdigit()
        assert one.sentence.endswith((".", "…"))


@given(changes=st.lists(st.sampled_from([bad[1] for bad in BAD]), max_size=5), level=st.sampled_from(LEVELS))
def test_a_level_is_reached_if_all_that_it_asks_for_is_on(changes: list[dict[str, Any]], level: Level) -> None:
    facts = at(level, **{name: fact for changed in changes for name, fact in changed.items()})
    report = judge_level(facts)
    asked = [one for one in report.capabilities if LEVELS.index(one.level) <= LEVELS.index(level)]
    assert (report.reached == level) == all(one.state == "on" for one in asked)
    assert report.reached is None or LEVELS.index(report.reached) <= LEVELS.index(level)
    lower = judge_level(replace(facts, definitions=replace(facts.definitions, level="manual")))
    assert (lower.reached == "manual") <= (report.reached is not None), "a higher level takes none away"


def test_a_fresh_project_is_told_what_to_start() -> None:
    fresh = LevelFacts(
        definitions=HEALTHY.definitions,
        tracking=TrackingFacts(exists=False),
        ledger=LedgerFacts(exists=False),
        online=OnlineFacts(exists=False),
        controller=ControllerFacts(problem="no controller leads"),
        repository=HEALTHY.repository,
        documents=HEALTHY.documents,
    )
    report = judge_level(fresh)
    assert states(report, "on") == {
        "tracking", "metadata store", "registry", "source repository", "tests of data and model",
        "standardised design", "documentation",
    }  # fmt: skip
    assert report.reached is None
    manual = judge_level(replace(fresh, definitions=replace(fresh.definitions, level="manual")))
    assert not manual.broken


def test_a_project_without_views_needs_no_feature_store() -> None:
    report = judge_level(
        replace(HEALTHY, definitions=replace(HEALTHY.definitions, ttl_s={}), online=OnlineFacts(exists=False))
    )
    assert states(report, "off") == {"feature store"}
    assert report.reached == "full"


def test_a_model_without_a_trigger_or_a_trainer_is_set_up_first() -> None:
    definitions = replace(HEALTHY.definitions, silent=("late",), untrained=("late",))
    report = judge_level(replace(HEALTHY, definitions=definitions))
    assert states(report, "off") == {"triggered retraining", "orchestrated training and tuning"}
    assert report.reached == "manual"


def test_a_deployment_may_take_a_moment_to_load() -> None:
    service = ServiceFacts(workers=(WORKER, WorkerFacts(slot=1, deployment=6)))
    fresh = replace(HEALTHY.deployment, age_s=3.0)
    report = judge_level(replace(HEALTHY, service=service, deployment=fresh))
    assert not report.broken
    assert "being loaded by worker 1" in sentence(report, "update of prediction services")


@pytest.mark.parametrize(
    ("ledger", "words", "broken"),
    [
        (LedgerFacts(), "Branch main is watched; the project's own folder is what runs.", False),
        (LedgerFacts(active="release 3"), "Branch main is watched; release 3 is active.", False),
        (LedgerFacts(releasing=("release 4",)), "is what runs. Under way: release 4.", False),
        (LedgerFacts(active="release 3", pinned="pinned because"), "Release 3 is active, pinned because.", False),
        (LedgerFacts(pinned="pinned because git must end", is_pinned_by_failure=True), "git must end.", True),
    ],
)
def test_a_pinned_release_is_told(ledger: LedgerFacts, words: str, broken: bool) -> None:
    report = judge_level(replace(HEALTHY, ledger=ledger))
    assert words in sentence(report, "delivery of pipelines")
    assert ("delivery of pipelines" in report.broken) == broken
