from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfit.core.duration import format_duration, parse_duration
from everfit.core.errors import DefinitionError


@given(st.integers(min_value=1, max_value=10**12))
def test_what_is_written_can_be_read_again(milliseconds: int) -> None:
    span = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(span)) == span


@pytest.mark.parametrize("text", ["", "3", "h", "-1h", "0s", "3 h", "1.5h", "3y", "3h!", None, 3])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(DefinitionError, match="positive duration such as '3h'"):
        parse_duration(text, name="ttl")
