"""The tour that ``everfit demo --data`` gives: each stop is the command that a user would type."""

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
from typing import TYPE_CHECKING, Any

import polars as pl

from everfit.cli.demo_project import copy_of, running
from everfit.cli.output import bold, print_json, print_line
from everfit.core.errors import ProjectError, SourceError
from everfit.core.settings import Settings
from everfit.store.reader import Reader
from everfit.wiring import load_project

if TYPE_CHECKING:
    import polars as pl

    from everfit.definitions.model import Model

_FLIGHTS_FILE = "flights.parquet"


def tour(*, data: Path, folder: Path | None, as_json: bool) -> None:
    """Walk the ring once.

    Args:
        data: The folder with the flights.
        folder: Where to keep the project; by default it is removed at the end.
        as_json: Print one JSON document at the end instead of a tale.

    Raises:
        SourceError: If there are no flights in ``data``.
        EverfitError: Whatever a stop of the tour refuses.
    """
    if not (data / _FLIGHTS_FILE).is_file():
        raise SourceError(f"the data folder must hold {_FLIGHTS_FILE}", value=str(data))
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
        self._stop("Hold the definitions against the data", "check", "--as-of", until)
        trained = self._stop("Train, test and register a version", "train", model, "--as-of", until)
        self._stop("Make it the champion", "promote", model, "--reason", "the demo")
        self._stop("Fill the online store", "features", "materialize", "--until", until)
        with self._service() as url:
            answer = self._stop("Ask it over HTTP", "predict", model, json.dumps(row, default=str), "--url", url)
        if self._quiet:
            print_json({"trained": trained, "request": row, "answer": answer})
            return
        seconds = time.monotonic() - started
        self._say("")
        self._say(f"From nothing to an answered prediction in {seconds:.0f} s. Next: everfit init my-project")

    def _question(self) -> tuple[str, Any, dict[str, Any]]:
        """The last event of the example: everything before it is history, it is what is asked."""
        project = load_project(self._root, flags={"paths.data": self._environment["EVERFIT_PATHS_DATA"]})
        settings: Settings = project.settings
        model = project.model()
        row = newest_event(model, Reader(self._root, settings.paths))
        return model.name, row[model.events.timestamp], {name: row[name] for name in model.request}

    def _stop(self, title: str, *command: str) -> Any:
        self._say(title, shlex.join(["everfit", *command]))
        # One step is one process, as it is for a user; the JSON of the demo needs the JSON of its steps.
        line = [sys.executable, "-m", "everfit", *command, "--project", str(self._root)]
        done = subprocess.run(  # noqa: S603 - our own command
            [*line, "--json"] if self._quiet else line,
            env=self._environment,
            stdout=subprocess.PIPE if self._quiet else None,
            check=False,
        )
        if done.returncode:
            raise ProjectError(
                "every stop of the demo must succeed", value=f"everfit {command[0]}: exit {done.returncode}"
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
    """The newest event that a model could be asked about, with all columns of its source."""
    events = model.events
    rows: pl.LazyFrame = reader.scan(events.source).drop_nulls([events.timestamp, events.id])
    if events.where is not None:
        rows = rows.filter(events.where)
    # Not among the last ones: feeds end at different times, and a question without features is a dull one.
    end = pl.col(events.timestamp).max()
    found = rows.filter(pl.col(events.timestamp) <= end - timedelta(days=2)).sort(events.timestamp, events.id)
    return found.tail(1).collect().to_dicts()[0]
