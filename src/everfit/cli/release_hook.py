"""``everfit releases hook``: the hook of a source repository on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from everfit.cli.options import ProjectFolder
from everfit.cli.output import Output, bold, done
from everfit.cli.printing import printed
from everfit.releases.hook import install_hook, remove_hook
from everfit.wiring import STATE_FOLDER, find_root, load_settings


@printed
def hook(
    repository: Annotated[Path, typer.Argument(help="Folder of the source repository, bare or not.")],
    remove: Annotated[bool, typer.Option("--remove", help="Remove the hook.")] = False,
    project: ProjectFolder = None,
) -> Output:
    """Install the hook that shows pushers their release.

    It is the repository's hook post-receive: after a push of the watched branch it prints the steps of the release, as
    they end, where it was pushed from. It never fails a push.
    """
    root = find_root(project)
    if remove:
        path = remove_hook(repository, root)
        return done({"removed": str(path)}, "Removed", bold(f"{path}."))
    settings = load_settings(root).releases
    path = install_hook(repository, root, root / STATE_FOLDER, settings, interpreter=sys.executable)
    return done(
        {"installed": str(path), "branch": settings.branch}, f"Pushes of {settings.branch} run", bold(f"{path}.")
    )
