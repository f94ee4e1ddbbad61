"""Lines of one form, for people and for programs."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from everfit.cli.logs import JsonFormat, LineFormat


@pytest.fixture
def record() -> logging.LogRecord:
    made = logging.LogRecord("everfit.runtime.controller", logging.ERROR, "", 1, "order %s: %s", (7, "too late"), None)
    made.created = 1_384_300_800.25
    return made


def test_a_line_says_when_who_and_what(record: logging.LogRecord) -> None:
    line = LineFormat("controller").format(record)
    assert line == "2013-11-13T00:00:00.250Z ERROR   controller  runtime.controller: order 7: too late"


def test_a_program_gets_a_document(record: logging.LogRecord) -> None:
    try:
        raise ValueError("why")
    except ValueError:
        record.exc_info = sys.exc_info()
    text = JsonFormat("worker 1").format(record)
    assert "\n" not in text
    found = json.loads(text)
    traceback = found.pop("traceback")
    assert traceback.endswith("ValueError: why")
    assert found == {
        "at": "2013-11-13T00:00:00.250Z",
        "level": "error",
        "process": "worker 1",
        "pid": record.process,
        "part": "runtime.controller",
        "message": "order 7: too late",
    }
