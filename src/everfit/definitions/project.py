"""All definitions of a project file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from everfit.core.errors import DefinitionError
from everfit.core.settings import Settings
from everfit.definitions.model import Model
from everfit.definitions.source import Source
from everfit.definitions.view import FeatureView


@dataclass(frozen=True, kw_only=True)
class Project:
    """The definitions of a project, by name."""

    root: Path
    """The project's folder; relative paths of data start here."""
    code: Path
    """The folder that the definitions come from: ``root``, or a release's."""
    release: int = 0
    """Number of the release that the definitions come from; 0 for none."""
    commit: str = ""
    """The release's commit; empty without a release."""
    settings: Settings
    sources: Mapping[str, Source]
    views: Mapping[str, FeatureView]
    models: Mapping[str, Model]

    @property
    def name(self) -> str:
        """Return the project's name."""
        return self.settings.project.name

    def model(self, name: str | None = None) -> Model:
        """Return the model of that name; without a name, the only one. Raises :class:`DefinitionError` else."""
        return _pick(self.models, name, kind="model")

    def model_names(self, name: str | None = None) -> list[str]:
        """Return the names of all models; with a name, only that one. Raises :class:`DefinitionError` if unknown."""
        return [self.model(name).name] if name else list(self.models)

    def view(self, name: str) -> FeatureView:
        """Return the feature view of that name. Raises :class:`DefinitionError` if there is none."""
        return _pick(self.views, name, kind="feature view")


def collect_project(
    namespace: Mapping[str, object],
    *,
    root: Path,
    settings: Settings,
    code: Path | None = None,
    release: int = 0,
    commit: str = "",
) -> Project:
    """Collect the definitions of a module, and those that they refer to; ``code`` is ``root`` by default.

    Raises :class:`DefinitionError` if two different definitions share a name, or there is no model and no view.
    """
    values = list(namespace.values())
    models = [value for value in values if isinstance(value, Model)]
    views = [value for value in values if isinstance(value, FeatureView)]
    views += [view for model in models for view in model.views]
    sources = [value for value in values if isinstance(value, Source)]
    sources += [view.source for view in views] + [model.events.source for model in models]
    if not models and not views:
        remedy = "See docs/tutorial for a first one."
        raise DefinitionError("a project must define a model or a feature view", remedy=remedy)
    return Project(
        root=root,
        code=code or root,
        release=release,
        commit=commit,
        settings=settings,
        sources=_by_name(sources, kind="source"),
        views=_by_name(views, kind="feature view"),
        models=_by_name(models, kind="model"),
    )


_Named = TypeVar("_Named", Source, FeatureView, Model)


def _by_name(definitions: Iterable[_Named], *, kind: str) -> dict[str, _Named]:
    found: dict[str, _Named] = {}
    for definition in definitions:
        if found.setdefault(definition.name, definition) is not definition:
            raise DefinitionError(f"two {kind}s must not share a name", value=definition.name)
    return found


def _pick(known: Mapping[str, _Named], name: str | None, *, kind: str) -> _Named:
    if name is None and len(known) == 1:
        return next(iter(known.values()))
    if name is None or name not in known:
        several = f"a {kind} must be named, since there are {len(known)}"
        rule = f"there must be a {kind} of that name" if name else several
        raise DefinitionError(rule, value=name, remedy=f"Defined are: {', '.join(sorted(known)) or 'none'}.")
    return known[name]
