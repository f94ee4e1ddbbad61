"""Packages of a model's versions."""

from __future__ import annotations

from collections.abc import Sequence

from everfit.artifact.package import Package, open_package
from everfit.core.errors import EverfitError
from everfit.system import System


def open_packages(system: System, model: str, versions: Sequence[int]) -> dict[int, Package]:
    """Return the packages of versions, by number; one that is gone, or not trusted, is left out."""
    deployed = system.deployment.of(model)
    folders = {one.version: system.deployment.folder_of(one) for one in deployed.taking_part} if deployed else {}
    found = {}
    for version in versions:
        try:
            folder = folders.get(version) or system.registry.fetch(system.registry.version(model, version))
            found[version] = open_package(folder, trust=system.trust)
        except EverfitError:
            continue
    return found
