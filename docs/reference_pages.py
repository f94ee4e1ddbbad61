"""The reference pages, each written from the code that it describes."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin

import msgspec

import everfit
from everfit.design.field_docs import field_docs

_ANNOTATION = re.compile(r": '([^']*)'")
_ROLE = re.compile(r":\w+:`~?([\w.]+)`")
NOTE = "<!-- Written by `make docs`; change the code it describes instead. -->"


def settings() -> str:
    """Every setting with its variable, default and meaning."""
    from everfit.core.settings import Settings, variable_name

    parts = [
        "What `everfit.toml` may say. Precedence: flag, then variable, then file, then default. "
        "An unknown key is an error."
    ]
    for section in msgspec.structs.fields(Settings):
        if section.name == "paths":
            continue
        kind: Any = section.type
        descriptions = field_docs(kind)
        rows = [
            (
                f"`{field.name}`",
                f"`{variable_name(section.name, field.name)}`",
                f"`{field.default!r}`",
                f"{descriptions[field.name]} {_bounds(field.type)}".strip(),
            )
            for field in msgspec.structs.fields(kind)
        ]
        parts.append(
            f"## [{section.name}]\n\n{_line(kind)}\n\n" + _table(("key", "variable", "default", "meaning"), rows)
        )
    paths = field_docs(Settings)["paths"]
    parts.append(f"## [paths]\n\n{paths} The variable of `data` is `{variable_name('paths', 'data')}`.")
    return _page("Settings", parts)


def design_record() -> str:
    """Every field of a design record."""
    from everfit.core.design_record import DesignRecord

    intro = (
        "The front matter of `design.md`, or of `design/MODEL.md` in a project with several models: YAML between two "
        "lines `---`. `everfit check` refuses unknown and missing fields, values of another type, and what "
        "contradicts the code. A text that begins with `TO FILL` is a placeholder: a warning, and at level `full` an "
        "error. Anchors and aliases are refused. How to: [write the design record](../howto/design-record.md)."
    )
    parts = [intro]
    waiting: list[tuple[str, type[msgspec.Struct]]] = [("", DesignRecord)]
    seen: set[type] = set()
    while waiting:
        path, kind = waiting.pop(0)
        seen.add(kind)
        described, rows = field_docs(kind), []
        inner: list[tuple[str, type[msgspec.Struct]]] = []
        for field in msgspec.structs.fields(kind):
            words = _type_words(field.type)
            place = f"{path}.{field.name}".lstrip(".") + ("[]" if words.startswith("list") else "")
            inner += [(place, part) for part in _parts_of(field.type) if part not in seen]
            needed = "yes" if field.required else f"`{field.default!r}`"
            rows.append((f"`{field.name}`", words, needed, described[field.name]))
        waiting = [*inner, *waiting]
        title = f"## {path}\n\n{_prose(kind)}\n\n" if path else ""
        parts.append(title + _table(("field", "value", "required, or default", "meaning"), rows))
    return _page("Design record", parts)


def _parts_of(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """Yield the records within a type."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for inner in get_args(kind):
        yield from _parts_of(inner)


def _type_words(kind: Any) -> str:
    """A field's type in words."""
    from everfit.design.yaml_reader import describe

    bare = get_args(kind)[0] if hasattr(kind, "__metadata__") else kind
    if get_origin(bare) is tuple:
        return f"list of {_type_words(get_args(bare)[0])}"
    if get_origin(bare) is dict:
        return f"mapping of names to {_type_words(get_args(bare)[1])}"
    return "mapping" if list(_parts_of(bare)) else describe(kind)


def errors() -> str:
    """Every mistake that Everfit can name, as a tree, with its exit code, HTTP status and a message."""
    from everfit.core import errors as home

    kinds = error_classes()
    messages = example_messages()
    rows = [
        (
            f"`{kind.__name__}`",
            _line(kind),
            "2" if issubclass(kind, home.MisuseError) else "1",
            http_status(kind) or "–",
            messages.get(kind.__name__, "–"),
        )
        for kind in kinds
    ]
    intro = (
        "A message states the rule, the value that broke it, and the remedy. Catch `everfit.EverfitError` for all; it "
        "has the parts as attributes: `rule`, `value`, `remedy` and `place`.\n\n"
        "A command prints `Kind: place: rule, but got value. Remedy`, with `--json` "
        '`{"error": {"kind": …, "place": …, "rule": …, "value": …, "remedy": …}}`. The prediction service answers '
        '`{"error": {"message": …}}`, of a wrong request with `field`, `value` and `expected`; '
        "what has no status below is 500, with an id by which the log tells the reason. In the examples, `…` stands "
        "for a value."
    )
    head = ("class", "meaning", "exit code", "HTTP status", "an example")
    drawing = "\n".join(_drawn(home.EverfitError, kinds))
    return _page("Errors", [intro, f"```text\n{drawing}\n```", _table(head, rows)])


def _drawn(kind: type[Exception], kinds: Sequence[type[Exception]]) -> list[str]:
    """Return the tree of a class and those derived from it, a line for each."""
    lines = [f"{kind.__name__}: {_line(kind)}"]
    children = [child for child in kinds if child.__bases__[0] is kind]
    for child in children:
        branch, trunk = ("└── ", "    ") if child is children[-1] else ("├── ", "│   ")
        first, *rest = _drawn(child, kinds)
        lines += [branch + first, *(trunk + line for line in rest)]
    return lines


def error_classes() -> list[type[Exception]]:
    """Return the classes of `core/errors.py`, in the order of that file."""
    from everfit.core import errors as home

    kinds = [
        kind
        for _, kind in inspect.getmembers(home, inspect.isclass)
        if issubclass(kind, home.EverfitError) and kind.__module__ == home.__name__
    ]
    return sorted(kinds, key=lambda kind: inspect.getsourcelines(kind)[1])


def http_status(kind: type[Exception]) -> str:
    """Return the status that the service answers an error of this class with; empty if none of its own."""
    from everfit.serving.http.responses import _STATUS

    return next((str(status) for known, status in _STATUS.items() if known is kind), "")


def example_messages() -> dict[str, str]:
    """Return a message for each class that is raised anywhere, as the source has it, ``…`` for each value.

    Of several, the one with a remedy, with the fewest values, and about 90 characters long.
    """
    found: dict[str, list[tuple[bool, int, int, str]]] = {}
    for tree in _sources():
        texts = _TextConstants(tree)
        for call in (node for node in ast.walk(texts.visit(tree)) if isinstance(node, ast.Call)):
            text = _message(call)
            if isinstance(call.func, ast.Name) and call.func.id.endswith("Error") and text is not None:
                has_remedy = any(word.arg == "remedy" for word in call.keywords)
                found.setdefault(call.func.id, []).append((not has_remedy, text.count("…"), abs(len(text) - 90), text))
    return {name: f"`{min(texts)[3]}`".replace("``", "`") for name, texts in found.items()}


class _TextConstants(ast.NodeTransformer):
    """Replaces names of texts by their values: a module's constants, and what a function assigned to a variable."""

    def __init__(self, tree: ast.Module) -> None:
        self._values = _assigned_texts(tree.body)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        outer, self._values = self._values, self._values | _assigned_texts(ast.walk(node))
        self.generic_visit(node)
        self._values = outer
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        above = [value for value in self._values.get(node.id, ()) if value.lineno < node.lineno]
        return above[-1] if above and isinstance(node.ctx, ast.Load) else node


def _assigned_texts(nodes: Iterable[ast.AST]) -> dict[str, list[ast.expr]]:
    """Return the texts that assignments give to variables, by name, in the order of the source."""
    found: dict[str, list[ast.expr]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            several = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
            names, values = (target.elts, value.elts) if several else ([target], [value])  # type: ignore[attr-defined]
            for name, text in zip(names, values, strict=False):
                if isinstance(name, ast.Name) and isinstance(text, ast.Constant | ast.JoinedStr):
                    found.setdefault(name.id, []).append(text)
    return found


def _message(call: ast.Call) -> str | None:
    """Return the message of a call that makes an error, or None where its rule is not written there."""
    rule = _spelled(call.args[0]) if call.args else None
    if not rule or not re.search(r"\w{3}", rule):
        return None
    words = {word.arg: word.value for word in call.keywords}
    place = _spelled(words["place"]) if "place" in words else None
    text = f"{place}: {rule}" if place else rule
    remedy = _spelled(words["remedy"]) if "remedy" in words else ""
    if remedy is None:
        return None
    return f"{text}{', but got …' if 'value' in words else ''}. {remedy}".strip().replace("`", "'")


def _spelled(node: ast.expr) -> str | None:
    """Return a literal's text with ``…`` for every value in it, or None where it is no literal."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_spelled(part) or "…" for part in node.values)
    return None


def _sources() -> list[ast.Module]:
    folder = Path(everfit.__file__).parent
    return [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.py"))]


def commands() -> str:
    """Every command with its arguments and options."""
    from everfit.cli.main import command_group

    root: Any = command_group()
    parts = ["Exit codes: 0 done, 1 refused or failed, 2 misuse, 130 stopped by Ctrl-C. Every command takes `--json`."]
    internal = [
        "## Internal commands\n\n`everfit serve` and `everfit up` start these as processes of their own; they are "
        "named here because `ps` shows them. Their options may change at any time."
    ]
    for name, command in root.commands.items():
        inner = getattr(command, "commands", None)
        for path, leaf in (
            [(name, command)] if inner is None else [(f"{name} {key}", sub) for key, sub in inner.items()]
        ):
            if leaf.hidden:
                internal.append(_command(path, leaf.load()).replace("## ", "### ", 1))
            else:
                parts.append(_command(path, leaf.load()))
    return _page("Commands", [*parts, *internal])


def names() -> str:
    """Every public name with its arguments and the first line of its docstring."""
    rows = [
        (f"[`{name}`](project-file.md#{name.lower()})", _call(getattr(everfit, name)), _line(getattr(everfit, name)))
        for name in everfit.__all__
    ]
    intro = (
        "All that `import everfit as ef` offers. Nothing else is public; each name is imported when it is first used. "
        "An argument with `=` may be left out; each leads to its types, defaults and meanings. What is only handed to "
        "you, such as `Evidence`, has attributes instead of arguments."
    )
    return _page("Public names", [intro, _table(("name", "arguments", "meaning"), rows)])


_HANDED = ("Evidence", "GateReport", "ModelVersion", "Project", "System", "TrainingFrame")
"""Public records that only Everfit makes."""


def _call(value: Any) -> str:
    if value.__name__ in _HANDED:
        return "–"
    words = [argument.name if not argument.default else f"{argument.name}=" for argument in arguments(value)]
    return f"`{', '.join(words)}`" if words else "–"


def column_types() -> str:
    """Write the table of column types: each with what it can be used as."""
    from everfit.definitions.column_types import TABLE

    rows = [
        (
            row.name,
            row.polars,
            row.request or "–",
            "yes" if row.key else "–",
            f"{row.feature}{' (data frames only)' if row.feature in ('date', 'instant') else ''}" or "–",
            row.label or "–",
            "yes" if row.instant else "–",
            row.note if row.fits("request field") else f"use instead: {_escaped(row.remedy.format(column='x'))}",
        )
        for row in TABLE
    ]
    intro = (
        "Columns of these Polars types can be a request field, a key (of a view's entity), a feature, a label, or an "
        "instant (event time, known time). `everfit check`, `everfit train` and the prediction service hold columns "
        "against this one table; other columns of a source may be of any type."
    )
    head = ("column", "Polars type", "request field", "key", "feature", "label", "instant", "note")
    infinite = (
        "**Infinite values are missing**, as NaN is. They become null where a source is read and where a view or an "
        "on-demand transformation computes them, in training, online and in requests alike. `everfit check` counts "
        "them by source, view and column, `everfit monitor` has the finding `infinite_values`. A label that is "
        "infinite or NaN is no label. A request or an outcome that carries one is refused."
    )
    return _page("Types of columns", [intro, _table(head, rows), infinite])


def _escaped(text: str) -> str:
    return f"`{text}`" if text.startswith("pl.") and " " not in text.partition(")")[2] else text


def metrics() -> str:
    """Every metric of models."""
    from everfit.core.evidence import Task
    from everfit.measures.quality import metrics_of

    parts = ['Every metric knows which way is better; "worse" means the same everywhere.']
    for task in Task.__args__:  # type: ignore[attr-defined]
        rows = [
            (
                f"`{metric.name}`",
                "nearer to zero" if metric.best_at_zero else "greater" if metric.greater_is_better else "less",
                metric.description,
            )
            for metric in metrics_of(task)
        ]
        parts.append(f"## {task}\n\n" + _table(("metric", "better is", "what it says"), rows))
    return _page("Metrics of models", parts)


def gates() -> str:
    """Every gate with its name in reports and its parameters."""
    from everfit.gates.judge import STANDARD_GATES

    public = {value: name for name in everfit.__all__ if is_gate(value := getattr(everfit, name))}
    intro = (
        "A gate gives one verdict or more: its name, `passed`, `failed` or `skipped`, the value, the threshold and a "
        "sentence. One verdict `failed` refuses the candidate; `skipped` (shown as –) does not. All gates are tried, "
        "so that one report names everything there is to repair.\n\n"
        f"**{_spelled_number(len(STANDARD_GATES))} gates hold for every candidate**, in this order. Name one of them "
        "in `model.ship_when(...)` only to change its limits. Reports use the left name, project files the class."
    )
    rows = [
        (
            f"`{gate.name}`",
            f"[`{public[type(gate)]}`](#{public[type(gate)].lower()})"
            if type(gate) in public
            else "– (nothing to set)",
            _line(type(gate)),
        )
        for gate in STANDARD_GATES
    ]
    own = [name for kind, name in public.items() if kind not in {type(gate) for gate in STANDARD_GATES}]
    beside = (
        f"Besides, there is {', '.join(f'[`{name}`](#{name.lower()})' for name in own)} (in reports `slices_COLUMN`), "
        "and [your own](#your-own).\n\n"
        "A [design record](design-record.md) adds `design_metric` (`at_least` or `at_most` of its `success.model`), "
        "`design_baseline` (its `baseline`, and `over_baseline` of its `success.model`) and `slices_COLUMN` (its "
        "`slices`), and sets the limit of `max_latency` (its `service.p99_ms`)."
    )
    parts = [intro, _table(("in reports", "in the project file", "what it requires"), rows), beside]
    for kind, name in public.items():
        signature = _ANNOTATION.sub(r": \1", str(inspect.signature(kind)).partition(" ->")[0])
        parts.append(f"## {name}\n\n```python\n{name}{signature}\n```\n\n{_prose(kind)}")
    parts.append(
        f"## Your own\n\n{_prose(everfit.gate)}\n\nThe attributes of [`Evidence`](project-file.md#evidence) are the "
        "data that it judges by. `evidence.champion` is `None` while there is no champion: return `True` then, or the "
        "first version is refused for ever. How to: [write a gate](../howto/own-gate.md)."
    )
    return _page("Gates", parts)


def is_gate(value: Any) -> bool:
    """Tell whether something public is the class of a gate."""
    return inspect.isclass(value) and value.__module__.startswith("everfit.gates.") and hasattr(value, "judge")


def events() -> str:
    """Every kind of transition that a running system logs, with the fields of its lines."""
    from everfit.core.event_log import EVENTS

    intro = (
        "Each transition is one line of the log. With `everfit up --json` the line is a JSON document whose `event` is "
        "the kind and whose other fields are those below, as far as they apply, besides `at`, `level`, `process`, "
        "`pid`, `part` and `message`."
    )
    rows = [
        (f"`{name}`", kind.meaning, ", ".join(f"`{field}`" for field in kind.fields)) for name, kind in EVENTS.items()
    ]
    return _page("Events", [intro, _table(("event", "meaning", "fields"), rows)])


def _spelled_number(number: int) -> str:
    return {11: "Eleven", 12: "Twelve", 13: "Thirteen", 14: "Fourteen"}.get(number, str(number))


MEANINGS: Mapping[str, str] = {
    "performance_drop": "the loss is higher than predictions like these cost on the hold-out",
    "drift": "a feature is not distributed as in the reference; `warning` if the model uses it enough to notice",
    "prediction_drift": "the same of the model's predictions",
    "joint_drift": "no column moved alone, but the columns together did",
    "missing_values": "a feature is missing more than days differ in that; `critical`: half of the rows more, or all",
    "unseen_categories": "a feature has new categories, more of them than usual",
    "unit_change": "a feature's values jumped by a factor and an offset, as if its unit, scale or sign had changed",
    "out_of_range": "a feature is beyond what training saw",
    "constant_alive": "a feature that varied has one value only",
    "stale_source": "the newest row of a source is older than the ttl of its view, so that the features are missing",
    "infinite_values": "a feature is infinite in rows of the newest hour of its view; `critical` if in all of them",
    "labels_stopped": "no outcome comes any more",
    "unlabelled": "outcomes of an earlier time never came",
    "label_delay": "nine of ten outcomes come twice as late as the design record expects; `info` if twice as soon",
    "duplicate_labels": "the same outcome was reported more than once",
    "contradicting_labels": "an event has outcomes that contradict each other",
    "new_class": "outcomes are of a class that the champion did not learn; `critical` from 5 % of them on",
    "clock_skew": "requests carry an event time after the moment of their prediction",
    "predictions_stopped": "no request comes any more",
    "parity": "features as served differ from the same features recomputed from history",
    "training_failed": "a training raised, took too long or too much memory, or was ended by a signal",
    "candidate_refused": "a candidate failed its gates",
    "taken_back": "a version was taken back in its rollout",
    "clock_set_back": "the machine's clock went backwards",
    "loop_trouble": "the loop cannot read a source or write a store",
    "slow_source": "a source's function is called in every round, and takes longer than a second",
    "review_overdue": "the day is over by which the design record had to be reviewed",
}
"""By kind of finding, what it means."""


def findings() -> str:
    """Every kind of finding with its severities."""
    from everfit.core.finding import SEVERITIES

    severities = severities_of_findings()
    rows = [
        (f"`{kind}`", ", ".join(f"`{name}`" for name in SEVERITIES if name in severities.get(kind, ())), meaning)
        for kind, meaning in MEANINGS.items()
    ]
    intro = (
        "What `everfit monitor` and the loop find. Findings with one key (model, kind, version, subject) are one "
        "incident, from the first evaluation that finds it until one does not. Examples and what to do: "
        "[watch a model](../howto/monitor.md)."
    )
    levels = _table(
        ("severity", "means", "consequence"),
        [
            ("`info`", "worth knowing", 'listed; notified only with `[alerts] severity = "info"`'),
            ("`warning`", "a person should look at it", "notified by default, outside the quiet hours"),
            ("`critical`", "it does harm", "notified at any hour; `everfit monitor --fail` exits with 1"),
        ],
    )
    return _page("Findings and severities", [intro, levels, _table(("finding", "severity", "meaning"), rows)])


def severities_of_findings() -> dict[str, set[str]]:
    """Return the severities that the source gives to each kind of finding."""
    from everfit.core.finding import SEVERITIES

    found: dict[str, set[str]] = {}
    for tree in _sources():
        for scope in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            variables: dict[str, list[ast.expr]] = {}
            for node in ast.walk(scope):
                if isinstance(node, ast.AnnAssign | ast.Assign) and node.value is not None:
                    target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
                    if isinstance(target, ast.Name):
                        variables.setdefault(target.id, []).append(node.value)
            for call in (node for node in ast.walk(scope) if isinstance(node, ast.Call)):
                parts = [*call.args, *(word.value for word in call.keywords if word.arg in {"kind", "severity"})]
                texts = {text for part in parts for text in _texts(part, variables)}
                for kind in texts & set(MEANINGS):
                    found.setdefault(kind, set()).update(texts & set(SEVERITIES))
        for row in (node for node in ast.walk(tree) if isinstance(node, ast.Tuple)):
            texts = {text for part in row.elts for text in _texts(part, {})}
            for kind in texts & set(MEANINGS):
                found.setdefault(kind, set()).update(texts & set(SEVERITIES))
    return found


def _texts(node: ast.expr, variables: Mapping[str, list[ast.expr]]) -> set[str]:
    """Return the texts that an expression may be: a literal, either side of a condition, or a variable of these."""
    if isinstance(node, ast.Constant):
        return {node.value} if isinstance(node.value, str) else set()
    if isinstance(node, ast.IfExp):
        return _texts(node.body, variables) | _texts(node.orelse, variables)
    if isinstance(node, ast.Name):
        return {text for value in variables.get(node.id, ()) for text in _texts(value, {})}
    return set()


LABELS: Mapping[str, str] = {
    "model": "the model's name; empty for requests to a model that is not served",
    "status": "the HTTP status of the response",
    "view": "a feature view",
    "version": "a version's number; of `everfit_version_refused`, `MODEL version N`",
    "digest": "the SHA-256 of the version's package",
    "runtime": "how the model is executed: `treelite`, `onnx`, `native` …",
    "form": "how the model is executed: `treelite`, `onnx`, `native` …",
    "route": "the version's part in the traffic: `champion`, `canary` or `shadow`",
    "worker": "a worker process, counted from 0",
    "metric": "a [metric of models](metrics.md)",
    "column": "a feature, or `prediction`",
    "source": "a source",
    "severity": "`info`, `warning` or `critical`, as in [findings](findings.md)",
}
"""By label of a metric of the service, its values."""


def service() -> str:
    """Every metric that the prediction service exports, and every label."""
    from everfit.serving.metrics import ServiceMetrics

    families = tuple(ServiceMetrics().collect())
    rows = [
        (
            f"`{family.name}{'_total' if family.type == 'counter' else ''}`",
            family.type,
            ", ".join(f"`{label}`" for label in labels_of(family)),
            family.documentation,
        )
        for family in families
    ]
    used = sorted({label for family in families for label in labels_of(family)})
    intro = (
        "`GET /metrics` answers in the text format of Prometheus, for all workers together; a worker that starts again "
        "continues its counters. A histogram has the names `_bucket` (label `le`), `_sum` and `_count`. The figures of "
        "models (`everfit_model_…`) are those of the last evaluation, by `everfit up` or `everfit monitor`.\n\n"
        "Alert rules to copy: [operate](../howto/operate.md#alerts-in-prometheus)."
    )
    labels = _table(("label", "values"), [(f"`{label}`", LABELS.get(label, "")) for label in used])
    queries = _table(
        ("question", "PromQL"),
        [
            ("requests a second, by model", "`sum by (model) (rate(everfit_requests_total[5m]))`"),
            (
                "99th percentile of the time to answer, in seconds",
                "`histogram_quantile(0.99, sum by (model, le) (rate(everfit_request_seconds_bucket[5m])))`",
            ),
            (
                "share of rows without features of a view",
                "`sum by (model, view) (rate(everfit_feature_missing_total[15m])) / on (model) group_left "
                "sum by (model) (rate(everfit_rows_total[15m]))`",
            ),
            (
                "how much worse than on the hold-out",
                "`everfit_model_score - everfit_model_reference_score`",
            ),
        ],
    )
    parts = [
        intro,
        _table(("metric", "kind", "labels", "meaning"), rows),
        f"## Labels\n\n{labels}",
        f"## Questions\n\n{queries}",
    ]
    return _page("Metrics of the service", parts)


def labels_of(family: Any) -> tuple[str, ...]:
    """Return the names of a metric's labels."""
    return tuple(vars(family)["_labelnames"])


_CHAPTERS: Mapping[str, tuple[str, ...]] = {
    "Data": ("Source", "Entity", "FeatureView", "feature_view", "OnDemand", "on_demand", "Events", "Label"),
    "The model": ("Model",),
    "The trainer": ("Float", "Int", "Choice"),
    "When to retrain, and what to watch": (
        "PerformanceDrop", "Drift", "StaleModel", "Every", "Cron", "NewData", "NewRelease",
    ),
    "How a version is rolled out": ("Shadow", "Canary"),
    "What a gate of your own is given": ("gate", "Evidence", "TrainingFrame", "Verdict", "GateReport"),
    "The client": ("Client",),
}  # fmt: skip


def project_file() -> str:
    """Every public name that takes arguments, with all of them."""
    intro = (
        "The arguments of everything that a project file is written with, and of the client. `import everfit as ef` "
        "offers them; [public names](names.md) lists them shortly, [gates](gates.md) says what each gate tests."
    )
    duration = (
        "## Durations\n\nA duration is text: one or more terms of a whole number and a unit, largest first, such as "
        "`90s`, `15m`, `3h`, `30d`, `2w` or `1d12h`. Units are `ms`, `s`, `m`, `h`, `d` and `w`."
    )
    parts, placed = [intro, duration], {name for names in _CHAPTERS.values() for name in names}
    gates = [name for name in everfit.__all__ if getattr(everfit, name).__module__.startswith("everfit.gates.")]
    chapters = {**_CHAPTERS, "What may ship": tuple(name for name in gates if name not in placed)}
    placed |= set(gates)
    chapters["Errors, records and functions"] = tuple(name for name in everfit.__all__ if name not in placed)
    for title, chapter in chapters.items():
        parts.append(f"## {title}")
        if title == "The trainer":
            parts.append(_trainer())
        for name in chapter:
            parts.extend(_described(name, getattr(everfit, name), level=3))
    return _page("Project file and client: all arguments", parts)


def _trainer() -> str:
    from everfit.definitions.model import Model
    from everfit.training import trainer

    return f"{_prose(Model.trainer)}\n\n{_prose(trainer).partition(chr(10) * 2)[2]}"


def _described(name: str, value: Any, *, level: int) -> Iterator[str]:
    """A heading, the signature, the docstring, a table of arguments; and the same of a class's own methods."""
    head = _prose(value).partition("\n\n**Args**")[0]
    rows = [(f"`{each.name}`", f"`{each.type}`", each.default, each.meaning) for each in arguments(value)]
    parts = [f"{'#' * level} {name}", head]
    if rows:
        parts.append(_table(("argument", "type", "default", "meaning"), rows))
    yield "\n\n".join(parts)
    if inspect.isclass(value) and value in {everfit.Model, everfit.Client}:
        for method, function in vars(value).items():
            if inspect.isfunction(function) and not method.startswith("_"):
                yield from _described(f"{name}.{method}", function, level=level + 1)


class Argument(NamedTuple):
    """An argument of something public."""

    name: str
    type: str
    default: str
    meaning: str


def arguments(value: Any) -> list[Argument]:
    """The arguments of a class or a function, with what its docstring or its attributes' docstrings say of them."""
    try:
        signature = inspect.signature(value)
    except ValueError:
        return []
    meanings = _attribute_docs(value) | _argument_docs(inspect.getdoc(value) or "")
    if value is everfit.feature_view:
        # Its docstring refers to the class.
        meanings = _argument_docs(inspect.getdoc(everfit.FeatureView) or "")
    found = []
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        stars = "*" if parameter.kind == parameter.VAR_POSITIONAL else ""
        stars = "**" if parameter.kind == parameter.VAR_KEYWORD else stars
        kind = parameter.annotation
        text = kind if isinstance(kind, str) else inspect.formatannotation(kind)
        default = "" if parameter.default is parameter.empty else f"`{parameter.default!r}`"
        meaning = meanings.get(parameter.name, "")
        found.append(
            Argument(stars + parameter.name, text.strip("'").replace("everfit.core.records.", ""), default, meaning)
        )
    return found


def _argument_docs(text: str) -> dict[str, str]:
    """What the ``Args:`` block of a docstring says, by argument."""
    block = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)+)", text, flags=re.MULTILINE)
    found: dict[str, str] = {}
    name = ""
    for line in (textwrap.dedent(block[1]) if block else "").splitlines():
        head = re.match(r"\*{0,2}(\w+): (.*)", line)
        if head:
            name, found[head[1]] = head[1], head[2]
        elif name and line.strip():
            found[name] += f" {line.strip()}"
    return {name: _marked(words) for name, words in found.items()}


def _attribute_docs(value: Any) -> dict[str, str]:
    """The docstrings below a class's annotated attributes."""
    if not inspect.isclass(value):
        return {}
    tree = ast.parse(textwrap.dedent(inspect.getsource(value))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, after in itertools.pairwise(tree.body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
            found[field.target.id] = _marked(" ".join(str(ast.literal_eval(after.value)).split()))
    return found


def _marked(text: str) -> str:
    return _ROLE.sub(lambda found: f"`{found[1].rpartition('.')[2]}`", text).replace("``", "`")


PAGES: Mapping[str, Callable[[], str]] = {
    "settings": settings,
    "design-record": design_record,
    "errors": errors,
    "commands": commands,
    "names": names,
    "metrics": metrics,
    "gates": gates,
    "events": events,
    "service": service,
    "findings": findings,
    "project-file": project_file,
    "column-types": column_types,
}


_KINDS: Mapping[type, str] = {str: "TEXT", datetime: "TEXT", int: "INTEGER", float: "NUMBER", Path: "PATH"}


def _command(path: str, command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    usage = " ".join([f"everfit {path}", *(_placeholder(each) for each in arguments), "[OPTIONS]"])
    rows = [(f"`{_spelling(each)}`", _meaning(each)) for each in command.params if each.name not in {"help", "as_json"}]
    table = "\n\n" + _table(("argument or option", "meaning"), rows) if rows else ""
    return f"## everfit {path}\n\n{inspect.cleandoc(command.help or '')}\n\n```text\n{usage}\n```{table}"


def _placeholder(argument: Any) -> str:
    name = argument.name.upper() + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return _placeholder(parameter)
    words = ", ".join([*parameter.opts, *parameter.secondary_opts])
    if parameter.is_flag:
        return words
    kind = parameter.type_descriptor.annotation
    if get_origin(kind) is list:
        (kind,) = get_args(kind)
    return f"{words} {'|'.join(get_args(kind)) or _KINDS[kind]}"


def _meaning(parameter: Any) -> str:
    default = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
    words = parameter.help or ""
    return f"{words} Default: `{default}`." if default not in {None, False, ""} and not parameter.required else words


def _bounds(annotated: Any) -> str:
    """The bounds of an annotated type as a sentence; empty if it has none."""
    bounds = [
        f"{word} {value:,}" if isinstance(value, int) else f"{word} {value}"
        for meta in getattr(annotated, "__metadata__", ())
        for name, word in (("gt", "more than"), ("ge", "at least"), ("lt", "less than"), ("le", "at most"))
        if (value := getattr(meta, name)) is not None
    ]
    return f"{', '.join(bounds).capitalize()}." if bounds else ""


def _line(value: object) -> str:
    """The first paragraph of a docstring, on one line."""
    return _prose(value).partition("\n\n")[0].replace("\n", " ")


def _prose(value: object) -> str:
    """A docstring as Markdown: roles and double backticks become single ones, ``Args:`` a list, examples code."""
    text = _ROLE.sub(lambda found: f"`{found[1].rpartition('.')[2]}`", inspect.getdoc(value) or "").replace("``", "`")
    return "\n\n".join(_paragraph(part) for part in text.split("\n\n"))


def _paragraph(text: str) -> str:
    if text.startswith(">>>"):
        return f"```python\n{text}\n```"
    head, _, rest = text.partition("\n")
    if head not in {"Args:", "Raises:", "Returns:"}:
        return text
    lines: list[str] = []
    for line in textwrap.dedent(rest).split("\n"):
        if line.startswith(" "):
            lines[-1] += " " + line.strip()
        else:
            lines.append(f"- {line}")
    return "\n".join([f"**{head[:-1]}**", "", *lines])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _page(title: str, parts: Sequence[str]) -> str:
    return "\n\n".join([NOTE, f"# {title}", *parts]) + "\n"
