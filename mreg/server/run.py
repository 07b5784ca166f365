"""The process that serves a registry."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import uvicorn

from mreg.domain.text import quoted
from mreg.errors import Unavailable
from mreg.server.app import build_app
from mreg.server.protocol import Protocol

if TYPE_CHECKING:
    from mreg.registry.registry import Registry
    from mreg.server.settings import ServerSettings

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 30


def serve(registry: Registry, settings: ServerSettings, ready: Callable[[str], None]) -> None:
    """Serve a registry until the process is told to stop; requests under way are finished first.

    Args:
        ready: Told the server's address as soon as it takes requests.

    Raises:
        Unavailable: The address can't be listened at.
    """
    listening = _listen(settings)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    config = uvicorn.Config(
        build_app(registry, settings),
        http=Protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.grace_seconds,
    )
    with listening:
        ready(f"http://{host}:{listening.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[listening])


def _listen(settings: ServerSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((settings.host, settings.port))
        found.listen(BACKLOG)
    except OSError as error:
        found.close()
        raise Unavailable(
            f"{quoted(settings.host)}, port {settings.port}, can't be listened at: {error.strerror or error}",
            hint="choose another port: mreg serve --port 8001",
        ) from error
    return found
