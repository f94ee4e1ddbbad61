"""Follow a page as its reader would: write its files, run its commands, compare what they print.

``python -m docs.walk docs/tutorial.md`` compares; with ``--record`` the outputs on the page are written anew.

What is run is what the page shows. Comments, which a reader does not see, say how:

- ``<!-- include: FILE -->`` before a block: the block is saved as FILE, or added to it (see :mod:`docs.include`), or to
  the one that ``<!-- save as: FILE -->`` names. ``<!-- given: FILE -->``: the reader has this script, and runs it.
- ``<!-- change: FILE -->`` before a block ``diff``: its ``-`` lines are replaced by its ``+`` lines.
- ``<!-- undo: FILE -->``: takes the last change of FILE back.
- a block ``sh`` is run, as one script; a block ``text`` right after it is its output. Comments before it:
  ``<!-- exit: 1 -->``, the script must end with this code; ``<!-- background: NAME -->``, it is left running once its
  output has come, until ``<!-- stop: NAME -->``; ``<!-- repeat -->``, it is run until its output is as shown;
  ``<!-- not run -->``, it is skipped. The folder that a script ends in is the next one's.

Numbers, dates and ids differ from run to run and are not compared; neither are line breaks. A line ``…`` stands for any
lines.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

from docs.include import with_includes

ROOT = Path(__file__).parents[1]
_PART = re.compile(
    r"<!-- (?P<verb>[a-z ]+?)(?:: (?P<value>[^>]+?))? -->|^```(?P<language>\w*)\n(?P<body>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_MASKS = (
    (re.compile(r"\x1b\[[0-9;]*m"), ""),
    (re.compile(r"[\w.-]+@[\w.-]+"), "you@laptop"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-f]{7,}\b(?<![g-z])"), "0"),
    (re.compile(r"[-−]?\d[\d.,:]*(?:[a-zA-Zµ%]{0,2}[-+]?\d[\d.,:]*)*(?:ms|s|m|h|d|Z|T)?\b"), "0"),
    (re.compile(r"─+"), " "),
    (re.compile(r"\s+"), " "),
)
_ELISION = "…"
_AUTHOR = {"NAME": "Ada", "EMAIL": "ada@example.org"}
_END = "\x1e"
"""Between what a script printed and the folder that it ended in."""
_WIDTH = 112
_FURTHER = " " * 10
"""Margin of a long line's further lines."""
_PORT = "8080"
_LIMIT_S = 240.0
_RECORD_AFTER_S = 60.0
"""So long a command is repeated before its output is recorded although it is another."""


class WalkError(AssertionError):
    """A page says something else than happens."""


@dataclass
class Step:
    """A block of a page, or a comment that is a step of its own."""

    kind: str
    """``save``, ``given``, ``change``, ``undo``, ``run``, ``stop``."""
    text: str
    name: str = ""
    exit_code: int = 0
    background: str = ""
    repeat: bool = False
    output: str | None = None
    place: tuple[int, int] = (0, 0)
    """Where the output stands in the page."""


def steps(page: str) -> list[Step]:
    """The steps of a page, in its order."""
    found: list[Step] = []
    notes: dict[str, str] = {}
    for part in _PART.finditer(page):
        if part["verb"]:
            if part["verb"] in {"given", "undo", "stop"}:
                found.append(Step(part["verb"], "", name=part["value"]))
            else:
                notes[part["verb"]] = part["value"] or ""
            continue
        language, body = part["language"], part["body"]
        if language == "text" and found and found[-1].kind == "run" and found[-1].output is None and not notes:
            found[-1].output, found[-1].place = body, part.span("body")
        elif "not run" in notes:
            pass
        elif "include" in notes:
            name = notes.get("save as", notes["include"].partition("#")[0])
            found.append(Step("save", body, name=Path(name).name))
        elif language == "diff":
            found.append(Step("change", body, name=notes["change"]))
        elif language == "sh":
            step = Step("run", body, exit_code=int(notes.get("exit", 0)), background=notes.get("background", ""))
            step.repeat = "repeat" in notes
            found.append(step)
        notes = {}
    return found


def masked(text: str) -> str:
    """What of an output is the same in every run.

    >>> masked("log_loss 0.4399 by root@vm, 58m22s ago") == masked("log_loss 1e-9 by a@b, 1h ago")
    True
    """
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return text.strip()


def fits(shown: str, printed: str) -> bool:
    """Compare a block of a page with an output."""
    parts = [masked(part) for part in re.split(rf"^\s*{_ELISION}\s*$", shown, flags=re.MULTILINE)]
    rest = masked(printed)
    if len(parts) == 1:
        return parts[0] == rest
    for part in filter(None, parts):
        _, here, rest = rest.partition(part)
        if not here:
            return False
    return True


def recorded(shown: str, printed: str) -> str:
    """The block as it should be; of an output that is shown in part, the lines that begin as those shown."""
    lines = [re.sub(r"[\w.-]+@[\w.-]+", "you@laptop", line.rstrip()) for line in printed.strip("\n").splitlines()]
    if re.search(rf"^\s*{_ELISION}\s*$", shown, flags=re.MULTILINE):
        lines = _same_lines(re.sub(rf"\n{_FURTHER}(?=\S)", " ", shown).splitlines(), lines)
    return "".join(f"{line}\n" for line in (wrapped for line in lines for wrapped in _wrapped(line)))


def _same_lines(shown: list[str], printed: list[str]) -> list[str]:
    kept, rest = [], iter(printed)
    for line in shown:
        if line.strip() == _ELISION or not line.strip():
            kept.append(line)
            continue
        begin = masked(line).split()[:2]
        same = next((one for one in rest if masked(one).split()[:2] == begin), None)
        if same is None:
            raise WalkError(f"no line of the output begins as {line!r}:\n" + "\n".join(printed))
        kept.append(same)
    return kept


def _wrapped(line: str) -> list[str]:
    if len(line) <= _WIDTH or "  " in line.strip()[20:]:
        return [line]
    margin = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(
        line.strip(),
        _WIDTH,
        initial_indent=margin,
        subsequent_indent=_FURTHER,
        break_long_words=False,
        break_on_hyphens=False,
    )


class Walker:
    """One reader with one folder.

    Args:
        folder: Where the reader works; empty.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = str(_free_port())
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._before: dict[str, str] = {}

    def follow(self, page: str, *, record: bool = False) -> str:
        """Do what a page says, and return it with the outputs that came.

        Raises:
            WalkError: If something else happens than the page says.
        """
        edits: list[tuple[tuple[int, int], str]] = []
        try:
            for step in steps(page):
                printed = getattr(self, f"_{step.kind}")(step, record)
                if step.output is not None:
                    edits.append((step.place, recorded(step.output, printed) if record else step.output))
        finally:
            for name in list(self._running):
                self._stop(Step("stop", "", name=name), record)
        for (start, end), text in reversed(edits):
            page = page[:start] + text + page[end:]
        return page

    def _save(self, step: Step, _: bool) -> None:
        with (self._folder / step.name).open("a", encoding="utf-8") as file:
            file.write(("\n\n" if file.tell() else "") + step.text)

    def _given(self, step: Step, _: bool) -> None:
        subprocess.run([sys.executable, str(ROOT / step.name)], cwd=self._folder, check=True)

    def _change(self, step: Step, _: bool) -> None:
        path = self._folder / step.name
        text = self._before[step.name] = path.read_text(encoding="utf-8")
        for old, new in _replacements(step.text):
            if text.count(old) != 1:
                raise WalkError(f"{step.name} must hold once:\n{old}\nbut is:\n{text}")
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")

    def _undo(self, step: Step, _: bool) -> None:
        (self._folder / step.name).write_text(self._before.pop(step.name), encoding="utf-8")

    def _run(self, step: Step, record: bool) -> str:
        if step.background:
            return self._start(step)
        began_s = time.monotonic()
        while True:
            done = subprocess.run(
                ["bash", "-c", f"trap 'printf %s \"{_END}$PWD\"' EXIT\n{step.text.replace(_PORT, self._port)}"],
                cwd=self._folder,
                env=self._environment(),
                capture_output=True,
                text=True,
                check=False,
                timeout=_LIMIT_S,
            )
            printed, _, end = done.stdout.replace(self._port, _PORT).rpartition(_END)
            right = step.output is None or fits(step.output, printed)
            waited = not step.repeat or time.monotonic() > began_s + _RECORD_AFTER_S
            if done.returncode == step.exit_code and (right or (record and waited)):
                self._folder = Path(end)
                return printed
            if not step.repeat or time.monotonic() > began_s + _LIMIT_S:
                raise WalkError(
                    f"$ {step.text}exit code {done.returncode}\n{printed}{done.stderr}\nThe page shows:\n{step.output}"
                )
            time.sleep(1.0)

    def _start(self, step: Step) -> str:
        log = self._folder / f"{step.background}.stdout"
        with log.open("wb") as out:
            self._running[step.background] = process = subprocess.Popen(
                ["bash", "-c", f"exec {step.text.replace(_PORT, self._port)}"],
                cwd=self._folder,
                env=self._environment(),
                stdout=out,
                stderr=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + _LIMIT_S
        while time.monotonic() < deadline and process.poll() is None:
            printed = log.read_text(encoding="utf-8").replace(self._port, _PORT)
            if step.output is None or fits(step.output, printed):
                return printed
            time.sleep(0.2)
        raise WalkError(f"$ {step.text}\n{log.read_text(encoding='utf-8')}\nThe page shows:\n{step.output}")

    def _stop(self, step: Step, _: bool) -> None:
        process = self._running.pop(step.name)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60.0)

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EVERFIT_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        author = {f"GIT_{role}_{what}": _AUTHOR[what] for role in ("AUTHOR", "COMMITTER") for what in _AUTHOR}
        return kept | author | {"PATH": path, "COLUMNS": "120", "EVERFIT_SERVING_PORT": self._port}


def _replacements(diff: str) -> list[tuple[str, str]]:
    """Each run of ``-`` and ``+`` lines, with the unchanged lines before it, which say where it belongs."""
    pairs: list[tuple[str, str]] = []
    old: list[str] = []
    new: list[str] = []
    for line in [*diff.splitlines(), "@@"]:
        if line.startswith("@@"):
            if old != new:
                pairs.append(("\n".join(old), "\n".join(new)))
            old, new = [], []
            continue
        if not line.startswith("+"):
            old.append(line[1:])
        if not line.startswith("-"):
            new.append(line[1:])
    return pairs


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def main() -> int:
    """Follow the pages that are named."""
    record = "--record" in sys.argv
    for name in (word for word in sys.argv[1:] if not word.startswith("--")):
        path = Path(name)
        page = with_includes(path.read_text(encoding="utf-8"), ROOT)
        with tempfile.TemporaryDirectory(prefix="everfit-walk-") as folder:
            walked = Walker(Path(folder)).follow(page, record=record)
        if record:
            path.write_text(walked, encoding="utf-8")
        print(f"{name}: {len(steps(page))} steps")
    return 0


if __name__ == "__main__":
    sys.exit(main())
