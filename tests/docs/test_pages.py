"""The documentation says what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from docs.generate import stale
from docs.include import region, with_includes

LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:|#)([^)\s#]+)(?:#[\w-]+)?\)")


def test_reference_and_included_code_are_up_to_date() -> None:
    assert not stale(), "run: make docs"


def test_links_lead_somewhere(repository: Path) -> None:
    pages = [*repository.glob("*.md"), *(repository / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(repository)}: {target}"
        for page in pages
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert pages
    assert not broken


def test_pictures_are_well_formed(repository: Path) -> None:
    pictures = [*(repository / "docs" / "pictures").glob("*.svg")]
    assert pictures
    for picture in pictures:
        assert ElementTree.parse(picture).getroot().tag.endswith("svg")


def test_every_record_of_a_decision_is_listed(repository: Path) -> None:
    folder = repository / "docs" / "adr"
    index = (folder / "README.md").read_text(encoding="utf-8")
    records = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert records == sorted(re.findall(r"\((\d{4}-[\w-]+\.md)\)", index))
    assert [name[:4] for name in records] == [f"{number:04}" for number in range(1, len(records) + 1)]


def test_every_dependency_has_its_reason(repository: Path) -> None:
    import tomllib

    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = (need for needs in project["optional-dependencies"].values() for need in needs)
    wanted = {re.split(r"[\[<>=;\s]", need)[0] for need in [*project["dependencies"], *extras]} - {"everfit"}
    record = (repository / "docs" / "adr" / "0003-dependencies.md").read_text(encoding="utf-8")
    assert not sorted(name for name in wanted if f"`{name}`" not in record)


def test_a_region_loses_its_margin_and_its_marks() -> None:
    text = "a = 1\nif a:\n    # region inner\n    b = 2\n\n    c = 3\n    # endregion\n"
    assert region(text, "inner", "x.py") == "b = 2\n\nc = 3\n"
    assert region(text, None, "x.py") == "a = 1\nif a:\n    b = 2\n\n    c = 3\n"


def test_an_unknown_region_is_named() -> None:
    with pytest.raises(ValueError, match="has no region 'outer'"):
        region("a = 1\n", "outer", "x.py")


def test_a_page_takes_its_block_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("# region one\na = 1\n# endregion\n")
    page = "Before\n\n<!-- include: x.py#one -->\n```python\nold\n```\n\nAfter\n"
    assert with_includes(page, tmp_path) == page.replace("old", "a = 1")
