"""What asks for a training, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

OrderState = Literal[
    "open", "running", "delivering", "shipped", "registered", "refused", "taken_back", "failed", "cancelled"
]
"""What an order has come to.

``open``: nobody has begun; ``running``: it trains, or its candidate is judged; ``delivering``: a version passed and is
rolled out; ``shipped``: that version is the champion; ``registered``: it was trained by hand and passed, and a person
promotes it; ``refused``: the gates said no; ``taken_back``: it was worse live; ``failed``: it could not be carried out;
``cancelled``: a person said no.
"""

UNFINISHED: tuple[OrderState, ...] = ("open", "running", "delivering")
IN_VAIN: tuple[OrderState, ...] = ("refused", "taken_back", "failed")
"""Ends that brought nothing."""
HAND = "train/"
"""The cause of a training by hand is this and its run's id."""


class RetrainOrder(Struct, frozen=True, kw_only=True):
    """A model shall be trained anew."""

    model: str
    cause: str
    """What it is for; a model has at most one order of a cause."""
    reason: str
    """Why, as a sentence with its numbers."""
    findings: tuple[str, ...] = ()
    """The keys of the findings that it rests on."""
    numbers: dict[str, float] = {}
    """The evidence, by name."""
    asked_at: datetime
    actor: str
    """``policy``, or the person who asked."""
    due_at: datetime | None = None
    """The scheduled time that it is given for; ``None`` where no schedule asks."""
    incident: int | None = None
    """The number of the incident that it is to end, where there is one."""


class OrderRecord(Struct, frozen=True, kw_only=True):
    """An order with what became of it."""

    number: int
    """In the sequence of all orders."""
    order: RetrainOrder
    state: OrderState = "open"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    run_id: str | None = None
    version: int | None = None
    """What was registered."""
    sentence: str = ""
    """What came of it."""

    @property
    def by_hand(self) -> bool:
        """``True`` for a training that ``everfit train`` carried out: policies and the controller leave it alone."""
        return self.order.cause.startswith(HAND)

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be done."""
        return self.state not in UNFINISHED

    @property
    def brought_nothing(self) -> bool:
        """Whether it ended and the model is no better for it; one that was cancelled says nothing about that."""
        return self.state in IN_VAIN
