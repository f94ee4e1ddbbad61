"""Progress without a terminal: few lines, on standard error."""

from __future__ import annotations

import pytest

from everfit.cli.output import Bars


@pytest.mark.parametrize("quiet", [False, True])
def test_long_work_writes_a_line_from_time_to_time(quiet: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with Bars(quiet=quiet, line_every_s=0.0) as bars:
        bars.start("Replay", 480)
        bars.advance("Replay", 120, "2013-03-08 12:00  1,800 predictions  950/s")
        bars.advance("Replay", 0, "2013-03-08 12:00  1,800 predictions  450/s")
        bars.start("Count")
        bars.advance("Count", 1_200)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "Replay: 25%  2013-03-08 12:00  1,800 predictions  950/s",
        "Replay: 25%  2013-03-08 12:00  1,800 predictions  450/s",
        "Count: 1,200",
    ]


def test_short_work_writes_one_line_at_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as bars:
        bars.start("Replay", 2)
        bars.advance("Replay", 1, "half")
        bars.finish("Replay", "all")
    assert capsys.readouterr().err == "Replay: all\n"
