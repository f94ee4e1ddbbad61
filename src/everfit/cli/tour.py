"""Demo with real flights, ``everfit demo --data``: the commands that a user would type."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from everfit.cli.demo_project import copy_of, running
from everfit.cli.output import Terminal, bold, print_json
from everfit.core.errors import ProjectError, SourceError
from everfit.definitions.model import Model
from everfit.store.reader import Reader
from everfit.wiring import load_project


def tour(*, data: Path, folder: Path | None, as_json: bool) -> None:
    """Run the commands from ``check`` to ``predict`` on the flights in the folder ``data``.

    Raises :class:`SourceError` if there are none, :class:`ProjectError` if a command fails.
    """
    if not (data / "flights.parquet").is_file():
        raise SourceError("the data folder must have flights.parquet", value=str(data))
    with copy_of("flights", folder) as root:
        _Guide(root, str(data.resolve()), as_json=as_json).walk()


class _Guide:
    def __init__(self, root: Path, data: str, *, as_json: bool) -> None:
        self._root = root
        self._data = data
        self._environment = os.environ | {"EVERFIT_PATHS_DATA": data}
        self._as_json = as_json
        self._terminal = Terminal(quiet=as_json)

    def walk(self) -> None:
        started_s = time.monotonic()
        model, until, row = self._request()
        self._run("Check the definitions against the data", "check", "--as-of", until)
        trained = self._run("Train, test and register a version", "train", model, "--as-of", until)
        self._run("Make it the champion", "promote", model, "--reason", "the demo")
        self._run("Fill the online store", "features", "materialize", "--until", until)
        self._title("Serve it", "everfit serve")
        with running(self._root, "serve", "--port", "0", environment=self._environment) as service:
            url = service.url()
            self._terminal.line(f"Serving at {url}")
            words = ("predict", model, json.dumps(row, default=str), "--url", url)
            answer = self._run("Request a prediction over HTTP", *words)
        if self._as_json:
            print_json({"trained": trained, "request": row, "answer": answer})
        seconds = time.monotonic() - started_s
        self._terminal.show(["", f"From nothing to a prediction in {seconds:.0f} s. Next: everfit init my-project"])

    def _request(self) -> tuple[str, str, dict[str, Any]]:
        """Return the model's name, time and request fields of the newest event; everything before it is history."""
        project = load_project(self._root, flags={"paths.data": self._data})
        model = project.model()
        row = _newest_event(model, Reader(self._root, project.settings.paths))
        return model.name, row[model.events.timestamp].isoformat(), {name: row[name] for name in model.request}

    def _run(self, title: str, *command: str) -> Any:
        self._title(title, shlex.join(["everfit", *command]))
        # One process for each command, as for a user; the JSON document needs the JSON of the commands.
        line = [sys.executable, "-m", "everfit", *command, "--project", str(self._root)]
        done = subprocess.run(  # noqa: S603 - our own command
            [*line, "--json"] if self._as_json else line,
            env=self._environment,
            stdout=subprocess.PIPE if self._as_json else None,
            check=False,
        )
        if done.returncode:
            failed = f"everfit {command[0]}: exit {done.returncode}"
            raise ProjectError("every command of the demo must succeed", value=failed)
        return json.loads(done.stdout) if self._as_json else None

    def _title(self, text: str, command: str) -> None:
        self._terminal.show(["", bold(text), ("$", command)])


def _newest_event(model: Model, reader: Reader) -> dict[str, Any]:
    """Return the newest event with an id, with all columns of its source."""
    events = model.events
    rows = reader.scan(events.source).drop_nulls([events.timestamp, events.id])
    if events.where is not None:
        rows = rows.filter(events.where)
    # Two days before the end: sources end at different times, and the event should have features.
    end = pl.col(events.timestamp).max()
    found = rows.filter(pl.col(events.timestamp) <= end - timedelta(days=2)).sort(events.timestamp, events.id)
    return found.tail(1).collect().row(0, named=True)
