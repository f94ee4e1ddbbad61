"""Training orders and their results."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

OrderState = Literal[
    "open", "running", "delivering", "shipped", "registered", "refused", "taken_back", "failed", "cancelled"
]
"""State of an order.

``open``: not started; ``running``: a candidate is trained or tested; ``delivering``: a version passed its gates and is
rolled out; ``shipped``: that version is the champion; ``registered``: a training by hand passed its gates, and a person
promotes the version; ``refused``: a gate failed; ``taken_back``: the version was rolled back; ``failed``: the training
failed; ``cancelled``: a person cancelled it.
"""

UNFINISHED: tuple[OrderState, ...] = ("open", "running", "delivering")
IN_VAIN: tuple[OrderState, ...] = ("refused", "taken_back", "failed")
"""Final states in which the model is not improved."""
HAND = "train/"
"""Prefix of the cause of a training by hand; the run's id follows."""


class RetrainOrder(Struct, frozen=True, kw_only=True):
    """An order to retrain a model."""

    model: str
    cause: str
    """Key of the reason; a model has at most one order with the same cause."""
    reason: str
    """The reason as a sentence with numbers."""
    findings: tuple[str, ...] = ()
    """Keys of the findings behind the reason."""
    numbers: dict[str, float] = {}
    """The numbers of the reason by name."""
    asked_at: datetime
    actor: str
    """``policy``, or the person who gave the order."""
    due_at: datetime | None = None
    """The scheduled time of the order; ``None`` without a schedule."""
    incident: int | None = None
    """Number of the incident that the order is to end."""


class OrderRecord(Struct, frozen=True, kw_only=True):
    """An order and its result."""

    number: int
    """Number in the sequence of all orders."""
    order: RetrainOrder
    state: OrderState = "open"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    run_id: str | None = None
    version: int | None = None
    """Version that was registered."""
    sentence: str = ""
    """The result as a sentence."""

    @property
    def by_hand(self) -> bool:
        """Return ``True`` for a training by ``everfit train``, which policies and the controller ignore."""
        return self.order.cause.startswith(HAND)

    @property
    def ended(self) -> bool:
        """Return ``True`` if the state is final."""
        return self.state not in UNFINISHED

    @property
    def brought_nothing(self) -> bool:
        """Return ``True`` if it ended without improving the model; a cancelled order does not count."""
        return self.state in IN_VAIN
