"""Probes of all parts of a project, at once and within two seconds, whatever hangs.

They read what is there: nothing is made, migrated, repaired or waited for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from everfit.core.clock import Clock, SystemClock, from_us
from everfit.core.errors import DefinitionError, EverfitError, RepositoryError
from everfit.definitions.model import Model
from everfit.definitions.project import Project
from everfit.design.record import read_design
from everfit.gates.judge import gates_of
from everfit.loop import process_probes, store_probes
from everfit.loop.declared_design import design_problems, review_overdue
from everfit.loop.health import describe
from everfit.loop.level_facts import (
    ControllerFacts,
    DefinitionFacts,
    DeploymentFacts,
    DocumentFacts,
    JournalFacts,
    LedgerFacts,
    LevelFacts,
    OnlineFacts,
    RepositoryFacts,
    ServiceFacts,
    TrackingFacts,
    WorkflowFacts,
)
from everfit.loop.store_probes import Probed
from everfit.releases.mirror import open_mirror
from everfit.store.watched_branch import read_watched

LIMIT_S = 2.0
"""Longest time for all probes together, in seconds."""
_GIT_S = 1.5
"""Less than that, so that no process of git outlives the command."""


def gather_facts(project: Project, state: Path, clock: Clock, *, limit_s: float = LIMIT_S) -> LevelFacts:
    """Return the facts of all parts; of a part whose probe has not ended in time, that it did not answer.

    Args:
        clock: The project's, which may be a replay's.
    """
    probed = Probed(project=project, state=state, now_us=clock.now_us(), machine_us=SystemClock().now_us())
    found: dict[str, Any] = {}

    def run(name: str, kind: Callable[..., Any], probe: Callable[[Probed], Any]) -> None:
        try:
            found[name] = probe(probed)
        except Exception as error:  # noqa: BLE001 - whatever a disk, a database or a library raises
            found[name] = kind(problem=_clause(error))

    # Daemons: the command must end, whatever still hangs.
    threads = [threading.Thread(target=run, args=probe, name=probe[0], daemon=True) for probe in _PROBES]
    until_s = time.monotonic() + limit_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(until_s - time.monotonic(), 0.0))
    unanswered = {name: kind(problem=f"it did not answer within {limit_s:g} s") for name, kind, _ in _PROBES}
    return LevelFacts(definitions=_definitions(project), **(unanswered | found))


def _clause(error: Exception) -> str:
    """Return an error's text without its remedy and full stop: the next step is part of the judgement."""
    if isinstance(error, EverfitError):
        error = EverfitError(error.rule, value=error.value, place=error.place)
    return " ".join(describe(error).split()).rstrip(".?")


def _probe_repository(probed: Probed) -> RepositoryFacts:
    """Read the branch of the source repository."""
    settings, began_s = probed.project.settings.releases, time.monotonic()
    watched = read_watched(probed.state, settings).head
    name = "the project's repository" if settings.repository == "." else settings.repository
    mirror = open_mirror(probed.project.root, probed.state, replace(settings, step_seconds=_GIT_S))
    try:
        tip = mirror.tip()
    except RepositoryError:
        # Another machine may take longer; then the controller, which waits for it, knows.
        if mirror.repository.folder is not None or not watched or time.monotonic() - began_s < _GIT_S:
            raise
        tip = watched
    return RepositoryFacts(name=name, branch=settings.branch, tip=tip, watched=watched)


def _probe_documents(probed: Probed) -> DocumentFacts:
    """Find tests, README and design beside the definitions."""
    project, code, now = probed.project, probed.project.code, from_us(probed.now_us)
    documents = {name: read_design(project, name) for name in project.models}
    designed = {name: document for name, document in documents.items() if document is not None}
    problems = [
        problem
        for name, document in designed.items()
        for problem in design_problems(project, project.model(name), document)
    ]
    return DocumentFacts(
        tests=len({*code.glob("tests/**/test_*.py"), *code.glob("tests/**/*_test.py")}),
        readme=next((path.name for path in sorted(code.glob("README*")) if path.is_file()), ""),
        design=tuple(document.place for document in designed.values()),
        undesigned=tuple(documents.keys() - designed.keys()),
        faults=tuple(f"{problem.place}: {problem.rule}." for problem in problems),
        unfilled=tuple(document.place for document in designed.values() if document.to_fill),
        overdue=tuple(
            document.place for document in designed.values() if review_overdue(document.parts.get("review_by"), now)
        ),
    )


_PROBES: tuple[tuple[str, Callable[..., Any], Callable[[Probed], Any]], ...] = (
    ("tracking", TrackingFacts, store_probes.probe_tracking),
    ("ledger", LedgerFacts, store_probes.probe_ledger),
    ("workflows", WorkflowFacts, store_probes.probe_workflows),
    ("online", OnlineFacts, store_probes.probe_online),
    ("deployment", DeploymentFacts, store_probes.probe_deployment),
    ("journal", JournalFacts, store_probes.probe_journal),
    ("controller", ControllerFacts, process_probes.probe_controller),
    ("service", ServiceFacts, process_probes.probe_service),
    ("repository", RepositoryFacts, _probe_repository),
    ("documents", DocumentFacts, _probe_documents),
)
"""Every probe with the kind of its facts, by the field of :class:`LevelFacts`."""


def _definitions(project: Project) -> DefinitionFacts:
    models = project.models
    return DefinitionFacts(
        project=project.name,
        level=project.settings.loop.level,
        untrained=_chosen(models, lambda model: not _has_trainer(model)),
        silent=_chosen(models, lambda model: not list(model.policy.trigger.leaves)),
        approved=_chosen(models, lambda model: model.rollout_plan.approval == "required"),
        gates=min((len(gates_of(model)) for model in models.values()), default=0),
        ttl_s={view.name: view.time_to_live.total_seconds() for model in models.values() for view in model.views},
        trials=project.settings.training.trials,
    )


def _chosen(models: Mapping[str, Model], rule: Callable[[Model], bool]) -> tuple[str, ...]:
    return tuple(name for name, model in models.items() if rule(model))


def _has_trainer(model: Model) -> bool:
    try:
        return bool(model.learner)
    except DefinitionError:
        return False
