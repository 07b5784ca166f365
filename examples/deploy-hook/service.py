"""A small prediction service over HTTP, with the digits model that was pulled for it.

    python service.py MODEL PORT

POST /predict with {"pixels": [64 numbers from 0 to 16]} returns {"digit": 3, "model": "digits@2"}. GET /model
returns the reference of the model.
Loading a joblib file can run code from it: serve only models from your own registry.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import joblib

MODEL = Path(sys.argv[1])
REFERENCE = MODEL.with_suffix(".txt").read_text().strip()
LOADED = joblib.load(MODEL)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer({"model": REFERENCE})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        digit = int(LOADED.predict([[pixel / 16 for pixel in request["pixels"]]])[0])  # scaled as in the training
        self._answer({"digit": digit, "model": REFERENCE})

    def _answer(self, answer: dict[str, object]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
