"""Answers to mreg's own client: the envelope of each result, and problems with the hints of the command line."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from mreg.registry.session import HookLog
from mreg.server.answers import KEPT, kept
from mreg.server.problems import PrintableJSONResponse, accepts_envelope
from mreg.wire import encode
from mreg.wire.envelope import encode_envelope, encode_rest
from mreg.wire.protocol import MEDIA_TYPE


@dataclass(frozen=True, slots=True)
class Collected:
    """The notices, events and hook runs of a request, besides its result."""

    notices: list[str] = field(default_factory=list)
    log: HookLog = field(default_factory=lambda: HookLog(events=[]))


class ResultResponse(PrintableJSONResponse):
    """The JSON of a result.

    Args:
        value: A result of the registry; or plain JSON (texts, numbers, lists of them), which is its own form.
        document: The JSON form (default: that of `mreg.wire`).
    """

    def __init__(self, value: object, document: Any = None, headers: dict[str, str] | None = None) -> None:
        self.value = value
        super().__init__(encode(value) if document is None else document, headers=headers)


class EnvelopeRoute(APIRoute):
    """A route whose results have an envelope if the client accepts it; no route needs to know."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of a request."""
        handle = super().get_route_handler()

        async def handle_enveloped(request: Request) -> Response:
            response = await handle(request)
            if isinstance(response, ResultResponse) and accepts_envelope(request):
                return _enveloped(response, request)
            return response

        return kept(handle_enveloped) if self.path in KEPT and self.methods == {"GET"} else handle_enveloped


def collected(request: Request) -> Collected:
    """Return the notices, events and hook runs of a request so far."""
    found: Collected | None = request.scope.get("mreg.collected")
    if found is None:
        found = request.scope["mreg.collected"] = Collected()
    return found


def envelope_of(request: Request, value: object, document: Any = None) -> dict[str, Any]:
    """Return the envelope of a result of the registry of a request.

    Args:
        document: The JSON form of the result (default: that of `mreg.wire`).
    """
    said = collected(request)
    return encode_envelope(
        encode(value) if document is None else document,
        more=bool(getattr(value, "more", False)),
        rest=encode_rest(value),
        notices=said.notices,
        events=said.log.events or (),
        deployments=said.log.deployments,
        rollbacks=said.log.rollbacks,
    )  # type: ignore[return-value]


def _enveloped(response: ResultResponse, request: Request) -> Response:
    # The result is rendered already: only the other keys are.
    said = collected(request)
    others = PrintableJSONResponse(
        encode_envelope(
            None,
            more=bool(getattr(response.value, "more", False)),
            rest=encode_rest(response.value),
            notices=said.notices,
            events=said.log.events or (),
            deployments=said.log.deployments,
            rollbacks=said.log.rollbacks,
        )
    )
    start = b'{"result":null'
    body = b'{"result":' + bytes(response.body) + bytes(others.body).removeprefix(start)
    headers = {name: value for name, value in response.headers.items() if name not in ("content-length", "link")}
    return Response(body, response.status_code, {**headers, "content-type": MEDIA_TYPE})
