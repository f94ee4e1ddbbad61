"""Says at the end how many lives there were and who was killed in them."""

from __future__ import annotations

from collections import Counter

import pytest

KILLED, LIVED = "killed", "lived"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Add the count to the summary; lives may have been on several processes."""
    reports = [each for each in terminalreporter.stats.get("passed", []) if each.when == "call"]
    told = [dict(each.user_properties) for each in reports]
    lives = [each for each in told if LIVED in each]
    if not lives:
        return
    killed = Counter(name for each in lives for name in each[KILLED])
    terminalreporter.section("chaos")
    terminalreporter.write_line(
        f"{len(lives)} lives, {sum(killed.values())} kills, {sum(each['answered'] for each in lives):,} answers, each "
        f"in the log once; {sum(each['unanswered'] for each in lives):,} asked while nobody could answer"
    )
    terminalreporter.write_line("; ".join(f"{name} × {times}" for name, times in sorted(killed.items())))
