"""Changes of a model's features between two releases, measured on the same events."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from everfit.core.evidence import ID
from everfit.core.release import FeatureChange
from everfit.store.value_equality import equal_values, same_type

_ORDER = ("removed", "added", "type", "values")


def compare_features(model: str, before: pl.DataFrame, after: pl.DataFrame) -> tuple[FeatureChange, ...]:
    """Return the features that are gone, new, of another type, or have other values: in this order, then by name.

    Values are compared on the events that both frames have. Numbers are equal within ``1e-9`` of their size; a missing
    value equals a missing value, and NaN is one. A feature of another type with other values is one change.

    Args:
        model: Name of the model.
        before: Column :data:`~everfit.core.evidence.ID`, unique, and the features of the release before.
        after: The same of the new release.
    """
    one, other = _same_events(before, after)
    changes = [*_gone_and_new(model, one, other)]
    for name in sorted(set(one.columns) & set(other.columns)):
        changes += _changed(model, one[name], other[name])
    return tuple(sorted(changes, key=lambda change: _ORDER.index(change.change)))


def _same_events(before: pl.DataFrame, after: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the features of the events that both have, in one order."""
    one, other = (
        frame.select(pl.col(ID).cast(pl.String), pl.int_range(pl.len()).alias(side))
        for side, frame in (("before", before), ("after", after))
    )
    places = one.join(other, on=ID).sort("before")
    return before[places["before"]].drop(ID), after[places["after"]].drop(ID)


def _gone_and_new(model: str, before: pl.DataFrame, after: pl.DataFrame) -> Iterator[FeatureChange]:
    gone = sorted(set(before.columns) - set(after.columns))
    for name in gone:
        yield FeatureChange(model=model, feature=name, change="removed", sentence=f"{name} is gone.")
    for name in sorted(set(after.columns) - set(before.columns)):
        former = next((old for old in gone if _is_same(before[old], after[name])), None)
        sentence = f"{name} is new." if former is None else f"{name} is new, with the values that {former} had."
        yield FeatureChange(model=model, feature=name, change="added", sentence=sentence)


def _is_same(one: pl.Series, other: pl.Series) -> bool:
    """Return ``True`` for columns that are equal, and not because neither tells rows apart."""
    return one.dtype == other.dtype and one.n_unique() > 1 and bool(equal_values(*same_type(one, other)).all())


def _changed(model: str, before: pl.Series, after: pl.Series) -> Iterator[FeatureChange]:
    name, retyped = before.name, before.dtype != after.dtype
    one, other = same_type(before, after)
    differs = ~equal_values(one, other)
    rows, different = len(differs), int(differs.sum())
    if not (different or retyped):
        return
    clauses = [f"is {after.dtype} instead of {before.dtype}"] if retyped else []
    largest = None
    if different:
        one, other = one.filter(differs), other.filter(differs)
        largest = _largest_difference(one, other)
        clauses.append(
            f"differs in {different:,} of {rows:,} rows ({different / rows * 100:.3g} %)" + _detail(one, other, largest)
        )
    yield FeatureChange(
        model=model,
        feature=name,
        change="type" if retyped else "values",
        sentence=f"{name} {' and '.join(clauses)}.",
        changed_share=different / rows if rows else None,
        largest_difference=largest,
    )


def _largest_difference(one: pl.Series, other: pl.Series) -> float | None:
    """Return the largest distance of two numbers of a row; ``None`` where there are no two."""
    if not one.dtype.is_float():
        return None
    distances = (one - other).abs()
    distances = distances.filter(distances.is_finite())
    return None if distances.is_empty() else float(distances.max())  # type: ignore[arg-type]


def _detail(one: pl.Series, other: pl.Series, largest: float | None) -> str:
    """Describe values that differ."""
    details = [] if largest is None else [f"by {largest:.4g} at most"]
    if lost := int((one.is_not_null() & other.is_null()).sum()):
        details.append(f"and is missing in {lost:,} where it was not")
    if found := int((one.is_null() & other.is_not_null()).sum()):
        details.append(f"and is there in {found:,} where it was missing")
    if not details:
        details.append(f"such as {other[0]!s} instead of {one[0]!s}")
    return ", " + ", ".join(details)
