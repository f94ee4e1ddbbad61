"""A report as one page that needs nothing else: no server, no network, no files beside it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

from everfit.monitoring.report import MonitorReport, VersionReport, compared

if TYPE_CHECKING:
    import plotly.graph_objects as go

_INK, _FAINT, _BLUE, _AMBER, _RED, _GREEN = (
    "#5b6470",
    "rgba(128,136,150,.25)",
    "#2f6fed",
    "#d98a00",
    "#d1383d",
    "#2e9e5b",
)
_COLOURS = {"critical": _RED, "warning": _AMBER, "info": _BLUE}
_STYLE = """
:root { color-scheme: light dark; --ground: #fbfbfa; --card: #fff; --ink: #1d2430; --soft: #667085; --line: #e4e7ec; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14171c; --card: #1b2027; --ink: #e7eaf0; --soft: #98a2b3; --line: #2b323c; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 17px; margin: 36px 0 4px; }
p { margin: 4px 0 12px; color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 18px; }
.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 12px; margin: 20px 0; }
.numbers b { display: block; font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; }
.numbers span { color: var(--soft); font-size: 13px; }
.finding { border-left: 4px solid; margin: 8px 0; }
.finding small { text-transform: uppercase; letter-spacing: .05em; font-weight: 600; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 12px; }
.pair > * { min-width: 0; overflow: hidden; }
"""


def write_page(report: MonitorReport) -> str:
    """The page's HTML.

    Args:
        report: What was found.
    """
    from plotly.offline import get_plotlyjs

    body = "".join(_sections(report))
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(report.model)} – Everfit</title><style>{_STYLE}</style><script>{get_plotlyjs()}</script>"
        f"<main>{body}</main></html>\n"
    )


def _sections(report: MonitorReport) -> Iterable[str]:
    yield f"<h1>{escape(report.model)}</h1>"
    yield f"<p>As of {report.as_of:%Y-%m-%d %H:%M} UTC, asked since {report.since:%Y-%m-%d}.</p>"
    versions = report.versions
    if versions:
        yield _numbers(report, versions[0])
    yield "<h2>Findings</h2>"
    yield from _findings(report)
    for version in versions:
        yield from _version(report, version)


def _numbers(report: MonitorReport, version: VersionReport) -> str:
    overall, reference = version.overall, version.reference
    shown = [
        (f"version {version.version}", "the newest that answers"),
        (_number(overall.value), f"{report.metric.replace('_', ' ')}, {_range(overall.low, overall.high)}"),
        (_number(reference.value if reference else None), "on its hold-out"),
        (f"{overall.coverage:.0%}", f"of {overall.rows:,} outcomes known"),
    ]
    cells = "".join(f"<div class=card><b>{escape(value)}</b><span>{escape(name)}</span></div>" for value, name in shown)
    return f"<div class=numbers>{cells}</div>"


def _findings(report: MonitorReport) -> Iterable[str]:
    if not report.findings:
        yield f"<div class='card finding' style='border-color:{_GREEN}'>Nothing is worth your attention.</div>"
    for each in report.findings:
        about = " · ".join(filter(None, (each.severity, each.kind.replace("_", " "), each.subject)))
        colour = _COLOURS[each.severity]
        yield (
            f"<div class='card finding' style='border-color:{colour}'><small style='color:{colour}'>{escape(about)}"
            f"</small><br>{escape(each.sentence)}</div>"
        )


def _version(report: MonitorReport, version: VersionReport) -> Iterable[str]:
    role = "in shadow" if version.route == "shadow" else ""
    if version.over_time:
        yield f"<h2>Performance of version {version.version} {role}</h2>"
        better = "more" if report.greater_is_better else "less"
        yield (
            f"<p>{escape(report.metric.replace('_', ' '))}, {better} is better, with its 95 % interval, by when it was "
            "asked. The dashed line is the hold-out; where the ground is red, an alarm rang. The dotted line is what "
            "was to be expected of such questions without any outcome: it sees harder ones, and nothing of a change in "
            "what follows from them.</p>"
        )
        yield _draw(_performance(report, version), 320)
        yield "<h2>Known outcomes</h2><p>The share of answers whose outcome is known by now.</p>"
        yield _draw(_coverage(version), 180)
    if version.cohorts:
        yield f"<h2>Share of {escape(version.cohorts[0].cohort.classes[-1].value)}</h2>"
        yield (
            "<p>Among the outcomes that are known, faint; and, with its 95 % range, what it will be once all are in: "
            "outcomes of one kind may come sooner than those of another.</p>"
        )
        yield _draw(_rates(version), 220)
    if version.drift:
        yield "<h2>Drift</h2>"
        yield (
            "<p>How far each column was from what the version was made from, roughly in standard deviations; dots mark "
            "what is more than chance and a trifle. The most important columns are on top.</p>"
        )
        yield _draw(_heat(version), 90 + 22 * len(version.drift[-1].columns))
    if version.distributions:
        yield "<h2>Before and after</h2><p>The columns that moved most: what the version was made from, and now.</p>"
        yield "<div class=pair>"
        for each in version.distributions:
            yield f"<div class=card>{_draw(_distribution(each), 230)}</div>"
        yield "</div>"
    if version.slices:
        yield "<h2>Slices</h2><p>Red: worse than the version as a whole, beyond chance.</p>"
        yield _draw(_slices(version), 90 + 20 * len(version.slices))
    if version.comparison is not None:
        yield f"<h2>Against the champion</h2><p>{escape(compared(version.comparison))}</p>"


def _performance(report: MonitorReport, version: VersionReport) -> go.Figure:
    import plotly.graph_objects as go

    known = [each for each in version.over_time if each.value is not None]
    when = [each.start + (each.end - each.start) / 2 for each in known]
    figure = go.Figure()
    figure.add_scatter(x=when, y=[each.high for each in known], line_width=0, hoverinfo="skip", showlegend=False)
    figure.add_scatter(
        x=when, y=[each.low for each in known], line_width=0, fill="tonexty", fillcolor="rgba(47,111,237,.15)",
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    figure.add_scatter(
        x=when, y=[each.value for each in known], mode="lines+markers", line={"color": _BLUE, "width": 2},
        marker_size=4, name=f"version {version.version}", showlegend=False,
        customdata=[[each.labelled, each.rows] for each in known],
        hovertemplate="%{y:.4f} on %{customdata[0]:,} of %{customdata[1]:,} rows<extra></extra>",
    )  # fmt: skip
    guessed = [each for each in version.estimates if each.value is not None]
    figure.add_scatter(
        x=[each.start + (each.end - each.start) / 2 for each in guessed], y=[each.value for each in guessed],
        mode="lines", line={"color": _AMBER, "width": 1.5, "dash": "dot"}, showlegend=False,
        customdata=[[each.low, each.high] for each in guessed],
        hovertemplate="expected %{y:.4f} (%{customdata[0]:.4f} … %{customdata[1]:.4f})<extra></extra>",
    )  # fmt: skip
    if version.reference is not None and version.reference.value is not None:
        figure.add_hline(y=version.reference.value, line={"color": _INK, "dash": "dash", "width": 1})
        low, high = version.reference.low, version.reference.high
        figure.add_hrect(y0=low, y1=high, fillcolor=_FAINT, line_width=0, layer="below")
    for episode in version.alarm.episodes if version.alarm else ():
        end = episode.recovered_at or report.as_of
        figure.add_vrect(x0=episode.since, x1=end, fillcolor="rgba(209,56,61,.14)", line_width=0, layer="below")
    return figure


def _coverage(version: VersionReport) -> go.Figure:
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.add_bar(
        x=[each.start + (each.end - each.start) / 2 for each in version.coverage],
        y=[each.share for each in version.coverage],
        marker_color=_BLUE,
        customdata=[[each.labelled, each.rows] for each in version.coverage],
        hovertemplate="%{y:.0%}: %{customdata[0]:,} of %{customdata[1]:,}<extra></extra>",
    )
    figure.update_yaxes(tickformat=".0%", range=[0, 1.02])
    return figure


def _rates(version: VersionReport) -> go.Figure:
    import plotly.graph_objects as go

    found = [(each.start + (each.end - each.start) / 2, each.cohort.classes[-1]) for each in version.cohorts]
    matured = [(when, share) for when, share in found if share.matured is not None]
    when = [each for each, _ in matured]
    figure = go.Figure()
    figure.add_scatter(x=when, y=[each.high for _, each in matured], line_width=0, hoverinfo="skip", showlegend=False)
    figure.add_scatter(
        x=when, y=[each.low for _, each in matured], line_width=0, fill="tonexty", fillcolor="rgba(47,111,237,.15)",
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    figure.add_scatter(
        x=[each for each, _ in found], y=[each.raw for _, each in found], mode="lines", name="known",
        line={"color": "rgba(128,136,150,.8)", "width": 1, "dash": "dot"},
    )  # fmt: skip
    figure.add_scatter(
        x=when, y=[each.matured for _, each in matured], mode="lines", name="expected in the end",
        line={"color": _BLUE, "width": 2},
    )  # fmt: skip
    figure.update_yaxes(tickformat=".0%")
    return figure


def _heat(version: VersionReport) -> go.Figure:
    import plotly.graph_objects as go

    newest = version.drift[-1].columns
    names = [each.column for each in sorted(newest, key=lambda each: each.importance)]
    when = [each.start for each in version.drift]
    by_window = [{each.column: each for each in window.columns} for window in version.drift]
    effects = [[found[name].effect if name in found else None for found in by_window] for name in names]
    figure = go.Figure()
    figure.add_heatmap(
        x=when, y=names, z=effects, zmin=0, zmax=1, xgap=1, ygap=1,
        colorscale=[[0, "rgba(128,136,150,.08)"], [0.3, "#f5c56b"], [1, _RED]],
        colorbar={"thickness": 8, "outlinewidth": 0}, hovertemplate="%{y}, %{x}: %{z:.2f}<extra></extra>",
    )  # fmt: skip
    moved = [(start, name) for start, window in zip(when, version.drift, strict=True) for name in window.drifted]
    figure.add_scatter(
        x=[start for start, _ in moved], y=[name for _, name in moved], mode="markers", hoverinfo="skip",
        marker={"size": 4, "color": "#1d2430"}, showlegend=False,
    )  # fmt: skip
    return figure


def _distribution(found: Any) -> go.Figure:
    import plotly.graph_objects as go

    figure = go.Figure()
    for name, shares, colour in (("before", found.before, _FAINT), ("now", found.after, _BLUE)):
        figure.add_bar(x=list(found.labels), y=list(shares), name=name, marker_color=colour)
    figure.update_layout(title={"text": escape(found.column), "font": {"size": 14}}, barmode="group", bargap=0.15)
    figure.update_yaxes(tickformat=".0%")
    figure.update_xaxes(type="category", tickfont={"size": 10})
    return figure


def _slices(version: VersionReport) -> go.Figure:
    import plotly.graph_objects as go

    shown = [each for each in reversed(version.slices) if each.figure.value is not None]
    values = [each.figure.value or 0.0 for each in shown]
    figure = go.Figure()
    figure.add_scatter(
        x=values,
        y=[f"{each.column} = {each.value}" for each in shown],
        mode="markers",
        marker={"size": 8, "color": [_RED if each.worse else _BLUE for each in shown]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [(each.figure.high or value) - value for each, value in zip(shown, values, strict=True)],
            "arrayminus": [value - (each.figure.low or value) for each, value in zip(shown, values, strict=True)],
            "color": _FAINT,
            "thickness": 2,
            "width": 0,
        },
        customdata=[each.figure.labelled for each in shown],
        hovertemplate="%{y}: %{x:.4f} on %{customdata:,} rows<extra></extra>",
        showlegend=False,
    )
    if version.overall.value is not None:
        figure.add_vline(x=version.overall.value, line={"color": _INK, "dash": "dash", "width": 1})
    return figure


def _draw(figure: go.Figure, height: int) -> str:
    figure.update_layout(
        height=height, margin={"l": 8, "r": 8, "t": 34 if figure.layout.title.text else 8, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", font={"color": _INK, "size": 12},
        hovermode="closest", legend={"orientation": "h", "y": 1.12, "x": 1, "xanchor": "right"},
    )  # fmt: skip
    figure.update_xaxes(gridcolor=_FAINT, zeroline=False, automargin=True)
    figure.update_yaxes(gridcolor=_FAINT, zeroline=False, automargin=True)
    html: str = figure.to_html(
        full_html=False, include_plotlyjs=False, config={"displayModeBar": False, "responsive": True}
    )
    return html


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _range(low: float | None, high: float | None) -> str:
    return "too few outcomes" if low is None or high is None else f"{low:.4f} … {high:.4f}"
