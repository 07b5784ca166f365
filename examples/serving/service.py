"""A prediction service that switches to a new version in Production without dropping a request.

    MODEL=churn@production PORT=8000 python service.py

POST /predict with {"rows": [[1.0, 2.0]]} returns {"predictions": [...], "version": 3}. GET /health returns the version.
A thread waits for the next version, loads it, and replaces the old one when it is ready. A request uses one version
from beginning to end. A version that cannot be loaded is logged, and the old one stays.

Loading a joblib file can run code from it: serve only models from a registry that you trust.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import joblib
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

import mreg

MODEL = os.environ.get("MODEL", "churn@production")
INTERVAL = float(os.environ.get("INTERVAL", "5"))
log = logging.getLogger("uvicorn.error")


@dataclass(frozen=True)
class Served:
    """A version and its loaded model."""

    version: mreg.ModelVersion
    model: Any


def load(registry: mreg.Registry) -> Served:
    """Load the version that MODEL names now."""
    version = registry.version(MODEL)
    return Served(version, joblib.load(registry.path(version)))


def follow(app: FastAPI, registry: mreg.Registry, stopped: threading.Event) -> None:
    """Replace the served version whenever MODEL names another one."""
    tried = app.state.served.version
    while not stopped.is_set():
        try:
            tried = registry.wait(MODEL, changed_from=tried, timeout=INTERVAL, interval=INTERVAL)
            app.state.served = load(registry)
            log.info("serving %s", app.state.served.version.reference)
        except mreg.Unchanged:
            continue
        except Exception:
            log.exception("cannot switch to another version; %s stays", app.state.served.version.reference)
            stopped.wait(INTERVAL)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load the first version before the first request, and stop the thread at the end."""
    with mreg.open_registry() as registry:
        app.state.served = load(registry)
        stopped = threading.Event()
        thread = threading.Thread(target=follow, args=(app, registry, stopped))
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()


app = FastAPI(lifespan=lifespan)


class Rows(BaseModel):
    """The body of a request."""

    rows: list[list[float]]


@app.post("/predict")
def predict(body: Rows) -> dict[str, Any]:
    """Return the predictions of one version for the rows."""
    served = app.state.served  # read once: the thread can replace it at any time
    return {"predictions": served.model.predict(body.rows).tolist(), "version": served.version.version}


@app.get("/health")
def health() -> dict[str, int]:
    """Return the version that is served."""
    return {"version": app.state.served.version.version}


if __name__ == "__main__":
    uvicorn.run(app, host=os.environ.get("HOST", "127.0.0.1"), port=int(os.environ.get("PORT", "8000")))
