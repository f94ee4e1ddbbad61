"""The reference pages leave nothing out: every name, setting, command, error, metric, gate, finding and label."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from docs.reference_pages import LABELS, MEANINGS, error_classes, is_gate, labels_of, severities_of_findings

import everfit
from everfit.core.evidence import Task
from everfit.core.finding import SEVERITIES, FindingKind
from everfit.core.settings import Settings

Rows = Callable[[str], list[list[str]]]


@pytest.fixture(scope="module")
def rows(repository: Path) -> Rows:
    """The cells of all tables of a page."""

    def of(name: str) -> list[list[str]]:
        page = (repository / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")
        lines = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
        return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]

    return of


def test_every_public_name_has_its_arguments_and_a_heading(rows: Rows, repository: Path) -> None:
    listed = {row[0]: row for row in rows("names")}
    page = (repository / "docs" / "reference" / "project-file.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^#+ (\w+)$", page, re.MULTILINE))
    for name in everfit.__all__:
        assert f"[`{name}`](project-file.md#{name.lower()})" in listed
        assert name in headings


def test_every_setting_has_a_meaning(rows: Rows) -> None:
    listed = {row[1].strip("`"): row for row in rows("settings")}
    for section in msgspec.structs.fields(Settings):
        if section.name == "paths":
            continue
        for field in msgspec.structs.fields(section.type):
            assert listed[f"EVERFIT_{section.name}_{field.name}".upper()][3]


def test_every_command_is_there_and_internal_ones_are_apart(repository: Path) -> None:
    from everfit.cli.main import command_group

    page = (repository / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    shown, internal = page.split("## Internal commands")
    root: Any = command_group()
    for name, command in root.commands.items():
        for path in [f"{name} {inner}" for inner in getattr(command, "commands", ())] or [name]:
            assert re.search(rf"^##+ everfit {path}$", internal if command.hidden else shown, re.MULTILINE), path


def test_every_error_has_its_codes_and_nearly_every_one_an_example(rows: Rows) -> None:
    listed = {row[0].strip("`"): row for row in rows("errors")}
    assert list(listed)[1:] == [kind.__name__ for kind in error_classes()]
    examples = [name for name, row in listed.items() if row[4].startswith("`")]
    assert len(examples) >= len(listed) - 5
    assert {name: row[3] for name, row in listed.items() if row[3].isdigit()} == {
        "StoreError": "503",
        "ProcessError": "503",
        "InvalidRequestError": "422",
        "UnsignedRequestError": "401",
        "UnknownModelError": "404",
        "RequestTooLargeError": "413",
        "UnsupportedEncodingError": "415",
        "NotReadyError": "503",
        "OverloadedError": "503",
    }


def test_every_metric_of_models_is_there(rows: Rows) -> None:
    from everfit.measures.quality import metrics_of

    listed = {row[0].strip("`") for row in rows("metrics") if row[2]}
    for task in get_args(Task):
        assert {metric.name for metric in metrics_of(task)} <= listed


def test_every_gate_is_there_under_both_its_names(rows: Rows, repository: Path) -> None:
    from everfit.gates.judge import STANDARD_GATES

    standard = [row for row in rows("gates") if row[0].startswith("`")]
    assert [row[0].strip("`") for row in standard] == [gate.name for gate in STANDARD_GATES]
    page = (repository / "docs" / "reference" / "gates.md").read_text(encoding="utf-8")
    assert len(STANDARD_GATES) == 12
    assert "**Twelve gates hold for every candidate**" in page
    for name in everfit.__all__:
        assert not is_gate(getattr(everfit, name)) or f"\n## {name}\n" in page


def test_every_kind_of_finding_has_a_meaning_and_the_severities_that_the_source_gives(rows: Rows) -> None:
    assert set(MEANINGS) == set(get_args(FindingKind))
    found = severities_of_findings()
    assert {kind for kind in MEANINGS if not found.get(kind)} == set()
    assert found["drift"] == {"info", "warning"}
    assert found["performance_drop"] == {"critical"}
    assert found["candidate_refused"] == {"info"}
    assert [row[0].strip("`") for row in rows("findings")[1:4]] == list(SEVERITIES)


def test_every_metric_of_the_service_and_every_label_has_a_meaning(rows: Rows) -> None:
    from everfit.serving.metrics import ServiceMetrics

    listed = {row[0].strip("`"): row for row in rows("service")}
    for family in ServiceMetrics().collect():
        assert listed[family.name + ("_total" if family.type == "counter" else "")][3]
        for label in labels_of(family):
            assert LABELS[label]
            assert listed[label][1] == LABELS[label]
