"""The reference pages, each written from the code that it describes."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec

import everfit

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
        rows = [
            (
                f"`{field.name}`",
                f"`{variable_name(section.name, field.name)}`",
                f"`{field.default!r}`",
                _meta(field.type),
            )
            for field in msgspec.structs.fields(kind)
        ]
        parts.append(
            f"## [{section.name}]\n\n{_line(kind)}\n\n" + _table(("key", "variable", "default", "meaning"), rows)
        )
    paths = next(field.type for field in msgspec.structs.fields(Settings) if field.name == "paths")
    parts.append(f"## [paths]\n\n{_meta(paths)} The variable of `data` is `{variable_name('paths', 'data')}`.")
    return _page("Settings", parts)


def errors() -> str:
    """Every mistake that Everfit can name, as a tree, with its exit code."""
    from everfit.core import errors as home

    drawing = inspect.cleandoc(home.__doc__ or "").split("\n\n")[1]
    kinds = [
        kind
        for _, kind in inspect.getmembers(home, inspect.isclass)
        if issubclass(kind, home.EverfitError) and kind.__module__ == home.__name__
    ]
    kinds.sort(key=lambda kind: inspect.getsourcelines(kind)[1])
    rows = [(f"`{kind.__name__}`", _line(kind), "2" if issubclass(kind, home.MisuseError) else "1") for kind in kinds]
    intro = "A message states the rule, the value that broke it, and the remedy. Catch `everfit.EverfitError` for all."
    return _page(
        "Errors", [intro, f"```text\n{drawing}\n```", _table(("class", "meaning", "exit code of a command"), rows)]
    )


def commands() -> str:
    """Every command with its arguments and options."""
    from everfit.cli.main import command_group

    root: Any = command_group()
    parts = ["Exit codes: 0 done, 1 refused or failed, 2 misuse. Every command takes `--json`."]
    for name, command in root.commands.items():
        inner = getattr(command, "commands", None)
        for path, leaf in (
            [(name, command)] if inner is None else [(f"{name} {key}", sub) for key, sub in inner.items()]
        ):
            parts.append(_command(path, leaf.load()))
    return _page("Commands", parts)


def names() -> str:
    """Every public name with the first line of its docstring."""
    rows = []
    for name in everfit.__all__:
        value = getattr(everfit, name)
        rows.append((f"`everfit.{name}`", f"`{value.__module__}`", _line(value)))
    intro = "All that `import everfit` offers. Nothing else is public; each name is imported when it is first used."
    return _page("Public names", [intro, _table(("name", "defined in", "meaning"), rows)])


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
    """Every gate with its parameters."""
    from everfit.definitions.gate import Gate

    parts = [
        "A gate gives one verdict or more: its name, passed, failed or skipped, the value, the threshold and a "
        "sentence. Name them in `model.ship_when(...)`; your own is one function decorated with `@everfit.gate`."
    ]
    for name in everfit.__all__:
        kind = getattr(everfit, name)
        if inspect.isclass(kind) and kind.__module__.startswith("everfit.gates.") and hasattr(kind, "judge"):
            signature = _ANNOTATION.sub(r": \1", str(inspect.signature(kind)).partition(" ->")[0])
            parts.append(f"## {name}\n\n```python\n{name}{signature}\n```\n\n{_prose(kind)}")
    parts.append(f"## Your own\n\n{_prose(everfit.gate)}\n\n{_prose(Gate)}")
    return _page("Gates", parts)


def service() -> str:
    """What the prediction service reports of itself."""
    from everfit.serving.metrics import describe_metrics

    rows = [
        (
            f"`{family.name}`",
            family.type,
            ", ".join(f"`{label}`" for label in vars(family)["_labelnames"]),
            family.documentation,
        )
        for family in describe_metrics()
    ]
    intro = (
        "`GET /metrics` answers in the text format of Prometheus, for all workers together. Counters carry the suffix "
        "`_total` there. How to ask: [serve a model](../howto/serve.md)."
    )
    return _page("Metrics of the service", [intro, _table(("metric", "kind", "labels", "meaning"), rows)])


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
    "errors": errors,
    "commands": commands,
    "names": names,
    "metrics": metrics,
    "gates": gates,
    "service": service,
    "project-file": project_file,
    "column-types": column_types,
}


_KINDS: Mapping[type, str] = {str: "TEXT", int: "INTEGER", float: "NUMBER", Path: "PATH"}


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
    return f"{words} {'|'.join(get_args(kind)) or _KINDS[kind]}"


def _meaning(parameter: Any) -> str:
    default = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
    words = parameter.help or ""
    return f"{words} Default: `{default}`." if default not in {None, False, ""} and not parameter.required else words


def _meta(annotated: Any) -> str:
    """The description, and the bounds, of an annotated type."""
    found = next(each for each in annotated.__metadata__ if isinstance(each, msgspec.Meta))
    bounds = [
        f"{word} {getattr(found, name):,}"
        if isinstance(getattr(found, name), int)
        else f"{word} {getattr(found, name)}"
        for name, word in (("gt", "more than"), ("ge", "at least"), ("lt", "less than"), ("le", "at most"))
        if getattr(found, name) is not None
    ]
    return f"{found.description} {', '.join(bounds).capitalize()}.".removesuffix(" .")


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
