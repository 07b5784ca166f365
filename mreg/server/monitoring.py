"""Health, metrics and the access log."""

from __future__ import annotations

import json
import logging
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mreg import __version__, streams
from mreg.domain.events import time_text
from mreg.domain.text import printable, printable_json
from mreg.server.parameters import requires_all_models
from mreg.server.problems import PrintableJSONResponse, problem
from mreg.server.schemas import PROBLEMS

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from mreg.server.guard import Caller

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

router = APIRouter(tags=["monitoring"], responses=PROBLEMS)


class ServerMetrics:
    """Metrics of the server for Prometheus; labels have routes instead of paths, so that models add no time series."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        labels = ("method", "route")
        self.requests = Counter("mreg_http_requests", "Requests served.", (*labels, "status"), registry=self.registry)
        self.seconds = Histogram(
            "mreg_http_request_duration_seconds",
            "Seconds from the headers of a request to the end of its response.",
            labels,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600),
            registry=self.registry,
        )
        self.in_progress = Gauge("mreg_http_requests_in_progress", "Requests in progress.", registry=self.registry)
        self.received = Counter("mreg_http_received_bytes", "Bytes of request bodies.", registry=self.registry)
        self.sent = Counter("mreg_http_sent_bytes", "Bytes of response bodies.", registry=self.registry)

    def text(self) -> bytes:
        """Return the metrics in the Prometheus text format."""
        return generate_latest(self.registry)


class RequestMonitor:
    """Middleware that counts every request and writes one line per request to the access log.

    Args:
        json_log: Whether the lines are JSON objects.
    """

    def __init__(self, app: ASGIApp, metrics: ServerMetrics, *, json_log: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._json_log = json_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, count it and log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = os.urandom(8).hex()
        status, received, sent = 0, 0, 0

        async def counting_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def counting_send(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", []).append((b"x-request-id", request_id.encode()))
            sent += len(message.get("body", b""))
            await send(message)

        self._metrics.in_progress.inc()
        try:
            await self._app(scope, counting_receive, counting_send)
        finally:
            seconds = time.perf_counter() - began
            method = scope["method"] if scope["method"] in METHODS else "other"
            route = getattr(scope.get("route"), "path", "unmatched")
            self._metrics.in_progress.dec()
            self._metrics.requests.labels(method, route, str(status or 500)).inc()
            self._metrics.seconds.labels(method, route).observe(seconds)
            self._metrics.received.inc(received)
            self._metrics.sent.inc(sent)
            self._log_request(scope, request_id, status, seconds, received, sent)

    def _log_request(
        self, scope: Scope, request_id: str, status: int, seconds: float, received: int, sent: int
    ) -> None:
        caller: Caller | None = scope.get("mreg.caller")
        client = scope.get("client")
        line: dict[str, Any] = {
            "at": time_text(datetime.now(UTC)),
            "request_id": request_id,
            "client": client[0] if client else None,
            "actor": (caller.name if caller else "") or None,
            "method": scope["method"],
            "path": scope["path"],
            "status": status or None,
            "ms": round(seconds * 1000, 1),
            "received": received,
            "sent": sent,
            "failure": scope.get("mreg.failure"),
        }
        if self._json_log:
            text = printable_json(json.dumps(line))
        else:
            text = (
                f"{line['at']} {line['client'] or '-'} {line['actor'] or '-'} "
                f"{_percent_encoded(line['method'])} {_percent_encoded(line['path'])} {status or '-'} {line['ms']} ms"
            )
            text += f" {line['failure']}" if line["failure"] else ""
        streams.try_to_say(printable(text))  # the server continues if its log is closed


class JsonLines(logging.Formatter):
    """Formatter for log lines other than the access log: one JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, with its traceback."""
        line: dict[str, Any] = {
            "at": time_text(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return printable_json(json.dumps(line))


class PlainLines(logging.Formatter):
    """Formatter for log lines other than the access log; text of a request cannot add control codes or lines."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the line of a record."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """Return the traceback of a record."""
        return printable(super().formatException(ei), keep_newlines=True)


def logging_config(*, json_lines: bool) -> dict[str, Any]:
    """Return the logging configuration: failures and notes of the server; invalid requests would fill the log."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": JsonLines if json_lines else PlainLines}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "loggers": {"python_multipart": {"level": "CRITICAL"}, "mreg.server": {"level": "INFO"}},
        "root": {"handlers": ["stderr"], "level": "ERROR"},
    }


def _percent_encoded(text: str) -> str:
    return "".join(char if "!" <= char <= "~" else f"%{ord(char):02X}" for char in text)


@router.get("/healthz", responses={200: {"description": "The process responds."}})
async def healthz() -> JSONResponse:
    """Return 200 while the process responds; checks nothing else."""
    return PrintableJSONResponse({"status": "ok", "version": __version__})


@router.get("/readyz", responses={200: {"description": "The catalog and the artifact store respond."}})
async def readyz(request: Request) -> Response:
    """Check that the catalog and the artifact store can be reached; 503 if not."""
    checks = await run_sync(request.app.state.registry.reachable)
    failed = [check.name for check in checks if check.error]
    if failed:  # without the cause, which names paths
        return problem(503, "unavailable", f"cannot {' and '.join(failed)}", hint="mreg doctor")
    return PrintableJSONResponse({"status": "ready", "checks": {check.name: True for check in checks}})


@router.get(
    "/metrics",
    responses={200: {"description": "Prometheus text format.", "content": {CONTENT_TYPE_LATEST: {}}}},
    dependencies=[requires_all_models("read the metrics of the server")],
)
async def metrics(request: Request) -> Response:
    """Return request, byte and duration metrics for Prometheus; 403 for a token that is limited to some models."""
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)
