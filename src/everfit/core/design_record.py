"""Design record of a model: the front matter of ``design.md``. Its thresholds are those of the gates.

A text that begins with :data:`TO_FILL` is a placeholder. Sources of the fields: EU AI Act, Annex IV; CRISP-ML(Q)
(Studer et al. 2021, arXiv 2003.05155) for success at three levels; model cards (Mitchell et al. 2019, 1810.03993).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Literal

from msgspec import Meta, Struct

from everfit.core.duration import parse_duration
from everfit.core.errors import DefinitionError

DESIGN_FILE, DESIGN_FOLDER = "design.md", "design"
"""File of the record in a project with one model; folder of the records ``MODEL.md`` in one with several."""
TO_FILL = "TO FILL"
"""Begins a text that is still to be written."""

Text = Annotated[str, Meta(min_length=1, pattern=r"\S", description="text")]
Texts = Annotated[tuple[Text, ...], Meta(min_length=1)]
Amount = Annotated[float, Meta(ge=0, description="a number of at least 0")]
Grade = Literal["low", "medium", "high"]
RiskClass = Literal["none", "limited", "high"]
"""By the EU AI Act: ``high`` as of its Article 6, ``limited`` as of Article 50, ``none`` for all other systems."""


def is_placeholder(text: object) -> bool:
    """Return true for a text that is still to be written.

    >>> is_placeholder("TO FILL: who answers for it"), is_placeholder("Ada")
    (True, False)
    """
    return isinstance(text, str) and text.lstrip().startswith(TO_FILL)


def _require_one(place: str, *, none: bool = False, **given: object) -> None:
    """Raise :class:`DefinitionError` unless exactly one field has a value, or none where that is allowed."""
    chosen = [name for name, value in given.items() if value is not None and value != ""]
    if len(chosen) > 1 or not (chosen or none):
        value = " and ".join(chosen) or "none"
        raise DefinitionError(f"{place} must have one of {', '.join(given)}", value=value)


class BusinessSuccess(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Success as the organisation measures it."""

    metric: Text
    """The organisation's own figure."""
    now: float | Text
    """Its present value."""
    target: float | Text
    """The value to reach."""
    by: date
    """Day by which it must be reached."""


class ModelSuccess(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Success on the hold-out; these numbers are the thresholds of the gates `design_metric` and `design_baseline`."""

    metric: Text
    """The model's `metric=`."""
    at_least: float | None = None
    """Least value, for a metric of which more is better."""
    at_most: float | None = None
    """Largest value, for a metric of which less is better."""
    over_baseline: Amount = 0.0
    """Least improvement over the baseline, in the metric's unit."""

    def __post_init__(self) -> None:
        """Refuse two thresholds."""
        _require_one("success.model", none=True, at_least=self.at_least, at_most=self.at_most)

    @property
    def is_set(self) -> bool:
        """Return true if there is a threshold; without one, it is still to be filled in."""
        return self.over_baseline > 0 or self.at_least is not None or self.at_most is not None


class EconomicSuccess(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Prices of errors and of work."""

    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$", description="a currency of three letters such as EUR")]
    """ISO 4217 code."""
    error_costs: Annotated[dict[str, Amount], Meta(min_length=1)]
    """Price of one error by its kind: `false_positive` and `false_negative`; `wrong` for several classes; `over` and
    `under`, for each unit, of a regression."""
    training: Amount
    """Price of one training."""
    review: Amount
    """Price of a person's review of one version."""


class SuccessCriteria(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Success at three levels."""

    business: BusinessSuccess
    """As the organisation measures it."""
    model: ModelSuccess
    """On the hold-out."""
    economic: EconomicSuccess
    """Prices of errors and of work."""


class DeclaredBaseline(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Rule, or person, that decides without the model. Without `column` and `value`, the trivial baseline stands for
    it: always the rate, the class shares or the median of the training rows.
    """

    what: Text
    """Description of the rule, or of the persons."""
    column: str = ""
    """Request field or feature that holds the baseline's prediction; it is scored on the hold-out of each candidate."""
    value: float | None = None
    """Its metric, if it was measured elsewhere."""

    def __post_init__(self) -> None:
        """Refuse a baseline that is measured in two ways."""
        _require_one("baseline", none=True, column=self.column, value=self.value)


class DeclaredSource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Origin and terms of one source of data."""

    source: Text
    """Name of the source in the project file."""
    owner: Text
    """Person or team that is responsible for the data."""
    provenance: Text
    """Origin of the data, and the way in which it is collected."""
    licence: Text
    """Right by which it is used."""
    personal: bool
    """True if it holds personal data."""
    refresh: Text
    """Time between two deliveries of new rows."""
    retention: Text
    """Time for which rows are kept."""


class DeclaredLabel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Meaning and origin of the label."""

    meaning: Text
    """The event or quantity that it states."""
    assigned_by: Text
    """Person, process or device that states it."""
    expected_delay: Annotated[
        str, Meta(pattern=rf"^(\d+(ms|s|m|h|d|w))+$|^{TO_FILL}", description="a duration such as 36h")
    ]
    """Duration from the event until nine of ten labels are known; it is compared with the measured one."""
    known_errors: Text
    """Known ways in which it is wrong."""

    def __post_init__(self) -> None:
        """Refuse a duration of zero."""
        _ = self.delay

    @property
    def delay(self) -> timedelta | None:
        """Return the expected delay as a duration; ``None`` while it is not filled in."""
        return None if is_placeholder(self.expected_delay) else parse_duration(self.expected_delay, name="the value")


class DeclaredSlice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Limit of the loss in the parts of the hold-out that a column makes: the gate `slices_COLUMN`."""

    column: Text
    """Request field or feature, one of the model's `slices=`."""
    max_gap: Annotated[float, Meta(gt=0, description="a number above 0")]
    """Largest loss of the metric in one part, as of `Slices(max_gap=)`."""
    reason: str = ""
    """The group or case that must not be served worse."""


class Mitigation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Measure against a risk; exactly one of `gate`, `monitor` and `person` carries it out."""

    gate: str = ""
    """Gate that refuses such a candidate, by its name in reports."""
    monitor: str = ""
    """Finding of monitoring that would notice it."""
    person: str = ""
    """Person or team that would act."""
    how: str = ""
    """Further description."""

    def __post_init__(self) -> None:
        """Refuse a measure that nothing carries out, or of which it is not clear what does."""
        _require_one("a mitigation", gate=self.gate, monitor=self.monitor, person=self.person)


class Risk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something that can go wrong."""

    what: Text
    """The event and its consequence."""
    likelihood: Grade
    """Before the mitigation."""
    harm: Grade
    """If it happens."""
    mitigation: Mitigation
    """Measure against it."""
    residual: Grade
    """Risk that remains."""
    owner: Text
    """Person or team that accepts what remains."""


class FallbackPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Predictions to use while the model is stopped; exactly one of these. `everfit design fallback` tests the first
    two.
    """

    version: Annotated[int, Meta(ge=1, description="a version's number")] | Literal["previous"] | None = None
    """A registered version's number, or `previous`: the champion before the present one."""
    prediction: float | Text | None = None
    """The same prediction for each request: a probability, a class or a value."""
    rule: str = ""
    """Rule for persons, in words."""

    def __post_init__(self) -> None:
        """Refuse a plan without a fallback, or with two."""
        _require_one("oversight.fallback", version=self.version, prediction=self.prediction, rule=self.rule)


class Oversight(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Human control over the model in use."""

    who: Text
    """Person or team that may stop it."""
    how: Text
    """Command or procedure by which it is stopped."""
    fallback: FallbackPlan
    """Predictions to use then."""


class ServiceLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Limits that the prediction service must keep."""

    p99_ms: Annotated[float, Meta(gt=0, description="a number above 0")]
    """Longest time of 99 % of rows, in milliseconds: the limit of the gate `max_latency`."""
    availability: Annotated[float, Meta(gt=0, le=1, description="a share between 0 and 1")]
    """Share of requests that must be answered."""
    volume: Text
    """Expected number of requests."""


class DesignRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Design of one model. Unknown fields are refused; every field is required unless it has a default."""

    purpose: Text
    """Problem that the model is to solve."""
    decision: Text
    """Decision that a prediction supports."""
    action: Text
    """Action that follows from a prediction."""
    not_for: Texts
    """Uses that are excluded."""
    owner: Text
    """Person or team that is responsible for the model."""
    approvers: Texts
    """Persons or teams that approve versions; below level `full`, not the owner."""
    contact: Text
    """Address for questions and complaints."""
    users: Text
    """Persons or systems that see predictions."""
    affected: Text
    """Persons about whom predictions are made, or whom actions concern."""
    risk_class: RiskClass
    """Class by the EU AI Act: `high` (Article 6), `limited` (Article 50) or `none` of these."""
    risk_reason: Text
    """Reason for this class."""
    success: SuccessCriteria
    """Success of the business, of the model and in money."""
    metric_reason: Text
    """Reason why the metric measures success."""
    baseline: DeclaredBaseline
    """Rule or person that decides without the model."""
    data: Annotated[tuple[DeclaredSource, ...], Meta(min_length=1)]
    """Every source that the model uses."""
    label: DeclaredLabel
    """Meaning and origin of what is predicted."""
    slices: tuple[DeclaredSlice, ...]
    """Groups that must not be served worse; `[]` for none."""
    limits: Texts
    """Conditions in which predictions must not be relied on."""
    assumptions: Texts
    """Conditions that must stay true."""
    risks: Annotated[tuple[Risk, ...], Meta(min_length=1)]
    """Known risks."""
    oversight: Oversight
    """Human control over the model in use."""
    service: ServiceLimits
    """Limits that the prediction service must keep."""
    review_by: date
    """Day by which this record must be reviewed; after it, monitoring has the finding `review_overdue`."""


class Contradiction(Struct, frozen=True, kw_only=True):
    """A field of a record that does not agree with the code."""

    field: str
    """Its path in the front matter, such as ``success.model.metric``."""
    rule: str
    value: object
    remedy: str
