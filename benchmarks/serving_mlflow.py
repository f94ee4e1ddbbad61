"""Saves a joblib file as an MLflow model: ``python -m benchmarks.serving_mlflow FROM TO``, in its own environment."""

from __future__ import annotations

import json
import sys

import joblib
import mlflow.sklearn

if __name__ == "__main__":
    model = joblib.load(sys.argv[1])
    mlflow.sklearn.save_model(
        model,
        sys.argv[2],
        pyfunc_predict_fn="predict_proba",
        pip_requirements=[],  # `--env-manager local` installs nothing
        serialization_format="cloudpickle",
    )
    print(json.dumps({}))
