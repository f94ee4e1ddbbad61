"""``everfit check``: everything that is wrong, at once."""

from __future__ import annotations

import typer

from everfit.cli.options import AsJson, AsOf, ProjectFolder


def check(project: ProjectFolder = None, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Hold the definitions against the data and print all problems at once."""
    from everfit.cli.bars import Bars
    from everfit.cli.instants import read_instant
    from everfit.cli.output import console, print_json
    from everfit.cycle import check as run_check
    from everfit.wiring import open_system

    system = open_system(project)
    with Bars(quiet=as_json) as progress:
        found = run_check(system, as_of=read_instant(as_of, name="--as-of"), progress=progress)
    if as_json:
        print_json(found)
        raise typer.Exit(0 if found.passed else 1)
    terminal = console()
    for problem in found.problems:
        word = "[red]error[/]" if problem.severity == "error" else "[yellow]warning[/]"
        value = f", but got {problem.value}" if problem.value else ""
        terminal.print(f"{word}  [bold]{problem.place}[/]: {problem.rule}{value}.")
        if problem.remedy:
            terminal.print(f"       → {problem.remedy}")
    errors = sum(problem.severity == "error" for problem in found.problems)
    summary = f"{len(found.checked)} things checked, {errors} errors, {len(found.problems) - errors} warnings"
    terminal.print(f"[green]✓[/] {summary}." if found.passed else f"[red]✗[/] {summary}.")
    raise typer.Exit(0 if found.passed else 1)
