"""The usual way: FastAPI, a DataFrame of the request, ``predict_proba``. Runs in its own environment.

``python -m benchmarks.serving_fastapi MODEL PORT`` serves a joblib file. It is handed every feature in the request, so
that it need not look anything up.
"""

from __future__ import annotations

import sys
from typing import Any

import joblib
import pandas as pd
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Request(BaseModel):
    inputs: list[dict[str, float | None]]


def main(path: str, port: int) -> None:
    model = joblib.load(path)
    app = FastAPI()

    @app.post("/predict/churn")
    async def predict(request: Request) -> dict[str, Any]:
        frame = pd.DataFrame(request.inputs, dtype="float64")
        return {"predictions": model.predict_proba(frame)[:, 1].tolist()}

    uvicorn.run(app, port=port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
