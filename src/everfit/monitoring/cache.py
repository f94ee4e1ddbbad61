"""Cache of what a repeated evaluation need not read or compute again: references, counted windows, estimates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import polars as pl

from everfit.artifact.package import Package
from everfit.artifact.schema import InputSchema
from everfit.core.columns import KNOWN_AT, LABEL
from everfit.definitions.model import Model
from everfit.definitions.watch import Drift
from everfit.monitoring.drift_windows import Judged
from everfit.monitoring.estimate import Estimate, Estimator, learn_estimator
from everfit.monitoring.evaluation import ANSWERS, CountedBefore, own_rows
from everfit.monitoring.prediction_frame import standard_rows
from everfit.monitoring.reference import ReferenceProfile, reference_of
from everfit.monitoring.window_cache import Counts
from everfit.monitoring.windows import Length
from everfit.store.timestamps import INSTANT

ReadBetween = Callable[[datetime, datetime, Sequence[str]], pl.DataFrame]
"""Reads a model's predictions with event times between two instants, both included, with features of some names."""

_NO_LABEL = (pl.lit(None, pl.String).alias(LABEL), pl.lit(None, INSTANT).alias(KNOWN_AT))
_MOST_VERSIONS = 8
"""Versions whose references are held; an older one is read again if it is asked for."""


@dataclass
class CachedVersion:
    """A version's reference, which cannot change, and its windows that were counted."""

    schema: InputSchema
    reference: ReferenceProfile | None
    digest: str = ""
    """Of its package."""
    _counts: dict[Path, tuple[Counts, Judged]] = field(default_factory=dict)
    _estimate: tuple[object, Estimate] | None = None

    def counted(
        self,
        folder: Path,
        rows: pl.DataFrame,
        read: ReadBetween,
        *,
        until: datetime,
        settled: pl.DataFrame | None = None,
    ) -> CountedBefore | None:
        """Return its windows where it answers, or as a shadow, of which the folder holds the counts.

        Only windows of the rows, with marks, that were never counted are read and counted; some rows may be settled:
        see :meth:`~everfit.monitoring.window_cache.Counts.windows`. ``None`` without a reference.
        """
        if self.reference is None:
            return None
        if folder not in self._counts:
            self._counts[folder] = Counts(folder, self.reference), {}
        counts, judged = self._counts[folder]
        windows = counts.windows(rows, lambda first, last: self.read(read, first, last), until=until, settled=settled)
        return CountedBefore(windows=windows, judged=judged)

    def read(self, read: ReadBetween, first: datetime, last: datetime) -> pl.DataFrame:
        """Return predictions between two instants, both included, with the version's features and without labels."""
        return standard_rows(read(first, last, self.schema.names).with_columns(*_NO_LABEL), self.schema)

    @cached_property
    def estimator(self) -> Estimator | None:
        """Learnt from the hold-out when first used; ``None`` if that is too small."""
        return None if self.reference is None else learn_estimator(self.reference)

    def estimate(self, number: int, counted: CountedBefore, read: ReadBetween) -> Estimate | None:
        """Return the estimated metric on the newest window of the version's answers; computed once for each window."""
        if not counted.windows or self.estimator is None:
            return None
        window = counted.windows[-1]
        key = (window.start, window.end, window.mark)
        if self._estimate is None or self._estimate[0] != key:
            rows = own_rows(self.read(read, window.start, window.end), number, ANSWERS)
            self._estimate = key, self.estimator.estimate(rows, start=window.start, end=window.end)
        return self._estimate[1]


@dataclass
class VersionCache:
    """The versions that were evaluated last, by what their references depend on."""

    _versions: dict[tuple[object, ...], CachedVersion] = field(default_factory=dict)

    def version(self, digest: str, definition: Model, package: Callable[[], Package]) -> CachedVersion:
        """Return the version with the digest of a package, which is opened if it must be read.

        Raises :class:`PackageError` if it cannot be read.
        """
        window = _window_of(definition)
        key = (digest, definition.metric, window)
        if key not in self._versions:
            opened = package()
            found = CachedVersion(opened.schema, _reference(opened, definition.metric, window), digest)
            newest = list(self._versions.items())[1 - _MOST_VERSIONS :]
            self._versions = dict([*newest, (key, found)])
        return self._versions[key]


def _window_of(definition: Model) -> Length:
    """Return the length of the windows that are watched for drift."""
    watch = next((watch for watch in definition.watches if isinstance(watch, Drift)), None)
    return (watch.rows or watch.length) if watch else timedelta(days=1)


def counts_folder(state: Path, definition: Model, version: int, route: str) -> Path:
    """Return the folder of a version's counted windows; windows of another length have another one."""
    window = _window_of(definition)
    length = f"{window}rows" if isinstance(window, int) else f"{window.total_seconds():.0f}s"
    return state / "counts" / definition.name / f"{version}-{route}-{length}"


def _reference(package: Package, metric: str, window: Length) -> ReferenceProfile | None:
    """Return what a version is compared with; ``None`` if its package keeps no profile."""
    profile = package.profile()
    if profile is None:
        return None
    return reference_of(profile, package.schema, metric=metric, importance=package.importance(), window=window)
