"""The data frame that an estimator takes, with ``frame="pandas"`` or ``"polars"``: always the same names and dtypes.

A frame is built column by column from the schema, never from the values: one row, many rows and rows that lack every
value have the dtypes of the training frame.

| kind | pandas | polars |
| --- | --- | --- |
| ``number`` | float64, missing is NaN | Float64 |
| ``integer`` | float64, missing is NaN: no integer dtype of NumPy can be missing | Int64 |
| ``boolean`` | float64: 0, 1 or NaN | Boolean |
| ``text`` | str (object before pandas 3), missing is NaN | String |
| ``category`` | category with the categories of training; others are missing | Enum |
| ``instant`` | datetime64[us, UTC], missing is NaT | Datetime("us", "UTC") |
| ``date`` | datetime64[us], missing is NaT | Date |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from everfit.artifact.schema import Column, InputSchema
from everfit.core.errors import InvalidRequestError, PackageError

_NAN = float("nan")
_NAT = np.iinfo(np.int64).min
_EPOCH, _EPOCH_DAY = datetime(1970, 1, 1, tzinfo=UTC), date(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_DAY_US = 86_400_000_000


class FrameBuilder:
    """Builds the estimator's data frames. It may be called from several threads at once.

    Args:
        schema: Its ``frame`` is ``pandas`` or ``polars``.

    Raises:
        PackageError: If the library is not installed.
    """

    def __init__(self, schema: InputSchema) -> None:
        self._schema = schema
        self._columns = schema.columns
        self._names = list(schema.names)
        self._readers = [_reader(column) for column in schema.columns]
        self._library = _library(schema.frame)
        make = _pandas_makers(self._library) if schema.frame == "pandas" else _POLARS
        self._makers = [_maker(make, column) for column in schema.columns]

    def from_values(self, columns: Sequence[Sequence[Any]]) -> Any:
        """Build a frame of requests.

        Args:
            columns: The values of each column of the schema: ``float``, ``int``, ``bool``, ``str``, ``datetime`` in
                UTC, ``date`` or ``None``; at least one row.

        Raises:
            InvalidRequestError: If a value is not of its column's kind.
        """
        made = {}
        for column, read, make, values in zip(self._columns, self._readers, self._makers, columns, strict=True):
            try:
                made[column.name] = make([read(value) for value in values])
            except (TypeError, ValueError, OverflowError) as problem:
                raise InvalidRequestError(
                    f"the column must hold {_ARTICLES[column.kind]}", value=_culprit(read, values), place=column.name
                ) from problem
        return self._frame(made)

    def one(self, values: Sequence[Any]) -> Any:
        """Build a frame of one row; see :meth:`from_values`."""
        return self.from_values([(value,) for value in values])

    def from_polars(self, frame: pl.DataFrame) -> Any:
        """Build a frame from history.

        Args:
            frame: Has every column of the schema; others are ignored.

        Raises:
            InvalidRequestError: If a column is absent, or its type cannot be what the schema says.
        """
        canonical = canonical_rows(self._schema, frame)
        if self._schema.frame == "polars":
            made = {column.name: _polars_column(column, canonical[column.name]) for column in self._columns}
        else:
            makers = zip(self._columns, self._makers, strict=True)
            made = {column.name: make(_array(column, canonical[column.name])) for column, make in makers}
        return self._frame(made)

    def lacking(self, frame: Any) -> list[str]:
        """The columns without a value in the first row that lacks any; empty if no row does."""
        missing = np.asarray(frame.isna()) if self._schema.frame == "pandas" else self._nulls(frame)
        for row in missing[missing.any(axis=1)][:1]:
            return [name for name, gap in zip(self._names, row, strict=True) if gap]
        return []

    def beyond(self, frame: Any, limit: float) -> dict[str, float]:
        """The numbers of greater magnitude than ``limit``, by column: one of each column that has any."""
        found: dict[str, float] = {}
        for column in self._columns:
            if column.kind == "number":
                values = np.asarray(frame[column.name], dtype=np.float64)
                large = values[np.abs(values) > limit]
                if len(large):
                    found[column.name] = float(large[0])
        return found

    def _nulls(self, frame: pl.DataFrame) -> NDArray[np.bool_]:
        return frame.select(pl.all().is_null()).to_numpy()

    def _frame(self, made: Mapping[str, Any]) -> Any:
        if self._schema.frame == "pandas":
            return self._library.DataFrame(made, copy=False)
        return self._library.DataFrame(made)


def canonical_rows(schema: InputSchema, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the schema's columns with one Polars type per kind, categories as their values; NaN becomes null.

    Raises:
        InvalidRequestError: If a column is absent, or its type cannot be what the schema says.
    """
    absent = [name for name in schema.names if name not in frame.columns]
    if absent:
        raise InvalidRequestError("every column of the schema must be given", value=frame.columns, place=absent[0])
    return pl.DataFrame([_canonical(column, frame[column.name]) for column in schema.columns])


def _canonical(column: Column, values: pl.Series) -> pl.Series:
    dtype, wanted = values.dtype, _canonical_type(column)
    is_text = isinstance(dtype, pl.String | pl.Categorical | pl.Enum)
    fits = dtype == pl.Null or (
        is_text or (dtype.is_temporal() and column.kind in {"instant", "date"})
        if wanted == pl.String or column.kind in {"instant", "date"}
        else dtype.is_numeric() or dtype == pl.Boolean
    )
    if not fits:
        raise InvalidRequestError(f"the column must hold {_ARTICLES[column.kind]}", value=str(dtype), place=column.name)
    if dtype.is_float():
        values = values.fill_nan(None)
    if is_text and column.kind in {"instant", "date"}:
        return values.str.to_datetime(time_unit="us", time_zone="UTC").cast(wanted)
    return values.cast(wanted)


def _canonical_type(column: Column) -> Any:
    if column.kind == "category":
        return pl.Int64() if any(isinstance(value, int) for value in column.categories) else pl.String()
    kinds = {
        "number": pl.Float64(),
        "integer": pl.Int64(),
        "boolean": pl.Boolean(),
        "text": pl.String(),
        "instant": pl.Datetime("us", "UTC"),
        "date": pl.Date(),
    }
    return kinds[column.kind]


def _library(kind: str) -> Any:
    if kind == "polars":
        return pl
    try:
        import pandas as pd
    except ImportError as problem:
        raise PackageError(
            'a model of frame="pandas" needs pandas', remedy="Install it: pip install 'everfit[pandas]'."
        ) from problem
    return pd


_ARTICLES = {
    "number": "a number",
    "integer": "an integer",
    "boolean": "a boolean",
    "category": "a category",
    "text": "text",
    "instant": "an instant",
    "date": "a date",
}


def _culprit(read: Callable[[Any], Any], values: Sequence[Any]) -> object:
    for value in values:
        try:
            read(value)
        except (TypeError, ValueError, OverflowError):
            return value
    return None


# From one value of a request to the value that the column's maker takes. Missing becomes what the kind has for it.


def _reader(column: Column) -> Callable[[Any], Any]:
    if column.kind == "category":
        return _category_reader(column)
    fill = column.fill
    if column.kind == "text" and fill is not None:
        return lambda value: fill if value is None else _text(value)
    return _READERS[column.kind]


def _category_reader(column: Column) -> Callable[[Any], Any]:
    codes = {value: code for code, value in enumerate(column.categories)}
    missing = -1 if column.fill is None else len(codes)

    def code(value: Any) -> int:
        return codes.get(value, missing)

    return code


def _number(value: float | None) -> float:
    return _NAN if value is None else value * 1.0


def _integer(value: float | None) -> int | None:
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return None
    whole = int(value * 1)
    if whole != value or not -(2**63) <= whole < 2**63:
        raise ValueError(value)
    return whole


def _text(value: str | None) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(value)
    return value


def _instant_us(value: datetime | str | None) -> int:
    if value is None:
        return _NAT
    # The online store may hold an instant or a date as text.
    return ((datetime.fromisoformat(value) if isinstance(value, str) else value) - _EPOCH) // _MICROSECOND


def _date_us(value: date | str | None) -> int:
    if value is None:
        return _NAT
    return ((date.fromisoformat(value) if isinstance(value, str) else value) - _EPOCH_DAY).days * _DAY_US


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "number": _number,
    "integer": _integer,
    "boolean": _number,
    "text": _text,
    "instant": _instant_us,
    "date": _date_us,
}


# From the read values of a column, or the same as an array, to the column.


def _array(column: Column, values: pl.Series) -> Any:
    """Vectorised form of the readers: convert all values of a canonical column at once."""
    if column.kind in {"number", "integer", "boolean"}:
        return values.cast(pl.Float64).fill_null(_NAN).to_numpy()
    if column.kind == "category":
        codes = {value: code for code, value in enumerate(column.categories)}
        missing = -1 if column.fill is None else len(codes)
        if not codes:
            return np.full(len(values), missing, dtype=np.int64)
        return values.replace_strict(codes, default=missing, return_dtype=pl.Int64).to_numpy()
    if column.kind == "text":
        return (values if column.fill is None else values.fill_null(column.fill)).to_list()
    moments = values.cast(pl.Datetime("us", "UTC") if column.kind == "instant" else pl.Datetime("us"))
    return moments.to_physical().fill_null(_NAT).to_numpy()


def _maker(makers: Mapping[str, Callable[..., Any]], column: Column) -> Callable[[Any], Any]:
    if column.kind != "category":
        return makers[column.kind]
    categories = list(column.categories) + ([] if column.fill is None else [column.fill])
    made: Callable[[Any], Any] = makers["category"](categories)
    return made


def _pandas_makers(pd: Any) -> Mapping[str, Callable[..., Any]]:
    # In pandas 3 the dtype of text is str; with NumPy's objects it neither needs nor notices pyarrow.
    is_three = int(pd.__version__.partition(".")[0]) >= 3
    text_type: Any = pd.StringDtype("python", na_value=np.nan) if is_three else object

    def numbers(values: Any) -> NDArray[np.float64]:
        return np.array(
            [_NAN if value is None else value for value in values] if isinstance(values, list) else values,
            dtype=np.float64,
        )

    def texts(values: Any) -> Any:
        found = np.empty(len(values), dtype=object)
        found[:] = [np.nan if value is None else value for value in values]
        return pd.array(found, dtype=text_type) if is_three else found

    def instants(values: Any) -> Any:
        return pd.DatetimeIndex(np.asarray(values, dtype=np.int64).view("M8[us]"), tz="UTC")

    def dates(values: Any) -> Any:
        return np.asarray(values, dtype=np.int64).view("M8[us]")

    def categories(known: list[Any]) -> Callable[[Any], Any]:
        dtype = pd.CategoricalDtype(pd.Index(known, dtype=object if not known or isinstance(known[0], str) else None))

        def make(codes: Any) -> Any:
            return pd.Categorical.from_codes(np.asarray(codes, dtype=np.int64), dtype=dtype)

        return make

    return {
        "number": numbers,
        "integer": numbers,
        "boolean": numbers,
        "text": texts,
        "instant": instants,
        "date": dates,
        "category": categories,
    }


def _polars_series(kind: str) -> Callable[[Any], pl.Series]:
    def make(values: Any) -> pl.Series:
        if kind in {"number", "boolean"}:
            found = pl.Series(values, dtype=pl.Float64).fill_nan(None)
            return found if kind == "number" else found.cast(pl.Boolean)
        if kind in {"integer", "text"}:
            return pl.Series(values, dtype=pl.Int64 if kind == "integer" else pl.String)
        moments = pl.Series([None if value == _NAT else value for value in values], dtype=pl.Int64)
        instants = moments.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        return instants if kind == "instant" else instants.cast(pl.Date)

    return make


def _polars_categories(known: list[Any]) -> Callable[[Any], pl.Series]:
    names = [str(value) for value in known]

    def make(codes: Any) -> pl.Series:
        return pl.Series([None if code < 0 else names[code] for code in codes], dtype=pl.Enum(names))

    return make


def _polars_column(column: Column, values: pl.Series) -> pl.Series:
    if column.kind == "category":
        made: pl.Series = _maker(_POLARS, column)(_array(column, values))
        return made
    if column.kind == "text" and column.fill is not None:
        return values.fill_null(column.fill)
    return values


_POLARS: Mapping[str, Callable[..., Any]] = {
    **{kind: _polars_series(kind) for kind in ("number", "integer", "boolean", "text", "instant", "date")},
    "category": _polars_categories,
}
