"""``everfit up``: the prediction service and the loop; and the hidden commands that run their processes."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from everfit.cli.logs import keep_log
from everfit.cli.options import AsJson, FollowReplay, Host, Port, ProjectFolder, ProjectRoot, Workers
from everfit.cli.output import bold, print_json, print_line
from everfit.cli.serve import report_ready
from everfit.loop.champion_predictions import champion_code, run_request
from everfit.loop.retrain_job import run_training
from everfit.runtime.active_launcher import ActiveLauncher
from everfit.runtime.launcher import Launcher
from everfit.runtime.subprocess_runner import die_with_parent
from everfit.runtime.supervisor import ProcessSpec, Supervisor, worker_specs
from everfit.serving.http.listener import listen, url_of
from everfit.store.active_release import active_release
from everfit.store.controller_report import read_controller_report
from everfit.wiring import (
    STATE_FOLDER,
    find_root,
    load_project,
    load_settings,
    open_controller,
    open_recorded,
    open_system,
    webhook_secrets,
)


def up(
    host: Host = None,
    port: Port = None,
    workers: Workers = None,
    replay: FollowReplay = False,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Serve, monitor, retrain and roll out until stopped.

    A model without a champion is trained first.
    """
    keep_log("supervisor", as_json=as_json)
    root = find_root(project)
    state, flags = root / STATE_FOLDER, {"serving.host": host, "serving.port": port, "serving.workers": workers}
    release = active_release(state)
    # A mistake in the folder's definitions is printed before anything is started; a release was tried.
    settings = (
        load_settings(root, flags, code=release.code_folder(state)) if release else load_project(root, flags).settings
    )
    options = [*(["--replay"] if replay else []), *(["--json"] if as_json else [])]
    webhook_secrets(root).read()
    with listen(settings.serving.host, settings.serving.port) as listener:
        url = url_of(listener)

        def announce() -> None:
            report = read_controller_report(state)
            level, models = settings.loop.level, sorted(report.says) if report else []
            if as_json:
                print_json({"url": url, "level": level, "models": models})
            else:
                print_line(bold(settings.project.name), f"is up at {url}, level {level}, with {', '.join(models)}.")

        follows = ActiveLauncher(root, state)
        specs = [
            *worker_specs(listener.fileno(), settings.serving.workers, "--wait", *options),
            ProcessSpec(name="controller", words=("controller", *options), follows=follows),
        ]
        raise typer.Exit(Supervisor(Launcher(root=root), specs).run(announce))


def controller(
    ready: Annotated[int, typer.Option("--ready", help="Descriptor that gets a byte once the controller runs.")],
    project: ProjectRoot,
    replay: FollowReplay = False,
    as_json: AsJson = False,
) -> None:
    """Run the controller process of the loop."""
    keep_log("controller", as_json=as_json)
    one = open_controller(project, in_replay=replay)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: one.stop())
    parent = os.getppid()

    def stop_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        one.stop()

    threading.Thread(target=stop_with_parent, name="parent", daemon=True).start()

    one.run(lambda: report_ready(ready))
    logging.shutdown()
    # Not a return: it would wait for steps that run in threads. The next leader runs them again.
    os._exit(0)


def make_candidate(
    folder: Annotated[Path, typer.Option("--folder", help="Folder of the request and the result.")],
    project: ProjectRoot,
) -> None:
    """Train the candidate of a training order."""
    die_with_parent()
    keep_log("training", as_json=False)
    run_training(open_system(project), folder)
    # Collecting cycles among a thousand modules at exit takes a quarter of a second, and frees nothing of use.
    gc.freeze()


def champion_predictions(
    folder: Annotated[Path, typer.Option("--folder", help="Folder of the request and the result.")],
    project: ProjectRoot,
) -> None:
    """Predict a candidate's hold-out by another release's champion."""
    die_with_parent()
    keep_log("champion", as_json=False)
    # Trees and packages are never written to.
    sys.dont_write_bytecode = True
    run_request(open_recorded(project, partial(champion_code, folder)), folder)
    gc.freeze()
