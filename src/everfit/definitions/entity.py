"""Entities: the keys of feature views."""

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
    """A key by which features are looked up: a courier, a shop, an airport.

    Args:
        name: Name of the entity; also the key's column, unless ``key`` is given.
        dtype: Polars type of the key: ``pl.String``, an integer type of at most 64 bits, or ``pl.Date``.
        key: Column of the key in sources and requests.
        description: A description for readers.

    Raises:
        DefinitionError: If the name or the type cannot be used.
    """

    name: str
    _: KW_ONLY
    dtype: pl.DataType | DataTypeClass
    key: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        import polars as pl

        require_name(self.name, of="an entity")
        object.__setattr__(self, "key", self.key or self.name)
        plain: Mapping[object, type[pl.DataType]] = {str: pl.String, int: pl.Int64, date: pl.Date}
        given: object = plain.get(self.dtype, self.dtype)
        is_type = isinstance(given, pl.DataType) or (isinstance(given, type) and issubclass(given, pl.DataType))
        if is_type and (given in (pl.String, pl.Date) or (given.is_integer() and given not in (pl.Int128, pl.UInt128))):  # type: ignore[attr-defined]
            object.__setattr__(self, "dtype", given)
            return
        rule = "a key must be pl.String, an integer of at most 64 bits or pl.Date"
        remedy = "Write dtype=pl.String for text, dtype=pl.Int64 for whole numbers."
        raise DefinitionError(rule, value=given, remedy=remedy, place=f"entity {self.name}")
