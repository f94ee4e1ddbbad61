"""``everfit.Client``: predictions, outcomes and features from Python."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar, overload
from urllib.parse import quote
from uuid import uuid4

from msgspec import Struct

from everfit.client.channel import Channel
from everfit.client.encode import Rows, encode, plain_id, plain_outcomes, plain_row, plain_rows, single_row
from everfit.client.records import ModelDescription, Prediction, PushResult, Value
from everfit.core.errors import NotReadyError

_T = TypeVar("_T")


class _Predictions(Struct):
    predictions: list[Value]
    ids: list[str]
    version: int
    versions: list[int] = []
    missing: dict[str, list[int]] = {}


class _Reported(Struct):
    outcomes: int


class _Served(Struct):
    name: str
    version: int


class _Index(Struct):
    models: list[_Served]


class Client:
    """Client of a prediction service. Threads may share one; connections are kept between calls.

    A call is repeated, with growing pauses, while the service responds 503 or cannot be reached; a repeated prediction
    is the same prediction, under the same id.

    Args:
        url: The service's address.
        timeout_s: Longest wait for the connection, and then for the response.
        retries: Most repetitions of a call.
        token: For a proxy that wants one: sent as ``Authorization: Bearer TOKEN``. By default the environment variable
            ``EVERFIT_TOKEN``, which the commands ``predict`` and ``outcomes`` use, too.

    Raises:
        SettingsError: If the address is malformed, or the token cannot be sent.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:8080", *, timeout_s: float = 10.0, retries: int = 3, token: str | None = None
    ) -> None:
        self._channel = Channel(url, timeout_s=timeout_s, token=token or os.environ.get("EVERFIT_TOKEN") or None)
        self._retries = retries

    @overload
    def predict(
        self, model: str, inputs: Mapping[str, Any], *, id: str | None = ..., ids: Iterable[Any] | None = ...
    ) -> Prediction: ...

    @overload
    def predict(
        self, model: str, inputs: Rows, *, id: str | None = ..., ids: Iterable[Any] | None = ...
    ) -> list[Prediction]: ...

    def predict(
        self,
        model: str,
        inputs: Rows,
        *,
        id: str | None = None,  # noqa: A002 - the name in the protocol
        ids: Iterable[Any] | None = None,
    ) -> Prediction | list[Prediction]:
        """Return predictions.

        Args:
            model: The model's name.
            inputs: One row, or several: every request field by its name, ``None`` (or NaN, NaT) where it is not known.
                Instants are aware ``datetime``, or text such as ``2026-03-01T08:30:00Z``. Several rows may be a pandas
                or Polars data frame, one row a row of a pandas frame.
            id: Id of the record; of several rows ``id-0``, ``id-1``, …. By default a new one.
            ids: One for each row, instead; a column of a frame will do.

        Returns:
            One prediction for one row, a list of them for several.

        Raises:
            TimestampError: If an instant has no time zone.
            InvalidRequestError: If a field is missing, unknown or of the wrong type; ``place`` is such as
                ``inputs[3].distance``.
            UnknownModelError: If the service does not serve that model.
            RequestTooLargeError: If there are more rows than it takes at once.
            NotReadyError: If it cannot be reached, or cannot response now.
            RequestError: If the service failed.
        """
        row = single_row(inputs)
        body: dict[str, Any] = {"inputs": plain_rows(inputs, "inputs") if row is None else plain_row(row, "inputs")}
        if ids is not None:
            body["ids"] = [plain_id(row_id) for row_id in ids]
        if id is not None or ids is None:
            # Chosen here, so that a repeated request is one prediction.
            body["id"] = str(uuid4()) if id is None else id
        predictions = _by_row(self._request("POST", f"/predict/{quote(model, safe='')}", _Predictions, body))
        return predictions if row is None else predictions[0]

    def report(self, model: str, id: str, value: float | str | bool | None, known_at: datetime | None = None) -> None:  # noqa: A002
        """Report the outcome of a prediction; on the disk when this returns.

        Args:
            model: The model's name.
            id: The prediction's id.
            value: A class or a number; ``None`` takes back what was reported before, anything else corrects it.
            known_at: When that was known; by default now.

        Raises:
            TimestampError: If ``known_at`` has no time zone.
            InvalidRequestError: If the value is no label of this model's.
            UnknownModelError: As :meth:`predict`.
            NotReadyError: As :meth:`predict`, or if it could not be recorded.
        """
        self.outcomes(model, [{"id": id, "value": value, "known_at": known_at}])

    def outcomes(self, model: str, rows: Rows) -> int:
        """Report the outcomes of many predictions: all of them are taken, or none.

        Args:
            model: The model's name.
            rows: Each with ``id``, ``value`` and perhaps ``known_at``, as for :meth:`report`; or a data frame with
                these columns. ``None`` or null as the value takes an outcome back; NaN is refused.

        Returns:
            Number of outcomes that were taken.

        Raises:
            EverfitError: As :meth:`report`; RequestTooLargeError if there are more than the service takes at once.
        """
        body = {"outcomes": plain_outcomes(rows)}
        return self._request("POST", f"/outcomes/{quote(model, safe='')}", _Reported, body).outcomes

    def push(self, view: str, rows: Rows) -> PushResult:
        """Push feature rows: on the disk and online when this returns.

        Args:
            view: The feature view's name.
            rows: Each with the view's keys and features, ``event_time`` and perhaps ``created``; or a data frame with
                these columns.

        Raises:
            TimestampError: If an instant has no time zone.
            InvalidRequestError: If a row does not have the view's columns.
            UnknownModelError: If no model that is served looks this view up.
            RequestTooLargeError: If there are more rows than the service takes at once.
            NotReadyError: As :meth:`predict`, or if they could not be kept.
        """
        body = {"rows": plain_rows(rows, "rows")}
        return self._request("POST", f"/features/{quote(view, safe='')}", PushResult, body)

    def models(self) -> dict[str, int]:
        """Return the champions' versions by model."""
        return {served.name: served.version for served in self._request("GET", "/", _Index).models}

    def model(self, name: str) -> ModelDescription:
        """Return the description of a model.

        Raises:
            UnknownModelError: If the service does not serve it.
            NotReadyError: As :meth:`predict`.
        """
        return self._request("GET", f"/models/{quote(name, safe='')}", ModelDescription)

    def ready(self) -> bool:
        """Return ``True`` if the service is ready; there are no retries."""
        return self._is_ok("/health/ready")

    def live(self) -> bool:
        """Return ``True`` if the service runs; there are no retries."""
        return self._is_ok("/health/live")

    def close(self) -> None:
        """Close the connections. The client can still be used, and opens new ones."""
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _request(self, method: str, path: str, kind: type[_T], body: Mapping[str, Any] | None = None) -> _T:
        sent = None if body is None else encode(body)
        return self._channel.request(method, path, sent, retries=self._retries).decode(kind)

    def _is_ok(self, path: str) -> bool:
        try:
            return self._channel.request("GET", path, retries=0).status == HTTPStatus.OK
        except NotReadyError:
            return False


def _by_row(response: _Predictions) -> list[Prediction]:
    """Return each row's prediction."""
    versions = response.versions or [response.version] * len(response.ids)
    missing: list[tuple[str, ...]] = [()] * len(response.ids)
    for view, places in response.missing.items():
        for place in places:
            missing[place] += (view,)
    return [
        Prediction(value=value, id=own_id, version=version, missing=lacking)
        for value, own_id, version, lacking in zip(response.predictions, response.ids, versions, missing, strict=True)
    ]
