"""One CSV file, held against the rules before any of its rows is used.

A cell that cannot be read must end in a sentence that names its file, line and value, not in an error somewhere in the
middle of a lazy query. So the file is read once in a streaming pass that counts which cells are of which type; the rows
are then read as text and cast by expressions that cannot fail.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Literal

import polars as pl

from everfit.core.errors import SourceError
from everfit.store.common_type import INSTANT

Form = Literal["empty", "integer", "number", "decimal comma", "boolean", "instant", "naive instant", "date", "text"]
"""Common form of all cells of a column."""
_TYPES: Mapping[Form, pl.DataType] = {
    "empty": pl.Null(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "decimal comma": pl.Float64(),
    "boolean": pl.Boolean(),
    "instant": INSTANT,
    "naive instant": pl.Datetime("us"),
    "date": pl.Date(),
    "text": pl.String(),
}
_ORDER: tuple[Form, ...] = ("integer", "number", "decimal comma", "boolean", "date", "instant", "naive instant")
_FEW = 0.05
"""A column of which all but this share of the cells are numbers, instants or booleans has bad cells; chosen."""
_MARKERS = (
    "n/a",
    "na",
    "#n/a",
    "null",
    "none",
    "-",
    "--",
    "?",
    "missing",
    "unknown",
    ".",
    "#value!",
    "#ref!",
    "#div/0!",
)
"""Words for a missing value, in lower case: among numbers they are no category."""
_LONGEST_SHOWN = 60
_EXACT = 2.0**53
"""Integers beyond are not exact in Float64."""
_SEPARATORS = (",", ";", "\t", "|")
"""The first of them that the header has is the file's; a header without any is one column."""


@dataclass(frozen=True, kw_only=True)
class CsvFormat:
    """Format of a file's rows; files of an equal format are read by one scan."""

    separator: str
    forms: tuple[tuple[str, Form], ...]
    """Of each column, in order."""
    blank_lines: bool = False
    """True if the file has empty lines; they are no rows."""

    @property
    def schema(self) -> pl.Schema:
        """The columns' types."""
        return pl.Schema({name: _TYPES[form] for name, form in self.forms})

    def scan(self, files: list[Path]) -> pl.LazyFrame:
        """The rows of files that have this format, lazily; no cell of them makes a query fail."""
        rows = scan_text(files, self.separator)
        if self.blank_lines:
            rows = rows.filter(~pl.all_horizontal(pl.all().is_null()))
        return rows.select(_parsed(name, form).alias(name) for name, form in self.forms)


def scan_text(files: list[Path], separator: str) -> pl.LazyFrame:
    """The rows as text."""
    return pl.scan_csv(files, glob=False, separator=separator, infer_schema=False)


def inspect_csv(file: Path, *, types: Mapping[str, pl.DataType], place: str) -> CsvFormat:
    """Read a file once and settle how its rows are read.

    Raises :class:`SourceError` if the file is empty, cut off, not UTF-8, has rows with too many or too few cells or an
    unclosed quote, or a cell that is not of its column's type; names the file and, where there is one, the line.

    Args:
        file: UTF-8, plain or compressed by gzip (``.gz``).
        types: What some columns are said to hold.
        place: For errors.
    """
    if not file.stat().st_size:
        raise _refuse(file, "a CSV file must have at least a header", "0 bytes", place, "Delete it, or write it again.")
    try:
        separator, header = _header(file, place)
        blank_lines = _check_lines(file, separator, header, place)
        rows = scan_text([file], separator)
        names = rows.collect_schema().names()
        counts = _count(rows, names, decimal_comma=separator != ",")
    except (pl.exceptions.PolarsError, OSError, EOFError, gzip.BadGzipFile) as error:
        raise _unreadable(file, error, place) from error
    forms = []
    for name in names:
        found = counts[name]
        form = form_of(types[name]) if name in types else _settle(found)
        if form is None or (form not in ("text", "empty") and found[form] < found["cells"]):
            raise _bad_cell(file, rows, name, form or _nearest(found), separator, place, declared=name in types)
        forms.append((name, form))
    return CsvFormat(separator=separator, forms=tuple(forms), blank_lines=blank_lines)


def find_bad_cell(file: Path, format: CsvFormat, column: str, wanted: pl.DataType) -> tuple[int, str] | None:  # noqa: A002
    """The line and the text of the first cell of a text column that is not of a wanted type; ``None`` if all are."""
    form = form_of(wanted)
    if form is None or form == "text":
        return None
    return _first_bad(file, scan_text([file], format.separator), column, form, format.separator)


def _settle(found: Mapping[str, int]) -> Form | None:
    """The form of a column; ``None`` if it has a few bad cells."""
    cells = found["cells"]
    if not cells:
        return "empty"
    if found["number"] == cells and found["integer"] < cells and found["inexact"]:
        return "text"  # identifiers of twenty digits are not numbers
    for form in _ORDER:
        if found[form] == cells:
            return form
    # Codes are text though most of them may be digits; a word for a missing value, "1,5" or "12.03.24" is a mistake.
    nearest = found[_nearest(found)]
    marked = nearest > cells / 2 and nearest + found["marked"] == cells
    return None if marked or nearest >= (1 - _FEW) * cells else "text"


def _nearest(found: Mapping[str, int]) -> Form:
    return max(_ORDER, key=lambda form: found[form])


def form_of(dtype: pl.DataType) -> Form | None:
    """The form of cells that hold values of a type; ``None`` if CSV cannot carry it."""
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    for form, settled in _TYPES.items():
        if dtype == settled:
            return form
    if isinstance(dtype, pl.Datetime):
        return "naive instant" if dtype.time_zone is None else "instant"
    return "text" if isinstance(dtype, pl.Categorical | pl.Enum) else None


def _parsed(name: str, form: Form) -> pl.Expr:
    """A column's cells in their type, null where a cell is not of it."""
    cell = pl.col(name)
    if form == "text":
        return cell
    if form == "empty":
        return cell.cast(pl.Null, strict=False)
    cell = cell.str.strip_chars()
    if form == "boolean":
        return cell.str.to_lowercase().replace_strict(["true", "false"], [True, False], default=None)
    if form == "date":
        return cell.str.to_date("%Y-%m-%d", strict=False)
    if form in ("instant", "naive instant"):
        return _instant(cell, zone=form == "instant")
    if form == "decimal comma":
        cell = pl.when(~cell.str.contains(".", literal=True)).then(cell.str.replace(",", ".", literal=True))
    return cell.cast(_TYPES[form], strict=False)


def _instant(cell: pl.Expr, *, zone: bool) -> pl.Expr:
    """ISO 8601, with or without seconds and their fraction."""
    cell = cell.str.replace(" ", "T", literal=True)
    forms = (f"%Y-%m-%dT%H:%M{seconds}{'%#z' if zone else ''}" for seconds in (":%S%.f", ""))
    name = "UTC" if zone else None
    return pl.coalesce(cell.str.to_datetime(form, time_unit="us", time_zone=name, strict=False) for form in forms)


def _count(rows: pl.LazyFrame, names: list[str], *, decimal_comma: bool) -> dict[str, dict[str, int]]:
    """Count the cells of each form in each column, in one pass, or in two if some are neither number nor empty."""
    forms: tuple[Form, ...] = ("integer", "number")
    found = _tally(rows, names, forms)
    other = [name for name in names if found[name]["number"] < found[name]["cells"]]
    if other:
        rest = tuple(form for form in _ORDER[2:] if decimal_comma or form != "decimal comma")
        for name, counts in _tally(rows, other, rest).items():
            found[name].update(counts)
    return {name: dict.fromkeys([*_ORDER, "marked", "inexact"], 0) | counts for name, counts in found.items()}


def _tally(rows: pl.LazyFrame, names: list[str], forms: tuple[Form, ...]) -> dict[str, dict[str, int]]:
    if not names:
        return {}
    wanted: dict[str, pl.Expr] = {}
    for place, name in enumerate(names):
        cell = pl.col(name)
        wanted[f"{place} cells"] = cell.count()
        for form in forms:
            wanted[f"{place} {form}"] = _parsed(name, form).count()
        if "number" in forms:
            large = cell.cast(pl.Float64, strict=False).abs().is_between(_EXACT, 1e30)
            wanted[f"{place} inexact"] = (large & ~cell.str.contains("[.eE]")).sum()
        else:
            wanted[f"{place} marked"] = _is_marked(name).sum()
    row = rows.select(**wanted).collect(engine="streaming").row(0, named=True)
    found: dict[str, dict[str, int]] = {name: {} for name in names}
    for key, value in row.items():
        place_of, _, what = key.partition(" ")
        found[names[int(place_of)]][what] = int(value)
    return found


def _is_marked(name: str) -> pl.Expr:
    """A cell that is a word for a missing value, or digits without letters that spell neither a number nor a time."""
    cell = pl.col(name).str.strip_chars()
    spelt = pl.any_horizontal(_parsed(name, form).is_not_null() for form in ("number", "date", "naive instant"))
    odd = cell.str.contains(r"\d") & ~cell.str.contains(r"\p{L}") & ~spelt
    return cell.str.to_lowercase().is_in(_MARKERS) | odd


def _check_lines(file: Path, separator: str, header: list[str], place: str) -> bool:
    """Hold every row's number of cells against the header's; return whether there are blank lines."""
    doubled = next((name for name in header if header.count(name) > 1), None)
    if doubled is not None:
        raise _refuse(file, "a column must be named once in the header", doubled, place, "Rename one of them.")
    # The unit separator: a character that text does not have, so that a line is one cell.
    lines = pl.scan_csv(
        file,
        glob=False,
        has_header=False,
        quote_char=None,
        separator="\x1f",
        schema={"line": pl.String},
        truncate_ragged_lines=True,
    )
    line = pl.col("line")
    odd = (line.str.count_matches(separator, literal=True) != len(header) - 1).sum()
    odd, quoted, blank = (
        lines.select(odd=odd, quoted=line.str.contains('"', literal=True).any(), blank=line.is_null().any())
        .collect(engine="streaming")
        .row(0)
    )
    if odd or quoted:
        _check_records(file, separator, len(header), place)
    return bool(blank)


def _check_records(file: Path, separator: str, cells: int, place: str) -> None:
    """Read the rows one by one, for the rules that no query can hold them to.

    Raises :class:`SourceError` at the first row that has not as many cells as the header, or an unclosed quote.
    """
    taken: list[str] = []

    def lines(stream: io.TextIOWrapper) -> Iterator[str]:
        for line in stream:
            taken.append(line)
            yield line

    with _open_text(file) as stream:
        reader = csv.reader(lines(stream), delimiter=separator, strict=True)
        line = 1
        try:
            for row in reader:
                _check_record(file, row, "".join(taken), line, cells=cells, separator=separator, place=place)
                taken.clear()
                line = reader.line_num + 1
        except csv.Error as error:
            remedy = "Close the quote; a quote within a quoted cell is written twice."
            raise _refuse(file, "a quote must be closed", _shown("".join(taken)), place, remedy, line=line) from error


def _check_record(file: Path, row: list[str], text: str, line: int, *, cells: int, separator: str, place: str) -> None:
    if row and len(row) != cells:
        rule = f"every row must have as many cells as the header, {cells}"
        remedy = "The file may be cut off here; write it again, or put cells that hold the separator in quotes."
        raise _refuse(file, rule, f"{len(row)} cells: {_shown(text)}", place, remedy, line=line)
    inner = text.splitlines()[1:-1]
    if text.count('"') % 2 or (cells > 1 and inner and all(part.count(separator) == cells - 1 for part in inner)):
        # Rows within a cell: it ends at the opening quote of another, or so.
        remedy = 'Close the quote; a quote within a quoted cell is written twice: "5"" pipe".'
        raise _refuse(file, "a quote must be closed", _shown(text), place, remedy, line=line)


def _bad_cell(
    file: Path, rows: pl.LazyFrame, name: str, form: Form, separator: str, place: str, *, declared: bool
) -> SourceError:
    line, value = _first_bad(file, rows, name, form, separator) or (0, "")
    reason = "as the source says" if declared else "as nearly all are"
    rule = f"every cell of the column {name} must be {_named(form)}, {reason}"
    remedy = "Correct the cell, or leave it empty if the value is missing"
    remedy += f"; {as_text(name)}." if form not in ("instant", "naive instant", "date") else "."
    return _refuse(file, rule, value, place, remedy, line=line)


def as_text(column: str) -> str:
    """The remedy where a column of CSV files is text that looks like something else."""
    return f'if the column is text, say so on the source: types={{"{column}": pl.String}}'


def _first_bad(file: Path, rows: pl.LazyFrame, name: str, form: Form, separator: str) -> tuple[int, str] | None:
    bad = pl.col(name).is_not_null() & _parsed(name, form).is_null()
    first = rows.select(name).with_row_index("row").filter(bad).head(1).collect()
    if first.is_empty():
        return None
    row, value = first.row(0)
    return _line_of(file, separator, row), value


def _line_of(file: Path, separator: str, row: int) -> int:
    """The line in which a row begins, which is another than its number where cells hold line breaks."""
    with _open_text(file) as stream:
        reader = csv.reader(stream, delimiter=separator)
        before = 0
        for number, _ in enumerate(reader):
            if number == row + 1:
                break
            before = reader.line_num
        return before + 1


def _named(form: Form) -> str:
    return {
        "integer": "a whole number",
        "number": "a number",
        "decimal comma": "a number",
        "boolean": "true or false",
        "instant": "an instant such as 2024-03-01T08:30:00Z",
        "naive instant": "an instant of one format",
        "date": "a date such as 2024-03-01",
    }.get(form, form)


def _header(file: Path, place: str) -> tuple[str, list[str]]:
    """The separator and the columns' names."""
    try:
        with _open_text(file) as stream:
            text = stream.readline()
            stream.seek(0)
            separator = next((mark for mark in _SEPARATORS if mark in text), ",")
            header = next(csv.reader(stream, delimiter=separator), [])
    except UnicodeDecodeError as error:
        raise _not_utf8(file, place) from error
    if "\0" in text:
        raise _not_utf8(file, place)
    if not any(header):
        raise _refuse(file, "a CSV file must have a header in its first line", text.strip(), place, "Write it again.")
    return separator, header


def _open_bytes(file: Path) -> gzip.GzipFile | BufferedReader:
    return gzip.open(file) if file.suffix.lower() == ".gz" else file.open("rb")


def _open_text(file: Path) -> io.TextIOWrapper:
    return io.TextIOWrapper(_open_bytes(file), encoding="utf-8-sig", newline="")


def _unreadable(file: Path, error: Exception, place: str) -> SourceError:
    reason = str(error).strip().partition("\n")[0]
    if "utf-8" in reason.lower() or isinstance(error, UnicodeDecodeError):
        return _not_utf8(file, place)
    rule = f"{file.name} must be readable as CSV: {reason}"
    return SourceError(rule, place=place, remedy="The file may be cut off or damaged; write it again.")


def _not_utf8(file: Path, place: str) -> SourceError:
    remedy = f"Convert it, for example: iconv -f latin1 -t utf-8 {file.name}"
    with _open_bytes(file) as stream:
        start = stream.read(2)
        if start in (b"\xff\xfe", b"\xfe\xff"):
            return _refuse(file, "a CSV file must be UTF-8", "UTF-16", place, remedy.replace("latin1", "utf-16") + ".")
        stream.seek(0)
        for number, line in enumerate(stream, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                shown = _shown(line.decode("latin-1"))
                return _refuse(file, "a CSV file must be UTF-8", shown, place, f"{remedy}.", line=number)
    return _refuse(file, "a CSV file must be UTF-8", "another encoding", place, f"{remedy}.")


def _shown(text: str) -> str:
    text = text.rstrip("\r\n")
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _refuse(file: Path, rule: str, value: object, place: str, remedy: str, *, line: int = 0) -> SourceError:
    where = f"{place}, {file.name}, line {line}" if line else f"{place}, {file.name}"
    return SourceError(rule, value=value, place=where, remedy=remedy)
