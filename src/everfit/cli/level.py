"""``everfit level``: the level of automation, from what is really running."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from everfit.cli.options import ProjectFolder
from everfit.cli.output import Output, Styled, Table, bold
from everfit.cli.printing import printed
from everfit.cli.release_process import enter_release
from everfit.loop.automation_level import Capability, LevelReport, judge_level
from everfit.loop.level_probes import gather_facts
from everfit.wiring import STATE_FOLDER, load_project, project_clock

_STATES = {"on": Styled("on", "green"), "off": Styled("off", "dim"), "broken": Styled("broken", "red")}


@printed
def level(
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if a capability is broken.")] = False,
    project: ProjectFolder = None,
) -> Output:
    """Show every capability of the levels as on, off or broken.

    It is judged from what is really running, within two seconds.
    """
    enter_release(project)
    opened = load_project(project)
    found = judge_level(gather_facts(opened, opened.root / STATE_FOLDER, project_clock(opened.root)))
    rows = [(_STATES[one.state], one.name, one.level, _reason(one)) for one in found.capabilities]
    text = [*_lead(found), Table(("state", "capability", "from level", "how, or what is missing"), rows)]
    return Output(found, text, code=1 if check and found.broken else 0)


def _lead(found: LevelReport) -> Iterator[tuple[object, ...]]:
    reached = "not even level manual is reached" if found.reached is None else f"level {found.reached} is reached"
    words = f"is configured for level {found.level}; {reached}"
    broken = f", {len(found.broken)} of {len(found.capabilities)} capabilities are broken" if found.broken else ""
    yield bold(found.project), f"{words}{broken}."


def _reason(one: Capability) -> str:
    return f"{one.sentence} Next: {one.next_step}." if one.next_step else one.sentence
