"""Manifest of a package: its files, the model's lineage, and the proofs of its runtimes."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec
from msgspec import Struct

from everfit.artifact.provenance import CodeVersion
from everfit.core.errors import CorruptPackageError
from everfit.core.evidence import Arithmetic, LabelUse, Task
from everfit.core.records import FrameManifest, Score, SliceScore, TimeSplit, Trial

FORMAT = 1
RowPath = Literal["python", "polars", "code"]


class Lineage(Struct, frozen=True, kw_only=True):
    """Lineage of a model: enough to train it again."""

    frame: FrameManifest
    params: dict[str, str | int | float | bool | None]
    seed: int
    code: CodeVersion
    release: int = 0
    """Number of the release that trained it; 0 if it was trained by the project's own folder."""
    design: str = ""
    """``sha256:…`` of the values of its design record; empty without one."""
    libraries: dict[str, str]
    """Version by distribution name, and ``python``."""
    metric: str = ""
    labels: LabelUse = "known"
    """The labels it was trained on."""
    half_life: str = ""
    """Age by which the weight of a training row halves; empty if age does not count."""
    split: TimeSplit | None = None
    trials: tuple[Trial, ...] = ()
    scores: tuple[Score, ...] = ()
    """On the hold-out, before any refit."""
    slices: tuple[SliceScore, ...] = ()
    refitted: bool = False
    """True if the estimator was refitted on every labelled row after the gates."""


class FileRecord(Struct, frozen=True, kw_only=True):
    """One file of a package."""

    path: str
    """Relative to the package, with forward slashes."""
    sha256: str
    size_bytes: int


class Proof(Struct, frozen=True, kw_only=True):
    """Comparison of a runtime's predictions with those of the fitted estimator, on the package's reference rows."""

    runtime: str = msgspec.field(name="form")
    equal: bool
    difference: float | None
    """The largest difference in units of the predictions' magnitude; ``None`` if the runtime failed, or if the
    shapes or gaps differ."""
    rows: int
    row_us: float | None
    """One row's prediction, median in microseconds on the machine that wrote the package."""
    arithmetic: Arithmetic = "float32"
    """Of the runtime or the estimator, whichever is coarser; it decides the tolerance."""
    remark: str = ""
    """Reason why the runtime was not used."""


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A package's table of contents. Its digest identifies the package."""

    format: int
    everfit: str
    model: str
    task: Task
    features: tuple[str, ...]
    native: str
    """The runtime that holds the estimator itself."""
    runtime: str = msgspec.field(name="form")
    """The runtime that serves: the fastest that was proved equal."""
    tolerance: float
    """The largest difference of the runtime that serves, in units of the predictions' magnitude."""
    proofs: tuple[Proof, ...]
    computations: dict[str, RowPath]
    """Execution of each on-demand transformation: compiled to Python, by Polars, or by its own signed code."""
    accepts_missing: bool
    """True if the estimator takes NaN; if not, a request with a missing value is refused."""
    largest: float | None = None
    """The largest magnitude of a number that the estimator takes; a request beyond is refused. ``None``: any."""
    executes_code: tuple[str, ...]
    """The files that execute code when they are loaded."""
    lineage: Lineage
    files: tuple[FileRecord, ...]
    digest: str = ""
    """``sha256:…`` of this manifest's JSON without digest, signature and key."""
    signature: str = ""
    key: str = ""

    def proof_of(self, runtime: str) -> Proof:
        """Return the proof of a runtime that is kept."""
        return next(proof for proof in self.proofs if proof.runtime == runtime)

    def content_digest(self) -> str:
        """Return the digest that :attr:`digest` must have; it covers every file through its digest."""
        return _digest(msgspec.json.encode(msgspec.structs.replace(self, digest="", signature="", key="")))

    def to_json(self) -> bytes:
        """Encode as JSON with line breaks, for files."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def read_manifest(content: bytes, *, place: str) -> Manifest:
    """Read and verify a manifest.

    Raises :class:`~everfit.core.errors.CorruptPackageError` if it is none, of another format, or does not match its own
    digest.
    """
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise CorruptPackageError("manifest.json must be a manifest", value=str(problem), place=place) from problem
    if manifest.format != FORMAT:
        raise CorruptPackageError(f"manifest.json must be of format {FORMAT}", value=manifest.format, place=place)
    # Of what was read and not of what it was parsed into, which has the fields that came after it was written.
    bare = msgspec.json.decode(content) | {"digest": "", "signature": "", "key": ""}
    if manifest.digest != _digest(msgspec.json.encode(bare)):
        raise CorruptPackageError("manifest.json must match its own digest", value=manifest.digest, place=place)
    return manifest
