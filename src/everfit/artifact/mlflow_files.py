"""The files by which MLflow reads a package: written as plain YAML, since importing MLflow takes seconds."""

from __future__ import annotations

import json
import math
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from everfit.artifact.schema import Column, InputSchema

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

_EXAMPLE_ROWS = 3


def write_mlflow_files(folder: Path, schema: InputSchema, rows: pl.DataFrame, libraries: Mapping[str, str]) -> None:
    """Write MLmodel, the input example, and the environment in the three formats that MLflow expects.

    The signature's inputs are the columns before they are encoded (text for categories), the first rows the example;
    ``libraries`` has exact versions by distribution name, and ``python``.
    """
    python = libraries["python"]
    pins = [f"{name}=={version}" for name, version in sorted(libraries.items()) if name != "python"]
    (folder / "requirements.txt").write_text("".join(f"{pin}\n" for pin in pins))
    first = rows.select(schema.names).head(_EXAMPLE_ROWS).rows()
    example = {"columns": list(schema.names), "data": [[_plain(value) for value in row] for row in first]}
    (folder / "input_example.json").write_text(json.dumps(example))
    dependencies = [f"python={python}", "pip", {"pip": pins}]
    for name, content in {
        "python_env.yaml": {"python": python, "build_dependencies": [], "dependencies": ["-r requirements.txt"]},
        "conda.yaml": {"name": "everfit", "channels": ["conda-forge"], "dependencies": dependencies},
        "MLmodel": _mlmodel(schema, python),
    }.items():
        (folder / name).write_text(yaml.safe_dump(content, sort_keys=True))


def _mlmodel(schema: InputSchema, python: str) -> dict[str, Any]:
    shape = [-1, len(schema.classes)] if schema.task == "multiclass" else [-1]
    return {
        "flavors": {
            "python_function": {
                "loader_module": "everfit.artifact.pyfunc",
                "python_version": python,
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
            }
        },
        "metadata": _classes(schema),
        "mlflow_version": metadata.version("mlflow-skinny"),
        "saved_input_example_info": {
            "artifact_path": "input_example.json",
            "type": "dataframe",
            "pandas_orient": "split",
        },
        "signature": {
            "inputs": json.dumps([_input(column) for column in schema.columns]),
            "outputs": json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": shape}}]),
            "params": None,
        },
    }


def _classes(schema: InputSchema) -> dict[str, Any]:
    """The meaning of the output's numbers, where they are chances."""
    if not schema.classes:
        return {"task": schema.task}
    positive = {} if schema.positive is None else {"positive": schema.positive}
    return {"task": schema.task, "classes": list(schema.classes), **positive}


def _input(column: Column) -> dict[str, Any]:
    # MLflow converts no 64-bit integers to double, and pandas holds numbers and booleans with gaps as objects, which
    # MLflow's types refuse. With "any" the columns arrive as they are, and the package checks their types.
    is_text = column.kind in {"category", "text"} and not any(isinstance(value, int) for value in column.categories)
    return {"type": "string" if is_text else "any", "name": column.name, "required": False}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, date):
        return value.isoformat()
    return value if isinstance(value, str | bool | int | float | None) else float(value)
