"""Texts of a design record, given as options or answered at a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from everfit.cli.output import ask, can_ask
from everfit.core.design_record import DesignRecord
from everfit.design.field_docs import field_docs

Purpose = Annotated[
    str | None, typer.Option("--purpose", help="Problem that the model is to solve.", show_default=False)
]
Owner = Annotated[
    str | None, typer.Option("--owner", help="Person or team that is responsible for the model.", show_default=False)
]
Approvers = Annotated[
    list[str] | None,
    typer.Option("--approver", help="Person or team that approves versions; may be repeated.", show_default=False),
]
Contact = Annotated[
    str | None, typer.Option("--contact", help="Address for questions and complaints.", show_default=False)
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; mark what is not given as to be filled in.")]


def ask_for(given: Mapping[str, Sequence[str]], *, quiet: bool) -> dict[str, list[str]]:
    """Return the texts that are given, by field, and of the other fields those that a person answers.

    Args:
        given: By field of the record; blank texts count as not given.
        quiet: Ask nothing; nothing is asked either where there is no terminal.
    """
    docs = field_docs(DesignRecord)
    found: dict[str, list[str]] = {}
    for name, texts in given.items():
        known = [text for text in texts if text.strip()]
        if not known and not quiet and can_ask():
            answer = ask(f"{name}: {docs[name].rstrip('.')} (Enter: later)")
            known = [answer] if answer else []
        if known:
            found[name] = known
    return found
