"""What features are about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import date
from typing import TYPE_CHECKING

from everfit.core.errors import DefinitionError
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
        object.__setattr__(self, "dtype", self._key_type())

    def _key_type(self) -> pl.DataType | DataTypeClass:
        """The key's type as Polars has it.

        Raises:
            DefinitionError: If a key cannot be of that type.
        """
        import polars as pl

        plain: Mapping[object, type[pl.DataType]] = {str: pl.String, int: pl.Int64, date: pl.Date}
        given: object = plain.get(self.dtype, self.dtype)
        is_type = isinstance(given, pl.DataType) or (isinstance(given, type) and issubclass(given, pl.DataType))
        if is_type and (given in (pl.String, pl.Date) or (given.is_integer() and given not in (pl.Int128, pl.UInt128))):  # type: ignore[attr-defined]
            return given  # type: ignore[return-value]
        rule = "a key must be pl.String, an integer of at most 64 bits or pl.Date"
        remedy = "State dtype=pl.String for text, pl.Int64 for numbers of things."
        raise DefinitionError(rule, value=given, remedy=remedy, place=f"entity {self.name}")
