"""A fitted estimator with everything that a prediction needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from everfit.artifact.schema import InputSchema
    from everfit.core.evidence import Arithmetic


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """Fitted estimator, with the schema of its training.

    ``predict`` takes the result of :func:`everfit.artifact.encode.encode_inputs`, float64 of shape
    ``(rows, columns)`` or a data frame, and returns float64: shape ``(rows,)`` with the probability of the positive
    class (binary) or the value (regression), shape ``(rows, classes)`` with the classes' probabilities in the order of
    ``schema.classes`` (multiclass).
    """

    estimator: Any
    schema: InputSchema
    predict: Callable[[Any], NDArray[np.float64]] = field(compare=False)
    arithmetic: Arithmetic = "float64"
    """Arithmetic of the estimator's own results."""
