"""What a process that looks at models again and again need not read or work out anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from everfit.definitions.watch import Drift
from everfit.journal.outcomes import OUTCOME, OUTCOME_KNOWN_AT
from everfit.loop.prediction_history import Answers
from everfit.monitoring.drift_windows import Judged
from everfit.monitoring.evaluation import CountedBefore
from everfit.monitoring.importance import importance
from everfit.monitoring.prediction_frame import standard_rows
from everfit.monitoring.reference import HELD_OUT, Reference, reference_of
from everfit.monitoring.window_cache import Counts
from everfit.monitoring.windows import Length
from everfit.store.timestamps import INSTANT

if TYPE_CHECKING:
    from everfit.artifact.package import Package
    from everfit.artifact.schema import InputSchema
    from everfit.definitions.model import Model
    from everfit.system import System


_NEVER = pl.lit(None, INSTANT).alias(OUTCOME_KNOWN_AT)
_MOST_VERSIONS = 8
"""Whose references are held; what served long ago is not asked for again."""


@dataclass
class RememberedVersion:
    """What was worked out for a version and cannot change, and what of its windows was counted."""

    schema: InputSchema
    reference: Reference | None
    _counts: dict[Path, tuple[Counts, Judged]] = field(default_factory=dict)

    def counted(self, folder: Path, rows: pl.DataFrame, answers: Answers, *, until: datetime) -> CountedBefore | None:
        """Its windows, of which only those are counted that never were; ``None`` without a reference.

        Args:
            folder: Holds the counts of the version where it answers, or as a shadow.
            rows: Its predictions there, in the form of :mod:`everfit.monitoring.prediction_frame`, with marks.
            answers: The model's.
            until: The present instant.
        """
        if self.reference is None:
            return None
        if folder not in self._counts:
            self._counts[folder] = Counts(folder, self.reference), {}
        counts, judged = self._counts[folder]
        return CountedBefore(windows=counts.windows(rows, partial(self.read, answers), until=until), judged=judged)

    def read(self, answers: Answers, first: datetime, last: datetime) -> pl.DataFrame:
        """Predictions that were asked between two instants, both included, with the version's features; no outcomes."""
        rows = answers.between(first, last, self.schema.names)
        return standard_rows(rows.with_columns(pl.lit(None, pl.String).alias(OUTCOME), _NEVER), self.schema)


@dataclass
class Memory:
    """Whoever looks often keeps one, and gives it to every look; it finds out by itself what has changed.

    It holds some hundred bytes for each prediction of a model, two million of them at most, and a few versions'
    references.

    Args:
        include_unshipped: Look at what is not in the lake yet as well, reading it each time.
    """

    include_unshipped: bool = False
    _answers: dict[str, Answers] = field(default_factory=dict)
    _versions: dict[tuple[object, ...], RememberedVersion] = field(default_factory=dict)

    def answers(self, system: System, definition: Model) -> Answers:
        """A model's answers, caught up.

        Raises:
            StoreError: If the lake cannot be read.
        """
        name = definition.name
        if name not in self._answers:
            self._answers[name] = Answers(system.lake, system.journal, name, include_unshipped=self.include_unshipped)
        self._answers[name].catch_up()
        return self._answers[name]

    def version(self, digest: str, definition: Model, package: Callable[[], Package]) -> RememberedVersion:
        """What is compared with a version's present.

        Args:
            digest: Of its package.
            definition: The model as it is now.
            package: Opens the package, if it must be read.

        Raises:
            PackageError: If it cannot be read.
        """
        window = window_of(definition)
        key = (digest, definition.metric, window)
        if key not in self._versions:
            opened = package()
            found = RememberedVersion(opened.schema, _reference(opened, definition.metric, window))
            held = list(self._versions.items())[1 - _MOST_VERSIONS :]
            self._versions = {**dict(held), key: found}
        return self._versions[key]


def window_of(definition: Model) -> Length:
    """How long the windows are that are watched."""
    watch = next((each for each in definition.watches if isinstance(each, Drift)), None)
    return (watch.rows or watch.length) if watch else timedelta(days=1)


def _reference(package: Package, metric: str, window: Length) -> Reference | None:
    """What a version is compared with; ``None`` if its package keeps no profile."""
    profile = package.profile()
    if profile is None:
        return None
    predictor = package.predictor()
    weights = importance(
        profile.filter(HELD_OUT), package.schema.names, lambda rows: predictor.predict(package.transform(rows))
    )
    return reference_of(profile, package.schema, metric=metric, importance=weights, window=window)
