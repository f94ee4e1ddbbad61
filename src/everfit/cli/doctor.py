"""``everfit doctor``: checks of the installation and of a project's state."""

from __future__ import annotations

import typer

from everfit.cli.diagnosis import diagnose
from everfit.cli.options import AsJson, ProjectFolder
from everfit.cli.output import FAILED, OK, bold, print_json, print_line


def doctor(project: ProjectFolder = None, as_json: AsJson = False) -> None:
    """Check the installation and the project's stores and packages."""
    findings = diagnose(project)
    healthy = all(finding.ok for finding in findings)
    if as_json:
        print_json({"healthy": healthy, "findings": findings})
    else:
        for finding in findings:
            print_line(OK if finding.ok else FAILED, bold(finding.what), "", finding.sentence)
    raise typer.Exit(0 if healthy else 1)
