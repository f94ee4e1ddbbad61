"""Outcomes of classes that the version in production did not learn."""

from __future__ import annotations

import polars as pl

from everfit.core.class_names import quoted
from everfit.core.columns import LABEL, TIME
from everfit.core.finding import Finding
from everfit.monitoring.performance import Scale
from everfit.monitoring.prediction_frame import NEW_CLASS

_SHOWN = 5
_MUCH = 0.05
"""A share of outcomes that the version can never get right which does harm rather than wants a look; chosen."""
_LONGEST = 40


def new_class_findings(rows: pl.DataFrame, scale: Scale, model: str, version: int) -> list[Finding]:
    """Return the finding that outcomes are of classes that the version does not know; none where there are none."""
    new = rows.filter(pl.col(NEW_CLASS).is_not_null()) if NEW_CLASS in rows.columns else rows.clear()
    if new.is_empty():
        return []
    counted = new[NEW_CLASS].value_counts().sort("count", NEW_CLASS, descending=[True, False])
    labelled = int(rows[LABEL].is_not_null().sum())
    named = ", ".join(f"{_short(name)!r} on {count:,}" for name, count in counted.head(_SHOWN).iter_rows())
    more = f" and {counted.height - _SHOWN:,} more" if counted.height > _SHOWN else ""
    classes = "a class" if counted.height == 1 else f"{counted.height:,} classes"
    share = new.height / labelled
    remedy = (
        "A binary model cannot learn a third class: correct these outcomes, or change the label's definition."
        if scale.task == "binary"
        else "The next training learns them; if they are mistakes, report these outcomes again."
    )
    return [
        Finding(
            kind="new_class",
            model=model,
            version=version,
            severity="critical" if share >= _MUCH else "warning",
            sentence=f"{new.height:,} of {labelled:,} outcomes ({share:.1%}) are of {classes} that "
            f"version {version} did not learn: {named}{more} outcomes. It knows {quoted(scale.classes, most=_SHOWN)}, "
            f"so that these count as the worst possible. {remedy}",
            numbers={"rows": new.height, "labelled": labelled, "share": share, "classes": counted.height},
            since=new[TIME].min(),  # type: ignore[arg-type]
        )
    ]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
