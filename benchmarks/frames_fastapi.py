"""The usual way to serve a pipeline on named columns: FastAPI, a pandas DataFrame of the request, ``predict_proba``.

``python -m benchmarks.frames_fastapi MODEL PORT`` serves a joblib file.
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
    inputs: list[dict[str, float | str | None]]


def main(path: str, port: int) -> None:
    model = joblib.load(path)
    app = FastAPI()

    @app.post("/predict/churn")
    async def predict(request: Request) -> dict[str, Any]:
        frame = pd.DataFrame(request.inputs)
        return {"predictions": model.predict_proba(frame)[:, 1].tolist()}

    uvicorn.run(app, port=port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
