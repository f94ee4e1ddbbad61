"""The loop and the design record: a review that is overdue is an incident, and a version knows its design."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from tests.design.records import FRONT, design
from tests.loop.town import DAY, HOUR, MODEL, TRAINED, Town, found, town

from everfit.artifact.package import open_package
from everfit.artifact.provenance import code_version, release_digest
from everfit.commands.train import train
from everfit.core.finding import Incident
from everfit.design.record import design_digest, read_design

RIDES = FRONT.replace("source: orders", "source: rides")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return found(tmp_path_factory.mktemp("town") / "town")


@pytest.fixture
def folder(first: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(first, tmp_path / "town"))


def incidents(living: Town, kind: str) -> list[Incident]:
    since = living.clock.instant - 30 * DAY
    return [one for one in living.system.incidents.of(MODEL, since=since) if one.finding.kind == kind]


def test_an_overdue_review_is_an_incident_until_it_is_done(folder: Path) -> None:
    due = TRAINED.date() + timedelta(days=1)
    (folder / "design.md").write_text(design(RIDES.replace("2099-01-31", str(due))))
    with town(folder, "late.retrain_when()") as living:
        living.live(3 * HOUR)
        assert not incidents(living, "review_overdue")
        living.clock.instant = TRAINED + 2 * DAY
        living.round()
        (incident,) = incidents(living, "review_overdue")
        assert f"had to be reviewed by {due}, 1 days ago" in incident.finding.sentence
        assert incident.finding.severity == "warning"
        # A round that fails finds it as well.
        rides = folder / "rides.parquet"
        kept = rides.read_bytes()
        rides.unlink()
        living.round()
        rides.write_bytes(kept)
        (incident,) = incidents(living, "review_overdue")
        assert incident.resolved_at is None
    (folder / "design.md").write_text(design(RIDES))
    with town(folder, "late.retrain_when()") as living:
        living.clock.instant = TRAINED + 2 * DAY + HOUR
        living.round()
        assert incidents(living, "review_overdue")[0].resolved_at is not None


def test_labels_that_come_late_are_an_incident(folder: Path) -> None:
    (folder / "design.md").write_text(design(RIDES.replace("expected_delay: 1h", "expected_delay: 5m")))
    with town(folder, "late.retrain_when()") as living:
        living.live(DAY / 2, step=3 * HOUR)
        (incident,) = incidents(living, "label_delay")
        assert "known after 1h, where the design record expects 5m" in incident.finding.sentence


def test_a_version_knows_the_design_that_it_was_made_under(folder: Path) -> None:
    (folder / "design.md").write_text(design(RIDES))
    with town(folder, "") as living:
        system = living.system
        version = train(system, actor="a person").version
        assert version is not None
        package = open_package(system.registry.fetch(version), trust=system.trust)
        document = read_design(system.project, MODEL)
        assert document is not None
        assert document.record is not None
        assert package.manifest.lineage.design == design_digest(document.record)
        (folder / "design.md").unlink()
        kept = read_design(system.recorded_project(package), MODEL)
        assert kept is not None
        assert kept.record == document.record
        assert kept.prose == document.prose


def test_the_digest_of_a_release_covers_the_front_matter_but_not_the_prose(folder: Path) -> None:
    digests = []
    for text in (None, design(RIDES), design(RIDES, "Another text.\n"), design(RIDES.replace("0.9", "0.8"))):
        if text is not None:
            (folder / "design.md").write_text(text)
        digests.append((release_digest(folder), code_version(folder).digest))
    assert len({code for _, code in digests}) == 1
    assert digests[1][0] == digests[2][0]
    assert len({whole for whole, _ in digests}) == 3
