"""Columns of predictions and their labels: one vocabulary for training frames, the journal, rollouts and monitoring."""

from __future__ import annotations

ID = "id"
"""Of a prediction, and of the event that it is for."""
TIME = "event_time"
RECORDED_AT = "recorded_at"
VERSION, ROUTE = "version", "route"
PREDICTION = "prediction"
"""For binary models and regressions; ``prediction.<class>`` for each class of a multiclass model."""
LABEL = "label"
"""Null while unknown. Text in the journal; in rollouts and monitoring a number, as
:class:`everfit.measures.quality.Metric` has it.
"""
ARRIVAL = "arrival"
"""Number of a prediction among all of its version, in the order in which they were recorded and read."""
KNOWN_AT = "label_known_at"
"""When the label became known."""
