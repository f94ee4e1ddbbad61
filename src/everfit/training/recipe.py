"""Choice of the parameters that are shipped: those that were tuned, or the champion's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from everfit.artifact.manifest import Lineage
from everfit.core.evidence import TrainingFrame
from everfit.core.settings import TrainingSettings
from everfit.definitions.model import Model
from everfit.measures.quality import metric_for
from everfit.training.candidate import Candidate, ChampionPredictions
from everfit.training.labels import judging
from everfit.training.train import score_fitted


def better_recipe(
    model: Model,
    frame: TrainingFrame,
    candidate: Candidate,
    champion: ChampionPredictions,
    lineage: Lineage,
    *,
    settings: TrainingSettings,
) -> Candidate:
    """Return the candidate, or the one of the champion's parameters if that is better on the hold-out.

    Both were fitted on the same rows. A candidate must not be refused because the champion's parameters, on fresh rows,
    would be better: then they are what is fitted on all rows and shipped. Raises :class:`TrainingError` if the hold-out
    cannot be predicted.

    Args:
        champion: With its recipe, fitted without the hold-out, if it is of the same code.
        lineage: The champion's.
    """
    fitted = champion.recipe
    if fitted is None or fitted.schema != candidate.fitted.schema:
        return candidate
    own = {**candidate.params, "seed": candidate.seed}
    if own == {**lineage.params, "seed": lineage.seed} or set(candidate.params) != set(lineage.params):
        return candidate
    holdout = judging(model, frame, by=frame.manifest.as_of, since=candidate.split.holdout_from)
    scores, slices = score_fitted(model, fitted, holdout, settings)
    tuned, kept = candidate.scores[0], scores[0]
    if not metric_for(model.metric, model.task).worse_by(tuned.value, kept.value) > 0:
        return candidate
    return replace(
        candidate,
        fitted=fitted,
        params=lineage.params,
        seed=lineage.seed,
        scores=scores,
        slices=slices,
        recipe=(
            f"The champion's parameters ({_listed(lineage.params)}), fitted on the same rows, have "
            f"{kept.metric} {kept.value:.4g} where those that were tuned have {tuned.value:.4g}, and are kept."
        ),
    )


def _listed(params: Mapping[str, Any]) -> str:
    shown = (f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in params.items())
    return ", ".join(shown) or "none but the seed"
