"""Documents of a running project: the card of a version, the technical documentation of a model."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from everfit.commands.documentation.annex_iv import AnnexSubject, annex_blocks, annex_points, coverage_sentence
from everfit.commands.documentation.blocks import Block
from everfit.commands.documentation.declared_design import DeclaredDesign, declared_design
from everfit.commands.documentation.markdown import to_markdown
from everfit.commands.documentation.model_card import ModelCard, card_blocks, model_card
from everfit.commands.documentation.version_facts import VersionFacts, version_facts
from everfit.core.records import ModelVersion
from everfit.system import System


class AnnexDocument(Struct, frozen=True, kw_only=True):
    """Technical documentation of a model by Annex IV."""

    model: str
    version: int | None
    """The version that it describes; ``None`` if there is none yet."""
    points: dict[str, str]
    """Coverage of each point: ``provided``, ``partly provided`` or ``not provided``."""
    coverage: str
    """The number of points that are provided, as a sentence."""
    markdown: str


def make_card(system: System, model: str, which: int | str) -> ModelCard:
    """Return the model card of a version. Raises :class:`UnknownVersionError` if there is none."""
    version = system.registry.version(model, which)
    facts = version_facts(system, version)
    return model_card(facts, _design_of(system, facts))


def card_of(system: System, version: ModelVersion) -> Iterable[Block]:
    """Return the body of a version's card."""
    facts = version_facts(system, version)
    return card_blocks(facts, _design_of(system, facts))


def _design_of(system: System, facts: VersionFacts) -> DeclaredDesign:
    """Return the design record that a version was trained by; today's if it was trained without one."""
    return facts.design or declared_design(system.project, facts.version.model)


def annex_subject(system: System, model: str) -> AnnexSubject:
    """Gather what the technical documentation of a model is made from."""
    versions = system.registry.versions(model)
    version = system.registry.champion(model) or (versions[-1] if versions else None)
    return AnnexSubject(
        model=system.project.model(model),
        settings=system.project.settings,
        design=declared_design(system.project, model),
        facts=None if version is None else version_facts(system, version),
        releases=system.releases.all(),
    )


def make_annex(system: System, model: str) -> AnnexDocument:
    """Return the technical documentation of a model."""
    subject = annex_subject(system, model)
    points = annex_points(subject)
    return AnnexDocument(
        model=model,
        version=subject.facts.version.version if subject.facts else None,
        points={point.number: point.coverage for point in points},
        coverage=coverage_sentence(points),
        markdown=to_markdown(annex_blocks(subject)),
    )
