"""A report as one page that needs nothing else: no server, no network, no files beside it."""

from __future__ import annotations

from collections.abc import Iterable

from everfit.monitoring.joint_drift import Together
from everfit.monitoring.report import plots
from everfit.monitoring.report.plots import as_html
from everfit.monitoring.report.report import MonitorReport, Served, VersionReport, compared

_AGAINST = {
    "training": "what the version was made from",
    "trailing": "the four weeks before",
    "season": "the four weeks about the same day a year before",
}
_COLOURS = {"critical": plots.RED, "warning": plots.AMBER, "info": plots.BLUE}
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
.note { border-left: 4px solid var(--line); padding: 2px 0 2px 18px; }
.part { margin: 44px 0 -20px; padding-top: 18px; border-top: 1px solid var(--line); font-size: 21px; }
details { margin-top: 28px; border-top: 1px solid var(--line); padding-top: 14px; }
summary { cursor: pointer; font-size: 21px; font-weight: 600; }
.pair > * { min-width: 0; overflow: hidden; }
"""

# A plot that was drawn while it was hidden, or alone in its row, has another width.
_OPENING = """
const fit = part => part.querySelectorAll(".js-plotly-plot").forEach(one => Plotly.Plots.resize(one));
window.addEventListener("load", () => fit(document.querySelector("main")));
for (const part of document.querySelectorAll("details")) part.addEventListener("toggle", () => fit(part));
"""


def write_page(report: MonitorReport) -> str:
    """Return the page's HTML."""
    from plotly.offline import get_plotlyjs

    body = "".join(_sections(report))
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{as_html(report.model)} – Everfit</title><style>{_STYLE}</style><script>{get_plotlyjs()}</script>"
        f"<main>{body}</main><script>{_OPENING}</script></html>\n"
    )


def _sections(report: MonitorReport) -> Iterable[str]:
    yield f"<h1>{as_html(report.model)}</h1>"
    yield f"<p>As of {report.as_of:%Y-%m-%d %H:%M} UTC, predictions since {report.since:%Y-%m-%d}.</p>"
    # The champion comes first, and open; the others may be opened.
    versions = sorted(report.versions, key=lambda one: not _is_champion(report, one))
    if versions:
        yield _numbers(report, versions[0])
    yield "<h2>Findings</h2>"
    yield from _findings(report)
    yield from _against(report)
    for version in versions:
        name = f"Version {version.version}, {_role(report, version)}"
        shut = "" if version is versions[0] else "details"
        yield f"<details><summary>{name}</summary>" if shut else f"<h1 class=part>{name}</h1>"
        yield from _version(report, version)
        yield "</details>" if shut else ""
        if not shut and report.served is not None and report.served.rows:
            yield from _served(report.served)


def _is_champion(report: MonitorReport, version: VersionReport) -> bool:
    return version.version == report.champion and version.route == "answers"


def _role(report: MonitorReport, version: VersionReport) -> str:
    if version.route == "shadow":
        return "in shadow"
    if _is_champion(report, version):
        return "champion"
    return "canary" if version.comparison is not None else "served before"


def _numbers(report: MonitorReport, version: VersionReport) -> str:
    overall, reference = version.overall, version.reference
    shown = [
        (f"version {version.version}", _role(report, version)),
        (_number(overall.value), f"{report.metric.replace('_', ' ')}, {_range(overall.low, overall.high)}"),
        (_number(reference.value if reference else None), "on its hold-out"),
        (f"{overall.coverage:.0%}", f"of {overall.rows:,} outcomes known"),
    ]
    served = report.served
    if served is not None and served.rows:
        same = (served.rows - served.different) / served.rows
        shown.append((f"{same:.1%}", f"of {served.rows:,} predictions had the right features"))
    cells = "".join(
        f"<div class=card><b>{as_html(value)}</b><span>{as_html(name)}</span></div>" for value, name in shown
    )
    return f"<div class=numbers>{cells}</div>"


def _findings(report: MonitorReport) -> Iterable[str]:
    if not report.findings:
        yield f"<div class='card finding' style='border-color:{plots.GREEN}'>Nothing is worth your attention.</div>"
    for finding in report.findings:
        about = " · ".join(filter(None, (finding.severity, finding.kind.replace("_", " "), finding.subject)))
        colour = _COLOURS[finding.severity]
        yield (
            f"<div class='card finding' style='border-color:{colour}'><small style='color:{colour}'>{as_html(about)}"
            f"</small><br>{as_html(finding.sentence)}</div>"
        )
    for note in report.notes:
        yield f"<p class=note>{as_html(note)}</p>"


def _against(report: MonitorReport) -> Iterable[str]:
    found = [(version, version.comparison) for version in report.versions if version.comparison is not None]
    if not found:
        return
    yield "<h2>Against the champion</h2>"
    yield (
        f"<p>By how much each was worse in {as_html(report.metric.replace('_', ' '))}, with its 95 % interval: left of "
        "the line it is better. A shadow predicts the same rows as the champion, a canary those that chance gives "
        "it.</p>"
    )
    names = [f"version {part.version}, {_role(report, part)}" for part, _ in found]
    yield plots.draw(plots.comparisons(names, [one for _, one in found]), 60 + 44 * len(found))
    for _, one in found:
        yield f"<p>{as_html(compared(one))}</p>"


def _served(served: Served) -> Iterable[str]:
    wrong = [feature for feature in served.features if feature.different]
    yield "<h2>Served and recomputed features</h2>"
    yield (
        f"<p>The features of the newest {served.rows:,} predictions, computed again from history: "
        + (f"{served.different:,} differ.</p>" if wrong else "all are equal.</p>")
    )
    if wrong:
        yield plots.draw(plots.served(wrong), 60 + 26 * len(wrong))


def _version(report: MonitorReport, version: VersionReport) -> Iterable[str]:
    if version.over_time:
        yield "<h2>Performance</h2>"
        better, metric = "more" if report.greater_is_better else "less", report.metric.replace("_", " ")
        yield (
            f"<p>The {as_html(metric)}, {better} is better, with its 95 % interval, by event "
            "time. The dashed line is the hold-out; where the background is red, there was an alarm. The dotted line "
            "is the estimate without outcomes: it shows that rows became harder, but not that the same rows now have "
            "other outcomes. Thin lines are other versions.</p>"
        )
        yield plots.draw(plots.performance(report, version), 320)
        yield "<h2>Known outcomes</h2><p>The share of predictions whose outcome is known by now.</p>"
        yield plots.draw(plots.coverage(version), 180)
    if version.cohorts:
        yield f"<h2>Share of {as_html(version.cohorts[0].cohort.shown.value)}</h2>"
        yield (
            "<p>Among the outcomes that are known, faint; and, with its 95 % range, what it will be once all are in: "
            "outcomes of one kind may come sooner than those of another.</p>"
        )
        yield plots.draw(plots.rates(version), 220)
    if version.drift:
        yield "<h2>Drift</h2>"
        yield (
            f"<p>How far each column was from {_AGAINST[version.drift[-1].against]}, roughly in standard deviations; "
            "dots mark what is more than chance and a trifle. The most important columns are on top.</p>"
        )
        yield plots.draw(plots.heat(version), 90 + 22 * len(version.drift[-1].columns))
        if report.together is not None and _is_champion(report, version):
            yield f"<p>{_together(report.together)}</p>"
    if version.distributions:
        yield "<h2>Before and after</h2><p>The columns that moved most: what the version was made from, and now.</p>"
        yield "<div class=pair>"
        for distribution in version.distributions:
            yield f"<div class=card>{plots.draw(plots.distribution(distribution), 230)}</div>"
        yield "</div>"
    if version.slices:
        yield "<h2>Slices</h2><p>Red: worse than the version as a whole, beyond chance.</p>"
        yield plots.draw(plots.slices(version), 90 + 20 * len(version.slices))


def _together(found: Together) -> str:
    more = "more than chance" if found.drifted else "no more than days differ anyway"
    return (
        f"All columns together: a classifier distinguishes rows of the newest window from the training rows "
        f"with an ROC AUC of {found.auc:.2f}, where {found.usual_auc:.2f} is usual; that is {more}."
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _range(low: float | None, high: float | None) -> str:
    return "too few outcomes" if low is None or high is None else f"{low:.4f} … {high:.4f}"
