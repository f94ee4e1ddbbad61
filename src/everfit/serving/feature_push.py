"""Feature rows that callers push to the online store."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct

from everfit.core.errors import InvalidRequestError, StoreError, UnknownModelError
from everfit.serving.feedback import past_us
from everfit.serving.inference.data_plane import DataPlane
from everfit.serving.inference.served_model import ServedModel
from everfit.serving.prediction_logger import PredictionLogger
from everfit.serving.protocols.json import INT64, decode_json, make_whole, require_few
from everfit.serving.push_targets import PushTarget, RowColumns, push_targets
from everfit.store.journal_records import PushedRows
from everfit.store.sqlite_online import Generation, OnlineStore


class _PushBody(Struct, forbid_unknown_fields=True):
    rows: Annotated[list[dict[str, Any]], Meta(min_length=1)]


_BODY = msgspec.json.Decoder(_PushBody)


class PartialPush(Struct, frozen=True, kw_only=True):
    """A generation that did not take the pushed rows, or not all of their features."""

    definition: str
    """Digest of its definition."""
    readers: tuple[str, ...]
    """The versions that read it, as ``model version N``."""
    reason: str


class AcceptedRows(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Number of pushed rows."""

    rows: int
    written: int
    """Number of rows that are online now; the others were older than the stored ones."""
    partial: tuple[PartialPush, ...] = ()


class _TakenRows(NamedTuple):
    """Pushed rows in the types of a generation."""

    target: PushTarget
    rows: list[Any]
    keys: dict[str, list[Any]]
    features: dict[str, list[Any]]


@dataclass(frozen=True)
class FeaturePush:
    """Checks feature rows, records them and writes them to the online store. Any thread may call any method.

    The schemas of the models that are served define the views. A request has at most ``max_rows`` rows.
    """

    data_plane: DataPlane
    prediction_logger: PredictionLogger
    online: OnlineStore
    max_rows: int
    _row_types: dict[tuple[str, str, bool], tuple[RowColumns, Any]] = field(default_factory=dict)

    def push(self, view: str, body: bytes) -> AcceptedRows:
        """Take feature rows: ``{"rows": [{key: …, "event_time": …, feature: …, …}, …]}``.

        They are on the disk before they are online, and online before this returns. ``created``, when a row became
        known, is now unless it is given. They are written to every generation of the view. One of them must have all
        its features in every row; another one that lacks some has null for these, as it has in history.

        Raises :class:`UnknownModelError` if no served model looks this view up, :class:`InvalidRequestError` if a row
        does not have its columns, :class:`RequestTooLargeError` if there are too many rows, and :class:`StoreError` if
        they could not be recorded or written.
        """
        targets = self._targets(view)
        if not targets:
            raise UnknownModelError(
                "rows can be pushed to a view that a served model looks up, and that was materialised once",
                value=view[:200],
                remedy=f"Such views: {', '.join(self._views()) or 'none'}. Materialise: everfit features materialize.",
            )
        rows = decode_json(_BODY, body, "must be what the documentation says").rows
        require_few(len(rows), self.max_rows, "rows")
        integers = {name for target in targets for name, kind in target.keys.items() if kind is INT64}
        for row in rows:
            make_whole(row, sorted(integers))
        taken, partial = self._take(targets, rows)
        now_us = self.data_plane.now_us()
        event_us, created_us = [], []
        for number, row in enumerate(taken[0].rows):
            event_us.append(past_us(row.event_time, now_us, f"rows[{number}].event_time"))
            created_us.append(past_us(row.created, now_us, f"rows[{number}].created") if row.created else now_us)
        self.prediction_logger.log_pushed_rows(_record(view, taken, now_us, event_us, created_us))
        written = [self._write(part, event_us, created_us, now_us) for part in taken]
        there = [count for count in written if count is not None]
        if not there:
            raise StoreError("a view must stay materialised while rows are pushed to it", value=view)
        return AcceptedRows(rows=len(rows), written=max(there), partial=tuple(partial))

    def _write(self, taken: _TakenRows, event_us: list[int], created_us: list[int], now_us: int) -> int | None:
        """Write rows to their generation; return the number that is online now, ``None`` if it was dropped."""
        generation: Generation | None = taken.target.generation
        keys, columns = list(taken.keys.values()), list(taken.features.values())
        while generation is not None and generation.features == taken.target.generation.features:
            written = self.online.write_columns(generation, keys, event_us, created_us, columns, now_us=now_us)
            if written is not None:
                return written
            # A draft has taken its place since; its rows may have been read before these were recorded.
            generation = self.online.state(generation.view, generation.definition)
        return None

    def columns(self) -> dict[str, RowColumns]:
        """Return the columns of each view whose rows can be pushed now."""
        found = {view: self._targets(view) for view in self._views()}
        return {view: targets[0].columns() for view, targets in found.items() if targets}

    def _take(
        self, targets: Sequence[PushTarget], rows: list[dict[str, Any]]
    ) -> tuple[list[_TakenRows], list[PartialPush]]:
        """Return the rows as each generation takes them, and the reasons why one does not, or not in full."""
        taken, partial, refused = [], [], []
        for target in targets:
            try:
                taken.append(self._convert(target, rows, complete=True))
            except msgspec.ValidationError as problem:
                refused.append((target, problem))
        if not taken:
            target, cause = refused[0]
            wanted = ", ".join((*target.keys, "event_time", *target.features))
            rule = f"must be rows with {wanted}, and perhaps created: {cause}"
            raise InvalidRequestError(rule, place="rows") from cause
        for target, cause in refused:
            lacking = [name for name in target.features if not all(name in row for row in rows)]
            reason = f"no row was taken: {cause}"
            if any(name in row for name in target.features for row in rows):
                with suppress(msgspec.ValidationError):
                    taken.append(self._convert(target, rows, complete=False))
                    reason = f"null stands for what is missing: {', '.join(lacking)}"
            generation = target.generation
            if generation.complete:
                partial.append(PartialPush(definition=generation.definition, readers=target.readers, reason=reason))
        return taken, partial

    def _convert(self, target: PushTarget, rows: list[dict[str, Any]], *, complete: bool) -> _TakenRows:
        """Return rows in the types of a generation. Raises :class:`msgspec.ValidationError`."""
        columns = target.columns(complete=complete)
        converted: list[Any] = msgspec.convert(rows, self._rows_type(target.generation, columns, complete=complete))
        return _TakenRows(
            target,
            converted,
            {
                name: [_plain(getattr(row, f"key_{number}")) for row in converted]
                for number, name in enumerate(target.keys)
            },
            {
                name: [
                    None if value is UNSET else value
                    for value in (getattr(row, f"feature_{number}") for row in converted)
                ]
                for number, name in enumerate(target.features)
            },
        )

    def _rows_type(self, generation: Generation, columns: RowColumns, *, complete: bool) -> Any:
        # Making the type takes as long as ten rows.
        key = generation.view, generation.definition, complete
        kept = self._row_types.get(key)
        if kept is None or kept[0] != columns:
            kept = self._row_types[key] = (columns, list[columns.row_type()])  # type: ignore[misc]
        return kept[1]

    def _models(self) -> list[ServedModel]:
        """Return the loaded versions, champions first."""
        variants = list(self.data_plane.models.values())
        champions = [one.champion for one in variants]
        return champions + [model for one in variants for model in one.versions.values() if model not in champions]

    def _views(self) -> list[str]:
        return sorted({lookup.view for model in self._models() for lookup in model.schema.lookups})

    def _targets(self, view: str) -> list[PushTarget]:
        """Return the generations of a view that rows can be pushed to; none if it is not looked up."""
        generations = self.online.generations(view) if view in self._views() else ()
        is_there = any(generation.complete for generation in generations)
        return push_targets(view, self._models(), generations) if is_there else []


def _record(
    view: str, taken: Sequence[_TakenRows], now_us: int, event_us: list[int], created_us: list[int]
) -> PushedRows:
    """Return the record of pushed rows with the columns of all generations, in the types of the first that has each."""
    keys: dict[str, list[Any]] = {}
    features: dict[str, list[Any]] = {}
    for part in reversed(taken):
        keys |= part.keys
        features |= part.features
    return PushedRows(
        view=view, recorded_us=now_us, keys=keys, event_us=event_us, created_us=created_us, features=features
    )


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
