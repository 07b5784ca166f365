"""The server process."""

from __future__ import annotations

import contextlib
import errno
import pkgutil
import socket
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

import uvicorn
from anyio.to_thread import current_default_thread_limiter

from mreg.domain.text import quoted
from mreg.errors import Unavailable
from mreg.registry.prepared import remove_leftovers
from mreg.server.app import build_app
from mreg.server.connections import Connections, Limits, compute_limits
from mreg.server.direct import upkeep
from mreg.server.monitoring import logging_config
from mreg.server.protocol import Protocol
from mreg.server.settings import KEEP_ALIVE_SECONDS

if TYPE_CHECKING:
    from mreg.registry.local import LocalRegistry
    from mreg.server.operations import Operations
    from mreg.server.settings import ServerSettings

PACKAGES = ("mreg.domain", "mreg.registry", "mreg.catalog", "mreg.artifacts", "mreg.hooks", "mreg.wire")
BACKEND_MODULES = (
    "mreg.artifacts.s3",
    "mreg.catalog.bucket",
    "mreg.catalog.postgresql",
    "mreg.catalog.postgresql_connection",
    "mreg.catalog.postgresql_failures",
    "mreg.catalog.redis",
    "mreg.catalog.redis_connection",
    "mreg.catalog.redis_failures",
)
UNLIMITED_FILES = 1 << 20
"""Assumed if the system does not limit open files."""


def serve(
    registry: LocalRegistry,
    settings: ServerSettings,
    ready: Callable[[str], None],
    notice: Callable[[str], None] = lambda _text: None,
) -> None:
    """Serve a registry until the process is signalled to stop; requests in progress are finished first.

    Args:
        ready: Called with the URL of the server as soon as it accepts requests.
        notice: Called with notes for the operator.

    Raises:
        Unavailable: The server cannot listen on the address.
    """
    _import_modules()
    limits = compute_limits(_open_files(), settings.connections, settings.connections_per_address)
    listening = _listen(settings, limits.backlog)
    takes_direct = settings.direct and not settings.read_only
    with listening, upkeep(registry, notice) if takes_direct else contextlib.nullcontext():
        remove_leftovers()
        app = build_app(registry, settings, threads=limits.threads)
        config = uvicorn.Config(
            app,
            http=Protocol.factory(Connections(limits, settings.trusted_proxies)),  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=logging_config(json_lines=settings.json_log),
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=int(KEEP_ALIVE_SECONDS),
            backlog=limits.backlog,
            timeout_graceful_shutdown=settings.grace_seconds,
        )
        ready(f"http://{settings.client_host}:{listening.getsockname()[1]}{settings.root_path or ''}")
        try:
            _Server(config, limits, app.state.operations).run(sockets=[listening])
        finally:
            app.state.prepared.close()


class _Server(uvicorn.Server):
    """uvicorn's server with a limited number of threads, which stops long operations when it is stopped."""

    def __init__(self, config: uvicorn.Config, limits: Limits, operations: Operations) -> None:
        super().__init__(config)
        self._limits = limits
        self._operations = operations

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections."""
        current_default_thread_limiter().total_tokens = self._limits.threads
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the requests in progress, and stop long operations."""
        self._operations.stop()
        await super().shutdown(sockets)


def _open_files() -> int:
    """Return the number of files that this process may open."""
    try:
        import resource
    except ImportError:  # Windows
        return UNLIMITED_FILES
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return UNLIMITED_FILES if files == resource.RLIM_INFINITY else files


def _import_modules() -> None:
    """Import the modules that requests need: the first request is not slower, and an upgrade of mreg on disk does not
    mix two releases. `BACKEND_MODULES` need optional packages and are imported by the registries that use them.
    """
    for package in PACKAGES:
        for module in pkgutil.iter_modules(import_module(package).__path__, f"{package}."):
            if module.name not in BACKEND_MODULES:
                import_module(module.name)


def _listen(settings: ServerSettings, backlog: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        # On Windows, SO_REUSEADDR would let any other process take the same port.
        option = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
        listening.setsockopt(socket.SOL_SOCKET, option, 1)
        listening.bind((settings.host, settings.port))
        listening.listen(backlog)
    except OSError as error:
        listening.close()
        raise Unavailable(
            f"cannot listen on {quoted(settings.host)}, port {settings.port}: {error.strerror or error}",
            hint=_way_to_listen(error, settings),
        ) from error
    return listening


def _way_to_listen(error: OSError, settings: ServerSettings) -> str:
    if isinstance(error, socket.gaierror):
        return "write an IP address of this machine: mreg serve --host ADDRESS"
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL):
        return "choose an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all: mreg serve --host ADDRESS"
    if error.errno == errno.EACCES:
        return "choose a port above 1023: mreg serve --port 8000"
    other = settings.port + 1 if settings.port < 65535 else 8000
    return f"choose another port: mreg serve --port {other}"
