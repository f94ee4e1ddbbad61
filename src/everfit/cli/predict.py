"""``everfit predict``: ask a running service."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from everfit.cli.options import AsJson, ProjectFolder


def predict(
    model: Annotated[str, typer.Argument(help="Model.")],
    rows: Annotated[
        str, typer.Argument(help="One JSON object, a list of them, a file with either, or - for standard input.")
    ] = "-",
    url: Annotated[
        str | None, typer.Option("--url", help="The service.", show_default="[serving] host and port")
    ] = None,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Ask a running service for predictions."""
    from everfit.cli.asking import ask, read_rows
    from everfit.cli.output import console, print_json

    if url is None:
        from everfit.wiring import find_root, load_settings

        serving = load_settings(find_root(project)).serving
        url = f"http://{serving.host}:{serving.port}"
    text = sys.stdin.read() if rows == "-" else rows
    if rows != "-" and not rows.lstrip().startswith(("{", "[")) and Path(rows).is_file():
        text = Path(rows).read_text(encoding="utf-8")
    answer = ask(url, model, read_rows(text))
    if as_json:
        print_json(answer)
        return
    for each, value in zip(answer["ids"], answer["predictions"], strict=True):
        shown = json.dumps(value) if isinstance(value, dict) else f"{value:.4f}"
        console().print(f"{each}  [bold]{shown}[/]  (version {answer['version']})")
