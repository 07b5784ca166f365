"""The process that serves a registry."""

from __future__ import annotations

import pkgutil
import socket
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

import uvicorn
from anyio.to_thread import current_default_thread_limiter

from mreg.domain.text import quoted
from mreg.errors import Unavailable
from mreg.server.app import build_app
from mreg.server.connections import Connections, Limits, limits_of
from mreg.server.monitoring import logging_of
from mreg.server.protocol import Protocol
from mreg.server.settings import KEEP_ALIVE_SECONDS

if TYPE_CHECKING:
    from mreg.registry.local import LocalRegistry
    from mreg.server.settings import ServerSettings

ROOMS = ("mreg.domain", "mreg.registry", "mreg.catalog", "mreg.artifacts", "mreg.hooks", "mreg.wire")
BY_PLACE = (
    "mreg.artifacts.s3",
    "mreg.catalog.bucket",
    "mreg.catalog.postgresql",
    "mreg.catalog.postgresql_connection",
    "mreg.catalog.postgresql_failures",
)
UNLIMITED_FILES = 1 << 20
"""Assumed where the system has no limit to open files."""


def serve(registry: LocalRegistry, settings: ServerSettings, ready: Callable[[str], None]) -> None:
    """Serve a registry until the process is told to stop; requests under way are finished first.

    Args:
        ready: Told the server's address as soon as it takes requests.

    Raises:
        Unavailable: The address can't be listened at.
    """
    _import_everything()
    limits = limits_of(_open_files(), settings.connections, settings.connections_per_address)
    listening = _listen(settings, limits.backlog)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    config = uvicorn.Config(
        build_app(registry, settings),
        http=Protocol.within(Connections(limits)),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=logging_of(json_lines=settings.json_log),
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(KEEP_ALIVE_SECONDS),
        backlog=limits.backlog,
        timeout_graceful_shutdown=settings.grace_seconds,
    )
    with listening:
        ready(f"http://{host}:{listening.getsockname()[1]}")
        _Server(config, limits).run(sockets=[listening])


class _Server(uvicorn.Server):
    """uvicorn's server with as many threads as there are files for."""

    def __init__(self, config: uvicorn.Config, limits: Limits) -> None:
        super().__init__(config)
        self._limits = limits

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections."""
        current_default_thread_limiter().total_tokens = self._limits.threads
        await super().startup(sockets)


def _open_files() -> int:
    """The number of files that this process may open."""
    try:
        import resource
    except ImportError:  # Windows
        return UNLIMITED_FILES
    found = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return UNLIMITED_FILES if found == resource.RLIM_INFINITY else found


def _import_everything() -> None:
    """Import what requests will need, so that the first does not wait for it, nor get another release's code where mreg
    was installed anew meanwhile; what needs a package of its own comes with the place that it is for.
    """
    for room in ROOMS:
        for module in pkgutil.iter_modules(import_module(room).__path__, f"{room}."):
            if module.name not in BY_PLACE:
                import_module(module.name)


def _listen(settings: ServerSettings, backlog: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        # On Windows, SO_REUSEADDR would let any other process take the same port.
        option = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
        found.setsockopt(socket.SOL_SOCKET, option, 1)
        found.bind((settings.host, settings.port))
        found.listen(backlog)
    except OSError as error:
        found.close()
        raise Unavailable(
            f"{quoted(settings.host)}, port {settings.port}, can't be listened at: {error.strerror or error}",
            hint="choose another port: mreg serve --port 8001",
        ) from error
    return found
