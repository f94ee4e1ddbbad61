"""What a package says of itself: what it holds, where it came from, and how its forms were proved."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec
from msgspec import Struct

from everfit.artifact.provenance import CodeVersion
from everfit.core.errors import CorruptPackageError
from everfit.core.evidence import LabelUse, Task
from everfit.core.records import FrameManifest, Score, SliceScore, Split, Trial

FORMAT = 1
RowPath = Literal["python", "polars", "code"]


class Lineage(Struct, frozen=True, kw_only=True):
    """Where a model came from: enough to make it again."""

    frame: FrameManifest
    params: dict[str, str | int | float | bool | None]
    seed: int
    code: CodeVersion
    libraries: dict[str, str]
    """Version by distribution name, and ``python``."""
    metric: str = ""
    labels: LabelUse = "known"
    """Which labels it learnt from."""
    split: Split | None = None
    trials: tuple[Trial, ...] = ()
    scores: tuple[Score, ...] = ()
    """On the hold-out, before any refit."""
    slices: tuple[SliceScore, ...] = ()
    refitted: bool = False
    """Whether the estimator was fitted again on every labelled row after it had passed."""


class FileRecord(Struct, frozen=True, kw_only=True):
    """One file of a package."""

    path: str
    """Relative to the package, with forward slashes."""
    sha256: str
    size_bytes: int


class Proof(Struct, frozen=True, kw_only=True):
    """How a form's answers compare with those of the estimator that was fitted, on the package's reference rows."""

    form: str
    equal: bool
    difference: float | None
    """The largest absolute difference; ``None`` if the form could not answer."""
    rows: int
    row_us: float | None
    """One row's prediction, median in microseconds on the machine that wrote the package."""
    remark: str = ""
    """Why the form was not used."""


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A package's table of contents. Its digest identifies the package."""

    format: int
    everfit: str
    model: str
    task: Task
    features: tuple[str, ...]
    native: str
    """The form that holds the estimator itself."""
    form: str
    """The form that serves: the fastest that was proved equal."""
    tolerance: float
    """The largest absolute difference that counts as equal; forms in float32 differ by about 1e-7."""
    proofs: tuple[Proof, ...]
    computations: dict[str, RowPath]
    """How each on-demand transformation is answered: compiled to Python, by Polars, or by its own signed code."""
    accepts_missing: bool
    """Whether the estimator takes NaN; if not, a request with a missing value is refused."""
    executes_code: tuple[str, ...]
    """The files that execute code when they are loaded."""
    lineage: Lineage
    files: tuple[FileRecord, ...]
    digest: str = ""
    """``sha256:…`` of this manifest's JSON without digest, signature and key."""
    signature: str = ""
    key: str = ""

    def content_digest(self) -> str:
        """The digest that :attr:`digest` must have; it covers every file through its digest."""
        bare = msgspec.structs.replace(self, digest="", signature="", key="")
        return f"sha256:{hashlib.sha256(msgspec.json.encode(bare)).hexdigest()}"

    def to_json(self) -> bytes:
        """JSON with line breaks, for files."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


def read_manifest(content: bytes, *, place: str) -> Manifest:
    """Read and verify a manifest.

    Args:
        content: The bytes of manifest.json.
        place: Where it lies, for the message.

    Raises:
        CorruptPackageError: If it is no manifest, of another format, or does not match its own digest.
    """
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise CorruptPackageError("manifest.json must be a manifest", value=str(problem), place=place) from problem
    if manifest.format != FORMAT:
        raise CorruptPackageError(f"manifest.json must be of format {FORMAT}", value=manifest.format, place=place)
    if manifest.digest != manifest.content_digest():
        raise CorruptPackageError("manifest.json must match its own digest", value=manifest.digest, place=place)
    return manifest
