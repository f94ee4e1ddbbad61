"""Table of column types: those that can be a request field, a key, a feature, a label or an instant.

``everfit check``, the reading of events and views, and the inference of a package's inputs all use it; the reference
page is generated from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from everfit.core.errors import DefinitionError

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

    from everfit.definitions.model import Model

FieldType = Literal["string", "integer", "number", "boolean", "instant", "date"]
"""Types of request fields; ``instant`` is RFC 3339 with a zone in JSON, ``datetime`` in UTC inside."""
Role = Literal["request field", "key", "feature", "data frame feature", "label", "instant"]
"""Role of a column in a model. A data frame feature is one of a trainer with ``frame="pandas"`` or ``"polars"``."""
FeatureKind = Literal["number", "boolean", "category", "instant", "date", ""]


@dataclass(frozen=True, kw_only=True)
class ColumnType:
    """One row of the table."""

    name: str
    """Name of the type for messages."""
    polars: str
    """Names of the Polars types."""
    request: FieldType | None = None
    """The type of a request field; ``None`` if it cannot be one."""
    key: bool = False
    feature: FeatureKind = ""
    """The kind of column that a model sees; ``instant`` and ``date`` only in data frames."""
    label: str = ""
    """The tasks that it can be a label of, as text."""
    instant: bool = False
    note: str = ""
    remedy: str = ""
    """A Polars expression or an instruction that converts a column that is refused."""

    def fits(self, role: Role) -> bool:
        """Return ``True`` if a column of this type can have a role."""
        return {
            "feature": self.feature in ("number", "boolean", "category"),
            "request field": self.request is not None,
            "key": self.key,
            "data frame feature": bool(self.feature),
            "label": bool(self.label),
            "instant": self.instant,
        }[role]


_REMEDIES = {
    "boolean": 'pl.col("{column}").cast(pl.Int64)',
    "integer": 'pl.from_epoch("{column}", time_unit="s").dt.replace_time_zone("UTC") if it counts seconds',
    "number": 'pl.col("{column}").cast(pl.Int64) or pl.String',
    "decimal": 'pl.col("{column}").cast(pl.Int64)',
    "text": "Write instants as ISO 8601 with a zone, such as 2024-03-01T08:30:00Z",
    "date": 'a number, such as pl.col("{column}").dt.weekday(), by @ef.on_demand or in the data',
    "instant": 'a number, such as pl.col("{column}").dt.hour(), by @ef.on_demand or in the data',
    "instant without a zone": 'pl.col("{column}").dt.replace_time_zone("UTC") if it is UTC',
    "empty": "a column with values",
    "time of day": 'pl.col("{column}").dt.hour()',
    "duration": 'pl.col("{column}").dt.total_seconds()',
    "list": 'pl.col("{column}").list.len(), or one column for each value',
    "struct": 'pl.col("{column}").struct.field("…")',
    "binary": 'text, such as pl.col("{column}").bin.encode("hex")',
    "object": "a type that Polars can compute with",
}
_IN_64_BITS = "a request field or key must lie within the 64 bits of Int64"
_MIDNIGHT = "as an instant, its midnight in UTC; as a feature, only in data frames"
_NUMBER = {"request": "number", "feature": "number", "label": "binary (0 and 1), regression"}


def _row(name: str, polars: str, **uses: Any) -> ColumnType:
    return ColumnType(name=name, polars=polars, remedy=_REMEDIES[name], **uses)


TABLE: tuple[ColumnType, ...] = (
    _row("boolean", "Boolean", request="boolean", feature="boolean", label="binary, multiclass"),
    _row(
        "integer",
        "Int8 … Int64, UInt8 … UInt64",
        request="integer",
        key=True,
        feature="number",
        label="binary (0 and 1), multiclass, regression",
        note=_IN_64_BITS,
    ),
    _row("number", "Float32, Float64", **_NUMBER, note="infinite values are missing"),
    _row("decimal", "Decimal, Int128, UInt128", **_NUMBER, note="read as Float64"),
    _row("text", "String, Categorical, Enum", request="string", key=True, feature="category", label="multiclass"),
    _row("date", "Date", request="date", key=True, feature="date", instant=True, note=_MIDNIGHT),
    _row(
        "instant",
        "Datetime with a time zone",
        request="instant",
        feature="instant",
        instant=True,
        note="as a feature, only in data frames",
    ),
    _row("instant without a zone", "Datetime without a time zone"),
    _row("empty", "Null", request="number", feature="number", note="every value is missing"),
    _row("time of day", "Time"),
    _row("duration", "Duration"),
    _row("list", "List, Array"),
    _row("struct", "Struct"),
    _row("binary", "Binary"),
    _row("object", "Object and others"),
)
"""In the order of the reference page."""
_BY_NAME = {row.name: row for row in TABLE}
_BY_POLARS = {dtype: row for row in TABLE for dtype in row.polars.split(", ")}


def column_type(dtype: PolarsDataType) -> ColumnType:
    """Return the row of the table for a Polars type."""
    name = dtype.base_type().__name__
    if name == "Datetime":
        return _BY_NAME["instant" if getattr(dtype, "time_zone", None) else "instant without a zone"]
    if name in _BY_POLARS:
        return _BY_POLARS[name]
    return _BY_NAME["integer" if dtype.is_integer() else "number" if dtype.is_float() else "object"]


def require_type(role: Role, column: str, dtype: PolarsDataType, *, place: str) -> ColumnType:
    """Return the row of the table for a column. Raises :class:`DefinitionError` if the column cannot have the role.

    The message has the column, its type, the possible types and a conversion.
    """
    found = column_type(dtype)
    if found.fits(role):
        return found
    *others, last = [row.name for row in TABLE if row.fits(role) and row.name != "empty"]
    raise DefinitionError(
        f"a {role.removeprefix('data frame ')} must be {', '.join(others)} or {last}, which {column} is not",
        value=str(dtype),
        remedy=f"Use instead: {found.remedy.format(column=column)}.",
        place=place,
    )


def event_roles(
    model: Model, schema: Mapping[str, PolarsDataType], label: PolarsDataType
) -> Iterator[tuple[Role, str, PolarsDataType, str]]:
    """Yield role, name, type and place of the columns of a model's events.

    ``schema`` has the types of the columns of its events' source, and ``label`` is skipped if it is ``pl.Null``.
    """
    place = f"model {model.name}"
    keys = {key for view in model.views for key in view.keys}
    feature: Role = "feature" if model.frame == "matrix" else "data frame feature"
    for name in model.request:
        yield "request field", name, schema[name], f"{place}, request"
        if name in keys:
            yield "key", name, schema[name], f"{place}, request"
    for part in model.features:
        if isinstance(part, str):
            yield feature, part, schema[part], f"{place}, features"
    if column_type(label).name != "empty":
        yield "label", "the label", label, f"{place}, label"


def key_fits(have: PolarsDataType, stated: PolarsDataType) -> bool:
    """Return ``True`` if keys of a type can be cast to the type of their entity without loss."""
    kind = column_type(have).name
    return have == stated or kind == "empty" or (kind in ("integer", "text") and kind == column_type(stated).name)
