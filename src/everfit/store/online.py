"""Online store: the newest feature values of every entity, for predictions.

:class:`OnlineReader` is the part that a prediction service needs, :class:`OnlineStore` adds the part that fills it;
:class:`everfit.store.sqlite_online.SqliteOnlineStore` implements both. Nothing here imports Polars or NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct

Key = tuple[Any, ...]
"""The values of a view's keys, in the order of its entities: strings, integers or dates."""


class ViewState(Struct, frozen=True, kw_only=True):
    """Schema and high-water mark of a view."""

    view: str
    features: tuple[str, ...]
    """The names of a row's values, in order."""
    definition: str
    """Digest of the view's definition; rows of another definition must not be used."""
    watermark_us: int | None
    """High-water mark in microseconds since 1970: everything known up to here was written; ``None`` if nothing was."""


class OnlineReader(Protocol):
    """Look-up of the newest values of entities.

    Every implementation promises:

    - **The same rule as the point-in-time join.** With ``at_us``, a row is visible if its event time lies in
      ``[at_us - ttl_us, at_us]`` and its known time is not after ``at_us``. Without (``None``), every row is.
      Older rows are not kept; the history has them.
    - **Nulls are values**: a null in the newest row stays null. An unknown entity, or a view that was never written,
      has no row: ``None`` in place of the list.
    - **Equal keys are one key**, whatever type carries them: ``3`` and ``numpy.int64(3)``, a date and its ISO text.
    - **Any thread** may call any method of one object, any number of processes may open one store, and a reader
      never waits for a writer. A read sees a write as soon as it was acknowledged.
    """

    def state(self, view: str) -> ViewState | None:
        """Return the features, definition and watermark of a view; ``None`` if it was never written."""
        ...

    def get_one(
        self, view: str, key: Key, *, at_us: int | None, ttl_us: int, features: tuple[str, ...] | None = None
    ) -> list[Any] | None:
        """Return the values of one entity that are visible at an instant.

        Args:
            key: The values of its keys, in the order of its entities.
            at_us: The instant, in microseconds since 1970; ``None`` for the newest row, however old.
            ttl_us: How old a row may be, in microseconds.
            features: The names to return, in this order, whatever the order they are stored in; a name that the
                view does not have is null. By default all, in the order of :meth:`state`.
        """
        ...

    def get(
        self,
        view: str,
        keys: Sequence[Key],
        *,
        at_us: int | None,
        ttl_us: int,
        features: tuple[str, ...] | None = None,
    ) -> list[list[Any] | None]:
        """Return the result of :meth:`get_one` for each key, in order, from one snapshot of the store."""
        ...


class OnlineStore(OnlineReader, Protocol):
    """Store of the newest row of every entity, view by view.

    Besides what :class:`OnlineReader` promises:

    - **The newest wins**: of two rows of one entity, the one with the later event time stays, and of two with the
      same event time the one that became known later, in whatever order they were written. On a full tie the one
      written last stays. So writing the same rows again changes nothing.
    - **Atomic**: each call takes effect as a whole, the watermark with its rows, and once it has returned it survives
      the death of the process.
    """

    def create(self, view: str, features: Sequence[str], *, definition: str = "") -> None:
        """Create an empty view, replacing any of this name."""
        ...

    def write_columns(
        self,
        view: str,
        keys: Sequence[Sequence[Any]],
        event_us: Sequence[int],
        created_us: Sequence[int],
        columns: Sequence[Sequence[Any]],
        *,
        watermark_us: int | None = None,
        now_us: int | None = None,
    ) -> int:
        """Write rows that are given by columns; fastest with one row per entity, in the order of the keys.

        Raises :class:`StoreError` if there is no such view, or there is not one column per feature.

        Args:
            keys: One column per key.
            event_us: Event times, in microseconds since 1970.
            created_us: Known times, in microseconds since 1970.
            columns: One column per feature, in the view's order.
            watermark_us: The new watermark; by default it stays.
            now_us: The present, in microseconds since 1970. A stored row that is later than that by more than
                :data:`everfit.core.instants.AHEAD` is wrong, and any row replaces it.

        Returns:
            The number of rows that were new or newer than the stored ones.
        """
        ...

    def replace(self, view: str, *, by: str) -> None:
        """Rename the view ``by`` to ``view`` and drop the one of that name, atomically.

        Raises :class:`StoreError` if there is no view ``by``.
        """
        ...
