"""Digest of what a model's label is: two definitions of one digest find the same labels in the same source."""

from __future__ import annotations

import hashlib
import json

import polars as pl

from everfit.definitions.model import Model
from everfit.definitions.source_digest import source_content


def label_digest(model: Model) -> str:
    """Return 12 hexadecimal digits of all in a definition that ids, values and known times of its labels depend on."""
    events, label = model.events, model.label
    content = {
        "source": source_content(events.source),
        "events": [events.id, _expression(events.where)],
        "label": [_expression(label.value), label.known_at],
        "task": model.task,
    }
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]


def _expression(value: pl.Expr | str | None) -> str | None:
    """Return an expression's whole content: its text leaves out what is long."""
    return hashlib.sha256(value.meta.serialize()).hexdigest() if isinstance(value, pl.Expr) else value
