"""What features are about."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

from everfit.definitions.names import require_name

if TYPE_CHECKING:
    import polars as pl
    from polars.datatypes import DataTypeClass


@dataclass(frozen=True)
class Entity:
    """A key that features are looked up by: a courier, a shop, an airport.

    Args:
        name: Its name, which is also the key's column unless ``key`` says otherwise.
        dtype: The key's Polars type: ``pl.String``, an integer type or ``pl.Date``.
        key: The key's column in sources and requests.
        description: A line for readers.
    """

    name: str
    _: KW_ONLY
    dtype: pl.DataType | DataTypeClass
    key: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        require_name(self.name, of="an entity")
        if not self.key:
            object.__setattr__(self, "key", self.name)
