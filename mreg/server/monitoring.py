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
from mreg.server.problems import Answer, problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from mreg.server.guard import Caller

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

router = APIRouter(tags=["monitoring"])


class Meters:
    """What is counted, for Prometheus. Routes stand for paths, so that names of models make no series of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        labels = ("method", "route")
        self.requests = Counter("mreg_http_requests", "Requests answered.", (*labels, "status"), registry=self.registry)
        self.seconds = Histogram(
            "mreg_http_request_duration_seconds",
            "From a request's headers to the end of its answer.",
            labels,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600),
            registry=self.registry,
        )
        self.under_way = Gauge("mreg_http_requests_in_progress", "Requests under way.", registry=self.registry)
        self.received = Counter("mreg_http_received_bytes", "Bytes of bodies received.", registry=self.registry)
        self.sent = Counter("mreg_http_sent_bytes", "Bytes of bodies sent.", registry=self.registry)

    def text(self) -> bytes:
        """All of it in Prometheus' text form."""
        return generate_latest(self.registry)


class Observed:
    """Counts every request and writes a line of it to the access log.

    Args:
        json_log: Lines are JSON objects.
    """

    def __init__(self, app: ASGIApp, meters: Meters, *, json_log: bool) -> None:
        self._app = app
        self._meters = meters
        self._json_log = json_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and note what came of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = os.urandom(8).hex()
        status, received, sent = 0, 0, 0

        async def heard() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def said(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", []).append((b"x-request-id", request_id.encode()))
            sent += len(message.get("body", b""))
            await send(message)

        self._meters.under_way.inc()
        try:
            await self._app(scope, heard, said)
        finally:
            seconds = time.perf_counter() - began
            method = scope["method"] if scope["method"] in METHODS else "other"
            route = getattr(scope.get("route"), "path", "unmatched")
            self._meters.under_way.dec()
            self._meters.requests.labels(method, route, str(status or 500)).inc()
            self._meters.seconds.labels(method, route).observe(seconds)
            self._meters.received.inc(received)
            self._meters.sent.inc(sent)
            self._note(scope, request_id, status, seconds, received, sent)

    def _note(self, scope: Scope, request_id: str, status: int, seconds: float, received: int, sent: int) -> None:
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
                f"{_shown(line['method'])} {_shown(line['path'])} {status or '-'} {line['ms']} ms"
            )
            text += f" {line['failure']}" if line["failure"] else ""
        streams.try_to_say(printable(text))  # the server goes on without a reader of its log


class JsonLines(logging.Formatter):
    """What is logged beside the access log, a JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, with its traceback where it has one."""
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
    """Log lines other than the access log, for people; a request can neither write escapes nor begin a line."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The line of a record."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """The traceback of a record, line by line."""
        return printable(super().formatException(ei), keep_newlines=True)


def logging_of(*, json_lines: bool) -> dict[str, Any]:
    """How the server logs: failures, and its own rare notes; an invalid request of any client would fill the log."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": JsonLines if json_lines else PlainLines}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "loggers": {"python_multipart": {"level": "CRITICAL"}, "mreg.server": {"level": "INFO"}},
        "root": {"handlers": ["stderr"], "level": "ERROR"},
    }


def _shown(text: str) -> str:
    return "".join(char if "!" <= char <= "~" else f"%{ord(char):02X}" for char in text)


@router.get("/healthz", responses={200: {"description": "The process answers."}})
async def healthz() -> JSONResponse:
    """Whether the process answers; nothing else is asked."""
    return Answer({"status": "ok", "version": __version__})


@router.get("/readyz", responses={200: {"description": "Catalog and store answer."}})
async def readyz(request: Request) -> Response:
    """Whether catalog and store answer; 503 where one does not."""
    checks = await run_sync(request.app.state.registry.reachable)
    failed = [check.name for check in checks if check.error]
    if failed:  # not what failed: places are nobody's business here
        return problem(503, "unavailable", f"can't {' and '.join(failed)}", hint="mreg doctor says what it is")
    return Answer({"status": "ready", "checks": {check.name: True for check in checks}})


@router.get(
    "/metrics", responses={200: {"description": "Prometheus' text form.", "content": {CONTENT_TYPE_LATEST: {}}}}
)
async def metrics(request: Request) -> Response:
    """Counts of requests, bytes and seconds, for Prometheus."""
    return Response(request.app.state.meters.text(), media_type=CONTENT_TYPE_LATEST)
