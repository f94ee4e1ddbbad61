"""Text reaches a terminal through cli/output.py alone, and is never parsed as markup."""

from __future__ import annotations

import ast

from tests.architecture.sources import Module, calls, every_module

PRINTS = "cli/output.py"
PIPED = {"artifact/portability.py"}
"""Run in a child process whose output its parent reads; nothing of it reaches a terminal."""
MARKUP = {"from_markup", "render_markup", "print_markup", "from_ansi"}


@every_module
def test_prints_through_output(module: Module) -> None:
    if module.name in {PRINTS, *PIPED}:
        return
    wrong = []
    for call in calls(module.tree):
        name = ast.unparse(call.func)
        if name in {"print", "pprint", "input"} or name.rpartition(".")[2] in {"echo", "secho", "print", "prompt"}:
            wrong.append(module.place(call))
        if name.startswith(("sys.stdout.", "sys.stderr.", "sys.__std")) and "write" in name:
            wrong.append(module.place(call))
    assert not wrong, "use print_line, print_error, print_rows or print_json of cli/output.py"


@every_module
def test_draws_with_rich_in_one_file(module: Module) -> None:
    if module.name == PRINTS:
        return
    wrong = [
        module.place(node)
        for node in ast.walk(module.tree)
        if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rich")
        or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "rich" for alias in node.names))
    ]
    assert not wrong, "print parts with cli/output.py instead"


@every_module
def test_parses_no_markup(module: Module) -> None:
    wrong = [
        module.place(node)
        for node in ast.walk(module.tree)
        if (isinstance(node, ast.Attribute) and node.attr in MARKUP)
        or (isinstance(node, ast.ImportFrom) and (node.module or "") == "rich.markup")
    ]
    for call in calls(module.tree):
        keywords = {each.arg: ast.unparse(each.value) for each in call.keywords}
        name = ast.unparse(call.func).rpartition(".")[2]
        # By default these parse markup.
        if name in {"Console", "TextColumn"} and keywords.get("markup") != "False":
            wrong.append(module.place(call))
        if name == "Typer" and keywords.get("rich_markup_mode") != "None":
            wrong.append(module.place(call))
        if keywords.get("markup") == "True":
            wrong.append(module.place(call))
    assert not wrong
