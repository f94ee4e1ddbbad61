"""All gates on one candidate."""

from __future__ import annotations

from everfit.core.evidence import Evidence
from everfit.core.records import GateReport
from everfit.definitions.gate import Gate
from everfit.definitions.model import Model
from everfit.gates.baseline import BeatsBaseline
from everfit.gates.categories import NewCategories
from everfit.gates.champion import BeatsChampion
from everfit.gates.coverage import LabelCoverage
from everfit.gates.determinism import Determinism
from everfit.gates.freshness import Freshness
from everfit.gates.label_shift import LabelBalance
from everfit.gates.latency import MaxLatency
from everfit.gates.missing import MissingShare
from everfit.gates.reload import Reload
from everfit.gates.robustness import Robustness
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
    """Evaluate every gate.

    A failed gate does not skip the others, so that one report lists every problem.
    """
    verdicts = [verdict for gate in gates_of(model) for verdict in gate.judge(evidence)]
    return GateReport(model=model.name, verdicts=tuple(verdicts))
