"""Predictions of the champion for the hold-out of a candidate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from everfit.core.class_names import ClassValue

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class ChampionPredictions:
    """The champion's predictions, or the reason why there are none; all defaults without a champion."""

    prediction: NDArray[np.float64] | None = None
    """In the columns of ``classes``."""
    problem: str = ""
    """Reason why there is no prediction; empty if there is one."""
    refitted: bool = False
    """``True`` if they are of the champion refitted without the hold-out, on which the champion itself was trained."""
    classes: tuple[ClassValue, ...] = ()
    """In the order of the prediction's columns; empty if they are the candidate's."""
    version: int | None = None
    learnt: tuple[ClassValue, ...] = ()
    """The classes that the champion itself learned."""
    request: Mapping[str, str] | None = None
    """Type and use of its request fields."""
