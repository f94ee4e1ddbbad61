"""The measured table's setting: 25 columns, five of each shape but for one that has 200 categories."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from everfit.measures.bins import bins_of, categories_of
from everfit.measures.layout import SketchLayout
from everfit.measures.sketch import Sketch
from everfit.measures.weighting import Floats

Draw = Callable[[np.random.Generator, int], Floats]
SHAPES: Mapping[str, Draw] = {
    "normal": lambda rng, rows: rng.normal(size=rows),
    "lognormal": lambda rng, rows: rng.lognormal(size=rows),
    "gamma": lambda rng, rows: rng.gamma(2.0, size=rows),
    "uniform": lambda rng, rows: rng.random(rows),
    "inflated": lambda rng, rows: np.where(rng.random(rows) < 0.7, 0.0, rng.exponential(size=rows)),
}
DEVIATION = {name: float(draw(np.random.default_rng(0), 1_000_000).std()) for name, draw in SHAPES.items()}
NUMERIC = tuple(f"{shape}_{index}" for index in range(5) for shape in SHAPES)[:-1]
CATEGORICAL = "category"
_SHARES = 1.0 / np.arange(1, 201)

Rows = dict[str, Floats | list[str]]


def draw(rng: np.random.Generator, rows: int, moved: Mapping[str, float] | None = None) -> Rows:
    """Rows of which some columns are ``moved``, in standard deviations."""
    columns: Rows = {}
    for name in NUMERIC:
        shape = name.partition("_")[0]
        columns[name] = SHAPES[shape](rng, rows) + (moved or {}).get(name, 0.0) * DEVIATION[shape]
    columns[CATEGORICAL] = [str(code) for code in rng.choice(200, p=_SHARES / _SHARES.sum(), size=rows)]
    return columns


def reference(parts: Sequence[Rows]) -> tuple[Sketch, list[Sketch]]:
    """The reference's sketch and that of each part."""
    forms = {name: bins_of(np.concatenate([part[name] for part in parts])) for name in NUMERIC}
    categories = categories_of([value for part in parts for value in part[CATEGORICAL]])
    layout = SketchLayout({**forms, CATEGORICAL: categories})
    blocks = [count(part, layout) for part in parts]
    whole = blocks[0]
    for block in blocks[1:]:
        whole = whole.merge(block)
    return whole, blocks


def count(rows: Rows, layout: SketchLayout) -> Sketch:
    """Their sketch."""
    sketch = Sketch(layout)
    sketch.add(rows)
    return sketch
