"""Trial of a release's code, confined: check, tests, data, training, and features against those of the active release.

The trial runs in processes of its own, which leave a result for each step; it is recorded as soon as it is there, so
that it is seen while the next step runs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from everfit.artifact.provenance import copy_code
from everfit.core.errors import ProcessError, ProcessKilledError
from everfit.core.release import Release, StepRecord
from everfit.core.release_trial import REQUEST, TrialRequest, TrialResult, TrialStep, log_file, result_file
from everfit.loop.release_activation import folder_of
from everfit.loop.release_step import (
    MOST_ATTEMPTS,
    TRIAL,
    cancellation,
    end_interrupted,
    end_step,
    has_passed,
    releases_folder,
    step_limits,
)
from everfit.releases.confinement import confined_command, confined_variables, confinement_gaps, project_reads
from everfit.runtime.subprocess_runner import run_child
from everfit.store.active_release import ENVIRONMENTS, ReleaseFolder, active_release, own_interpreter
from everfit.store.atomic_file import replace_file
from everfit.store.left_file import read_left_file

if TYPE_CHECKING:
    from everfit.system import System

_log = logging.getLogger(__name__)

_CODE: tuple[TrialStep, ...] = ("check", "tests", "data", "training")
_PREVIOUS = "previous"
"""Folder, in that of a trial, of the active release's features."""
_FOLDER_CODE, _SCRATCH = "code", "scratch"
_PROCESS_LOG = "process.log"
_LARGEST_RESULT_BYTES = 16 << 20

Prepare = Callable[[Path, TrialRequest], TrialRequest]
"""Prepares a trial: gets its folder and its request, and returns the request that it is to have."""


def try_code(system: System, number: int) -> bool:
    """Carry out the steps that concern the code alone; return true if the release goes on."""
    return _try(system, number, _CODE, lambda folder, request: request)  # noqa: ARG005


def try_features(system: System, number: int) -> bool:
    """Compare the features with those of the active release; return true if the release goes on."""

    def compute_previous(folder: Path, request: TrialRequest) -> TrialRequest:
        """Compute the features of the active release on the same rows; without them, there is nothing to compare."""
        active, previous = active_release(system.state), folder / _PREVIOUS
        if active is None:
            # The project's folder cannot be listed in the confined process, since it holds the state.
            tree = folder / _FOLDER_CODE
            copy_code(system.project.root, tree)
        else:
            tree = active.code_folder(system.state)
        try:
            _run(system, ("features",), previous, replace(request, tree=str(tree)), active)
        except ProcessKilledError:
            raise
        except ProcessError as error:
            _log.warning("the features of the active release could not be computed: %s", error)
            return request
        return replace(request, previous=str(previous))

    return _try(system, number, ("features",), compute_previous)


def _try(system: System, number: int, steps: Sequence[TrialStep], prepare: Prepare) -> bool:
    """Carry steps out in a process, unless they have passed; return true if the release goes on."""
    kills = 0
    while (release := system.releases.one(number)).state == "running":
        left = [step for step in steps if not has_passed(release, step)]
        if not left:
            return True
        folder = _new_folder(system, number)
        results = _Results(system, number, folder, left)
        problem = "the trial's process left no result"
        try:
            request = prepare(folder, _request(system, release))
            _run(system, left, folder, request, folder_of(release), cancelled=results.poll)
        except ProcessKilledError as error:
            problem, kills = str(error), kills + 1
        except ProcessError as error:
            problem, kills = str(error), MOST_ATTEMPTS
        else:
            kills = MOST_ATTEMPTS
        results.record()
        if (begun := results.begun) is None:
            continue
        if kills == MOST_ATTEMPTS:
            return end_step(system, number, begun, outcome="refused", sentence=problem)
        end_interrupted(system, number, begun, sentence=problem)
    return False


class _Results:
    """Results of a trial's steps, recorded as they come."""

    def __init__(self, system: System, number: int, folder: Path, steps: Sequence[TrialStep]) -> None:
        self._system = system
        self._number = number
        self._folder = folder
        self._left = list(steps)
        self._cancelled = cancellation(system, number)
        self.begun: StepRecord | None = None
        """The step that is under way; ``None`` once all of them have passed, or one has not."""
        self._begin_next()

    def poll(self) -> str:
        """Record what is new; return why the trial must stop, or an empty text."""
        self.record()
        limit_s = self._system.project.settings.releases.step_seconds
        if self.begun is not None and time.monotonic() - self._began_s > limit_s:
            return f"{self.begun.step} must end within [releases] step_seconds, which is {limit_s:g} s"
        return self._cancelled()

    def record(self) -> None:
        """Record the results that are there."""
        while (begun := self.begun) is not None:
            result = _result(self._folder, self._left[0])
            if result is None:
                return
            if result.features:
                self._system.releases.describe(self._number, features=result.features)
            goes_on = end_step(self._system, self._number, begun, outcome=result.outcome, sentence=result.sentence)
            del self._left[0]
            self.begun = None
            if goes_on and self._left:
                self._begin_next()

    def _begin_next(self) -> None:
        log = str((self._folder / log_file(self._left[0])).relative_to(self._system.state))
        now = self._system.clock.now()
        self.begun = self._system.releases.begin_step(self._number, self._left[0], now=now, log=log)
        self._began_s = time.monotonic()


def _result(folder: Path, step: TrialStep) -> TrialResult | None:
    """Return a step's result; ``None`` if there is none yet. It may be anything, since the code could write it, too."""
    try:
        content = read_left_file(folder / result_file(step), last_bytes=_LARGEST_RESULT_BYTES)
        return msgspec.json.decode(content, type=TrialResult)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        return TrialResult(step=step, outcome="refused", sentence=f"The result of {step} cannot be read: {error}.")


def _run(
    system: System,
    steps: Sequence[TrialStep],
    folder: Path,
    request: TrialRequest,
    release: ReleaseFolder | None,
    cancelled: Callable[[], str] = lambda: "",
) -> None:
    """Carry steps out in a confined process of a release, which can write to the folder only.

    Raises :class:`ProcessError`.
    """
    settings, state = system.project.settings, system.state
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / REQUEST, msgspec.json.encode(request))
    with (folder / log_file(steps[0])).open("a") as log:
        log.writelines(f"{gap}\n" for gap in confinement_gaps())
    interpreter = release.interpreter(state) if release else own_interpreter()
    own = [Path(request.tree), *([state / release.environment] if release and release.environment else [])]
    command = confined_command(
        [interpreter, "-m", "everfit", "release-trial", *steps, "--folder", str(folder)],
        reads=[*project_reads(system.project.root, settings.paths), *own],
        writes=[folder],
        network=settings.releases.network,
        environments=releases_folder(system) / ENVIRONMENTS,
    )
    run_child(
        command,
        folder=folder,
        variables=confined_variables(folder / _SCRATCH, interpreter),
        log=folder / _PROCESS_LOG,
        limits=step_limits(settings.releases, steps=len(steps) + 1),
        cancelled=cancelled,
    )


def _request(system: System, release: Release) -> TrialRequest:
    settings, record = system.project.settings, system.deployment.read()
    return TrialRequest(
        home=str(system.project.root),
        tree=str(system.state / release.tree),
        as_of=system.clock.now(),
        sample_rows=settings.releases.sample_rows,
        paths=settings.paths,
        served=tuple(model.model for model in record.models) if record else (),
    )


def _new_folder(system: System, number: int) -> Path:
    """Return a new folder for one process of a trial."""
    release = releases_folder(system) / str(number)
    return release / f"{TRIAL}{1 + len(list(release.glob(f'{TRIAL}*')))}"
