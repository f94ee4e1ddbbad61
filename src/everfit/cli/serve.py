"""``everfit serve``: the prediction service."""

from __future__ import annotations

from typing import Annotated

import typer

from everfit.cli.options import AsJson, ProjectFolder


def serve(
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on.", show_default="[serving] host")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", help="Port to listen on; 0 takes a free one.", show_default="[serving] port")
    ] = None,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Serve the champions over HTTP until stopped."""
    from everfit.cli.output import console, print_json
    from everfit.serving.server import serve as run
    from everfit.wiring import open_service

    flags = {"serving.host": host, "serving.port": port}
    service = open_service(project, flags={key: value for key, value in flags.items() if value is not None})

    def announce(url: str) -> None:
        models = service.plane.versions()
        if as_json:
            print_json({"url": url, "models": models})
        else:
            for name, version in models.items():
                console().print(f"Serving [bold]{name}[/] version {version} at {url}/predict/{name}")

    run(service.plane, service.settings, announce=announce)
