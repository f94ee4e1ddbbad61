"""Steps of a release and their attempts: each is on record before it begins, with a log of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from everfit.core.errors import EnvironmentBuildError, ProcessError, ProcessKilledError, RepositoryError, StoreError
from everfit.core.release import Release, StepName, StepOutcome, StepRecord
from everfit.core.settings import ReleaseSettings
from everfit.loop.health import describe
from everfit.runtime.subprocess_runner import ProcessLimits
from everfit.store.active_release import RELEASES_FOLDER
from everfit.store.old_folder import delete_folder

if TYPE_CHECKING:
    from everfit.system import System

MOST_ATTEMPTS = 3
"""Only a step whose process is killed from outside is tried again: by a person, or by a machine short of memory."""
TRIAL = "trial-"
"""Beginning of the names of the folders of trials, in that of their release."""
_CANCEL_CHECK_S = 1.0
_COMMITS_FAULT = (RepositoryError, EnvironmentBuildError, ProcessError)
_MACHINES_FAULT = (OSError, StoreError)


def attempt(system: System, number: int, step: StepName, work: Callable[[Release, StepRecord], str]) -> bool:
    """Carry a step out, unless it has passed; return true if the release goes on.

    ``work`` gets the release and the attempt, and returns the result as a sentence. An error that is the commit's fault
    refuses the release, one of the machine's lets it fail; what neither is, is raised.
    """
    kills = 0
    while (release := system.releases.one(number)).state == "running" and not has_passed(release, step):
        begun = system.releases.begin_step(number, step, now=system.clock.now())
        log = log_of(system, begun)
        log.parent.mkdir(parents=True, exist_ok=True)
        outcome: StepOutcome = "passed"
        try:
            sentence = work(release, begun)
        except _COMMITS_FAULT as error:
            outcome, sentence = "refused", str(error)
            kills += isinstance(error, ProcessKilledError)
            if isinstance(error, ProcessKilledError) and kills < MOST_ATTEMPTS:
                end_interrupted(system, number, begun, sentence=sentence)
                continue
        except _MACHINES_FAULT as error:
            outcome, sentence = "failed", describe(error)
        with log.open("a") as file:
            file.write(f"{sentence}\n")
        return end_step(system, number, begun, outcome=outcome, sentence=sentence)
    return release.state == "running"


def end_step(system: System, number: int, begun: StepRecord, *, outcome: StepOutcome, sentence: str) -> bool:
    """Record the end of a step, and unless it passed that of the release; return true if the release goes on."""
    now, step = system.clock.now(), begun.step
    release = system.releases.end_step(
        number, step, begun.attempt, outcome=outcome, sentence=sentence, now=now, ends_release=True
    )
    return release.state == "running"


def end_interrupted(system: System, number: int, begun: StepRecord, *, sentence: str) -> None:
    """Record the end of an attempt at a step that is tried again."""
    now, step = system.clock.now(), begun.step
    system.releases.end_step(number, step, begun.attempt, outcome="failed", sentence=sentence, now=now)


def has_passed(release: Release, step: StepName) -> bool:
    """Return true if a step needs not be done any more in the release's present run."""
    last = release.step(step)
    return last is not None and last.outcome in {"passed", "skipped"}


def log_of(system: System, begun: StepRecord) -> Path:
    """Return the file of an attempt's log."""
    return system.state / begun.log


def releases_folder(system: System) -> Path:
    """Return the folder of trees, environments, and the steps' requests, results and logs."""
    return system.state / RELEASES_FOLDER


def delete_working_folders(system: System, number: int) -> None:
    """Delete what the steps of a release worked in, also those that were interrupted; results and logs stay.

    These are the folders beside the logs: that of an environment's build, and those within the folder of a trial.
    """
    own = releases_folder(system) / str(number)
    for folder in _folders_in(own):
        for left in _folders_in(folder) if folder.name.startswith(TRIAL) else [folder]:
            with suppress(OSError):
                delete_folder(left)


def _folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder; code that is not released could have left a link to one elsewhere."""
    return [path for path in folder.glob("*") if path.is_dir() and not path.is_symlink()]


def step_limits(settings: ReleaseSettings, *, steps: int = 1) -> ProcessLimits:
    """Return the limits of a process that carries so many steps out."""
    return ProcessLimits(
        time_s=settings.step_seconds * steps,
        memory_mib=settings.memory_mib,
        time_setting="[releases] step_seconds",
        memory_setting="[releases] memory_mib",
    )


def cancellation(system: System, number: int) -> Callable[[], str]:
    """Return a function that returns why a release must stop, or an empty text; it may be called often."""
    checked_s = -_CANCEL_CHECK_S

    def cancelled() -> str:
        nonlocal checked_s
        if time.monotonic() - checked_s < _CANCEL_CHECK_S:
            return ""
        checked_s = time.monotonic()
        release = system.releases.one(number)
        return release.sentence if release.state == "cancelled" else ""

    return cancelled
