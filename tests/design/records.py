"""A design record that agrees with the project of ``test_check.py``."""

from __future__ import annotations

FRONT = """\
purpose: Customers are told in time that an order will be late.
decision: Tell the customer now, or wait.
action: A message is sent.
not_for: [Judging a courier]
owner: The dispatch team
approvers: [Head of operations]
contact: dispatch@example.com
users: The app
affected: Customers
risk_class: limited
risk_reason: Customers see it.
success:
  business: {metric: complaints, now: 40, target: 20 a day, by: 2027-06-30}
  model: {metric: log_loss, at_most: 0.9}
  economic: {currency: EUR, error_costs: {false_positive: 0.1, false_negative: 2}, training: 0.2, review: 50}
metric_reason: Chances must be right.
baseline: {what: Never tell them.}
data:
  - source: orders
    owner: Shop systems
    provenance: The till
    licence: Our own
    personal: false
    refresh: hourly
    retention: two years
label:
  meaning: It arrived after the promised time.
  assigned_by: The courier's app
  expected_delay: 1h
  known_errors: none known
slices: []
limits: [Snow]
assumptions: [Couriers confirm]
risks:
  - what: The world changes.
    likelihood: medium
    harm: low
    mitigation: {monitor: performance_drop, how: retrain}
    residual: low
    owner: The dispatch team
oversight: {who: The dispatcher, how: everfit rollback late, fallback: {version: previous}}
service: {p99_ms: 1000, availability: 0.99, volume: 100 an hour}
review_by: 2099-01-31
"""


def design(front: str = FRONT, prose: str = "# Late orders\n") -> str:
    """The text of a file."""
    return f"---\n{front}---\n{prose}"
