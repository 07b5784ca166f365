"""The process that serves a registry."""

from __future__ import annotations

import pkgutil
import socket
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

import uvicorn

from mreg.domain.text import quoted
from mreg.errors import Unavailable
from mreg.server.app import build_app
from mreg.server.monitoring import logging_of
from mreg.server.protocol import Protocol

if TYPE_CHECKING:
    from mreg.registry.registry import Registry
    from mreg.server.settings import ServerSettings

ROOMS = ("mreg.domain", "mreg.registry", "mreg.catalog", "mreg.artifacts", "mreg.hooks", "mreg.wire")
BY_PLACE = (
    "mreg.artifacts.s3",
    "mreg.catalog.bucket",
    "mreg.catalog.postgresql",
    "mreg.catalog.postgresql_connection",
    "mreg.catalog.postgresql_failures",
)
BACKLOG = 2048
KEEP_ALIVE_SECONDS = 30


def serve(registry: Registry, settings: ServerSettings, ready: Callable[[str], None]) -> None:
    """Serve a registry until the process is told to stop; requests under way are finished first.

    Args:
        ready: Told the server's address as soon as it takes requests.

    Raises:
        Unavailable: The address can't be listened at.
    """
    _import_everything()
    listening = _listen(settings)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    config = uvicorn.Config(
        build_app(registry, settings),
        http=Protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=logging_of(json_lines=settings.json_log),
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.grace_seconds,
    )
    with listening:
        ready(f"http://{host}:{listening.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[listening])


def _import_everything() -> None:
    """Import what requests will need, so that the first does not wait for it, nor get another release's code where mreg
    was installed anew meanwhile; what needs a package of its own comes with the place that it is for.
    """
    for room in ROOMS:
        for module in pkgutil.iter_modules(import_module(room).__path__, f"{room}."):
            if module.name not in BY_PLACE:
                import_module(module.name)


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
