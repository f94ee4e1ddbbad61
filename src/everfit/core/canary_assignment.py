"""Assignment of ids to a canary, by a hash: the same in every process, after every restart, and in a backtest."""

from __future__ import annotations

from hashlib import blake2b


def is_assigned(model: str, version: int, row_id: str, *, share: float) -> bool:
    """Return ``True`` if a version that receives a share of the ids, in [0, 1], predicts for this one.

    A larger share of one version includes the ids of a smaller one; another version has other ids.

    >>> is_assigned("late", 2, "A1", share=0.0), is_assigned("late", 2, "A1", share=1.0)
    (False, True)
    """
    drawn = blake2b(f"{model}\0{version}\0{row_id}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn, "big") < share * 2.0**64
