"""The loaded versions of a model, and the assignment of traffic to them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from everfit.core.canary_assignment import is_assigned
from everfit.core.errors import UnknownModelError
from everfit.serving.inference.served_model import ServedModel
from everfit.serving.protocols.json import RequestDecoder
from everfit.store.journal_records import Route


class Variants(Struct, frozen=True, kw_only=True):
    """The loaded versions of one model; a change of the deployment makes a new value."""

    champion: ServedModel
    decoder: RequestDecoder
    """Of the champion's requests."""
    canary: ServedModel | None = None
    canary_share: float = 0.0
    shadow: ServedModel | None = None

    @property
    def by_route(self) -> dict[Route, ServedModel]:
        """The loaded versions by their routes."""
        loaded: dict[Route, ServedModel | None]
        loaded = {"champion": self.champion, "canary": self.canary, "shadow": self.shadow}
        return {route: model for route, model in loaded.items() if model is not None}

    @property
    def is_remote(self) -> bool:
        """True if another process executes one of the versions."""
        canary, shadow = self.canary, self.shadow
        return (
            self.champion.is_remote
            or (canary is not None and canary.is_remote)
            or (shadow is not None and shadow.is_remote)
        )

    def wait(self) -> None:
        """Wait until the champion can be executed, unless another version predicts where it fails."""
        if self.fallback_for(self.champion) is None:
            self.champion.wait()

    @property
    def versions(self) -> dict[int, ServedModel]:
        """Every loaded version by its number."""
        return {model.version: model for model in reversed(self.by_route.values())}

    def named(self, version: int) -> ServedModel:
        """Return a loaded version. Raises :class:`UnknownModelError` if that version is not loaded."""
        found = self.versions.get(version)
        if found is None:
            raise UnknownModelError(
                f"this service must have loaded the requested version of {self.champion.name}",
                value=version,
                remedy=f"Loaded are: {', '.join(map(str, sorted(self.versions)))}.",
            )
        return found

    def fallback_for(self, model: ServedModel) -> ServedModel | None:
        """Return the version that predicts where another fails: the champion for its canary, and the previous champion,
        if it is the shadow, for the champion.

        A shadow newer than the champion has never received traffic, and must not receive its first like this.
        """
        if model is self.canary:
            return self.champion
        older = self.shadow is not None and self.shadow.version < self.champion.version
        return self.shadow if model is self.champion and older else None

    def is_canary(self, id: str) -> bool:  # noqa: A002 - what it is called everywhere
        """Return ``True`` if the canary predicts for this id: the same in every process and after every restart.

        A larger share of one canary includes the ids of a smaller one; another canary has other ids.
        """
        if self.canary is None:
            return False
        return is_assigned(self.champion.name, self.canary.version, id, share=self.canary_share)

    def assign(self, ids: Sequence[str], version: int | None) -> list[tuple[Route, ServedModel, list[int]]]:
        """Return routes and versions with the places of their rows, together every row once.

        A requested version predicts all. Raises :class:`UnknownModelError` if it is not loaded.
        """
        places = list(range(len(ids)))
        if version is not None:
            named = self.named(version)
            return [("champion" if named is self.champion else "named", named, places)]
        chosen = [place for place, row_id in enumerate(ids) if self.is_canary(row_id)]
        if not chosen or self.canary is None:
            return [("champion", self.champion, places)]
        parts: list[tuple[Route, ServedModel, list[int]]] = [("canary", self.canary, chosen)]
        others = sorted(set(places).difference(chosen))
        return [("champion", self.champion, others), *parts] if others else parts
