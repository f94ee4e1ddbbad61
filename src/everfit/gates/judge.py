"""All gates on one candidate."""

from __future__ import annotations

from everfit.core.evidence import Evidence
from everfit.core.records import GateReport
from everfit.definitions.gate import Gate
from everfit.definitions.model import Model
from everfit.gates.comparison import BeatsBaseline, BeatsChampion
from everfit.gates.data_gates import Freshness, LabelCoverage, MissingShare, NewCategories
from everfit.gates.label_shift import LabelBalance
from everfit.gates.model_gates import Determinism, MaxLatency, Reload, Robustness
from everfit.gates.schema_gate import DataSchema

STANDARD_GATES: tuple[Gate, ...] = (
    DataSchema(),
    Freshness(),
    MissingShare(),
    NewCategories(),
    LabelCoverage(),
    LabelBalance(),
    BeatsBaseline(),
    BeatsChampion(),
    Reload(),
    Determinism(),
    Robustness(),
    MaxLatency(),
)
"""Gates of every candidate: the tests of the data first, then those of the model."""


def gates_of(model: Model) -> tuple[Gate, ...]:
    """Return the standard gates without those that the model configures itself, then the model's own."""
    own = {type(gate) for gate in model.gates}
    return (*(gate for gate in STANDARD_GATES if type(gate) not in own), *model.gates)


def judge(model: Model, evidence: Evidence) -> GateReport:
    """Evaluate every gate; a failed one does not skip the others, so that one report lists every problem."""
    verdicts = (verdict for gate in gates_of(model) for verdict in gate.judge(evidence))
    return GateReport(model=model.name, verdicts=tuple(verdicts))
