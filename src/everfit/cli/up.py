"""``everfit up``: the prediction service and the loop around it, kept alive; and the hidden commands behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everfit.cli.options import AsJson, FollowReplay, Host, Port, ProjectFolder, Workers


def up(
    host: Host = None,
    port: Port = None,
    workers: Workers = None,
    replay: FollowReplay = False,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Serve, watch, retrain and deliver until stopped.

    Where no version answers yet, the first one is trained.
    """
    from everfit.cli.logs import keep_log
    from everfit.cli.output import bold, print_json, print_line
    from everfit.runtime.launcher import Launcher
    from everfit.runtime.supervisor import Post, Supervisor, worker_posts
    from everfit.serving.http.listener import listen, url_of
    from everfit.wiring import find_root, load_project

    keep_log("supervisor", as_json=as_json)
    flags = {"serving.host": host, "serving.port": port, "serving.workers": workers}
    opened = load_project(find_root(project), {key: value for key, value in flags.items() if value is not None})
    settings, words = opened.settings, [*(["--replay"] if replay else []), *(["--json"] if as_json else [])]
    with listen(settings.serving.host, settings.serving.port) as listener:
        url = url_of(listener)

        def announce() -> None:
            if as_json:
                print_json({"url": url, "level": settings.loop.level, "models": sorted(opened.models)})
                return
            names = ", ".join(sorted(opened.models))
            print_line(bold(opened.name), f"is up at {url}, level {settings.loop.level}, with {names}.")

        posts = [
            *worker_posts(listener.fileno(), settings.serving.workers, "--wait", *words),
            Post(name="controller", words=("controller", *words)),
        ]
        code = Supervisor(Launcher(root=opened.root), posts).run(announce)
    if code:
        raise typer.Exit(code)


def controller(
    ready: Annotated[int, typer.Option("--ready", help="Descriptor to tell that it leads or stands by.")],
    project: Annotated[Path, typer.Option("--project", help="Folder with everfit.toml.")],
    replay: FollowReplay = False,
    as_json: AsJson = False,
) -> None:
    """Be the controller of the loop."""
    import logging
    import os
    import signal
    import threading

    from everfit.cli.logs import keep_log
    from everfit.wiring import open_controller

    keep_log("controller", as_json=as_json)
    one = open_controller(project, in_replay=replay)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: one.stop())
    parent = os.getppid()

    def outlive_nobody() -> None:
        stop = threading.Event()
        while not stop.wait(1.0):
            if os.getppid() != parent:
                one.stop()
                return

    threading.Thread(target=outlive_nobody, name="parent", daemon=True).start()

    def tell() -> None:
        os.write(ready, b"+")
        os.close(ready)

    one.run(tell)
    logging.shutdown()
    # Not a return: it would wait for steps that run in threads. They are begun anew by whoever leads next.
    os._exit(0)


def make_candidate(
    folder: Annotated[Path, typer.Option("--folder", help="Holds the request, and takes the result.")],
    project: Annotated[Path, typer.Option("--project", help="Folder with everfit.toml.")],
) -> None:
    """Train a candidate in a process of its own."""
    import gc

    from everfit.loop.retrain_job import make
    from everfit.runtime.subprocess_runner import die_with_parent
    from everfit.wiring import open_system

    die_with_parent()
    make(open_system(project), folder)
    # To look for cycles among a thousand modules takes a quarter of a second; the process's end clears them away.
    gc.freeze()
