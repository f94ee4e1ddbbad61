"""Findings of one cause are one: columns of one source that go wrong together, strange values of a changed unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from everfit.core.finding import SEVERITIES, Finding

_NAMED = 10


def with_unit_changes(columns: Sequence[Finding], units: Sequence[Finding]) -> list[Finding]:
    """Return findings of columns with those of changed units: these explain values, but never that there are none."""
    gone = {finding.subject for finding in columns if finding.kind == "missing_values"}
    explaining = [finding for finding in units if finding.subject not in gone]
    explained = {finding.subject for finding in explaining}
    return [*explaining, *(finding for finding in columns if finding.subject not in explained)]


def by_source(findings: Sequence[Finding], sources: Mapping[str, str]) -> list[Finding]:
    """Return findings of columns with those of one kind, source and beginning as one, about the source.

    Columns of a request, which has no source, keep findings of their own.

    Args:
        findings: About columns, named ``view.feature`` where a view computes them.
        sources: The source of each view.
    """
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for finding in findings:
        source = sources.get(finding.subject.partition(".")[0])
        key = (finding.kind, source, finding.since) if source else (finding.kind, finding.subject)
        groups.setdefault(key, []).append(finding)
    return [
        group[0] if len(group) == 1 else _joined(group, sources[group[0].subject.partition(".")[0]])
        for group in groups.values()
    ]


def _joined(findings: Sequence[Finding], source: str) -> Finding:
    gravest = max(findings, key=lambda finding: SEVERITIES.index(finding.severity))
    others = [finding.subject for finding in findings if finding is not gravest]
    names = ", ".join(others[:_NAMED]) + (f" and {len(others) - _NAMED} more" if len(others) > _NAMED else "")
    return replace(
        gravest,
        subject=source,
        sentence=f"{gravest.sentence} The same began at that time in {names}: all come from the source {source}.",
        numbers={**gravest.numbers, "columns": len(findings)},
    )
