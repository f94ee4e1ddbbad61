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
_TEXT, _ANYTHING = "string", "any"
# MLflow converts no 64-bit integers to double, and pandas holds numbers and booleans with gaps as objects, which
# MLflow's types refuse. With "any" the columns arrive as they are, and the package checks their types.
_PYTHON = "python"


def write_mlflow_files(folder: Path, schema: InputSchema, rows: pl.DataFrame, libraries: Mapping[str, str]) -> None:
    """Write MLmodel, the input example, and the environment in the three formats that MLflow expects.

    Args:
        schema: The signature's inputs are its columns before they are encoded: text for categories.
        rows: Rows with these columns; the first ones become the example.
        libraries: Exact versions by distribution name, and ``python``.
    """
    pins = [f"{name}=={version}" for name, version in sorted(libraries.items()) if name != _PYTHON]
    python = libraries[_PYTHON]
    (folder / "requirements.txt").write_text("".join(f"{pin}\n" for pin in pins))
    _write_yaml(
        folder / "python_env.yaml",
        {"python": python, "build_dependencies": [], "dependencies": ["-r requirements.txt"]},
    )
    _write_yaml(
        folder / "conda.yaml",
        {
            "name": "everfit",
            "channels": ["conda-forge"],
            "dependencies": [f"python={python}", "pip", {"pip": pins}],
        },
    )
    example = {"columns": list(schema.names), "data": _example(schema, rows)}
    (folder / "input_example.json").write_text(json.dumps(example))
    _write_yaml(folder / "MLmodel", _mlmodel(schema, python))


def _mlmodel(schema: InputSchema, python: str) -> dict[str, Any]:
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
            "outputs": json.dumps([_output(schema)]),
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
    is_text = column.kind in {"category", "text"} and not any(isinstance(value, int) for value in column.categories)
    return {"type": _TEXT if is_text else _ANYTHING, "name": column.name, "required": False}


def _output(schema: InputSchema) -> dict[str, Any]:
    shape = [-1, len(schema.classes)] if schema.task == "multiclass" else [-1]
    return {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": shape}}


def _example(schema: InputSchema, rows: pl.DataFrame) -> list[list[Any]]:
    return [[_plain(value) for value in row] for row in rows.select(schema.names).head(_EXAMPLE_ROWS).rows()]


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, date):
        return value.isoformat()
    return value if isinstance(value, str | bool | int | float | None) else float(value)


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=True))
