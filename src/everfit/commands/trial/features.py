"""Step ``features``: the features of the newest events, and how they differ from those of the release before."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from everfit.commands.trial.release_trial import ReleaseTrial
from everfit.core.evidence import ID
from everfit.core.release import FeatureChange
from everfit.core.release_trial import TrialResult
from everfit.releases.feature_changes import compare_features

_FOLDER = "features"
_SHOWN = 5


def run(trial: ReleaseTrial) -> TrialResult:
    """Leave each model's features in the folder; compare them with those that the release before has left in its own.

    Differences inform, and refuse nothing: what they do to the model, training decides.
    """
    folder = trial.folder / _FOLDER
    folder.mkdir(exist_ok=True)
    before = Path(trial.request.previous) / _FOLDER if trial.request.previous else None
    changes: list[FeatureChange] = []
    counts, compared = [], []
    for model in trial.system.project.models.values():
        frame = trial.frame(model)
        features = frame.data.select(ID, *frame.features)
        features.write_parquet(folder / _file(model.name))
        counts.append(f"{len(frame.features)} of {model.name} on {features.height:,} events")
        if before is not None and (before / _file(model.name)).is_file():
            changes += compare_features(model.name, pl.read_parquet(before / _file(model.name)), features)
            compared.append(model.name)
    sentence = f"Features were computed: {'; '.join(counts) or 'none, since there is no model'}."
    if before is not None:
        sentence += f" {_compared(compared, changes)}"
    return TrialResult(step="features", outcome="passed", sentence=sentence, features=tuple(changes))


def _file(model: str) -> str:
    return f"{model}.parquet"


def _compared(models: list[str], changes: list[FeatureChange]) -> str:
    if not models:
        return "The release before has left none to compare them with."
    if not changes:
        return f"They are the same as in the release before, of {', '.join(models)}."
    shown = " ".join(f"{change.model}: {change.sentence}" for change in changes[:_SHOWN])
    more = f" And {len(changes) - _SHOWN} more." if len(changes) > _SHOWN else ""
    return f"{len(changes)} changed against the release before. {shown}{more}"
