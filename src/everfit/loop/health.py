"""What is wrong with the loop itself, as findings: no look at a model's answers would tell."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from everfit.core.errors import EverfitError, StoreError
from everfit.core.finding import Finding, FindingKind
from everfit.store.ledger import require_writable

if TYPE_CHECKING:
    from sqlalchemy import Engine

_LEAST_FREE_BYTES = 128 << 20
"""A look, a training and a minute of answers need less."""

LOOPS_OWN: tuple[FindingKind, ...] = (
    "loop_trouble", "clock_set_back", "training_failed", "candidate_refused", "taken_back",
)  # fmt: skip
"""Kinds that are known without a look at the answers."""
OF_A_LOOK: tuple[FindingKind, ...] = tuple(each for each in get_args(FindingKind) if each not in LOOPS_OWN)
"""All other kinds."""


def loop_trouble(model: str, sentence: str, now: datetime) -> Finding:
    """Something keeps the loop from its work: one finding, whatever it is."""
    return Finding(kind="loop_trouble", model=model, severity="critical", sentence=sentence, since=now)


def in_words(model: str, error: Exception) -> str:
    """That a model could not be attended to, and why."""
    return f"The loop could not attend to {model}: {why(error)}"


def why(error: Exception) -> str:
    """What an error says: ours tells what to do about it; of any other the kind helps whoever looks for it."""
    return str(error) if isinstance(error, EverfitError) else f"{type(error).__name__}: {error}"


def unwritable(ledger: Engine) -> str:
    """A sentence if nothing can be put on record."""
    try:
        require_writable(ledger)
    except StoreError as error:
        return f"Nothing could be put on record: {error}"
    return ""


def short_of_disk(folder: Path) -> str:
    """A sentence if the disk of a folder is nearly full, so that nothing could be recorded any longer."""
    free = shutil.disk_usage(folder).free
    if free >= _LEAST_FREE_BYTES:
        return ""
    return (
        f"The disk of {folder} has only {free >> 20} MiB left, less than the {_LEAST_FREE_BYTES >> 20} MiB below which "
        "answers, labels and trainings may not be recorded; free some of it."
    )
