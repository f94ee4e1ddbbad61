"""Picture of the demo's life, drawn from what ``everfit demo --json > docs/pictures/demo.json`` recorded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 880, 470
_LEFT, _RIGHT = 64, 860
_TOP, _BOTTOM = 62, 232
_LANE, _LANE_HEIGHT = 268, 26
_LIST, _LINE, _SECOND_COLUMN = 348, 25, 490
_METRIC = "log_loss"
_SHARE = re.compile(r"(\d+) ?% of the")
_LABELS = {
    "truth": "Road works begin. The system is not informed.",
    "order": "The drop is found; a training is ordered.",
    "refused": "The gates refuse the candidate: not better.",
    "gates": "A second training passes: it is version 2.",
    "shadow": "Version 2 in shadow: only recorded.",
    "canary": "Version 2 answers {share} of the requests.",
    "champion": "Version 2 answers all requests.",
    "kept": "Watched for three days: version 2 stays.",
}
_STYLE = """
    text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #24292f; }
    .title { font-size: 15px; font-weight: 600; }
    .soft { fill: #57606a; font-size: 12px; }
    .grid { stroke: #d0d7de; stroke-width: 1; }
    .change { fill: #9a6700; opacity: 0.09; }
    .mark { stroke: #8c959f; stroke-width: 1; stroke-dasharray: 2 3; }
    .dot { fill: #57606a; }
    .number { fill: #ffffff; font-size: 11px; font-weight: 600; text-anchor: middle; }
    .live { fill: none; stroke: #0969da; stroke-width: 2.5; stroke-linejoin: round; }
    .alone { fill: none; stroke: #bc4c00; stroke-width: 2; stroke-dasharray: 5 4; stroke-linejoin: round; }
    .first { fill: #bc4c00; opacity: 0.35; }
    .second { fill: #0969da; opacity: 0.65; }
    .live-text { fill: #0969da; }
    .alone-text { fill: #bc4c00; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .soft { fill: #9198a1; }
      .grid { stroke: #30363d; }
      .change { fill: #d29922; opacity: 0.13; }
      .mark { stroke: #6e7681; }
      .dot { fill: #8b949e; }
      .number { fill: #0d1117; }
      .live { stroke: #58a6ff; }
      .alone { stroke: #f0883e; }
      .first { fill: #f0883e; opacity: 0.4; }
      .second { fill: #58a6ff; opacity: 0.7; }
      .live-text { fill: #58a6ff; }
      .alone-text { fill: #f0883e; }
    }
"""


def draw(data: dict[str, Any]) -> str:
    """The picture as SVG, for a light and a dark page.

    Args:
        data: The demo's JSON document, with ``timeline`` and ``replay``.
    """
    days = data["replay"]["months"]
    picture = _Picture(_instant(data["replay"]["start"]), _instant(data["replay"]["end"]))
    marks = list(_marks(data["timeline"]))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="title">',
        '  <title id="title">Log loss of every day of the demo, live and without retraining, and what happened</title>',
        f"  <style>{_STYLE}  </style>",
        *picture.plot(days, changed=marks[0][0]),
        *picture.lane(data["timeline"]),
        *picture.events(marks),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Picture:
    """Places instants and losses on the page."""

    def __init__(self, start: datetime, end: datetime) -> None:
        self._start, self._end = start, end

    def _x(self, at: datetime) -> float:
        return round(_LEFT + (at - self._start) / (self._end - self._start) * (_RIGHT - _LEFT), 1)

    def plot(self, days: Sequence[dict[str, Any]], *, changed: datetime) -> Iterator[str]:
        """The losses of every day."""
        values = [day[side][_METRIC] for day in days for side in ("live", "against")]
        low, high = int(min(values) * 10) / 10, int(max(values) * 10 + 1) / 10

        def y(loss: float) -> float:
            return round(_BOTTOM - (loss - low) / (high - low) * (_BOTTOM - _TOP), 1)

        yield _text(_LEFT, 22, "Two simulated weeks of everfit demo", "title")
        yield _text(_LEFT, 42, "Log loss of each day's predictions; lower is better", "soft")
        at = self._x(changed)
        yield f'  <rect class="change" x="{at}" y="{_TOP}" width="{round(_RIGHT - at, 1)}" height="{_BOTTOM - _TOP}"/>'
        for tenth in range(round(low * 10), round(high * 10) + 1):
            yield f'  <line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y(tenth / 10)}" y2="{y(tenth / 10)}"/>'
            yield _text(_LEFT - 8, y(tenth / 10) + 4, f"{tenth / 10:.1f}", "soft", anchor="end")
        for day in days:
            noon = _instant(day["month"]) + timedelta(hours=12)
            yield _text(self._x(noon), _BOTTOM + 18, f"{noon.day} {noon:%b}", "soft", anchor="middle")
        for side, name in (("against", "alone"), ("live", "live")):
            points = (
                f"{self._x(_instant(day['month']) + timedelta(hours=12))},{y(day[side][_METRIC])}" for day in days
            )
            yield f'  <polyline class="{name}" points="{" ".join(points)}"/>'
        below = min(day["live"][_METRIC] for day in days[-2:])
        above = max(day["against"][_METRIC] for day in days[-3:])
        yield _text(_RIGHT, y(below) + 22, "live", "live-text", anchor="end")
        yield _text(_RIGHT, y(above) - 12, "version 1, never retrained", "alone-text", anchor="end")

    def lane(self, timeline: Sequence[dict[str, Any]]) -> Iterator[str]:
        """Who answers: the share of the requests that the new version gets."""
        yield _text(_LEFT - 8, _LANE + 17, "traffic", "soft", anchor="end")
        yield f'  <rect class="first" x="{_LEFT}" y="{_LANE}" width="{_RIGHT - _LEFT}" height="{_LANE_HEIGHT}"/>'
        changes = [(at, share) for at, share in _shares(timeline) if share]
        for (at, share), (until, _) in zip(changes, [*changes[1:], (self._end, 0.0)], strict=True):
            height = round(_LANE_HEIGHT * share, 1)
            x, width = self._x(at), round(self._x(until) - self._x(at), 1)
            top = round(_LANE + _LANE_HEIGHT - height, 1)
            yield f'  <rect class="second" x="{x}" y="{top}" width="{width}" height="{height}"/>'
        yield _text(_LEFT + 10, _LANE + 18, "version 1")
        yield _text(_RIGHT - 10, _LANE + 18, "version 2", anchor="end")

    def events(self, marks: Sequence[tuple[datetime, str]]) -> Iterator[str]:
        """A numbered mark for every event, and the list of them."""
        half = (len(marks) + 1) // 2
        drawn: list[float] = []
        for number, (at, label) in enumerate(marks, 1):
            x = self._x(at)
            shifted = max(x, drawn[-1] + 19) if drawn else x
            drawn.append(shifted)
            yield f'  <line class="mark" x1="{x}" x2="{x}" y1="{_TOP}" y2="{_LANE + _LANE_HEIGHT + 4}"/>'
            yield from _number(shifted, _LANE + _LANE_HEIGHT + 14, number)
            column, row = divmod(number - 1, half)
            left, top = _LEFT + column * (_SECOND_COLUMN - _LEFT), _LIST + row * _LINE
            yield from _number(left + 9, top - 4, number)
            yield _text(left + 26, top, f"{at.day} {at:%b %H:%M}", "soft")
            yield _text(left + 108, top, label)


def _marks(timeline: Sequence[dict[str, Any]]) -> Iterator[tuple[datetime, str]]:
    """The events that are worth a mark: the change, the first order, and what came of every training and stage."""
    shares = dict(_shares(timeline))
    seen: set[str] = set()
    for event in timeline:
        at, what = _instant(event["at"]), event["what"]
        if what == "rollout":
            what = "canary" if shares[at] else "shadow"
        if what not in _LABELS or (what in seen and what != "canary"):
            continue
        seen.add(what)
        yield at, _LABELS[what].format(share=f"{shares.get(at, 0.0):.0%}")


def _shares(timeline: Sequence[dict[str, Any]]) -> Iterator[tuple[datetime, float]]:
    """When a rollout moved, and the share of the requests that the new version answers from then on."""
    for event in timeline:
        if event["what"] in {"rollout", "champion"}:
            named = _SHARE.search(event["sentence"])
            yield _instant(event["at"]), 1.0 if event["what"] == "champion" else int(named[1]) / 100 if named else 0.0


def _number(x: float, y: float, number: int) -> Iterator[str]:
    yield f'  <circle class="dot" cx="{round(x, 1)}" cy="{y}" r="8.5"/>'
    yield _text(x, y + 4, str(number), "number")


def _text(x: float, y: float, text: str, kind: str = "", *, anchor: str = "") -> str:
    extra = (f' class="{kind}"' if kind else "") + (f' text-anchor="{anchor}"' if anchor else "")
    return f'  <text x="{round(x, 1)}" y="{round(y, 1)}"{extra}>{escape(text)}</text>'


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
