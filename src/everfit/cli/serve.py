"""``everfit serve``: the prediction service; and the hidden command that runs one of its workers."""

from __future__ import annotations

import os
import socket
from typing import Annotated

import typer

from everfit.cli.logs import keep_log
from everfit.cli.options import AsJson, FollowReplay, Host, Port, ProjectFolder, ProjectRoot, Workers
from everfit.cli.output import bold, print_json, print_line
from everfit.runtime.launcher import Launcher
from everfit.runtime.supervisor import Supervisor, worker_specs
from everfit.serving.http.listener import listen, url_of
from everfit.wiring import deployed_versions, find_root, follow_replay, load_settings, open_worker, webhook_secrets


def serve(
    host: Host = None,
    port: Port = None,
    workers: Workers = None,
    replay: FollowReplay = False,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Serve the champions over HTTP until stopped."""
    keep_log("supervisor", as_json=as_json)
    root = find_root(project)
    flags = {"serving.host": host, "serving.port": port, "serving.workers": workers}
    settings = load_settings(root, flags).serving
    webhook_secrets(root).read()
    models = deployed_versions(root)
    with listen(settings.host, settings.port) as listener:
        url = url_of(listener)

        def announce() -> None:
            if as_json:
                print_json({"url": url, "models": models})
                return
            for name, version in models.items():
                print_line("Serving", bold(name), f"version {version} at {url}/predict/{name}")

        options = [*(["--replay"] if replay else []), *(["--json"] if as_json else [])]
        specs = worker_specs(listener.fileno(), settings.workers, *options)
        raise typer.Exit(Supervisor(Launcher(root=root), specs).run(announce))


def worker(
    slot: Annotated[int, typer.Option("--slot", help="Number of the worker.")],
    listener: Annotated[int, typer.Option("--listener", help="Descriptor of the listening socket.")],
    ready: Annotated[int, typer.Option("--ready", help="Descriptor that gets a byte once the worker is ready.")],
    project: ProjectRoot,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for a deployment if there is none.")] = False,
    replay: FollowReplay = False,
    as_json: AsJson = False,
) -> None:
    """Run one worker process of the prediction service."""
    keep_log(f"worker {slot}", as_json=as_json)
    parent = os.getppid()
    clock = follow_replay(find_root(project)) if replay else None
    one = open_worker(project, slot=slot, clock=clock, options=("--json",) if as_json else ())
    one.load(wait=wait)
    one.run(socket.socket(fileno=listener), announce=lambda: report_ready(ready), parent=parent)


def report_ready(descriptor: int) -> None:
    """Report to the supervisor that this process is ready."""
    os.write(descriptor, b"+")
    os.close(descriptor)
