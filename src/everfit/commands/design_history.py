"""History of a design record: the changes of its front matter, field by field, from git."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from msgspec import Struct, structs

from everfit.artifact.provenance import git_text
from everfit.core.errors import RepositoryError
from everfit.design.record import parse_design, read_design, record_file
from everfit.releases.git import Git
from everfit.releases.mirror import open_mirror
from everfit.system import System

_TIME_S = 60.0
_MOST_BYTES = 1 << 20


class FieldChange(Struct, frozen=True, kw_only=True):
    """Change of one field."""

    field: str
    """Its path, such as ``data[0].owner``."""
    before: str | None
    """``None`` if it was added."""
    after: str | None
    """``None`` if it was removed."""


class DesignChange(Struct, frozen=True, kw_only=True):
    """Changes of a record in one commit."""

    commit: str
    """Empty for what is not committed."""
    author: str = ""
    at: datetime | None = None
    subject: str = ""
    fields: tuple[FieldChange, ...]


class DesignHistory(Struct, frozen=True, kw_only=True):
    """All changes of a model's record, newest first."""

    model: str
    file: str
    in_git: bool
    """False if the project is in no git repository, so that there is no history."""
    changes: tuple[DesignChange, ...] = ()


def design_history(system: System, model: str | None = None, *, most: int = 50) -> DesignHistory:
    """Return the changes of a model's design record, by the newest commits that changed its file.

    Raises :class:`RepositoryError` if git refuses to read the history.
    """
    project, name = system.project, system.project.model(model).name
    path = record_file(project, name)
    document = read_design(project, name)
    states = [_State(DesignChange(commit="", fields=()), {} if document is None else document.scalars)]
    place = _place(system, path.relative_to(project.code).as_posix())
    if place is not None:
        states += _committed(*place, model=name, most=most)
    # Before the first commit there was no record.
    older = states[1:] if len(states) > most + 1 else [*states[1:], _State(DesignChange(commit="", fields=()), {})]
    changes = [
        structs.replace(after.change, fields=fields)
        for after, before in zip(states, older, strict=False)
        if (fields := tuple(_differences(before.values, after.values)))
    ]
    return DesignHistory(model=name, file=str(path), in_git=place is not None, changes=tuple(changes))


class _State(NamedTuple):
    """The record's values after a change."""

    change: DesignChange
    values: Mapping[str, str]


def _place(system: System, file: str) -> tuple[Git, str, str] | None:
    """Return the repository, the newest commit and the file's path in it; ``None`` outside of git.

    A release's files are in no repository; its commit is in the mirror.
    """
    project = system.project
    if project.release:
        settings = project.settings.releases
        mirror = open_mirror(project.root, system.state, settings)
        path = (PurePosixPath(settings.folder) / file).as_posix()
        return Git(folder=mirror.folder, time_s=_TIME_S), project.commit, path
    folder, commit = (git_text(project.root, "rev-parse", word) for word in ("--absolute-git-dir", "HEAD"))
    prefix = git_text(project.root, "rev-parse", "--show-prefix")
    return (Git(folder=Path(folder), time_s=_TIME_S), commit, prefix + file) if folder and commit else None


def _committed(git: Git, newest: str, path: str, *, model: str, most: int) -> Iterator[_State]:
    """Yield the record as each of the newest commits left it, the newest first; one more than asked for."""
    words = ("log", "--first-parent", f"--max-count={most + 1}", "--format=%H%x00%an%x00%ct%x00%s", newest, "--", path)
    for line in git.run(*words).encode(errors="replace").decode().splitlines():
        commit, author, seconds, subject = line.split("\0")
        at = datetime.fromtimestamp(int(seconds), UTC)
        change = DesignChange(commit=commit, author=author, at=at, subject=subject, fields=())
        try:
            text = git.run("cat-file", "blob", f"{commit}:{path}", most_bytes=_MOST_BYTES)
        except RepositoryError:  # the commit deleted it
            text = ""
        document = parse_design(text, model=model, place=path)
        yield _State(change, {} if document is None else document.scalars)


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[FieldChange]:
    for path in dict.fromkeys((*after, *before)):
        if before.get(path) != after.get(path):
            yield FieldChange(field=path, before=before.get(path), after=after.get(path))
