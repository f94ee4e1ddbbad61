"""Demo with real flights, ``everfit demo --data``: the commands that a user would type."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from everfit.cli.demo_project import copy_of, running
from everfit.cli.output import bold, print_json, print_line
from everfit.core.errors import ProjectError, SourceError
from everfit.core.settings import Settings
from everfit.definitions.model import Model
from everfit.store.reader import Reader
from everfit.wiring import load_project

_FLIGHTS_FILE = "flights.parquet"


def tour(*, data: Path, folder: Path | None, as_json: bool) -> None:
    """Run the commands from ``check`` to ``predict``.

    Args:
        data: Folder with the flights.
        folder: Parent folder of the project; by default the project is removed at the end.
        as_json: Print one JSON document at the end instead of text.

    Raises:
        SourceError: If there are no flights in ``data``.
        EverfitError: If a command fails.
    """
    if not (data / _FLIGHTS_FILE).is_file():
        raise SourceError(f"the data folder must have {_FLIGHTS_FILE}", value=str(data))
    with copy_of("flights", folder) as root:
        environment = os.environ | {"EVERFIT_PATHS_DATA": str(data.resolve())}
        _Guide(root, environment, as_json=as_json).walk()


class _Guide:
    def __init__(self, root: Path, environment: dict[str, str], *, as_json: bool) -> None:
        self._root = root
        self._environment = environment
        self._quiet = as_json

    def walk(self) -> None:
        started = time.monotonic()
        model, ask_from, row = self._question()
        until = ask_from.isoformat()
        self._stop("Check the definitions against the data", "check", "--as-of", until)
        trained = self._stop("Train, test and register a version", "train", model, "--as-of", until)
        self._stop("Make it the champion", "promote", model, "--reason", "the demo")
        self._stop("Fill the online store", "features", "materialize", "--until", until)
        with self._service() as url:
            answer = self._stop(
                "Request a prediction over HTTP", "predict", model, json.dumps(row, default=str), "--url", url
            )
        if self._quiet:
            print_json({"trained": trained, "request": row, "answer": answer})
            return
        seconds = time.monotonic() - started
        self._say("")
        self._say(f"From nothing to a prediction in {seconds:.0f} s. Next: everfit init my-project")

    def _question(self) -> tuple[str, Any, dict[str, Any]]:
        """Return the model's name, time and request fields of the newest event; everything before it is history."""
        project = load_project(self._root, flags={"paths.data": self._environment["EVERFIT_PATHS_DATA"]})
        settings: Settings = project.settings
        model = project.model()
        row = newest_event(model, Reader(self._root, settings.paths))
        return model.name, row[model.events.timestamp], {name: row[name] for name in model.request}

    def _stop(self, title: str, *command: str) -> Any:
        self._say(title, shlex.join(["everfit", *command]))
        # One process for each command, as for a user; the JSON document needs the JSON of the commands.
        line = [sys.executable, "-m", "everfit", *command, "--project", str(self._root)]
        done = subprocess.run(  # noqa: S603 - our own command
            [*line, "--json"] if self._quiet else line,
            env=self._environment,
            stdout=subprocess.PIPE if self._quiet else None,
            check=False,
        )
        if done.returncode:
            raise ProjectError(
                "every command of the demo must succeed", value=f"everfit {command[0]}: exit {done.returncode}"
            )
        return json.loads(done.stdout) if self._quiet else None

    @contextmanager
    def _service(self) -> Iterator[str]:
        self._say("Serve it", "everfit serve")
        with running(self._root, "serve", "--port", "0", environment=self._environment) as service:
            url = service.url()
            self._say(f"Serving at {url}")
            yield url

    def _say(self, text: str, command: str = "") -> None:
        if not self._quiet:
            if command:
                print_line()
            print_line(bold(text) if command else text)
            if command:
                print_line("$", command)


def newest_event(model: Model, reader: Any) -> dict[str, Any]:
    """Return the newest event with an id, with all columns of its source."""
    events = model.events
    rows: pl.LazyFrame = reader.scan(events.source).drop_nulls([events.timestamp, events.id])
    if events.where is not None:
        rows = rows.filter(events.where)
    # Two days before the end: sources end at different times, and the event should have features.
    end = pl.col(events.timestamp).max()
    found = rows.filter(pl.col(events.timestamp) <= end - timedelta(days=2)).sort(events.timestamp, events.id)
    return found.tail(1).collect().to_dicts()[0]
