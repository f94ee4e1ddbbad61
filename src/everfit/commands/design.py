"""Design records: a new one, and one with all that follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from everfit.core.design_record import DesignRecord
from everfit.core.errors import ProjectError
from everfit.core.records import Problem
from everfit.design.draft import draft_record
from everfit.design.record import design_digest, dump_design, parse_design, read_design, record_file
from everfit.gates.declared import code_limits, declared_gates
from everfit.loop.declared_design import check_design
from everfit.store.atomic_file import replace_file
from everfit.system import System


class DesignStatus(Struct, frozen=True, kw_only=True):
    """A model's design record with its problems and its gates."""

    model: str
    file: str
    record: DesignRecord | None
    """``None`` if there is none, or it has a fault."""
    digest: str = ""
    """``sha256:…`` of its values."""
    gates: tuple[str, ...] = ()
    """Names of the gates that it adds, or whose limit it sets."""
    to_fill: tuple[str, ...] = ()
    """Paths of what is still to be filled in."""
    problems: tuple[Problem, ...] = ()


def show_design(system: System, model: str | None = None) -> DesignStatus:
    """Return a model's design record, with all problems that are seen without data."""
    project, definition = system.project, system.project.model(model)
    document = read_design(project, definition.name)
    record = None if document is None else document.record
    return DesignStatus(
        model=definition.name,
        file=str(record_file(project, definition.name)),
        record=record,
        digest="" if record is None else design_digest(record),
        gates=() if record is None else tuple(gate.name for gate in declared_gates(record, definition)),
        to_fill=() if document is None else document.to_fill,
        problems=tuple(check_design(project, definition, now=system.clock.now())),
    )


def new_design(system: System, model: str | None, answers: Mapping[str, Sequence[str]]) -> Path:
    """Write a design record for a model that has none; return its file, of which the prose is kept.

    Raises :class:`ProjectError` if there is one already, or the code is a release's.
    """
    project, definition = system.project, system.project.model(model)
    path = record_file(project, definition.name)
    if project.release:
        remedy = "Write it where the code is edited, and push it."
        raise ProjectError("a release's files cannot be changed", value=f"release {project.release}", remedy=remedy)
    prose = path.read_text(encoding="utf-8") if path.is_file() else f"# {definition.name}\n"
    if parse_design(prose, model=definition.name, place=path.name) is not None:
        remedy = "Change it in an editor; everfit check says what is wrong."
        raise ProjectError("the file must not have a front matter yet", value=str(path), remedy=remedy)
    limits = code_limits(definition)
    record = draft_record(definition, answers, today=system.clock.now().date(), p99_ms=limits.p99_ms, gaps=limits.gaps)
    path.parent.mkdir(exist_ok=True)
    replace_file(path, dump_design(record, f"\n{prose.lstrip()}").encode())
    return path
