"""Long operations through nginx, which gives up on a server that is silent for a second, and may buffer its answers."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mreg.errors import Unavailable
from mreg.registry import verify
from mreg.registry.local import LocalRegistry
from mreg.registry.remote import RemoteRegistry
from mreg.remote import events
from mreg.remote.connection import Connection
from mreg.results.upkeep import Verification
from mreg.server import operations
from tests.docs.test_proxies import SEARCHED, accepts, running
from tests.server.conftest import Served
from tests.servers import free_ports

FOUND = Verification(artifacts=1, all_artifacts=1, blobs=1, size_bytes=1, problems=())


@pytest.fixture
def through(
    in_process: Callable[..., Served], registry: LocalRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], RemoteRegistry]]:
    """Opens a registry through nginx with further lines in its configuration; verifying takes two seconds there."""
    program = shutil.which("nginx", path=SEARCHED)
    if program is None:
        pytest.skip("needs nginx")

    def slow(_session: object, _reference: object = None, *, progress: Any, **_options: object) -> Verification:
        progress(0, 1)
        threading.Event().wait(2.5)
        return FOUND

    monkeypatch.setattr(verify, "verify", slow)
    monkeypatch.setattr(operations, "HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr(operations, "PROGRESS_SECONDS", 0.1)
    opened: list[Any] = []

    def open_through(lines: str) -> RemoteRegistry:
        server, (port,) = in_process(), free_ports(1)
        temporary = "".join(
            f"{name}_temp_path {tmp_path};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (tmp_path / "nginx.conf").write_text(
            f"events {{}} http {{ access_log off; {temporary} server {{ listen 127.0.0.1:{port}; location / {{ "
            f"proxy_pass {server.url}; proxy_http_version 1.1; proxy_read_timeout 1s; {lines} }} }} }}"
        )
        user = "user root; " if os.geteuid() == 0 else ""
        options = f"{user}daemon off; pid {tmp_path}/pid; error_log stderr;"
        words = (program, "-p", str(tmp_path), "-c", "nginx.conf", "-g", options)
        nginx = running(*words, ready=lambda: accepts(port), log=tmp_path / "log")
        nginx.__enter__()
        connection = Connection(f"http://127.0.0.1:{port}")
        opened.extend((nginx, connection))
        return RemoteRegistry(connection, registry.profile)  # type: ignore[abstract]

    yield open_through
    for nginx, connection in zip(opened[::2], opened[1::2], strict=True):
        connection.close()
        nginx.__exit__(None, None, None)


@pytest.mark.parametrize("lines", ["", "proxy_ignore_headers X-Accel-Buffering; proxy_buffers 8 64k;"])
def test_a_long_operation_outlives_the_timeout_of_a_proxy(
    through: Callable[[str], RemoteRegistry], lines: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LIVE_SECONDS", 1.0)  # a proxy that buffers sends the first byte later
    monkeypatch.setattr(events, "SILENCE_SECONDS", 1.0)
    assert through(lines).verify() == FOUND


def test_without_comments_the_proxy_gives_up(
    through: Callable[[str], RemoteRegistry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "HEARTBEAT_SECONDS", 100.0)
    with pytest.raises(Unavailable, match=r"^the connection was lost, and nothing was changed: "):
        through("").verify()
