"""All gates on one candidate."""

from __future__ import annotations

from everfit.core.design_record import DesignRecord
from everfit.core.evidence import Evidence
from everfit.core.records import GateReport
from everfit.definitions.gate import Gate
from everfit.definitions.model import Model
from everfit.gates.comparison import BeatsBaseline, BeatsChampion
from everfit.gates.data_gates import Freshness, LabelCoverage, MissingShare, NewCategories
from everfit.gates.declared import declared_gates
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


def gates_of(model: Model, design: DesignRecord | None = None) -> tuple[Gate, ...]:
    """Return the standard gates without those that are configured, then the model's own and those of its design."""
    declared = () if design is None else declared_gates(design, model)
    # A gate of the code without a limit is replaced by the one with the design's.
    own = tuple(
        gate for gate in model.gates if not (isinstance(gate, MaxLatency) and MaxLatency in map(type, declared))
    )
    configured = {type(gate) for gate in (*own, *declared)}
    return (*(gate for gate in STANDARD_GATES if type(gate) not in configured), *own, *declared)


def judge(model: Model, evidence: Evidence, design: DesignRecord | None = None) -> GateReport:
    """Evaluate every gate; a failed one does not skip the others, so that one report lists every problem.

    The thresholds of the design record are those of further gates; see :func:`everfit.gates.declared.declared_gates`.
    """
    verdicts = (verdict for gate in gates_of(model, design) for verdict in gate.judge(evidence))
    return GateReport(model=model.name, verdicts=tuple(verdicts))
