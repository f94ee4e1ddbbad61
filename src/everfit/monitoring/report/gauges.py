"""A report in numbers, for dashboards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from everfit.core.evidence import SourceFreshness
from everfit.core.finding import SEVERITIES
from everfit.monitoring.report.report import MonitorReport, VersionReport
from everfit.store.gauges import Sample


def samples_of(report: MonitorReport, freshness: Sequence[SourceFreshness]) -> list[Sample]:
    """Return every number of :data:`everfit.store.gauges.GAUGES` that the report has."""
    model = report.model
    found = [sample for version in report.versions for sample in _of_version(model, version)]
    for source in freshness:
        if source.age is not None:
            labels = (model, source.source, source.view)
            found.append(Sample("everfit_model_source_age_seconds", labels, source.age.total_seconds()))
    severities = Counter(incident.finding.severity for incident in report.incidents if incident.resolved_at is None)
    found += [
        Sample("everfit_model_open_incidents", (model, severity), severities[severity]) for severity in SEVERITIES
    ]
    return [*found, Sample("everfit_model_looked_at_seconds", (model,), report.as_of.timestamp())]


def _of_version(model: str, version: VersionReport) -> Iterator[Sample]:
    who = (model, str(version.version), version.route)
    for name, figure in (("score", version.overall), ("reference_score", version.reference)):
        if figure is not None and figure.value is not None:
            yield Sample(f"everfit_model_{name}", (*who, figure.metric), figure.value)
    guessed = next((estimate for estimate in reversed(version.estimates) if estimate.value is not None), None)
    if guessed is not None and guessed.value is not None:
        yield Sample("everfit_model_estimated_score", (*who, guessed.metric), guessed.value)
    yield Sample("everfit_model_label_coverage", who, version.overall.coverage)
    if version.route == "answers" and version.drift:
        for column in version.drift[-1].columns:
            yield Sample("everfit_model_drift", (model, str(version.version), column.column), column.effect)
