"""Step ``check``: the code's syntax and names, and its definitions against the columns of the sources."""

from __future__ import annotations

from collections.abc import Iterator

from everfit.commands.trial.problems import result_of
from everfit.commands.trial.release_trial import ReleaseTrial
from everfit.commands.validate import check_definitions, check_designs
from everfit.core.errors import EverfitError
from everfit.core.records import Problem
from everfit.core.release_trial import TrialResult
from everfit.core.settings import SETTINGS_FILE
from everfit.core.suggestion import did_you_mean
from everfit.design.modules import check_syntax
from everfit.design.problems import error, from_exception
from everfit.design.sample import Samples


def run(trial: ReleaseTrial) -> TrialResult:
    """Check everything for which no feature must be computed."""
    checked = [("syntax", check_syntax(trial.tree))]
    # Code that cannot be read cannot be imported either; that would only repeat it.
    if not checked[0][1]:
        try:
            system = trial.system
        except EverfitError as raised:
            checked.append(("definitions", [from_exception(SETTINGS_FILE, raised)]))
        else:
            checked.append(("models that serve", list(_vanished(trial))))
            samples = Samples(system.reader, as_of=trial.request.as_of)
            checked += check_definitions(system, as_of=trial.request.as_of, samples=samples)
            checked += check_designs(system, as_of=trial.request.as_of)
    problems = (problem for _, found in checked for problem in found)
    return result_of("check", problems, passed=f"{len(checked)} checks found no error.")


def _vanished(trial: ReleaseTrial) -> Iterator[Problem]:
    models = trial.system.project.models
    for name in trial.request.served:
        if name not in models:
            remedy = f"Define it again, under the same name. {did_you_mean(name, models)}".strip()
            there = ", ".join(models) or "no model"
            yield error(f"model {name}", "a model with a version that serves must stay defined", there, remedy)
