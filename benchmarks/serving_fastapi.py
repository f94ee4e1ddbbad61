"""The usual way: FastAPI, a DataFrame of the request, ``predict_proba``. Runs in its own environment.

``python -m benchmarks.serving_fastapi MODEL`` serves a joblib file and prints its URL. It is handed every feature in
the request, so that it need not look anything up.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

import joblib
import pandas as pd
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Request(BaseModel):
    inputs: list[dict[str, float | None]]


def main(path: str) -> None:
    model = joblib.load(path)
    app = FastAPI()

    @app.post("/predict/late")
    async def predict(request: Request) -> dict[str, Any]:
        frame = pd.DataFrame(request.inputs, dtype="float64")
        return {"predictions": model.predict_proba(frame)[:, 1].tolist()}

    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main(sys.argv[1])
