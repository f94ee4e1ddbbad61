"""A package's own copy of the project's code, importable by what was unpickled from that package and by nothing else.

Classes and functions of the project travel by value. What they import while they run (``from mylib import rate`` within
a function) and modules that they use by name (``mylib.rate()``) cannot: these are imported from the package's copy of
the code, under names of their own, so that two versions with different code serve side by side and the project's folder
may be gone.
"""

from __future__ import annotations

import builtins
import dis
import importlib
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import resolve_name
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any


class CarriedCode(Loader):
    """The code in a folder, if it exists, as a finder and loader of modules.

    It is read at once, so that what is executed is what was verified.
    """

    def __init__(self, folder: Path) -> None:
        self._prefix = f"_everfit_{uuid.uuid4().hex}"
        self._sources: dict[str, tuple[str, bytes]] = {}
        self._packages: set[str] = {""}
        for file in sorted(folder.rglob("*.py")) if folder.is_dir() else ():
            parts = file.relative_to(folder).with_suffix("").parts
            if parts[-1] == "__init__":
                parts = parts[:-1]
                self._packages.add(".".join(parts))
            self._sources[".".join(parts)] = (str(file), file.read_bytes())
            self._packages |= {".".join(parts[:size]) for size in range(1, len(parts))}
        self.tops = {name.partition(".")[0] for name in self._sources if name} - sys.stdlib_module_names - {"everfit"}
        self._builtins: dict[str, Any] = {**vars(builtins), "__import__": self._import}
        self._is_found = False

    def holds(self, name: str) -> bool:
        """Return true if the copy has a module or package of this name."""
        return name in self._sources or name in self._packages

    def module(self, name: str) -> ModuleType:
        """Import a module of the copy."""
        if not self._is_found:
            sys.meta_path.append(self)
            self._is_found = True
        return importlib.import_module(f"{self._prefix}.{name}")

    def adopt(self, global_names: dict[str, Any]) -> None:
        """Let functions that are made with these globals from now on import from the copy."""
        global_names["__builtins__"] = self._builtins

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        """As :class:`importlib.abc.MetaPathFinder` says."""
        root, _, name = fullname.partition(".")
        if root != self._prefix or not self.holds(name):
            return None
        origin = self._sources.get(name, (None, b""))[0]
        return ModuleSpec(fullname, self, origin=origin, is_package=name in self._packages)

    def exec_module(self, module: ModuleType) -> None:
        """As :class:`importlib.abc.Loader` says."""
        file, source = self._sources.get(module.__name__.partition(".")[2], ("", b""))
        module.__dict__["__builtins__"] = self._builtins
        if file:
            module.__file__ = file
        exec(compile(source, file or module.__name__, "exec"), module.__dict__)  # noqa: S102 - verified by its caller

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 - the names of builtins.__import__
        locals: Mapping[str, Any] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        package = str((globals or {}).get("__package__") or "")
        if level and package and not package.startswith(self._prefix):
            name, level = resolve_name("." * level + name, package), 0
        if level or name.partition(".")[0] not in self.tops:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        module = self.module(name)
        if not fromlist:
            return self.module(name.partition(".")[0])
        for wanted in fromlist:
            if not hasattr(module, wanted) and self.holds(f"{name}.{wanted}"):
                self.module(f"{name}.{wanted}")
        return module


def imports_of(function: FunctionType) -> Iterator[str]:
    """The modules that a function, or one that is written within it, imports while it runs; absolute names."""
    package = str(function.__globals__.get("__package__") or "")
    waiting: list[CodeType] = [function.__code__]
    while waiting:
        code = waiting.pop()
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        steps = list(dis.get_instructions(code))
        for place, step in enumerate(steps):
            if step.opname == "IMPORT_NAME":
                # The level and the list of names were loaded just before.
                before = [earlier.argval for earlier in steps[max(0, place - 2) : place]]
                level = next((value for value in before if isinstance(value, int)), 0)
                yield resolve_name("." * level + step.argval, package) if level and package else step.argval
