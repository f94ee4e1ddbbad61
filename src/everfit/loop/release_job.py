"""Parts of the release workflow: tree, environment, trial, features, activation.

The record in the ledger is the state: a step that has passed is not done again, and one that was interrupted begins
with a further attempt. So whatever process dies in between, another one goes on, be it a durable workflow or a command.
A step that does not pass ends the release, and nothing has changed but the record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from everfit.artifact.provenance import code_version, release_digest
from everfit.core.release import Release, StepRecord
from everfit.loop.release_activation import activate, follow_ledger
from everfit.loop.release_build import make_environment, make_tree
from everfit.loop.release_decisions import next_release, reason_to_skip
from everfit.loop.release_step import attempt, cancellation, delete_working_folders, log_of
from everfit.loop.release_trial import try_code, try_features
from everfit.store.release_lock import all_kept

if TYPE_CHECKING:
    from everfit.system import System

Part = Callable[["System", int], bool]
"""Part of the workflow: gets the release's number, and returns true if the release goes on."""
Do = Callable[[str, Callable[[], bool]], bool]
"""Carries a part out under its name: durably, or just so."""


def carry_out(system: System, number: int, do: Do) -> None:
    """Carry a release out, from wherever it stands, until it is active or has ended otherwise."""
    for name, part in _PARTS.items():
        if not do(name, partial(part, system, number)):
            break
    delete_working_folders(system, number)


def dry_run(system: System, number: int) -> None:
    """Carry out all steps of a release but the last one, which activates it; nothing is kept that another run needs."""
    *parts, _ = _PARTS.values()
    if all(part(system, number) for part in parts):
        sentence = f"{_conclusion(system.releases.one(number))} This was a dry run: nothing is activated."
        system.releases.finish(number, state="passed", sentence=sentence, now=system.clock.now())


def choose_next(system: System) -> Release | None:
    """Return the release that is to be started now, if there is one; those that it makes superfluous are ended."""
    following = next_release(system.releases.present())
    if following.newest is not None:
        sentence, now = f"Superseded by {following.newest.name}.", system.clock.now()
        for older in following.superseded:
            system.releases.finish(older.number, state="superseded", sentence=sentence, now=now)
    return following.start


def _begin(system: System, number: int) -> bool:
    return system.releases.begin(number, now=system.clock.now()).state == "running"


def _make_tree(system: System, number: int) -> bool:
    """Write the commit's files; end the release if they are no news."""

    def make(release: Release, begun: StepRecord) -> str:  # noqa: ARG001
        commit = release.commit
        with all_kept(system.state):
            folder = make_tree(system, commit, folder=system.project.settings.releases.folder)
            code, content = code_version(folder, commit=commit).digest, release_digest(folder)
            tree = str(folder.relative_to(system.state))
            system.releases.describe(number, code=code, content=content, tree=tree)
        return f"The files of {commit[:7]} are read-only in {tree}."

    if not attempt(system, number, "tree", make):
        return False
    if sentence := reason_to_skip(system.releases.one(number), system.releases.all()):
        system.releases.finish(number, state="unchanged", sentence=sentence, now=system.clock.now())
        return False
    return True


def _build_environment(system: System, number: int) -> bool:
    """Build the environment that the commit's lock describes, unless there is one."""

    def build(release: Release, begun: StepRecord) -> str:
        project, log = system.state / release.tree, log_of(system, begun)
        with all_kept(system.state):
            environment = make_environment(system, project, log=log, cancelled=cancellation(system, number))
            system.releases.describe(number, environment=environment)
        if not environment:
            return "There is no uv.lock: it runs in the environment that Everfit is installed in."
        return f"The packages of uv.lock are in {environment}."

    return attempt(system, number, "environment", build)


def _activate(system: System, number: int) -> bool:
    """Make it the active release: one atomic change, after which every process starts in it."""

    def conclude(release: Release, begun: StepRecord) -> str:  # noqa: ARG001
        return _conclusion(release)

    if attempt(system, number, "activate", conclude):
        release = system.releases.one(number)
        concluded = release.step("activate")
        assert concluded is not None
        activate(system, release, sentence=concluded.sentence)
    # It may be active already, or taken back.
    follow_ledger(system)
    return False


def _conclusion(release: Release) -> str:
    changes = "; ".join(change.sentence.rstrip(".") for change in release.features)
    return f"All steps passed. {f'Features: {changes}.' if changes else 'No feature changes.'}"


_PARTS: Mapping[str, Part] = {
    "begin": _begin,
    "tree": _make_tree,
    "environment": _build_environment,
    "trial": try_code,
    "features": try_features,
    "activate": _activate,
}
"""The workflow's durable steps, in order; their names are stored with what is under way."""
