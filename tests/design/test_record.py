"""Design records with one fault each, and with many; and whatever is dumped is read as it was."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.acceptance.shop import orders
from tests.design.records import FRONT, design
from tests.design.test_check import PROJECT

import everfit as ef
from everfit.core import design_record as records
from everfit.core.design_record import DesignRecord
from everfit.core.errors import DefinitionError
from everfit.core.records import Problem
from everfit.design.draft import draft_record
from everfit.design.record import DesignDocument, design_digest, dump_design, parse_design, read_design, record_file
from everfit.gates.declared import code_limits
from everfit.loop.declared_design import check_design, require_design


def parsed(text: str) -> DesignDocument:
    document = parse_design(text, model="late", place="design.md")
    assert document is not None
    return document


def line_of(text: str) -> int:
    """The line of the file with this text."""
    return design().split("\n").index(next(line for line in design().split("\n") if text in line)) + 1


def test_a_sound_record_is_read() -> None:
    found = parsed(design())
    assert not found.faults
    assert found.record is not None
    assert found.record.label.delay is not None
    assert found.record.success.business.now == 40
    assert found.record.success.business.target == "20 a day"
    assert found.record.review_by == date(2099, 1, 31)
    assert found.prose == "# Late orders\n"
    assert not found.to_fill
    assert found.where("success.model.at_most") == f"design.md:{line_of('at_most')}, success.model.at_most"
    assert found.where("data[0].nothing.at_all") == f"design.md:{line_of('- source')}, data[0].nothing.at_all"


FAULTS: list[tuple[str, str, str, str, str]] = [
    # the text, its replacement, the field, the rule, the remedy or the value
    ("purpose:", "purpos:", "purpos", "must be one of those that exist", "Did you mean 'purpose'?"),
    ("owner: The dispatch", "ownr: The dispatch", "ownr", "one of those that exist", "Did you mean 'owner'?"),
    ("contact: dispatch@example.com\n", "", "contact", "must be given", "Add 'contact: …'. Address for questions"),
    ("not_for: [Judging a courier]\n", "", "not_for", "must be given", "Add 'not_for: […]'. Uses that are excluded."),
    ("[Judging a courier]", "[]", "not_for", "must not be empty", ""),
    ("[Judging a courier]", "Judging a courier", "not_for", "must be a list", "Judging a courier"),
    ("[Judging a courier]", "[Judging, 7]", "not_for[1]", "must be text", "Put it in quotes."),
    ("[Judging a courier]", "[Judging, '']", "not_for[1]", "must be text", "TO FILL"),
    ("decision: Tell the customer now, or wait.", "decision:", "decision", "must be text", "nothing"),
    ("decision: Tell the customer now, or wait.", "decision: no", "decision", "must be text", "Put it in quotes."),
    ("decision: Tell the customer now, or wait.", "decision: 12:30:00", "decision", "must be text", "12:30:00"),
    ("decision: Tell the customer now, or wait.", "decision: '  '", "decision", "must be text", "nothing"),
    ("decision: Tell the customer now, or wait.", "decision: {a: b}", "decision", "must be text", "a mapping"),
    ("users: The app", "users: The app\nusers: All", "users", "must be given once", ""),
    ("risk_class: limited", "risk_class: hihg", "risk_class", "one of none, limited, high", "Did you mean 'high'?"),
    ("by: 2027-06-30", "by: 2027-02-30", "success.business.by", "must be a date", "2027-02-30"),
    ("by: 2027-06-30", "by: soon", "success.business.by", "must be a date such as 2027-03-31", "soon"),
    ("now: 40", "now: .nan", "success.business.now", "must be finite", ".nan"),
    ("now: 40", "now: yes", "success.business.now", "must be a number or text", "yes"),
    ("at_most: 0.9", "at_most: little", "success.model.at_most", "must be a number", "little"),
    ("at_most: 0.9", "at_most: .inf", "success.model.at_most", "must be finite", ".inf"),
    ("at_most: 0.9", "at_most: 0.9, at_least: 0.1", "success.model", "one of at_least, at_most", "and at_most"),
    ("at_most: 0.9", "at_most: 0.9, over_baseline: -1", "success.model.over_baseline", "at least 0", "-1"),
    ("{metric: log_loss, at_most: 0.9}", "0.9", "success.model", "must be a mapping of fields", "0.9"),
    ("currency: EUR", "currency: €", "success.economic.currency", "three letters such as EUR", "€"),
    ("{false_positive: 0.1, false_negative: 2}", "{}", "success.economic.error_costs", "must not be empty", ""),
    ("false_positive: 0.1", "false_positive: -1", "success.economic.error_costs.false_positive", "at least 0", "-1"),
    ("training: 0.2", "training: cheap", "success.economic.training", "a number of at least 0", "cheap"),
    (", review: 50", "", "success.economic.review", "must be given", "Price of a person's review"),
    ("{what: Never tell them.}", "{what: A, column: b, value: 1}", "baseline", "one of column, value", ""),
    ("{what: Never tell them.}", "Never tell them.", "baseline", "must be a mapping of fields", "Never tell them."),
    ("    licence: Our own\n", "", "data[0].licence", "must be given", "Right by which it is used."),
    ("personal: false", "personal: maybe", "data[0].personal", "must be true or false", "maybe"),
    ("refresh: hourly", "refesh: hourly", "data[0].refesh", "one of those that exist", "Did you mean 'refresh'?"),
    ("expected_delay: 1h", "expected_delay: an hour", "label.expected_delay", "a duration such as 36h", "an hour"),
    ("expected_delay: 1h", "expected_delay: 0h", "label", "must be a positive duration", "0h"),
    ("slices: []", "slices:", "slices", "must be a list", "nothing"),
    ("slices: []", "slices: [shop]", "slices[0]", "must be a mapping of fields", "shop"),
    ("slices: []", "slices: [{column: shop, max_gap: 0}]", "slices[0].max_gap", "a number above 0", "0"),
    ("limits: [Snow]", "limits: []", "limits", "must not be empty", ""),
    ("likelihood: medium", "likelihood: mid", "risks[0].likelihood", "one of low, medium, high", "mid"),
    ("{monitor: performance_drop, how: retrain}", "{how: x}", "risks[0].mitigation", "gate, monitor, person", "none"),
    ("{monitor: performance_drop,", "{gate: reload, person: Ada,", "risks[0].mitigation", "one of gate", "gate and"),
    ("{version: previous}", "{version: latest}", "oversight.fallback.version", "number or previous", "latest"),
    ("{version: previous}", "{version: 0}", "oversight.fallback.version", "a version's number", "0"),
    ("{version: previous}", "{}", "oversight.fallback", "one of version, prediction, rule", "none"),
    ("{version: previous}", "{version: 1, rule: a}", "oversight.fallback", "must have one of", "version and rule"),
    ("p99_ms: 1000", "p99_ms: 0", "service.p99_ms", "a number above 0", "0"),
    ("availability: 0.99", "availability: 99", "service.availability", "a share between 0 and 1", "99"),
    ("volume: 100 an hour", "volume: 100", "service.volume", "must be text", "Put it in quotes."),
    ("how: everfit rollback late,", "how: roll, back,", "oversight.back", "exist", "text with a comma in quotes"),
    ("review_by: 2099-01-31\n", "", "review_by", "must be given", "Day by which this record must be reviewed"),
    ("review_by: 2099-01-31", "review_by: 31.01.2099", "review_by", "must be a date", "31.01.2099"),
    ("users: The app", "users: The app\n5: 6", "5", "one of those that exist", "Known are: purpose"),
    ("users: The app", "users: The app\n? [a]\n: b", "", "the name of a field must be text", ""),
    ("users: The app", "users: !!python/name:os.system", "users", "must be text", ""),
    ("users: The app", f"users: {'9' * 5000}", "users", "must be text", "99…"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "replacement", "field", "rule", "more"), FAULTS)
def test_one_fault_is_named_with_its_place(text: str, replacement: str, field: str, rule: str, more: str) -> None:
    assert text in FRONT
    found = parsed(design(FRONT.replace(text, replacement, 1)))
    assert found.record is None
    (fault,) = found.faults
    assert re.match(rf"design\.md:\d+{', ' if field else ''}{re.escape(field)}$", fault.place), fault.place
    assert rule in fault.rule
    assert more in fault.value or more in fault.remedy, fault
    if replacement:
        # Its own line, or that of the mapping in which it is missing.
        assert int(fault.place.split(":")[1].partition(",")[0]) in range(1, line_of(text.strip().split("\n")[0]) + 3)


NOT_YAML = [
    ("a: b: c\n", 2, "must be YAML: mapping values are not allowed here"),
    ("a: 1\n\tb: 2\n", 3, "must be YAML"),
    ("a: 'open\n", 3, "must be YAML"),
    ("a: \x01\n", 2, "must be YAML: special characters are not allowed"),
    ("- a\n", 2, "the front matter must be a mapping of fields"),
    ("a: &x 1\nb: *x\n", 2, "anchors and aliases must not be used"),
    ("a: 1\nb: *x\n", 3, "anchors and aliases must not be used"),
    (f"a: {'[' * 30}\n", 2, "must not be nested deeper than 12 levels"),
    (f"a: {'[' * 100_000}\n", 2, "must not be nested deeper than 12 levels"),
]


@pytest.mark.parametrize(("front", "line", "rule"), NOT_YAML)
def test_what_is_no_mapping_is_one_fault(front: str, line: int, rule: str) -> None:
    (fault,) = parsed(design(front)).faults
    assert fault.place.startswith(f"design.md:{line}")
    assert rule in fault.rule


def test_a_bomb_of_aliases_is_not_built() -> None:
    bomb = "a0: &a0 x\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
    (fault,) = parsed(design(bomb)).faults
    assert "anchors and aliases" in fault.rule


def test_all_faults_come_at_once_in_the_order_of_the_file() -> None:
    front = FRONT.replace("contact:", "kontact:").replace("medium", "mid").replace("EUR", "euro").replace("0.99", "99")
    found = parsed(design(front))
    lines = [int(fault.place.split(":")[1].partition(",")[0]) for fault in found.faults]
    assert lines == sorted(lines)
    assert [fault.place.partition(", ")[2] for fault in found.faults] == [
        "kontact", "success.economic.currency", "risks[0].likelihood", "service.availability",
    ]  # fmt: skip
    assert {"purpose", "data", "label"} <= set(found.parts)


def test_an_empty_front_matter_names_every_field() -> None:
    found = parsed(design(""))
    required = [field.name for field in msgspec.structs.fields(DesignRecord)]
    assert [fault.place.partition(", ")[2] for fault in found.faults] == required


def test_prose_alone_is_no_record() -> None:
    assert parse_design("# Late orders\n", model="late", place="design.md") is None
    (fault,) = parsed("---\npurpose: x\n").faults
    assert fault.rule == "the front matter must end with a line '---'"


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    project = made(tmp_path)
    (tmp_path / "design.md").write_bytes(b"\xef\xbb\xbf" + design().replace("\n", "\r\n").encode())
    found = read_design(project, "late")
    assert found is not None
    assert found.record == parsed(design()).record


def test_what_is_no_text_is_a_fault(tmp_path: Path) -> None:
    project = made(tmp_path)
    (tmp_path / "design.md").write_bytes(b"---\n\xff\n---\n")
    found = read_design(project, "late")
    assert found is not None
    assert "readable text in UTF-8" in found.faults[0].rule
    (tmp_path / "design.md").write_text("x" * 300_000)
    found = read_design(project, "late")
    assert found is not None
    assert "at most 262,144 bytes" in found.faults[0].rule


def made(folder: Path, code: str = PROJECT, front: str | None = None, level: str = "semi") -> ef.Project:
    """A project with a design record."""
    (folder / "everfit.toml").write_text(f'[loop]\nlevel = "{level}"\n')
    (folder / "project.py").write_text(code)
    orders(600).write_parquet(folder / "orders.parquet")
    if front is not None:
        (folder / "design.md").write_text(design(front))
    return ef.load_project(folder)


def problems(project: ef.Project) -> list[Problem]:
    clock = ef.open_system(project.root).clock
    return check_design(project, project.model("late"), now=clock.now())


CONTRADICTIONS = [
    # in the code, in the record, the field, the rule, the remedy
    ("", ("metric: log_loss, at_most: 0.9", "metric: roc_auc, at_least: 0.7"), "success.model.metric",
     "must be that of model late, metric='log_loss'", ""),
    ("", ("at_most: 0.9", "at_least: 0.9"), "success.model.at_least", "must be at_most, since less is better", ""),
    ("", ("source: orders", "source: oders"), "data", "every source that model late uses must be listed", "- {source"),
    ("", ("false_negative: 2", "false_negativ: 2"), "success.economic.error_costs.false_negativ",
     "must be false_negative and false_positive", "Did you mean 'false_negative'?"),
    ("", ("{version: previous}", "{prediction: 3}"), "oversight.fallback.prediction", "must be a chance", ""),
    ("", ("{version: previous}", "{prediction: late}"), "oversight.fallback.prediction", "must be a chance", ""),
    ("", ("[Head of operations]", "[Ada, The dispatch team]"), "approvers[1]", "the owner must not approve", ""),
    ("", ("monitor: performance_drop", "monitor: performance_dorp"), "risks[0].mitigation.monitor",
     "a finding of monitoring must have that name", "Did you mean 'performance_drop'?"),
    ("late.watch_for(ef.Drift()); late.retrain_when()", ("", ""), "risks[0].mitigation.monitor",
     "must be monitored for it", "Add PerformanceDrop() to watch_for(...)"),
    ("", ("monitor: performance_drop", "gate: beats_champoin"), "risks[0].mitigation.gate", "a gate of model late",
     "Did you mean 'beats_champion'?"),
    ("late.ship_when(ef.MaxLatency(p99_ms=20))", ("", ""), "service.p99_ms", "that of MaxLatency(p99_ms=20)", ""),
    ("late.roll_out(ef.Shadow(9), p99_ms=30)", ("", ""), "service.p99_ms", "that of roll_out(p99_ms=30)", ""),
    ("late.ship_when(ef.Slices('shop'))", ("", ""), "slices", "the column of Slices('shop') in the project file",
     "max_gap: 0.1"),
    ("", ("slices: []", "slices: [{column: shop, max_gap: 0.1}]"), "slices[0].column",
     "must be one of slices= of model late", "Add 'shop' there."),
    ("late.ship_when(ef.Slices('shop', max_gap=0.2))", ("slices: []", "slices: [{column: shop, max_gap: 0.1}]"),
     "slices[0].max_gap", "that of Slices('shop', max_gap=0.2)", ""),
]  # fmt: skip


@pytest.mark.parametrize(("code", "change", "field", "rule", "remedy"), CONTRADICTIONS)
def test_a_contradiction_names_both_places(
    tmp_path: Path, code: str, change: tuple[str, str], field: str, rule: str, remedy: str
) -> None:
    project = made(tmp_path, f"{PROJECT}\n{code}\n", FRONT.replace(*change) if change[0] else FRONT)
    found = problems(project)
    first = next(one for one in found if one.place.endswith(f", {field}"))
    assert re.match(r"design\.md:\d+, ", first.place)
    assert rule in first.rule
    assert remedy in first.remedy
    assert first.severity == "error"
    with pytest.raises(DefinitionError, match="fault or contradicts the code"):
        require_design(project, project.model("late"))


def test_a_misspelt_source_is_two_contradictions(tmp_path: Path) -> None:
    found = problems(made(tmp_path, front=FRONT.replace("source: orders", "source: oders")))
    assert [one.remedy for one in found] == ["Add '- {source: orders, …}'.", "Did you mean 'orders'?"]


def test_contradictions_are_found_beside_faults(tmp_path: Path) -> None:
    front = FRONT.replace("EUR", "euro").replace("at_most", "at_least").replace("source: orders", "source: oders")
    found = problems(made(tmp_path, front=front.replace("p99_ms: 1000", "p99_ms: 0")))
    assert {one.place.partition(", ")[2] for one in found} == {
        "success.economic.currency", "service.p99_ms", "data", "data[0].source",
    }  # fmt: skip


def test_the_owner_may_approve_where_the_machine_does(tmp_path: Path) -> None:
    front = FRONT.replace("[Head of operations]", "[The dispatch team]")
    assert problems(made(tmp_path, front=front))
    assert not problems(made(tmp_path, front=front, level="full"))


@pytest.mark.parametrize(("level", "severity"), [("manual", "warning"), ("semi", "warning"), ("full", "error")])
def test_a_missing_record_and_placeholders_stop_only_level_full(tmp_path: Path, level: str, severity: str) -> None:
    (missing,) = problems(made(tmp_path, level=level))
    assert missing.severity == severity
    assert "everfit design new" in missing.remedy
    front = FRONT.replace("contact: dispatch@example.com", "contact: 'TO FILL: address'")
    (to_fill,) = problems(made(tmp_path, front=front.replace(", at_most: 0.9", ""), level=level))
    assert to_fill.severity == severity
    assert to_fill.value == f"contact (line {line_of('contact')}), success.model (line {line_of('at_most')})"


def test_an_overdue_review_is_a_warning(tmp_path: Path) -> None:
    (overdue,) = problems(made(tmp_path, front=FRONT.replace("2099-01-31", "2020-01-31"), level="full"))
    assert (overdue.severity, overdue.value) == ("warning", "due 2020-01-31")


def test_several_models_have_a_record_each(tmp_path: Path) -> None:
    second = (
        PROJECT[PROJECT.index("late = ef.Model(") :]
        .replace("late = ", "lost = ")
        .replace('"late", task', '"lost", task')
    )
    project = made(tmp_path, PROJECT + second.replace("@late", "@lost"), FRONT)
    assert record_file(project, "late") == tmp_path / "design" / "late.md"
    assert read_design(project, "late") is None
    (tmp_path / "design").mkdir()
    (tmp_path / "design" / "late.md").write_text(design())
    found = read_design(project, "late")
    assert found is not None
    assert found.place == "design/late.md"
    assert problems(project) == []


def test_one_model_may_have_its_record_in_the_folder(tmp_path: Path) -> None:
    project = made(tmp_path)
    (tmp_path / "design").mkdir()
    (tmp_path / "design" / "late.md").write_text(design())
    assert record_file(project, "late").name == "late.md"


def test_a_draft_agrees_with_the_code_and_has_only_placeholders(tmp_path: Path) -> None:
    code = PROJECT.replace('task="binary"', 'task="binary", slices=["shop"]')
    project = made(tmp_path, f"{code}\nlate.ship_when(ef.Slices('shop', max_gap=0.3), ef.MaxLatency(p99_ms=7))\n")
    model = project.model("late")
    limits = code_limits(model)
    draft = draft_record(model, {"owner": ["Ada: me"]}, today=date(2090, 1, 1), p99_ms=limits.p99_ms, gaps=limits.gaps)
    (tmp_path / "design.md").write_text(dump_design(draft, "# Text\n"))
    (only,) = problems(project)
    assert only.severity == "warning"
    assert "must" not in only.rule
    found = read_design(project, "late")
    assert found is not None
    assert found.record == draft
    assert found.prose == "# Text\n"
    assert "owner" not in found.to_fill
    assert {"purpose", "label.expected_delay", "success.model", "success.economic.error_costs"} <= set(found.to_fill)


# Whatever is dumped is read equal.

TEXTS = st.text(min_size=1, max_size=40).filter(lambda text: re.search(r"\S", text) is not None and _plain(text))
DURATIONS = st.sampled_from(["1h", "36h", "1d12h", "TO FILL"])
AMOUNTS = st.floats(min_value=0, max_value=1e12)


def _plain(text: str) -> bool:
    """True for text that UTF-8 can hold."""
    return not any(0xD800 <= ord(sign) <= 0xDFFF for sign in text)


def built(kind: Any, **fields: Any) -> st.SearchStrategy[Any]:
    """Records of a class: texts where nothing else is said."""
    names = [field.name for field in msgspec.structs.fields(kind) if field.required]
    return st.builds(kind, **dict.fromkeys(names, TEXTS) | fields)


GRADES = st.sampled_from(["low", "medium", "high"])
SUCCESS = built(
    records.SuccessCriteria,
    business=built(
        records.BusinessSuccess, now=TEXTS | st.floats(-1e9, 1e9), target=TEXTS | st.floats(-1e9, 1e9), by=st.dates()
    ),
    model=built(records.ModelSuccess, at_least=st.none() | st.floats(-1e9, 1e9), over_baseline=AMOUNTS),
    economic=built(
        records.EconomicSuccess,
        currency=st.just("EUR"),
        error_costs=st.dictionaries(TEXTS, AMOUNTS, min_size=1, max_size=3),
        training=AMOUNTS,
        review=AMOUNTS,
    ),
)
MITIGATIONS = st.one_of(*(built(records.Mitigation, **{name: TEXTS}) for name in ("gate", "monitor", "person")))
FALLBACKS = st.one_of(
    built(records.FallbackPlan, version=st.integers(1, 10**6) | st.just("previous")),
    built(records.FallbackPlan, prediction=st.floats(-1e9, 1e9) | TEXTS),
    built(records.FallbackPlan, rule=TEXTS),
)
LISTS = st.lists(TEXTS, min_size=1, max_size=3).map(tuple)
RECORDS = built(
    DesignRecord,
    not_for=LISTS,
    approvers=LISTS,
    limits=LISTS,
    assumptions=LISTS,
    risk_class=st.sampled_from(["none", "limited", "high"]),
    success=SUCCESS,
    baseline=built(records.DeclaredBaseline, value=st.none() | st.floats(-1e9, 1e9)),
    data=st.lists(built(records.DeclaredSource, personal=st.booleans()), min_size=1, max_size=3).map(tuple),
    label=built(records.DeclaredLabel, expected_delay=DURATIONS),
    slices=st.lists(built(records.DeclaredSlice, max_gap=st.floats(1e-6, 1e6)), max_size=2).map(tuple),
    risks=st.lists(
        built(records.Risk, likelihood=GRADES, harm=GRADES, residual=GRADES, mitigation=MITIGATIONS),
        min_size=1,
        max_size=2,
    ).map(tuple),
    oversight=built(records.Oversight, fallback=FALLBACKS),
    service=built(records.ServiceLimits, p99_ms=st.floats(1e-6, 1e6), availability=st.floats(1e-6, 1)),
    review_by=st.dates(),
)


@settings(max_examples=25)
@given(record=RECORDS, prose=st.text().filter(_plain))
def test_whatever_is_dumped_is_read_equal(record: DesignRecord, prose: str) -> None:
    found = parsed(dump_design(record, prose))
    assert not found.faults
    assert found.record == record
    assert found.prose == prose
    assert design_digest(found.record) == design_digest(record)


def test_the_digest_is_of_the_values_alone() -> None:
    first, second = parsed(design()), parsed(design(f"# A comment.\n{FRONT}", "Other prose.\n"))
    assert first.record is not None
    assert second.record is not None
    assert design_digest(first.record) == design_digest(second.record)
    other = msgspec.structs.replace(first.record, review_by=date(2099, 2, 1))
    assert design_digest(other) != design_digest(first.record)
