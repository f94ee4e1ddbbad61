"""The reference page of arguments leaves nothing out."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from docs.reference_pages import _CHAPTERS, arguments

import everfit

TAKING = [name for name in everfit.__all__ if arguments(getattr(everfit, name))]


def section(page: str, name: str) -> str:
    found = re.search(rf"^#+ {re.escape(name)}$(.*?)(?=^#|\Z)", page, flags=re.MULTILINE | re.DOTALL)
    assert found, f"{name} has no heading"
    return found[1]


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "reference" / "project-file.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TAKING)
def test_every_public_name_is_there_with_all_its_arguments(page: str, name: str) -> None:
    text = section(page, name)
    for argument in inspect.signature(getattr(everfit, name)).parameters:
        assert re.search(rf"^\| `\*{{0,2}}{argument}` \|", text, flags=re.MULTILINE), argument


@pytest.mark.parametrize("name", sorted({name for names in _CHAPTERS.values() for name in names} & set(TAKING)))
def test_every_argument_of_the_project_file_has_a_meaning(name: str) -> None:
    assert not [each.name for each in arguments(getattr(everfit, name)) if not each.meaning]


@pytest.mark.parametrize("method", ["trainer", "retrain_when", "ship_when", "roll_out", "watch_for"])
def test_methods_of_the_model_are_there(page: str, method: str) -> None:
    text = section(page, f"Model.{method}")
    for argument in list(inspect.signature(getattr(everfit.Model, method)).parameters)[1:]:
        assert re.search(rf"^\| `\*{{0,2}}{argument}` \| .* \| .* \| .+ \|$", text, flags=re.MULTILINE), argument


def test_what_a_trainer_may_ask_for_is_there(page: str) -> None:
    from everfit.definitions.trainer_arguments import OFFERED

    assert not [name for name in OFFERED if f"`{name}`" not in section(page, "The trainer")]
