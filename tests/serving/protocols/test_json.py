"""Every wrong request is refused with the field, its value and what was expected."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfit.artifact.schema import FieldType, InputSchema, RequestField
from everfit.core.errors import InvalidRequestError, RequestTooLargeError
from everfit.serving.protocols.json import RequestDecoder

TYPES: tuple[FieldType, ...] = ("string", "integer", "number", "boolean", "instant", "date")
SCHEMA = InputSchema(
    model="late",
    task="binary",
    request=tuple(RequestField(name=f"the {kind}", type=kind) for kind in TYPES),
    event_time="",
    lookups=(),
    computations=(),
    columns=(),
)
ROW: dict[str, Any] = {
    "the string": "a",
    "the integer": 1,
    "the number": 1.5,
    "the boolean": True,
    "the instant": "2024-03-01T08:30:00+01:00",
    "the date": "2024-03-01",
}
DECODER = RequestDecoder(SCHEMA, max_rows=3)


def refused(body: bytes) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as found:
        DECODER.decode(body)
    return found.value


def test_values_become_what_models_take() -> None:
    request = DECODER.decode(json.dumps({"inputs": [ROW, dict.fromkeys(ROW)]}).encode())
    assert request.rows[0] == ("a", 1, 1.5, True, datetime(2024, 3, 1, 7, 30, tzinfo=UTC), date(2024, 3, 1))
    assert request.rows[0][4].tzinfo is UTC
    assert request.rows[1] == (None,) * len(ROW)
    assert request.ids is None


ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(
    st.tuples(
        st.text(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
        st.datetimes(
            datetime(1, 1, 3),  # noqa: DTZ001 - bounds take no zone
            datetime(9999, 12, 29),  # noqa: DTZ001 - as above
            timezones=ZONES,
        ),
        st.dates(),
    )
)
def test_whatever_json_can_carry_arrives(values: tuple[Any, ...]) -> None:
    given_row = dict(zip(ROW, values, strict=True))
    sent = {name: value.isoformat() if isinstance(value, date) else value for name, value in given_row.items()}
    try:
        body = json.dumps({"inputs": sent}, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair is no text
        return
    assert DECODER.decode(body).rows == [values]


WRONG: list[tuple[str, Any]] = [
    ("the string", 1),
    ("the string", ["a"]),
    ("the integer", 1.5),
    ("the integer", "1"),
    ("the integer", True),
    ("the integer", 2**63),
    ("the number", "1.5"),
    ("the number", True),
    ("the boolean", 1),
    ("the boolean", "true"),
    ("the instant", "2024-03-01T08:30:00"),
    ("the instant", "yesterday"),
    ("the instant", 1709281800),
    ("the date", "2024-02-30"),
    ("the date", "01.03.2024"),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_wrong_type_is_named_with_its_value(field: str, value: Any) -> None:
    error = refused(json.dumps({"inputs": [ROW, ROW | {field: value}]}).encode())
    assert error.place == f"inputs[1].{field}"
    assert str(error.value) == (json.dumps(value) if isinstance(value, list) else str(value))
    assert error.rule.startswith("must be ")
    assert "or null" in error.rule


def test_an_instant_beyond_the_calendar() -> None:
    body = json.dumps({"inputs": ROW | {"the instant": "0001-01-01T00:00:00+14:00"}}).encode()
    assert refused(body).place == "the instant"


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_what_is_no_json_number_is_refused(number: bytes) -> None:
    error = refused(json.dumps({"inputs": ROW}).encode().replace(b"1.5", number))
    assert "NaN and Infinity" in error.rule


def test_a_number_too_large_is_named() -> None:
    error = refused(json.dumps({"inputs": ROW}).encode().replace(b"1.5", b"1e999"))
    assert error.place == "inputs.the number"


@pytest.mark.parametrize("field", ROW)
def test_every_field_must_be_given(field: str) -> None:
    error = refused(json.dumps({"inputs": [{name: value for name, value in ROW.items() if name != field}]}).encode())
    assert error.place == f"inputs[0].{field}"
    assert error.rule.startswith("must be given")


def test_no_other_field_may_be_given() -> None:
    error = refused(json.dumps({"inputs": [ROW | {"colour": "red"}]}).encode())
    assert (error.place, error.value) == ("inputs[0].colour", "red")
    assert "the string, the integer" in error.rule


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"\xff", "body"),
        (b'{"inputs": [], "id": "\xff"}', "body"),
        (b'{"inputs": "\\ud800"}', "body"),
        (b"[" * 100_000, "body"),
        (b'{"inputs":' + b"[" * 100_000, "body"),
        (b"[]", "body"),
        (b"null", "body"),
        (b"{}", "inputs"),
        (b'{"inputs": null}', "inputs"),
        (b'{"inputs": []}', "inputs"),
        (b'{"inputs": {}}', "inputs"),
        (b'{"inputs": 5}', "inputs"),
        (b'{"inputs": [5]}', "inputs[0]"),
        (b'{"inputs": [[1, 2]]}', "inputs[0]"),
        (b'{"instances": []}', "instances"),
    ],
)
def test_what_is_no_request(body: bytes, field: str) -> None:
    assert refused(body).place == field


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"id": 5}, "id"),
        ({"id": ""}, "id"),
        ({"id": "x" * 201}, "id"),
        ({"ids": "ab"}, "ids"),
        ({"ids": ["a"]}, "ids"),
        ({"ids": ["a", "a"]}, "ids"),
        ({"ids": ["a", 5]}, "ids"),
        ({"id": "a", "ids": ["a", "b"]}, "ids"),
    ],
)
def test_ids_that_cannot_be(more: dict[str, Any], field: str) -> None:
    assert refused(json.dumps({"inputs": [ROW, ROW], **more}).encode()).place == field


def test_more_rows_than_are_accepted() -> None:
    with pytest.raises(RequestTooLargeError, match="at most 3 rows"):
        DECODER.decode(json.dumps({"inputs": [ROW] * 4}).encode())


def test_a_long_value_is_shown_shortened() -> None:
    assert len(str(refused(json.dumps({"inputs": ROW | {"the number": "x" * 10_000}}).encode()))) < 300


@given(
    st.binary(max_size=60)
    | st.recursive(st.none() | st.booleans() | st.text() | st.integers(), st.lists).map(json.dumps).map(str.encode)
)
def test_nothing_but_these_errors_comes_out(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        DECODER.decode(body)
