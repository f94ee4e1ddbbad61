"""``everfit releases secret``: the secrets that sign webhooks."""

from __future__ import annotations

from typing import Annotated

import typer

from everfit.cli.options import ProjectFolder
from everfit.cli.output import OK, Output, bold
from everfit.cli.printing import printed
from everfit.core.errors import MisuseError
from everfit.store.webhook_secrets import WebhookSecrets
from everfit.wiring import find_root, webhook_secrets

_PATH = "/releases/look"


@printed
def secret(
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make a secret and print it, once; those before stay valid.")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the oldest secret; with the last one the webhook ends.")
    ] = False,
    project: ProjectFolder = None,
) -> Output:
    """Count, make or remove the secrets that sign webhooks.

    A service that runs follows within a second. To replace a secret: --rotate, enter the new one at the sender,
    --remove.
    """
    file = webhook_secrets(find_root(project))
    made = _change(file, rotate, remove)
    count = len(file.read())
    valid = f"{count or 'No'} webhook secret{' is' if count == 1 else 's are'} valid"
    lines: list[object] = [(OK, f"{valid}: the service verifies POST {_PATH} with it." if count else f"{valid}.")]
    if made is not None:
        lines = [bold(made), "It is not shown again.", *lines]
    return Output({"secret": made, "valid": count, "path": _PATH if count else None}, lines)


def _change(file: WebhookSecrets, rotate: bool, remove: bool) -> str | None:
    """Make a secret and return it, or remove the oldest one."""
    if rotate and remove:
        raise MisuseError("only one of --rotate and --remove may be given")
    if remove and not file.remove_oldest():
        raise MisuseError("there is no webhook secret to remove")
    return file.rotate().reveal() if rotate else None
