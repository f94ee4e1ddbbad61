"""Picture of a point-in-time join: one order, and the deliveries of its shop."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 760, 250
_LEFT, _HOUR = 40, 300
"""Where 11:00 is, and the width of an hour."""
_ROWS = (
    ("ordered", 2, "arrived", 32, True, "outcome known: used"),
    ("ordered", 21, "arrived", 70, False, "not known yet: left out"),
    ("report", 30, "corrected", 90, False, "the report is used, its correction is not"),
)
"""What began, its minute after 11:00, how it became known, that minute, whether it is used, and why."""
_STYLE = """
    text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #24292f; }
    .soft { fill: #57606a; font-size: 12px; }
    .axis { stroke: #8c959f; }
    .now { stroke: #24292f; stroke-width: 1.5; }
    .bar { stroke-width: 5; stroke-linecap: round; }
    .used { stroke: #0969da; fill: #0969da; }
    .left { stroke: #bc4c00; fill: #bc4c00; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .soft { fill: #9198a1; }
      .axis { stroke: #6e7681; }
      .now { stroke: #e6edf3; }
      .used { stroke: #58a6ff; fill: #58a6ff; }
      .left { stroke: #f0883e; fill: #f0883e; }
    }
"""


def draw() -> str:
    """The picture as SVG, for a light and a dark page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    size = f"0 0 {_WIDTH} {_HEIGHT}"
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" role="img" aria-labelledby="title">'
    yield '  <title id="title">Only what was known when the order was placed may be used</title>'
    yield f"  <style>{_STYLE}  </style>"
    now, bottom = _x(60), 205
    yield f'  <line class="now" x1="{now}" x2="{now}" y1="34" y2="{bottom}"/>'
    yield _text(now, 22, "an order is placed: what was known?", anchor="middle")
    for place, (begun, first, known, last, used, why) in enumerate(_ROWS):
        y, kind = 66 + 50 * place, "used" if used else "left"
        yield f'  <line class="bar {kind}" x1="{_x(first)}" x2="{_x(last)}" y1="{y}" y2="{y}"/>'
        yield f'  <circle class="{kind}" cx="{_x(last)}" cy="{y}" r="7"/>'
        yield _text(_x(first), y - 11, f"{begun} 11:{first:02}", "soft")
        yield _text(_x(last) + 14, y + 5, f"{known} {11 + last // 60}:{last % 60:02}", "soft")
        yield _text(_x(last) + 14, y + 22, why)
    yield f'  <line class="axis" x1="{_LEFT}" x2="{_WIDTH - 30}" y1="{bottom}" y2="{bottom}"/>'
    for half in range(5):
        yield _text(_x(30 * half), bottom + 20, f"{11 + half // 2}:{half % 2 * 30:02}", "soft", anchor="middle")
    yield "</svg>"


def _x(minute: int) -> int:
    return _LEFT + minute * _HOUR // 60


def _text(x: float, y: float, text: str, kind: str = "", *, anchor: str = "") -> str:
    extra = (f' class="{kind}"' if kind else "") + (f' text-anchor="{anchor}"' if anchor else "")
    return f'  <text x="{x}" y="{y}"{extra}>{escape(text)}</text>'
