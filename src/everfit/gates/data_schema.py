"""Whether the columns still look as they did in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from everfit.core.errors import SourceError
from everfit.core.evidence import ID, KNOWN_AT, LABEL, TIME
from everfit.gates.verdict import decide, percent, refuse

if TYPE_CHECKING:
    import polars as pl

    from everfit.core.evidence import Evidence
    from everfit.core.records import Verdict

MOST_CATEGORIES = 100
"""Columns of names with more values than this are identifiers rather than categories; their values are not listed."""


@dataclass(frozen=True, kw_only=True)
class DataSchema:
    """Every column must be there with its type, and nearly all values must be of a kind that was there in training.

    It is made to catch a broken export: a renamed column, a changed type or unit, a sentinel such as -999. How
    categories, missing values and distributions move is left to the gates and monitors made for it.

    Args:
        path: A schema file that was written with :func:`save_schema` and reviewed; by default the schema is inferred
            from the rows the candidate learnt from.
        max_share: The largest share of rows in which a column may be out of its range, or break a check of your own.
        request: ``"same"`` refuses a candidate whose request fields differ from the champion's in name, type or
            meaning: callers would have to change, and it could be tried neither in shadow nor as a canary. ``"any"``
            lets such a candidate pass, to be promoted by hand.
        max_new: The largest share of rows in which it may be missing though it never was, or have a name that is not
            listed. All shares count only as far as the lower end of their 99.9 % Wilson interval.
    """

    path: str = ""
    max_share: float = 0.01
    max_new: float = 0.05
    request: Literal["same", "any"] = "same"

    name: ClassVar[str] = "data_schema"

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is the number of broken rules."""
        if not self.path and evidence.reference.is_empty():
            return [refuse(self.name, "The reference holds 0 rows to infer a schema from.", threshold=0.0)]
        try:
            schema = load_schema(self.path) if self.path else infer_schema(evidence.reference)
        except SourceError as error:
            return [refuse(self.name, f"0 columns could be checked: {error}", threshold=0.0)]
        broken = check_schema(schema, evidence.holdout, max_share=self.max_share, max_new=self.max_new)
        if self.request == "same":
            broken += request_changes(evidence)
        source = self.path or "training"
        found = "; ".join(broken) if broken else "none is broken"
        sentence = f"{len(schema.columns)} columns were held against the schema of {source}: {found}."
        return [decide(self.name, not broken, sentence, value=len(broken), threshold=0.0)]


def request_changes(evidence: Evidence) -> list[str]:
    """Differences between the request of a candidate and the champion's, one clause for each field."""
    ours, theirs = evidence.request, evidence.champion_request
    if theirs is None:
        return []
    champion = f"as for the champion, version {evidence.champion_version}"
    changed = [
        f"the request field {name} is {ours.get(name, 'absent')} instead of {theirs.get(name, 'absent')} {champion}"
        for name in dict.fromkeys((*theirs, *ours))
        if ours.get(name) != theirs.get(name)
    ]
    if changed:
        changed[-1] += (
            " (callers and a rollout need the same request: give a model with another request a name of its own, "
            'or allow it with DataSchema(request="any") and promote it by hand)'
        )
    return changed


def infer_schema(reference: pl.DataFrame, *, margin: float = 1.0) -> Any:
    """The pandera schema that a frame fulfils, for Polars.

    Types of all columns but the frame's own (id, times, label); whether nulls occur; the list of values where they are
    names and few; for numbers their range, widened.

    Args:
        reference: Rows that are as they should be.
        margin: By what share of its length a range is widened at each end: wide enough for another season, too narrow
            for another unit.
    """
    import pandera.polars as pa

    frame = _plain(reference)
    columns = {}
    for column in frame.get_columns():
        nullable = column.null_count() > 0
        columns[column.name] = pa.Column(column.dtype, checks=_checks(column, margin), nullable=nullable)
    return pa.DataFrameSchema(columns, strict=False)


def save_schema(schema: Any, path: Path | str) -> None:
    """Write a schema as YAML, to be read, corrected and kept beside the project."""
    Path(path).write_text(schema.to_yaml(), encoding="utf-8")


def load_schema(path: Path | str) -> Any:
    """Read what :func:`save_schema` wrote.

    Raises:
        SourceError: If there is no such file, or it holds no schema.
    """
    import pandera.polars as pa
    import yaml
    from pandera.errors import SchemaDefinitionError

    remedy = "Write one with everfit.gates.data_schema.save_schema."
    try:
        schema = pa.DataFrameSchema.from_yaml(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError("the schema file must exist", value=str(path), remedy=remedy) from error
    except (yaml.YAMLError, SchemaDefinitionError, AttributeError, KeyError, TypeError, ValueError) as error:
        rule = f"a schema file must hold a pandera schema ({' '.join(str(error).split())})"
        raise SourceError(rule, value=str(path), remedy=remedy) from error
    if not schema.columns:
        raise SourceError("a schema file must list at least one column", value=str(path), remedy=remedy)
    return schema


def check_schema(schema: Any, frame: pl.DataFrame, *, max_share: float = 0.0, max_new: float = 0.0) -> list[str]:
    """What in a frame breaks a schema, one clause for each rule; empty if nothing does.

    Args:
        schema: From :func:`infer_schema` or :func:`load_schema`.
        frame: The rows to check.
        max_share: See :class:`DataSchema`.
        max_new: See :class:`DataSchema`.
    """
    from pandera.errors import SchemaErrors

    if frame.is_empty():
        return ["there are 0 rows to check"]
    try:
        schema.validate(_plain(frame), lazy=True)
    except SchemaErrors as errors:
        clauses = [_clause(error, len(frame), max_share, max_new) for error in errors.schema_errors]
        # A column of the wrong type also fails its checks, which would only repeat it.
        mistyped = {name for name, rule, _ in clauses if rule == "dtype"}
        return [text for name, rule, text in clauses if text and (rule == "dtype" or name not in mistyped)]
    return []


def _clause(error: Any, rows: int, max_share: float, max_new: float) -> tuple[str, str, str]:
    """The column, the kind of rule, and what is wrong: empty if it is little enough to be borne."""
    from pandera.errors import SchemaErrorReason

    from everfit.measures.proportion import wilson_interval

    name = str(error.schema.name)
    if error.reason_code is SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME:
        return str(error.failure_cases), "column", f"{error.failure_cases} is missing"
    if error.reason_code is SchemaErrorReason.WRONG_DATATYPE:
        return name, "dtype", f"{name} is {error.failure_cases} instead of {error.schema.dtype}"
    if error.reason_code is SchemaErrorReason.CHECK_ERROR:
        return name, "check", f"{name} cannot be held against {error.check}"
    empty = error.reason_code is SchemaErrorReason.SERIES_CONTAINS_NULLS
    rule = "not_nullable" if empty else str(error.check.name)
    hits, allowed = len(error.failure_cases), max_new if rule in {"not_nullable", "isin"} else max_share
    if hits == 0 or (allowed > 0 and wilson_interval(hits, rows, level=0.999)[0] <= allowed):
        return name, rule, ""
    if empty:
        words = "is missing, though it never was,"
    elif rule == "isin":
        words = "has a name that is not listed"
    else:
        words = f"breaks {error.check.error or rule}"
    return name, rule, f"{name} {words} in {hits} of {rows} rows ({percent(hits / rows)})"


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns that a schema speaks of, in types that YAML can name: names as text, missing always null."""
    import polars as pl

    columns = []
    for column in frame.get_columns():
        dtype = column.dtype
        if column.name in {ID, TIME, LABEL, KNOWN_AT} or dtype == pl.Null or dtype.is_nested():
            continue
        if dtype in (pl.Categorical, pl.Enum):
            columns.append(column.cast(pl.String))
        elif dtype.is_decimal() or dtype.is_float():
            columns.append(column.cast(pl.Float64).fill_nan(None))
        else:
            columns.append(column)
    return pl.DataFrame(columns)


def _checks(column: pl.Series, margin: float) -> list[Any]:
    import pandera.polars as pa
    import polars as pl

    if column.dtype == pl.String:
        names = sorted(column.drop_nulls().unique().to_list())
        return [pa.Check.isin(names)] if 0 < len(names) <= MOST_CATEGORIES else []
    if not column.dtype.is_numeric():
        return []
    finite = column.cast(pl.Float64).drop_nulls()
    finite = finite.filter(finite.is_finite())
    if finite.is_empty():
        return []
    low, high = float(finite.min()), float(finite.max())  # type: ignore[arg-type]
    # A column of one value has no length; its size is the next best unit.
    reach = margin * ((high - low) or max(abs(low), 1.0))
    return [pa.Check.in_range(low - reach, high + reach)]
