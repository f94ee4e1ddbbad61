"""``everfit init``: a new project that passes its own checks."""

from __future__ import annotations

import math
import random
import re
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer

from everfit.cli.output import Output, bold
from everfit.cli.printing import printed
from everfit.core.clock import SystemClock
from everfit.core.errors import ProjectError

DAYS = 540
_LOAVES = {"north": 60.0, "market": 110.0, "station": 105.0, "mill": 47.0}
"""Mean sales of a shop on a day."""
_WEEK = (0.96, 0.93, 0.97, 1.01, 1.17, 1.29, 0.67)
"""Monday to Sunday, in shares of the mean."""
_SEASON = 0.16
"""Amplitude of the yearly wave, which peaks at the turn of the year."""
_PROMOTED = 0.1
"""Share of days with a promotion."""
_PRICE, _RISE, _RISE_DAYS = 3.0, 0.2, 180


@printed
def init(
    name: Annotated[str, typer.Argument(help="The project's name, and the name of its folder.")],
    folder: Annotated[Path, typer.Option("--in", help="Folder to create it in.")] = Path(),
) -> Output:
    """Create a new project: definitions, settings, data, tests."""
    made = scaffold(name, folder, today=SystemClock().now().date())
    steps = (f"cd {made}", *map("everfit {}".format, ("check", "train", "promote", "features materialize", "serve")))
    document = {"project": name, "folder": str(made), "files": sorted(map(str, made.rglob("*")))}
    return Output(document, [("Created", bold(f"{made}."), "Next:"), *(f"  {step}" for step in steps)])


def scaffold(name: str, parent: Path, *, today: date) -> Path:
    """Create ``parent/name`` from the template, with data that end the day before ``today``, a date in UTC.

    Raises :class:`ProjectError` if the name is not valid, or the folder exists and is not empty.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        rule = "a project's name must be lower-case letters, digits, '-' and '_', and start with a letter"
        raise ProjectError(rule, value=name)
    folder = parent / name
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ProjectError("the new project's folder must not exist yet, or be empty", value=str(folder))
    with as_file(files("everfit.cli") / "template") as template:
        shutil.copytree(template, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace("__NAME__", name).replace("__TODAY__", str(today)), encoding="utf-8")
    sales = folder / "data" / "sales.csv"
    sales.parent.mkdir()
    sales.write_text(sales_csv(today), encoding="utf-8")
    return folder


def sales_csv(today: date) -> str:
    """Return simulated sales of four bakeries as CSV. They end yesterday, so that nothing in them is stale."""
    return "sale_id,shop,opens_at,closes_at,price,promotion,sold\n" + "".join(f"{row}\n" for row in _rows(today))


def _rows(today: date) -> Iterator[str]:
    rng = random.Random(20250106)  # noqa: S311 - simulated sales, no secret
    first = today - timedelta(days=DAYS)
    for number in range(DAYS):
        day = first + timedelta(days=number)
        price = _PRICE + _RISE * (number // _RISE_DAYS)
        promoted = rng.random() < _PROMOTED
        season = 1 + _SEASON * math.cos(2 * math.pi * day.timetuple().tm_yday / 365)
        for place, (shop, loaves) in enumerate(_LOAVES.items()):
            mean = loaves * _WEEK[day.weekday()] * season * (_PRICE / price) ** 0.5 * (1.4 if promoted else 1.0)
            sold = max(0, round(rng.gauss(mean, 0.12 * mean)))
            sale = number * len(_LOAVES) + place + 1
            hours = f"{day}T06:00:00Z,{day}T18:00:00Z"
            yield f"{sale},{shop},{hours},{price:.1f},{str(promoted).lower()},{sold}"
