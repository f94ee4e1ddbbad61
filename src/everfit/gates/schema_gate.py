"""Gate: columns of the hold-out against the schema of training, and the request against the champion's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from everfit.core.errors import SourceError
from everfit.core.evidence import Evidence
from everfit.core.records import Verdict
from everfit.gates.verdict import decide, refuse


@dataclass(frozen=True, kw_only=True)
class DataSchema:
    """Every column must be there with its type, and nearly all values must be of a kind that was there in training.

    It is made to catch a broken export: a renamed column, a changed type or unit, a sentinel such as -999. How
    categories, missing values and distributions move is left to the gates and monitors made for it.

    Args:
        path: A schema file that was written with :func:`everfit.gates.data_schema.save_schema` and reviewed; by default
            the schema is inferred from the rows the candidate learnt from.
        max_share: The largest share of rows in which a column may be out of its range, or break a check of your own.
        request: ``"same"`` refuses a candidate whose request fields differ from the champion's in name, type or
            meaning: callers would have to change, and it could be tried neither in shadow nor as a canary. ``"any"``
            lets such a candidate pass, to be promoted by hand.
        max_new: The largest share of rows in which it may be missing though it never was, or have a name that is not
            listed. All shares count only as far as the lower end of their 99.9 % Wilson interval.
    """

    path: str = ""
    max_share: float = 0.01
    max_new: float = 0.05
    request: Literal["same", "any"] = "same"
    name: ClassVar[str] = "data_schema"

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is the number of broken rules."""
        # Here, since pandera takes a second to import, and a project file loads this module.
        from everfit.gates.data_schema import check_schema, infer_schema, load_schema

        if not self.path and evidence.reference.is_empty():
            return [refuse(self.name, "The reference holds 0 rows to infer a schema from.", threshold=0.0)]
        try:
            schema = load_schema(self.path) if self.path else infer_schema(evidence.reference)
        except SourceError as error:
            return [refuse(self.name, f"0 columns could be checked: {error}", threshold=0.0)]
        broken = check_schema(schema, evidence.holdout, max_share=self.max_share, max_new=self.max_new)
        if self.request == "same":
            broken += _request_changes(evidence)
        columns, found = len(schema.columns), "; ".join(broken) or "none is broken"
        sentence = f"{columns} columns were held against the schema of {self.path or 'training'}: {found}."
        return [decide(self.name, not broken, sentence, value=len(broken), threshold=0.0)]


def _request_changes(evidence: Evidence) -> list[str]:
    """Differences between the request of a candidate and the champion's, one clause for each field."""
    ours, theirs = evidence.request, evidence.champion_request
    if theirs is None:
        return []
    champion = f"as for the champion, version {evidence.champion_version}"
    changed = [
        f"the request field {name} is {ours.get(name, 'absent')} instead of {theirs.get(name, 'absent')} {champion}"
        for name in dict.fromkeys((*theirs, *ours))
        if ours.get(name) != theirs.get(name)
    ]
    if changed:
        changed[-1] += (
            " (callers and a rollout need the same request: give a model with another request a name of its own, "
            'or allow it with DataSchema(request="any") and promote it by hand)'
        )
    return changed
