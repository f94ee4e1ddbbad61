"""Code of a project travels with what is pickled, wherever it is, and answers where the project is not."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from everfit.artifact.provenance import copy_code
from everfit.artifact.runtimes.pickled import pickle_by_value, unpickle
from everfit.core.errors import PackageError

LIBRARY = {
    "carried_lib/__init__.py": "",
    "carried_lib/rates.py": "RATE = {rate}\ndef rate(x):\n    return x * RATE\nclass Base:\n    def ask(self, x):\n"
    "        return rate(x)\n",
    "carried_lib/deep/__init__.py": "",
    "carried_lib/deep/lazy.py": "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    "from ..rates import rate\n@dataclass\nclass Box:\n    x: float\n    def out(self) -> float:\n"
    "        from . import twin\n        return twin.same(rate(self.x))\n",
    "carried_lib/deep/twin.py": "def same(x):\n    return x\n",
    "carried_spaces/plain.py": "from carried_lib.rates import rate\n",
}
ASKS = {
    "parent": "from carried_lib.rates import Base\nclass Own(Base):\n    pass\nthing = Own().ask",
    "nested": "from carried_lib.rates import Base\nclass Holder:\n    def __init__(self):\n"
    "        self.steps = [('a', {'inner': Base()})]\n    def ask(self, x):\n"
    "        return self.steps[0][1]['inner'].ask(x)\nthing = Holder().ask",
    "closure": "from carried_lib.rates import rate\ndef make():\n    inner = rate\n    return lambda x: inner(x)\n"
    "thing = make()",
    "partial": "import functools\nfrom carried_lib.rates import rate\ndef call(f, x):\n    return f(x)\n"
    "thing = functools.partial(call, rate)",
    "class attribute": "from carried_lib.rates import rate\nclass Own:\n    how = staticmethod(rate)\n"
    "    def ask(self, x):\n        return self.how(x)\nthing = Own().ask",
    "module by name": "import carried_lib.rates as rates\ndef thing(x):\n    return rates.rate(x)",
    "package by name": "import carried_lib.deep.lazy\ndef thing(x):\n    return carried_lib.deep.lazy.Box(x).out()",
    "lazy from": "def thing(x):\n    from carried_lib.rates import rate\n    return rate(x)",
    "lazy submodule": "def thing(x):\n    from carried_lib.deep import lazy\n    return lazy.Box(x).out()",
    "lazy dotted": "def thing(x):\n    import carried_lib.deep.lazy\n    return carried_lib.deep.lazy.Box(x).out()",
    "lazy in a lambda": "def thing(x):\n    def inner(y):\n        from carried_lib.rates import rate\n"
    "        return rate(y)\n    return list(map(lambda y: inner(y), [x]))[0]",
    "namespace": "def thing(x):\n    from carried_spaces.plain import rate\n    return rate(x)",
}


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Callable[[str, float], tuple[Any, Path, Path]]]:
    """Import a project's module; gives its ``thing``, the project and the copy that a package would keep."""
    before, path = set(sys.modules), list(sys.path)

    def forget() -> None:
        sys.path[:] = path
        for name in [name for name in sys.modules if name.startswith("carried_")]:
            del sys.modules[name]

    def make(text: str, rate: float) -> tuple[Any, Path, Path]:
        forget()
        project = tmp_path / f"project-{rate}"
        for name, content in {**LIBRARY, "carried_main.py": text, "everfit.toml": ""}.items():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_text(content.replace("{rate}", str(rate)))
        copy_code(project, tmp_path / f"copy-{rate}")
        sys.path.insert(0, str(project))
        importlib.invalidate_caches()
        return importlib.import_module("carried_main").thing, project, tmp_path / f"copy-{rate}"

    def leave(text: str, rate: float) -> tuple[Any, Path, Path]:
        thing, project, copy = make(text, rate)
        content = pickle_by_value(thing, copy)
        expected = thing(3.0)
        shutil.rmtree(project)
        forget()
        return content, expected, copy

    yield leave
    forget()
    assert not {name for name in set(sys.modules) - before if name.startswith("carried_")}


@pytest.mark.parametrize("text", ASKS.values(), ids=ASKS)
def test_code_travels_wherever_it_is(text: str, load: Callable[[str, float], Any]) -> None:
    content, expected, copy = load(text, 2.0)
    assert expected == 6.0
    assert unpickle(content, copy)(3.0) == expected
    assert not [name for name in sys.modules if name.startswith("carried_")]


@pytest.mark.parametrize("name", ["module by name", "lazy submodule"])
def test_two_versions_with_different_code_answer_side_by_side(name: str, load: Callable[[str, float], Any]) -> None:
    things = [unpickle(content, copy) for content, _, copy in (load(ASKS[name], 2.0), load(ASKS[name], 5.0))]
    assert [thing(3.0) for thing in things] == [6.0, 15.0]


def test_a_module_that_cannot_travel_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "carried_elsewhere.py").write_text("def rate(x):\n    return x\n")
    (tmp_path / "carried_asks.py").write_text(
        "def thing(x):\n    from carried_elsewhere import rate\n    return rate(x)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    thing = importlib.import_module("carried_asks").thing
    with pytest.raises(PackageError, match=r"imported by thing while it runs.*but got 'carried_elsewhere'"):
        pickle_by_value(thing, tmp_path / "nothing")
    del sys.modules["carried_asks"]


def test_a_project_s_functions_import_its_modules_while_they_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from everfit.wiring import load_project

    monkeypatch.setattr(sys, "path", [*sys.path])
    text = (
        "import polars as pl\nimport everfit as ef\n\nrows = ef.Source('rows', path='rows.parquet', timestamp='at')\n"
        "key = ef.Entity('key', dtype=pl.String)\n"
        "view = ef.FeatureView('view', entities=[key], source=rows, features=['x'], ttl='1d')\n"
        "\n\ndef ask(x):\n    from carried_late import half\n\n    return half(x)\n"
    )
    for number in (2, 4):
        project = tmp_path / f"project-{number}"
        project.mkdir()
        (project / "everfit.toml").write_text('[project]\nmodule = "carried_project"\n')
        (project / "carried_project.py").write_text(text)
        (project / "carried_late.py").write_text(f"def half(x):\n    return x / {number}\n")
        load_project(project)
        assert sys.modules["carried_project"].ask(8.0) == 8.0 / number
    for name in ("carried_project", "carried_late"):
        del sys.modules[name]
