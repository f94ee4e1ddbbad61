"""Who answers for a model at the moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b

from msgspec import Struct

from everfit.core.errors import UnknownModelError
from everfit.serving.inference.served_model import ServedModel
from everfit.serving.protocols.json import RequestDecoder
from everfit.store.journal_records import Route


class Lineup(Struct, frozen=True, kw_only=True):
    """The versions of one model that are loaded. A change of the deployment makes another lineup."""

    champion: ServedModel
    decoder: RequestDecoder
    """Of the champion's requests."""
    canary: ServedModel | None = None
    canary_share: float = 0.0
    shadow: ServedModel | None = None

    @property
    def versions(self) -> Mapping[int, ServedModel]:
        """Every loaded version by its number."""
        loaded = (self.shadow, self.canary, self.champion)
        return {each.version: each for each in loaded if each is not None}

    def named(self, version: int) -> ServedModel:
        """A loaded version.

        Raises:
            UnknownModelError: If that version is not loaded.
        """
        found = self.versions.get(version)
        if found is None:
            raise UnknownModelError(
                f"this service must have loaded the version of {self.champion.name} that is asked",
                value=version,
                remedy=f"Loaded are: {', '.join(map(str, sorted(self.versions)))}.",
            )
        return found

    def stand_in_for(self, model: ServedModel) -> ServedModel | None:
        """Who answers where a version cannot: the champion for its canary, and the one before it for the champion.

        A shadow that is newer than the champion was never heard by anybody, and must not be first heard like this.
        """
        if model is self.canary:
            return self.champion
        older = self.shadow is not None and self.shadow.version < self.champion.version
        return self.shadow if model is self.champion and older else None

    def is_canary(self, id: str) -> bool:  # noqa: A002 - what it is called everywhere
        """Whether the canary answers this id: the same in every process and after every restart.

        Of one canary, a larger share holds the ids of a smaller one; another canary has other ids.
        """
        if self.canary is None:
            return False
        told = f"{self.champion.name}\0{self.canary.version}\0{id}".encode()
        drawn = blake2b(told, digest_size=8).digest()
        return int.from_bytes(drawn, "big") < self.canary_share * 2.0**64

    def allot(self, ids: Sequence[str], version: int | None) -> list[tuple[Route, ServedModel, list[int]]]:
        """Who answers which rows.

        Args:
            ids: The rows' ids.
            version: The one that the caller asks for; ``None`` leaves it to the deployment.

        Returns:
            Route, version and the places of its rows; together every row once.

        Raises:
            UnknownModelError: If that version is not loaded.
        """
        if version is not None:
            named = self.named(version)
            return [("champion" if named is self.champion else "named", named, list(range(len(ids))))]
        chosen = [place for place, each in enumerate(ids) if self.is_canary(each)]
        if not chosen or self.canary is None:
            return [("champion", self.champion, list(range(len(ids))))]
        theirs = set(chosen)
        others = [place for place in range(len(ids)) if place not in theirs]
        parts: list[tuple[Route, ServedModel, list[int]]] = [("canary", self.canary, chosen)]
        return [("champion", self.champion, others), *parts] if others else parts
