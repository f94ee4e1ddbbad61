"""One CSV file, held against the rules before any of its rows is used.

A cell that cannot be read must end in a sentence that names its file, line and value, not in an error somewhere in the
middle of a lazy query. So the file is read once in a streaming pass that counts which cells are of which type; the rows
are then read as text and cast by expressions that cannot fail.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Literal

import polars as pl

from everfit.core.errors import SourceError
from everfit.store.timestamps import INSTANT

Form = Literal["integer", "number", "decimal comma", "boolean", "date", "instant", "naive instant", "empty", "text"]
"""Common form of all cells of a column."""
_FORMS: Mapping[Form, tuple[pl.DataType, str]] = {
    "integer": (pl.Int64(), "a whole number"),
    "number": (pl.Float64(), "a number"),
    "decimal comma": (pl.Float64(), "a number"),
    "boolean": (pl.Boolean(), "true or false"),
    "date": (pl.Date(), "a date such as 2024-03-01"),
    "instant": (INSTANT, "an instant such as 2024-03-01T08:30:00Z"),
    "naive instant": (pl.Datetime("us"), "an instant of one format"),
    "empty": (pl.Null(), "empty"),
    "text": (pl.String(), "text"),
}
"""Type and description of each; the first one that all cells of a column have is the column's."""
_ORDER = tuple(_FORMS)[:-2]
_FEW = 0.05
"""A column of which all but this share of the cells are numbers, instants or booleans has bad cells; chosen."""
_MARKERS = "n/a", "na", "#n/a", "null", "none", "-", "--", "?", "missing", "unknown", ".", "#value!", "#ref!", "#div/0!"
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
        return pl.Schema({name: _FORMS[form][0] for name, form in self.forms})

    def scan(self, files: list[Path]) -> pl.LazyFrame:
        """The rows of files that have this format, lazily; no cell of them makes a query fail."""
        rows = _scan_text(files, self.separator)
        if self.blank_lines:
            rows = rows.filter(~pl.all_horizontal(pl.all().is_null()))
        return rows.select(_parsed(name, form).alias(name) for name, form in self.forms)


def _scan_text(files: list[Path], separator: str) -> pl.LazyFrame:
    return pl.scan_csv(files, glob=False, separator=separator, infer_schema=False)


def inspect_csv(file: Path, *, types: Mapping[str, pl.DataType], place: str) -> CsvFormat:
    """Read a file, UTF-8, plain or compressed by gzip (``.gz``), once and settle how its rows are read.

    Raises :class:`SourceError` if the file is empty, cut off, not UTF-8, has rows with too many or too few cells or an
    unclosed quote, or a cell that is not of its column's type; names the file and, where there is one, the line.
    """
    inspected = _Inspection(file, place)
    if not file.stat().st_size:
        raise inspected.refusal("a CSV file must have at least a header", "0 bytes", "Delete it, or write it again.")
    try:
        separator, header = inspected.header()
        blank_lines = inspected.check_lines(separator, header)
        rows = _scan_text([file], separator)
        names = rows.collect_schema().names()
        counts = _count(rows, names, decimal_comma=separator != ",")
    except (pl.exceptions.PolarsError, OSError, EOFError, gzip.BadGzipFile) as error:
        raise inspected.unreadable(error) from error
    forms = []
    for name in names:
        found = counts[name]
        form = form_of(types[name]) if name in types else _settle(found)
        if form is None or (form not in ("text", "empty") and found[form] < found["cells"]):
            form = form or _nearest(found)
            line, value = _first_bad(file, separator, name, form) or (0, "")
            reason = "as the source says" if name in types else "as nearly all are"
            remedy = "Correct the cell, or leave it empty if the value is missing"
            remedy += "." if form in ("instant", "naive instant", "date") else f"; {as_text(name)}."
            rule = f"every cell of the column {name} must be {_FORMS[form][1]}, {reason}"
            raise inspected.refusal(rule, value, remedy, line=line)
        forms.append((name, form))
    return CsvFormat(separator=separator, forms=tuple(forms), blank_lines=blank_lines)


def find_bad_cell(file: Path, format: CsvFormat, column: str, wanted: pl.DataType) -> tuple[int, str] | None:  # noqa: A002
    """The line and the text of the first cell of a text column that is not of a wanted type; ``None`` if all are."""
    form = form_of(wanted)
    return None if form in (None, "text") else _first_bad(file, format.separator, column, form)


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
    if dtype.is_numeric():
        return "integer" if dtype.is_integer() else "number"
    if isinstance(dtype, pl.Datetime):
        return "naive instant" if dtype.time_zone is None else "instant"
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return "text"
    return next((form for form, (settled, _) in _FORMS.items() if dtype == settled), None)


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
        # ISO 8601, with or without seconds and their fraction.
        zone, suffix = ("UTC", "%#z") if form == "instant" else (None, "")
        cell = cell.str.replace(" ", "T", literal=True)
        return pl.coalesce(
            cell.str.to_datetime(f"%Y-%m-%dT%H:%M{seconds}{suffix}", time_unit="us", time_zone=zone, strict=False)
            for seconds in (":%S%.f", "")
        )
    if form == "decimal comma":
        cell = pl.when(~cell.str.contains(".", literal=True)).then(cell.str.replace(",", ".", literal=True))
    return cell.cast(_FORMS[form][0], strict=False)


def _count(rows: pl.LazyFrame, names: list[str], *, decimal_comma: bool) -> dict[str, dict[str, int]]:
    """Count the cells of each form in each column, in one pass, or in two if some are neither number nor empty."""
    found = _tally(rows, names, ("integer", "number"))
    other = [name for name in names if found[name]["number"] < found[name]["cells"]]
    rest = [form for form in _ORDER[2:] if decimal_comma or form != "decimal comma"]
    for name, counts in _tally(rows, other, rest).items() if other else ():
        found[name].update(counts)
    return {name: dict.fromkeys([*_ORDER, "marked", "inexact"], 0) | counts for name, counts in found.items()}


def _tally(rows: pl.LazyFrame, names: list[str], forms: Sequence[Form]) -> dict[str, dict[str, int]]:
    wanted = []
    for name in names:
        cell = pl.col(name)
        counts = [cell.count().alias("cells"), *(_parsed(name, form).count().alias(form) for form in forms)]
        if "number" in forms:
            large = cell.cast(pl.Float64, strict=False).abs().is_between(_EXACT, 1e30)
            counts.append((large & ~cell.str.contains("[.eE]")).sum().alias("inexact"))
        else:
            counts.append(_is_marked(name).sum().alias("marked"))
        wanted.append(pl.struct(counts).alias(name))
    return rows.select(wanted).collect(engine="streaming").row(0, named=True)


def _is_marked(name: str) -> pl.Expr:
    """A cell that is a word for a missing value, or digits without letters that spell neither a number nor a time."""
    cell = pl.col(name).str.strip_chars()
    spelt = pl.any_horizontal(_parsed(name, form).is_not_null() for form in ("number", "date", "naive instant"))
    odd = cell.str.contains(r"\d") & ~cell.str.contains(r"\p{L}") & ~spelt
    return cell.str.to_lowercase().is_in(_MARKERS) | odd


def as_text(column: str) -> str:
    """The remedy where a column of CSV files is text that looks like something else."""
    return f'if the column is text, say so on the source: types={{"{column}": pl.String}}'


def _first_bad(file: Path, separator: str, name: str, form: Form) -> tuple[int, str] | None:
    """The line and the text of the first cell that is not of a form."""
    bad = pl.col(name).is_not_null() & _parsed(name, form).is_null()
    first = _scan_text([file], separator).select(name).with_row_index("row").filter(bad).head(1).collect()
    if first.is_empty():
        return None
    row, value = first.row(0)
    with _open_text(file) as stream:
        # A row begins in another line than its number says where cells hold line breaks.
        reader = csv.reader(stream, delimiter=separator)
        deque(islice(reader, row + 1), maxlen=0)
        return reader.line_num + 1, value


def _open_bytes(file: Path) -> gzip.GzipFile | BufferedReader:
    return gzip.open(file) if file.suffix.lower() == ".gz" else file.open("rb")


def _open_text(file: Path) -> io.TextIOWrapper:
    return io.TextIOWrapper(_open_bytes(file), encoding="utf-8-sig", newline="")


def _shown(text: str) -> str:
    text = text.rstrip("\r\n")
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


@dataclass(frozen=True)
class _Inspection:
    """The checks of a file's form, and its place for errors."""

    file: Path
    place: str

    def header(self) -> tuple[str, list[str]]:
        """Return the separator and the columns' names. Raises :class:`SourceError` if there is no header."""
        try:
            with _open_text(self.file) as stream:
                text = stream.readline()
                stream.seek(0)
                separator = next((mark for mark in _SEPARATORS if mark in text), ",")
                header = next(csv.reader(stream, delimiter=separator), [])
        except UnicodeDecodeError as error:
            raise self._not_utf8() from error
        if "\0" in text:
            raise self._not_utf8()
        if not any(header):
            raise self.refusal("a CSV file must have a header in its first line", text.strip(), "Write it again.")
        return separator, header

    def check_lines(self, separator: str, header: list[str]) -> bool:
        """Hold every row's number of cells against the header's; return whether there are blank lines.

        Raises :class:`SourceError` at the first row that has not as many cells as the header, or an unclosed quote.
        """
        doubled = next((name for name in header if header.count(name) > 1), None)
        if doubled is not None:
            raise self.refusal("a column must be named once in the header", doubled, "Rename one of them.")
        # The unit separator: a character that text does not have, so that a line is one cell.
        lines = pl.scan_csv(
            self.file,
            glob=False,
            has_header=False,
            quote_char=None,
            separator="\x1f",
            schema={"line": pl.String},
            truncate_ragged_lines=True,
        )
        line = pl.col("line")
        counts = lines.select(
            odd=(line.str.count_matches(separator, literal=True) != len(header) - 1).sum(),
            quoted=line.str.contains('"', literal=True).any(),
            blank=line.is_null().any(),
        )
        odd, quoted, blank = counts.collect(engine="streaming").row(0)
        if odd or quoted:
            self._check_records(separator, len(header))
        return bool(blank)

    def _check_records(self, separator: str, cells: int) -> None:
        """Read the rows one by one, for the rules that no query can hold them to."""
        taken: list[str] = []

        def lines(stream: io.TextIOWrapper) -> Iterator[str]:
            for line in stream:
                taken.append(line)
                yield line

        with _open_text(self.file) as stream:
            reader = csv.reader(lines(stream), delimiter=separator, strict=True)
            line = 1
            try:
                for row in reader:
                    self._check_record(row, "".join(taken), line, cells=cells, separator=separator)
                    taken.clear()
                    line = reader.line_num + 1
            except csv.Error as error:
                remedy = "Close the quote; a quote within a quoted cell is written twice."
                raise self.refusal("a quote must be closed", _shown("".join(taken)), remedy, line=line) from error

    def _check_record(self, row: list[str], text: str, line: int, *, cells: int, separator: str) -> None:
        if row and len(row) != cells:
            rule = f"every row must have as many cells as the header, {cells}"
            remedy = "The file may be cut off here; write it again, or put cells that hold the separator in quotes."
            raise self.refusal(rule, f"{len(row)} cells: {_shown(text)}", remedy, line=line)
        inner = text.splitlines()[1:-1]
        if text.count('"') % 2 or (cells > 1 and inner and all(part.count(separator) == cells - 1 for part in inner)):
            # Rows within a cell: it ends at the opening quote of another, or so.
            remedy = 'Close the quote; a quote within a quoted cell is written twice: "5"" pipe".'
            raise self.refusal("a quote must be closed", _shown(text), remedy, line=line)

    def unreadable(self, error: Exception) -> SourceError:
        """Return the error that explains one of Polars, of gzip or of the disk."""
        reason = str(error).strip().partition("\n")[0]
        if "utf-8" in reason.lower() or isinstance(error, UnicodeDecodeError):
            return self._not_utf8()
        rule = f"{self.file.name} must be readable as CSV: {reason}"
        return SourceError(rule, place=self.place, remedy="The file may be cut off or damaged; write it again.")

    def _not_utf8(self) -> SourceError:
        encoding, shown, line = "latin1", "another encoding", 0
        with _open_bytes(self.file) as stream:
            if stream.read(2) in (b"\xff\xfe", b"\xfe\xff"):
                encoding, shown = "utf-16", "UTF-16"
            else:
                stream.seek(0)
                for number, content in enumerate(stream, start=1):
                    try:
                        content.decode()
                    except UnicodeDecodeError:
                        shown, line = _shown(content.decode("latin-1")), number
                        break
        remedy = f"Convert it, for example: iconv -f {encoding} -t utf-8 {self.file.name}."
        return self.refusal("a CSV file must be UTF-8", shown, remedy, line=line)

    def refusal(self, rule: str, value: object, remedy: str, *, line: int = 0) -> SourceError:
        """Return the error that names the file and the line."""
        where = f"{self.place}, {self.file.name}, line {line}" if line else f"{self.place}, {self.file.name}"
        return SourceError(rule, value=value, place=where, remedy=remedy)
