"""A release's trial: what its steps share, since they run in one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from everfit.core.columns import LABEL
from everfit.core.evidence import TrainingFrame
from everfit.core.release_trial import TrialRequest
from everfit.definitions.model import Model
from everfit.features.history import build_frame
from everfit.features.newest import newest_window
from everfit.features.training_start import training_start
from everfit.system import System

_WIDER = 10
"""Factor by which a sample grows until its labels vary."""


@dataclass(frozen=True)
class ReleaseTrial:
    """New code on the project's data."""

    request: TrialRequest
    folder: Path
    """Everything that is written is below it."""
    open_system: Callable[[TrialRequest, Path], System]
    """Opens the new code with a state folder."""
    _frames: dict[str, TrainingFrame] = field(default_factory=dict)

    @property
    def tree(self) -> Path:
        """Return the folder of the new code."""
        return Path(self.request.tree)

    @cached_property
    def system(self) -> System:
        """The running parts of the new code; opened when first used, which imports the code and may raise."""
        return self.open_system(self.request, self.folder / "state")

    def frame(self, model: Model) -> TrainingFrame:
        """Return a model's frame of the newest labelled events, of more where their labels are all the same.

        None is earlier than the model's training window.

        Raises what :func:`~everfit.features.history.build_frame` does.
        """
        if model.name not in self._frames:
            self._frames[model.name] = self._sample(model)
        return self._frames[model.name]

    def whole_frame(self, model: Model) -> TrainingFrame:
        """Return a model's frame as it is trained on, for what a sample is too small for; see :meth:`frame`."""
        return build_frame(model, self.system.reader, as_of=self.request.as_of)

    def _sample(self, model: Model) -> TrainingFrame:
        rows, reader, as_of = self.request.sample_rows, self.system.reader, self.request.as_of
        first = training_start(model, reader, as_of=as_of)
        while (window := newest_window(model, reader, rows=rows, as_of=as_of)) is not None and not window.whole:
            if first is not None and window.start <= first:
                break
            frame = build_frame(model, reader, as_of=as_of, start=window.start, end=window.end)
            if frame.data[LABEL].drop_nulls().n_unique() > 1:
                return frame
            rows *= _WIDER
        return self.whole_frame(model)
