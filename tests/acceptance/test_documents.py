"""Model cards, the site and Annex IV, made by the real commands from a trained project."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from markdown_it import MarkdownIt
from tests.acceptance.shop import everfit

from everfit.commands.documentation.declared_design import declared_design
from everfit.commands.documentation.documents import make_annex, make_card
from everfit.commands.documentation.model_card import model_card
from everfit.commands.documentation.site import write_site
from everfit.commands.documentation.version_facts import version_facts
from everfit.core.records import Verdict
from everfit.wiring import open_system

DESIGN = """\
---
purpose: Orders that come late lose customers.
decision: "Whether to <b>warn</b> the customer | or not"
action: The shop calls the customer.
users: Shops.
affected: Customers.
owner: Ada
contact: "TO FILL: an address"
not_for: [Judging couriers]
limits: ["# no heading", "--- no rule"]
assumptions: [Shops are open.]
metric_reason: Costs grow with the error.
risk_class: none
risk_reason: No use of Article 6.
data:
  - {source: orders, owner: Logistics, provenance: Tills., licence: Our own., personal: true, refresh: daily,
     retention: a year}
risks:
  - {what: A stale feed., likelihood: low, harm: high, mitigation: {monitor: stale_source}, residual: low, owner: Ada}
oversight: {who: Ada, how: everfit rollback late, fallback: {rule: Warn nobody.}}
---
# Late orders
"""
POINTS = [f"{section}({letter})" for section in (1, 2) for letter in "abcdefgh"] + [str(one) for one in range(3, 10)]


def require_model_card(markdown: str) -> tuple[dict[str, Any], str]:
    """Return front matter and body of a card that keeps the rules of Hugging Face's format."""
    assert markdown.startswith("---\n")
    matter, body = markdown.removeprefix("---\n").split("\n---\n", 1)
    metadata = yaml.safe_load(matter)
    assert isinstance(metadata["license"], str)
    assert isinstance(metadata["library_name"], str)
    assert all(isinstance(tag, str) for tag in metadata["tags"])
    for model in metadata["model-index"]:
        assert model["name"]
        assert model["results"]
        for result in model["results"]:
            assert isinstance(result["task"]["type"], str)
            assert isinstance(result["dataset"]["type"], str)
            assert isinstance(result["dataset"]["name"], str)
            assert result["metrics"]
            for metric in result["metrics"]:
                assert isinstance(metric["type"], str)
                assert isinstance(metric["value"], float)
    return metadata, body


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of each file of a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_a_card_has_what_is_recorded(trained: Path) -> None:
    card = everfit(trained, "card")
    assert card.code == 0, card.err
    metadata, body = require_model_card(card.out)
    assert metadata["pipeline_tag"] == "tabular-classification"
    version = open_system(trained).registry.champion("late")
    assert version is not None
    for recorded in (
        version.digest,
        version.run_id,
        "shop = shop-",
        "beats_baseline",
        "orders.parquet",
        version.tags["everfit.data"],
    ):
        assert recorded in body
    for heading in ("Purpose and limits", "Training data", "Evaluation", "Gate report", "Lineage", "How to use"):
        assert f"\n## {heading}\n" in body
    # There is no design record.
    assert "## Purpose and limits\n\nNot provided.\n" in body


def test_an_unknown_version_is_an_error(trained: Path) -> None:
    answer = everfit(trained, "card", "late", "99", "--json")
    assert answer.code == 1
    assert answer.json["error"]["kind"] == "UnknownVersionError"


def test_hostile_names_stay_text_in_a_card(own: Path) -> None:
    system = open_system(own)
    facts = version_facts(system, system.registry.version("late", "champion"))
    hostile = "no'; rm -rf /\n---\nlicense: mit\n# title <script> | \x1b[2J"
    schema = msgspec.structs.replace(
        facts.schema,
        classes=("no", hostile),
        request=tuple(msgspec.structs.replace(field, example=hostile) for field in facts.schema.request),
    )
    lineage = msgspec.structs.replace(facts.manifest.lineage, params={hostile: hostile})
    assert facts.report is not None
    verdict = Verdict(gate=hostile, outcome="passed", sentence=hostile)
    changed = dataclasses.replace(
        facts,
        schema=schema,
        license=hostile,
        manifest=msgspec.structs.replace(facts.manifest, lineage=lineage),
        report=msgspec.structs.replace(facts.report, verdicts=(verdict,)),
    )
    design = declared_design(system.project, "late")
    plain, card = model_card(facts, design), model_card(changed, design)
    metadata, body = require_model_card(card.markdown)
    assert metadata["license"].startswith("no'; rm -rf /")
    assert metadata.keys() == plain.metadata.keys()
    headings = [line for line in body.splitlines() if line.startswith("#")]
    assert headings == [line for line in plain.markdown.splitlines() if line.startswith("#")]
    assert "<script" not in MarkdownIt("commonmark", {"html": True}).enable("table").render(body)
    assert "\x1b" not in card.markdown


def test_the_site_has_the_same_bytes_twice_and_only_links_that_exist(own: Path) -> None:
    (own / "design.md").write_text(DESIGN)
    system, folder = open_system(own), own / "site"
    folder.mkdir()
    (folder / "CNAME").write_text("docs.example")
    first = write_site(system, folder)
    before = digests(folder)
    # A page of a version that has no alias any more is removed; a file of the user's is kept.
    stale = folder / "model-late-version-99.html"
    stale.write_bytes((folder / "model-late-version-1.html").read_bytes())
    (folder / "own.html").write_text("<p>mine</p>")
    assert write_site(system, folder) == first
    assert digests(folder) == before | {"own.html": hashlib.sha256(b"<p>mine</p>").hexdigest()}
    pages = {path.name: path.read_text() for path in folder.glob("*.html")}
    for name in first.pages:
        targets = [part.split('"')[0] for part in pages[name].split('<a href="')[1:]]
        assert targets
        assert set(targets) <= set(pages)
        assert "<script" not in pages[name]
        assert "<b>warn" not in pages[name]
    assert "&lt;b&gt;warn&lt;/b&gt; the customer" in pages["model-late.html"]
    assert "<td>shop_record.late</td><td>Float64</td>" in pages["features.html"]
    assert "<td>distance_km</td><td>Float64</td>" in pages["data.html"]
    assert "<dt>Owner</dt><dd>Logistics</dd>" in pages["data.html"]


def test_annex_iv_counts_what_is_provided(own: Path) -> None:
    system = open_system(own)
    without = make_annex(system, "late")
    (own / "design.md").write_text(DESIGN)
    found = make_annex(system, "late")
    assert list(found.points) == POINTS
    for point in ("4", "5", "2(e)"):
        assert without.points[point] != "provided"
        assert found.points[point] == "provided"
    for point in ("1(e)", "1(f)", "7", "8"):
        assert found.points[point] == "not provided"
    # The contact is still to be filled in.
    assert found.points["1(a)"] == "partly provided"
    provided = sum(state == "provided" for state in found.points.values())
    assert found.coverage.startswith(f"{provided} of 23 points are provided")
    assert found.coverage in found.markdown
    assert "shown to be larger than on the hold-out" in found.markdown.split("### 2(f)")[1].split("### 2(g)")[0]


def test_annex_iv_can_be_made_before_there_is_a_version(tmp_path: Path, trained: Path) -> None:
    for name in ("everfit.toml", "shop.py", "orders.parquet"):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    found = make_annex(open_system(tmp_path), "late")
    assert found.version is None
    assert found.points["2(f)"] == "provided"
    assert found.points["2(a)"] == "not provided"


def test_a_model_without_annex_iv_is_a_misuse(trained: Path) -> None:
    answer = everfit(trained, "docs", "late")
    assert answer.code == 2
    assert "--annex-iv only" in answer.err


@pytest.mark.slow
def test_a_new_project_is_documented_by_the_commands(tmp_path: Path) -> None:
    assert everfit(tmp_path, "init", "bakery").code == 0
    folder = tmp_path / "bakery"
    for words in (("train",), ("promote",)):
        answer = everfit(folder, *words)
        assert answer.code == 0, answer.err + answer.out
    card = everfit(folder, "card", "demand", "1", "--output", "cards/demand.md")
    assert card.code == 0, card.err
    metadata, _ = require_model_card((folder / "cards" / "demand.md").read_text())
    assert metadata["pipeline_tag"] == "tabular-regression"
    made = make_card(open_system(folder), "demand", "champion")
    assert everfit(folder, "card", "--json").json["markdown"] == made.markdown
    # A card shows the record by which its version was trained, whatever becomes of it.
    record = folder / "design.md"
    record.write_text(record.read_text().replace("Too little bread", "Too much bread"))
    assert "Too little bread" in made.markdown
    assert make_card(open_system(folder), "demand", "champion").markdown == made.markdown
    site = everfit(folder, "docs", "--json")
    assert site.code == 0, site.err
    assert (folder / ".everfit" / "docs" / "model-demand-version-1.html").is_file()
    assert set(site.json["pages"]) == {path.name for path in (folder / ".everfit" / "docs").glob("*.html")}
    annex = everfit(folder, "docs", "--annex-iv", "--output", "annex.md")
    assert annex.code == 0, annex.err
    assert " of 23 points are provided" in annex.out
    assert "### 2(f) Pre-determined changes" in (folder / "annex.md").read_text()
