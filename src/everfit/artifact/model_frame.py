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
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from everfit.artifact.expressions.row_pipeline import RowPipeline
from everfit.artifact.input_limits import FLOAT32_MAX, InputLimits, LimitedPredictor, not_missing, too_large
from everfit.artifact.manifest import RowPath
from everfit.artifact.predictor import Predictor
from everfit.artifact.schema import Column, InputSchema
from everfit.core.errors import InvalidRequestError, PackageError

_NAN = float("nan")
_NAT = np.iinfo(np.int64).min
_EPOCH, _EPOCH_DAY = datetime(1970, 1, 1, tzinfo=UTC), date(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_DAY_US = 86_400_000_000
_NOT_OF_ITS_KIND = (TypeError, ValueError, OverflowError)

Makers = Mapping[str, Callable[..., Any]]
"""By kind, from read values to a column; for categories, from the categories to such a function."""


class FrameBuilder:
    """Builds the estimator's data frames. It may be called from several threads at once.

    The schema's ``frame`` is ``pandas`` or ``polars``; raises :class:`~everfit.core.errors.PackageError` if the library
    is not installed.
    """

    def __init__(self, schema: InputSchema) -> None:
        self._schema = schema
        self._columns = schema.columns
        self._is_pandas = schema.frame == "pandas"
        pd = _import_pandas() if self._is_pandas else None
        makers = _pandas_makers(pd) if pd else _POLARS
        self._frame: Callable[[Mapping[str, Any]], Any] = partial(pd.DataFrame, copy=False) if pd else pl.DataFrame
        self._readers = [_reader(column) for column in schema.columns]
        self._makers = [_maker(makers, column) for column in schema.columns]

    def from_values(self, columns: Sequence[Sequence[Any]]) -> Any:
        """Build a frame of requests.

        Each column of the schema has at least one value: ``float``, ``int``, ``bool``, ``str``, ``datetime`` in UTC,
        ``date`` or ``None``. Raises :class:`~everfit.core.errors.InvalidRequestError` if one is not of its kind.
        """
        made = {}
        for column, read, make, values in zip(self._columns, self._readers, self._makers, columns, strict=True):
            try:
                made[column.name] = make([read(value) for value in values])
            except _NOT_OF_ITS_KIND as problem:
                raise _wrong_type(column, _culprit(read, values)) from problem
        return self._frame(made)

    def one(self, values: Sequence[Any]) -> Any:
        """Build a frame of one row; see :meth:`from_values`."""
        return self.from_values([(value,) for value in values])

    def from_polars(self, frame: pl.DataFrame) -> Any:
        """Build a frame from history, by :func:`canonical_rows`."""
        canonical = canonical_rows(self._schema, frame).get_columns()
        columns = zip(self._columns, self._makers, canonical, strict=True)
        if self._is_pandas:
            return self._frame({column.name: make(_array(column, values)) for column, make, values in columns})
        made = {}
        for column, make, values in columns:
            filled = values if column.fill is None or column.kind != "text" else values.fill_null(column.fill)
            made[column.name] = make(_array(column, values)) if column.kind == "category" else filled
        return self._frame(made)

    def lacking(self, frame: Any) -> list[str]:
        """The columns without a value in the first row that lacks any; empty if no row does."""
        missing = np.asarray(frame.isna() if self._is_pandas else frame.select(pl.all().is_null()))
        for row in missing[missing.any(axis=1)][:1]:
            return [name for name, gap in zip(self._schema.names, row, strict=True) if gap]
        return []

    def beyond(self, frame: Any, limit: float) -> dict[str, float]:
        """The numbers of greater magnitude than ``limit``, by column: one of each column that has any."""
        found: dict[str, float] = {}
        for column in self._columns:
            if column.kind == "number":
                values = np.asarray(frame[column.name], dtype=np.float64)
                for number in values[np.abs(values) > limit][:1]:
                    found[column.name] = float(number)
        return found


class FramePredictor(LimitedPredictor):
    """Predictor on data frames, a single row as a frame of one row."""

    def __init__(self, predictor: Predictor, schema: InputSchema, limits: InputLimits) -> None:
        super().__init__(predictor, schema, limits)
        self._builder = FrameBuilder(schema)

    def predict(self, matrix: Any) -> NDArray[np.float64]:
        """Predict the rows of a frame; refuse missing values that the estimator does not take.

        So are numbers that float32 cannot hold if the estimator refuses them, as scikit-learn's forests do.
        """
        if not self._accepts_missing and (names := self._builder.lacking(matrix)):
            raise not_missing(names)
        try:
            return self._predictor.predict(matrix)
        except Exception as refusal:
            large = self._builder.beyond(matrix, FLOAT32_MAX)
            if not large:
                raise
            raise too_large(large, FLOAT32_MAX) from refusal

    def predict_one(self, vector: Sequence[Any] | NDArray[np.float64]) -> float | list[float]:
        """Predict one row: one value per column of the schema, ``None`` where it is missing."""
        prediction: float | list[float] = self.predict(self._builder.one(list(vector)))[0].tolist()
        return prediction


class FramePipeline(RowPipeline):
    """Turns requests into inputs of an estimator on data frames: a row's values, or a data frame."""

    def __init__(
        self, schema: InputSchema, paths: Mapping[str, RowPath], functions: Mapping[str, Callable[[Any], Any]]
    ) -> None:
        super().__init__(schema, paths, functions)
        self._builder = FrameBuilder(schema)

    def encode(self, row: Sequence[Any], used: Sequence[Any]) -> list[Any]:
        """Return the values of the schema's columns; the predictor checks them when it builds a frame of them."""
        values = (*row, *used, None)
        return [values[place] for place in self._places]

    def encode_all(self, rows: Sequence[Sequence[Any]], used: Sequence[Sequence[Any]]) -> Any:
        """Build a data frame of many requests."""
        return self._builder.from_values(self._columns(rows, used))


def canonical_rows(schema: InputSchema, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the schema's columns with one Polars type per kind, categories as their values; NaN becomes null.

    Raises :class:`~everfit.core.errors.InvalidRequestError` if a column is absent, or its type cannot be what the
    schema says.
    """
    absent = [name for name in schema.names if name not in frame.columns]
    if absent:
        raise InvalidRequestError("every column of the schema must be given", value=frame.columns, place=absent[0])
    return pl.DataFrame([_canonical(column, frame[column.name]) for column in schema.columns])


def _canonical(column: Column, values: pl.Series) -> pl.Series:
    dtype, wanted = values.dtype, _KINDS[column.kind].type
    if column.kind == "category" and any(isinstance(value, int) for value in column.categories):
        wanted = pl.Int64()
    is_text, is_moment = isinstance(dtype, pl.String | pl.Categorical | pl.Enum), column.kind in {"instant", "date"}
    if wanted == pl.String or is_moment:
        fits = is_text or (dtype.is_temporal() and is_moment)
    else:
        fits = dtype.is_numeric() or dtype == pl.Boolean
    if not fits and dtype != pl.Null:
        raise _wrong_type(column, str(dtype))
    if dtype.is_float():
        values = values.fill_nan(None)
    if is_text and is_moment:
        return values.str.to_datetime(time_unit="us", time_zone="UTC").cast(wanted)
    return values.cast(wanted)


def _wrong_type(column: Column, got: object) -> InvalidRequestError:
    return InvalidRequestError(f"the column must hold {_KINDS[column.kind].article}", value=got, place=column.name)


def _culprit(read: Callable[[Any], Any], values: Sequence[Any]) -> object:
    for value in values:
        try:
            read(value)
        except _NOT_OF_ITS_KIND:
            return value
    return None


def _import_pandas() -> Any:
    try:
        import pandas as pd
    except ImportError as problem:
        raise PackageError(
            'a model of frame="pandas" needs pandas', remedy="Install it: pip install 'everfit[pandas]'."
        ) from problem
    return pd


# From one value of a request to the value that the column's maker takes. Missing becomes what the kind has for it.


def _reader(column: Column) -> Callable[[Any], Any]:
    if column.kind == "category":
        codes, missing = _codes(column)
        return lambda value: codes.get(value, missing)
    fill = column.fill
    if column.kind == "text" and fill is not None:
        return lambda value: fill if value is None else _text(value)
    return _KINDS[column.kind].read


def _codes(column: Column) -> tuple[dict[str | int, int], int]:
    """Numbers of the categories, and of any other value; if that is filled, it is the last category."""
    codes = {value: code for code, value in enumerate(column.categories)}
    return codes, -1 if column.fill is None else len(codes)


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


class _Kind(NamedTuple):
    article: str
    type: pl.DataType
    """The type of canonical rows."""
    read: Callable[[Any], Any]


_KINDS: Mapping[str, _Kind] = {
    "number": _Kind("a number", pl.Float64(), _number),
    "integer": _Kind("an integer", pl.Int64(), _integer),
    "boolean": _Kind("a boolean", pl.Boolean(), _number),
    "category": _Kind("a category", pl.String(), _text),
    "text": _Kind("text", pl.String(), _text),
    "instant": _Kind("an instant", pl.Datetime("us", "UTC"), _instant_us),
    "date": _Kind("a date", pl.Date(), _date_us),
}


# From the read values of a column, or the same as an array, to the column.


def _array(column: Column, values: pl.Series) -> Any:
    """Vectorised form of the readers: convert all values of a canonical column at once."""
    if column.kind in {"number", "integer", "boolean"}:
        return values.cast(pl.Float64).fill_null(_NAN).to_numpy()
    if column.kind == "category":
        codes, missing = _codes(column)
        if not codes:
            return np.full(len(values), missing, dtype=np.int64)
        return values.replace_strict(codes, default=missing, return_dtype=pl.Int64).to_numpy()
    if column.kind == "text":
        return (values if column.fill is None else values.fill_null(column.fill)).to_list()
    moments = values.cast(pl.Datetime("us", "UTC") if column.kind == "instant" else pl.Datetime("us"))
    return moments.to_physical().fill_null(_NAT).to_numpy()


def _maker(makers: Makers, column: Column) -> Callable[[Any], Any]:
    if column.kind != "category":
        return makers[column.kind]
    known = column.categories if column.fill is None else (*column.categories, column.fill)
    made: Callable[[Any], Any] = makers["category"](list(known))
    return made


def _pandas_makers(pd: Any) -> Makers:
    # In pandas 3 the dtype of text is str; with NumPy's objects it neither needs nor notices pyarrow.
    is_three = int(pd.__version__.partition(".")[0]) >= 3
    text_type: Any = pd.StringDtype("python", na_value=np.nan) if is_three else object

    def numbers(values: Any) -> NDArray[np.float64]:
        if isinstance(values, list):
            values = [_NAN if value is None else value for value in values]
        return np.array(values, dtype=np.float64)

    def texts(values: Any) -> Any:
        found = np.empty(len(values), dtype=object)
        found[:] = [np.nan if value is None else value for value in values]
        return pd.array(found, dtype=text_type) if is_three else found

    def instants(values: Any) -> Any:
        return pd.DatetimeIndex(dates(values), tz="UTC")

    def dates(values: Any) -> Any:
        return np.asarray(values, dtype=np.int64).view("M8[us]")

    def categories(known: list[Any]) -> Callable[[Any], Any]:
        dtype = pd.CategoricalDtype(pd.Index(known, dtype=object if not known or isinstance(known[0], str) else None))
        return lambda codes: pd.Categorical.from_codes(np.asarray(codes, dtype=np.int64), dtype=dtype)

    others = {"text": texts, "category": categories, "instant": instants, "date": dates}
    return {**dict.fromkeys(("number", "integer", "boolean"), numbers), **others}


def _polars_instants(values: Any) -> pl.Series:
    moments = pl.Series([None if value == _NAT else value for value in values], dtype=pl.Int64)
    return moments.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _polars_categories(known: list[Any]) -> Callable[[Any], pl.Series]:
    names = [str(value) for value in known]
    return lambda codes: pl.Series([None if code < 0 else names[code] for code in codes], dtype=pl.Enum(names))


_POLARS: Makers = {
    "number": lambda values: pl.Series(values, dtype=pl.Float64).fill_nan(None),
    "integer": lambda values: pl.Series(values, dtype=pl.Int64),
    "boolean": lambda values: pl.Series(values, dtype=pl.Float64).fill_nan(None).cast(pl.Boolean),
    "text": lambda values: pl.Series(values, dtype=pl.String),
    "instant": _polars_instants,
    "date": lambda values: _polars_instants(values).cast(pl.Date),
    "category": _polars_categories,
}
