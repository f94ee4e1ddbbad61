"""The plots of a report's page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING

from everfit.core.printable import printable
from everfit.monitoring.drift_windows import Distribution
from everfit.monitoring.estimate import Estimate
from everfit.monitoring.maturity import ClassShare, CohortReport
from everfit.monitoring.performance import Comparison, Coverage, Figure
from everfit.monitoring.report.report import MonitorReport, ServedFeature, VersionReport

if TYPE_CHECKING:
    import plotly.graph_objects as go

INK, FAINT = "#5b6470", "rgba(128,136,150,.25)"
BLUE, AMBER, RED, GREEN = "#2f6fed", "#d98a00", "#d1383d", "#2e9e5b"
OTHERS = ("#8a5cd1", "#1a9aa8", "#b0568a")
"""For other versions, so that none is taken for an alarm."""
_DASHED = {"color": INK, "dash": "dash", "width": 1}


def performance(report: MonitorReport, version: VersionReport) -> go.Figure:
    """Draw a version's metric over time, with estimate, hold-out and other versions."""
    known = [point for point in version.over_time if point.value is not None]
    figure = _figure()
    _add_band(figure, _middles(known), known)
    _add_line(
        figure,
        known,
        mode="lines+markers",
        line={"color": BLUE, "width": 2},
        marker_size=4,
        name=f"version {version.version}",
        showlegend=False,
        customdata=[[point.labelled, point.rows] for point in known],
        hovertemplate="%{y:.4f} on %{customdata[0]:,} of %{customdata[1]:,} rows<extra></extra>",
    )
    others = [other for other in report.versions if other is not version]
    for other, colour in zip(others, OTHERS * len(others), strict=False):
        _add_line(
            figure,
            [point for point in other.over_time if point.value is not None],
            line={"color": colour, "width": 1},
            opacity=0.8,
            name=f"version {other.version}{' (shadow)' if other.route == 'shadow' else ''}",
            hovertemplate="%{y:.4f}",
        )
    guessed = [estimate for estimate in version.estimates if estimate.value is not None]
    _add_line(
        figure,
        guessed,
        line={"color": AMBER, "width": 1.5, "dash": "dot"},
        showlegend=False,
        customdata=[[point.low, point.high] for point in guessed],
        hovertemplate="expected %{y:.4f} (%{customdata[0]:.4f} … %{customdata[1]:.4f})<extra></extra>",
    )
    reference = version.reference
    if reference is not None and reference.value is not None:
        figure.add_hline(y=reference.value, line=_DASHED)
        figure.add_hrect(y0=reference.low, y1=reference.high, fillcolor=FAINT, line_width=0, layer="below")
    for episode in version.alarm.episodes if version.alarm else ():
        end = episode.recovered_at or report.as_of
        figure.add_vrect(x0=episode.since, x1=end, fillcolor="rgba(209,56,61,.14)", line_width=0, layer="below")
    return figure


def comparisons(names: Sequence[str], found: Sequence[Comparison]) -> go.Figure:
    """Draw the differences from the champion."""
    colours = [RED if part.low > 0 else GREEN if part.high < 0 else BLUE for part in found]
    figure = _figure()
    for name, one, colour in zip(names, found, colours, strict=True):
        figure.add_scatter(
            x=[one.worse_by],
            y=[name],
            mode="markers",
            marker={"size": 10, "color": colour},
            showlegend=False,
            error_x=_error([one.worse_by - one.low], [one.high - one.worse_by], color=colour, width=6),
            hovertemplate=f"%{{x:+.4f}} ({one.low:+.4f} … {one.high:+.4f})<extra></extra>",
        )
    figure.add_vline(x=0, line=_DASHED)
    return figure


def served(wrong: Sequence[ServedFeature]) -> go.Figure:
    """Draw the share of predictions in which each feature differs from history."""
    shown = list(reversed(wrong))
    figure = _figure()
    figure.add_bar(
        x=[served.different / served.rows for served in shown],
        y=[as_html(served.feature) for served in shown],
        orientation="h",
        marker_color=RED,
        customdata=[[served.different, served.rows] for served in shown],
        hovertemplate="%{y}: %{customdata[0]:,} of %{customdata[1]:,}<extra></extra>",
    )
    figure.update_xaxes(tickformat=".0%", rangemode="tozero")
    return figure


def coverage(version: VersionReport) -> go.Figure:
    """Draw the label coverage."""
    figure = _figure()
    figure.add_bar(
        x=_middles(version.coverage),
        y=[part.share for part in version.coverage],
        marker_color=BLUE,
        customdata=[[part.labelled, part.rows] for part in version.coverage],
        hovertemplate="%{y:.0%}: %{customdata[0]:,} of %{customdata[1]:,}<extra></extra>",
    )
    figure.update_yaxes(tickformat=".0%", range=[0, 1.02])
    return figure


def rates(version: VersionReport) -> go.Figure:
    """Draw the share of the last class, as known and as expected in the end."""
    cohorts = version.cohorts
    mature = [report for report in cohorts if report.cohort.shown.matured is not None]
    matured = [report.cohort.shown for report in mature]
    figure = _figure()
    _add_band(figure, _middles(mature), matured)
    figure.add_scatter(
        x=_middles(cohorts),
        y=[report.cohort.shown.raw for report in cohorts],
        mode="lines",
        name="known",
        line={"color": "rgba(128,136,150,.8)", "width": 1, "dash": "dot"},
    )
    figure.add_scatter(
        x=_middles(mature),
        y=[share.matured for share in matured],
        mode="lines",
        name="expected in the end",
        line={"color": BLUE, "width": 2},
    )
    figure.update_yaxes(tickformat=".0%")
    return figure


def heat(version: VersionReport) -> go.Figure:
    """Draw the drift of each column over time."""
    newest = version.drift[-1].columns
    names = [column.column for column in sorted(newest, key=lambda one: one.importance)]
    when = [window.start for window in version.drift]
    by_window = [{column.column: column for column in window.columns} for window in version.drift]
    effects = [[found[name].effect if name in found else None for found in by_window] for name in names]
    figure = _figure()
    figure.add_heatmap(
        x=when,
        y=[as_html(name) for name in names],
        z=effects,
        zmin=0,
        zmax=1,
        xgap=1,
        ygap=1,
        colorscale=[[0, "rgba(128,136,150,.08)"], [0.3, "#f5c56b"], [1, RED]],
        colorbar={"thickness": 8, "outlinewidth": 0},
        hovertemplate="%{y}, %{x}: %{z:.2f}<extra></extra>",
    )
    moved = [(start, name) for start, window in zip(when, version.drift, strict=True) for name in window.drifted]
    figure.add_scatter(
        x=[start for start, _ in moved],
        y=[as_html(name) for _, name in moved],
        mode="markers",
        hoverinfo="skip",
        marker={"size": 4, "color": "#1d2430"},
        showlegend=False,
    )
    return figure


def distribution(found: Distribution) -> go.Figure:
    """Draw a column before and after."""
    figure = _figure()
    for name, shares, colour in (("before", found.before, FAINT), ("now", found.after, BLUE)):
        figure.add_bar(x=[as_html(label) for label in found.labels], y=list(shares), name=name, marker_color=colour)
    figure.update_layout(title={"text": as_html(found.column), "font": {"size": 14}}, barmode="group", bargap=0.15)
    figure.update_yaxes(tickformat=".0%")
    figure.update_xaxes(type="category", tickfont={"size": 10})
    return figure


def slices(version: VersionReport) -> go.Figure:
    """Draw the metric by slice, with its interval."""
    shown = [column for column in reversed(version.slices) if column.figure.value is not None]
    values = [part.figure.value or 0.0 for part in shown]
    figure = _figure()
    figure.add_scatter(
        x=values,
        y=[as_html(f"{row.column} = {row.value}") for row in shown],
        mode="markers",
        marker={"size": 8, "color": [RED if part.worse else BLUE for part in shown]},
        error_x=_error(
            [value - (part.figure.low or value) for part, value in zip(shown, values, strict=True)],
            [(part.figure.high or value) - value for part, value in zip(shown, values, strict=True)],
            color="rgba(128,136,150,.6)",
            width=0,
        ),
        customdata=[part.figure.labelled for part in shown],
        hovertemplate="%{y}: %{x:.4f} on %{customdata:,} rows<extra></extra>",
        showlegend=False,
    )
    if version.overall.value is not None:
        figure.add_vline(x=version.overall.value, line=_DASHED)
    return figure


def _figure() -> go.Figure:
    import plotly.graph_objects as go

    return go.Figure()


def _middles(stretches: Sequence[Figure | Estimate | Coverage | CohortReport]) -> list[datetime]:
    return [stretch.start + (stretch.end - stretch.start) / 2 for stretch in stretches]


def _add_line(figure: go.Figure, points: Sequence[Figure | Estimate], *, mode: str = "lines", **style: object) -> None:
    figure.add_scatter(x=_middles(points), y=[point.value for point in points], mode=mode, **style)


def _add_band(figure: go.Figure, when: Sequence[datetime], points: Sequence[Figure | ClassShare]) -> None:
    """Draw the intervals of some points as a band: between a line that is not seen, and another one."""
    line = {"x": when, "line_width": 0, "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(y=[point.high for point in points], **line)
    figure.add_scatter(y=[point.low for point in points], fill="tonexty", fillcolor="rgba(47,111,237,.15)", **line)


def _error(below: Sequence[float], above: Sequence[float], *, color: str, width: int) -> dict[str, object]:
    bars = {"type": "data", "symmetric": False, "array": above, "arrayminus": below}
    return {**bars, "color": color, "thickness": 2, "width": width}


def as_html(text: str) -> str:
    """Return HTML that shows a text as it is; Plotly renders a part of HTML in every label, too."""
    return escape(printable(text))


def draw(figure: go.Figure, height: int) -> str:
    """Return a figure as HTML, with its height in pixels."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 34 if figure.layout.title.text else 8, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": INK, "size": 12},
        hovermode="closest",
        legend={"orientation": "h", "y": 1.12, "x": 1, "xanchor": "right"},
    )
    figure.update_xaxes(gridcolor=FAINT, zeroline=False, automargin=True)
    figure.update_yaxes(gridcolor=FAINT, zeroline=False, automargin=True)
    html: str = figure.to_html(
        full_html=False, include_plotlyjs=False, config={"displayModeBar": False, "responsive": True}
    )
    return html
