"""``everfit level``: the level of automation of a project."""

from __future__ import annotations

from everfit.cli.options import AsJson, ProjectFolder
from everfit.cli.output import bold, print_json, print_line, print_rows
from everfit.loop import automation_level
from everfit.wiring import load_project


def level(project: ProjectFolder = None, as_json: AsJson = False) -> None:
    """Show the level of automation, and what the next one needs."""
    found = automation_level.level(load_project(project))
    if as_json:
        print_json(found)
        return
    print_line(bold(found.project), "is on level", bold(f"{found.level}."))
    rows = [(one.level, "✓" if one.present else "–", one.name, one.sentence) for one in found.capabilities]
    print_rows("", ("level", "", "capability", "how, or what is missing"), rows)
