"""Results of steps that confined code could have written itself."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from everfit.core.release_trial import TrialResult
from everfit.loop.release_trial import _result


def test_a_result_is_read(tmp_path: Path) -> None:
    assert _result(tmp_path, "tests") is None
    passed = TrialResult(step="tests", outcome="passed", sentence="3 tests passed.")
    tmp_path.joinpath("tests.json").write_bytes(msgspec.json.encode(passed))
    assert _result(tmp_path, "tests") == passed


@pytest.mark.parametrize("left", ["link", "pipe", "text"])
def test_anything_else_refuses_the_release(tmp_path: Path, left: str) -> None:
    """Without waiting for a pipe, and without a word of another file."""
    secret, result = tmp_path / "secret", tmp_path / "tests.json"
    secret.write_text("the key")
    match left:
        case "link":
            result.symlink_to(secret)
        case "pipe":
            os.mkfifo(result)
        case _:
            result.write_text("no JSON")
    found = _result(tmp_path, "tests")
    assert found is not None
    assert found.outcome == "refused"
    assert "tests cannot be read" in found.sentence
    assert "the key" not in found.sentence
