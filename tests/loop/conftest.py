"""Says at the end how many lives there were and who was killed in them."""

from __future__ import annotations

from collections import Counter

import pytest

KILLED = "killed"
_LIVES = {
    "lived": ("chaos", "{answered:,} answers, each in the log once"),
    "released": ("kills in releases", "each release ended once, and whole; {answered:,} answers"),
}
"""Lives by the property that holds their seconds: the title, and what else was true."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Add the count to the summary; lives may have been on several processes."""
    reports = [each for each in terminalreporter.stats.get("passed", []) if each.when == "call"]
    told = [dict(each.user_properties) for each in reports]
    for seconds, (title, also) in _LIVES.items():
        lives = [each for each in told if seconds in each]
        if not lives:
            continue
        killed = Counter(name for each in lives for name in each[KILLED])
        answered, unanswered = (sum(each[name] for each in lives) for name in ("answered", "unanswered"))
        terminalreporter.section(title)
        terminalreporter.write_line(
            f"{len(lives)} lives, {sum(killed.values())} kills, {also.format(answered=answered)}; "
            f"{unanswered:,} asked while nobody could answer"
        )
        terminalreporter.write_line("; ".join(f"{name} × {times}" for name, times in sorted(killed.items())))
