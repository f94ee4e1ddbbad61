"""Design record of a model, compared with its definition, as training and ``everfit check`` need it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from everfit.core.design_record import TO_FILL, DeclaredLabel, DesignRecord
from everfit.core.errors import DefinitionError
from everfit.core.finding import Finding
from everfit.core.records import Problem
from everfit.definitions.model import Model
from everfit.definitions.project import Project
from everfit.design.consistency import contradictions
from everfit.design.problems import error, warning
from everfit.design.record import DesignDocument, read_design, record_file
from everfit.gates.declared import contradicting_thresholds
from everfit.gates.judge import gates_of

_SHOWN = 8
"""Placeholders that a message names."""


def design_problems(project: Project, model: Model, document: DesignDocument) -> list[Problem]:
    """Return all errors of a record: its own faults, and what contradicts the code."""
    gates = [gate.name for gate in gates_of(model, document.record)]
    four_eyes = project.settings.loop.level != "full"
    found = [
        *document.refuse(contradictions(document.parts, model, gates=gates, four_eyes=four_eyes)),
        *document.refuse(contradicting_thresholds(document.parts, model)),
    ]
    return [*document.faults, *found]


def check_design(project: Project, model: Model, *, now: datetime) -> list[Problem]:
    """Return all problems of a model's design record that are seen without data.

    Below level ``full`` a record may be missing or have placeholders, with a warning: a person reads what is trained
    before it serves. At level ``full`` both are errors.
    """
    at_full = project.settings.loop.level == "full"
    require, word = (error, "must") if at_full else (warning, "should")
    document = read_design(project, model.name)
    if document is None:
        place = f"model {model.name}"
        remedy = f"Write one: everfit design new{f' {model.name}' if len(project.models) > 1 else ''}."
        value = f"no front matter in {record_file(project, model.name).relative_to(project.code)}"
        return [require(place, f"it {word} have a design record", value, remedy)]
    found = design_problems(project, model, document)
    if document.to_fill:
        fields = [f"{path} (line {document.lines[path]})" for path in document.to_fill]
        value = ", ".join(fields[:_SHOWN]) + (f" and {len(fields) - _SHOWN} more" if fields[_SHOWN:] else "")
        rule = f"the design record {word} be filled in"
        found.append(require(document.place, rule, value, f"Replace the texts that begin with {TO_FILL!r}."))
    overdue = review_overdue(document.parts.get("review_by"), now)
    if overdue:
        rule, remedy = "the design record should have been reviewed", "Review it, and set the next date."
        found.append(warning(document.where("review_by"), rule, f"due {document.parts['review_by']}", remedy))
    return found


class DesignWatch:
    """Dates and durations of a model's design record that the loop monitors, read once as the definitions are."""

    def __init__(self, project: Project, model: str) -> None:
        document = read_design(project, model)
        parts: Mapping[str, Any] = {} if document is None else document.parts
        label: DeclaredLabel | None = parts.get("label")
        self._model = model
        self._review_by: date | None = parts.get("review_by")
        self.expected_delay = None if label is None else label.delay
        """Label delay; ``None`` without a record."""

    def findings(self, now: datetime) -> list[Finding]:
        """Return the finding that the record had to be reviewed."""
        if self._review_by is None or not review_overdue(self._review_by, now):
            return []
        sentence = (
            f"The design record had to be reviewed by {self._review_by}, {(now.date() - self._review_by).days} days "
            "ago: purpose, limits and risks may no longer be true. Review it, and set the next date."
        )
        return [Finding(kind="review_overdue", model=self._model, severity="warning", sentence=sentence)]


def review_overdue(review_by: date | None, now: datetime) -> bool:
    """Return true after the day, in UTC, by which a record must be reviewed."""
    return review_by is not None and now.date() > review_by


def require_design(project: Project, model: Model) -> DesignRecord | None:
    """Return a model's design record; ``None`` if it has none.

    Raises :class:`DefinitionError` if the record has a fault or contradicts the code.
    """
    document = read_design(project, model.name)
    if document is None:
        return None
    problems = design_problems(project, model, document)
    if problems:
        first = problems[0]
        rule = "a model is not trained while its design record has a fault or contradicts the code"
        value = f"{first.place}: {first.rule}" + (f" and {len(problems) - 1} more" if problems[1:] else "")
        raise DefinitionError(rule, value=value, remedy="List them: everfit check.", place=f"model {model.name}")
    return document.record
