"""``everfit card`` and ``everfit docs``: model cards, the project's site, technical documentation by Annex IV."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from everfit.cli.options import ModelName, Version
from everfit.cli.output import OK, Item, Output
from everfit.cli.printing import printed
from everfit.commands.documentation.documents import make_annex, make_card
from everfit.commands.documentation.site import write_site
from everfit.core.errors import MisuseError
from everfit.system import System

_FILE = Annotated[Path | None, typer.Option("--output", help="Write it to this file instead.", show_default=False)]
_PLACE = "Folder of the site; with --annex-iv, the file to write instead of printing."
_ANNEX = "Print the technical documentation of a model by Annex IV of the EU AI Act, as Markdown."
_OF_MODEL = "The model of --annex-iv; may be left out if the project has only one."
_SITE_FOLDER = "docs"
"""Folder of the site, within the state folder."""


@printed
def card(system: System, model: ModelName = None, version: Version = "champion", output: _FILE = None) -> Output:
    """Print the model card of a version, in Hugging Face's format.

    It is made from what is recorded: design record, package, gate report, ledger. What is missing is "not provided".
    """
    made = make_card(system, system.project.model(model).name, version)
    return Output(made, _shown(made.markdown, output))


@printed
def docs(
    system: System,
    model: Annotated[str | None, typer.Argument(help=_OF_MODEL, show_default=False)] = None,
    output: Annotated[Path | None, typer.Option("--output", help=_PLACE, show_default=".everfit/docs")] = None,
    annex_iv: Annotated[bool, typer.Option("--annex-iv", help=_ANNEX)] = False,
) -> Output:
    """Write the project's documentation as a site of plain files.

    It has design records, model cards, features, data, policies, gates and rollout plans.
    """
    if annex_iv:
        made = make_annex(system, system.project.model(model).name)
        return Output(made, [*_shown(made.markdown, output), *([(OK, made.coverage)] if output else [])])
    _require_no_model(model)
    site = write_site(system, output or system.state / _SITE_FOLDER)
    return Output(site, [(OK, f"{len(site.pages)} pages are written; open {Path(site.folder) / 'index.html'}.")])


def _require_no_model(model: str | None) -> None:
    if model is not None:
        raise MisuseError("a model is given with --annex-iv only", value=model, remedy="The site has all models.")


def _shown(markdown: str, output: Path | None) -> Iterable[Item]:
    if output is None:
        return markdown.splitlines()
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(markdown, encoding="utf-8")
    return [(OK, f"{output} is written.")]
