"""Servers as a person starts them: a process of `mreg serve` on a port of its own."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from mreg.registry.local import LocalRegistry
from tests.conftest import Mreg
from tests.forking import Process, start_mreg


@dataclass
class Served:
    """A running server and a client of it, which sends the token that it was given."""

    url: str
    process: Process
    log: Path
    secret: str = ""
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request, the path as it is written."""
        if self.secret:
            options["headers"] = {"Authorization": f"Bearer {self.secret}", **(options.get("headers") or {})}
        stream = bool(options.pop("stream", False))
        request = self.session.prepare_request(requests.Request(method, self.url, **options))
        query = request.url.partition("?")[2]  # type: ignore[union-attr]
        request.url = self.url + path + (f"{'&' if '?' in path else '?'}{query}" if query else "")
        return self.session.send(request, timeout=60, stream=stream)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.ask("GET", path, **options)

    def post(self, path: str, document: object = None, **options: Any) -> requests.Response:
        return self.ask("POST", path, **({"json": document} if document is not None else {}), **options)

    def upload(
        self, content: bytes, model: str = "classifier", /, name: str = "model.pkl", **fields: str
    ) -> requests.Response:
        return self.ask("POST", f"/models/{model}/versions", files={"model_file": (name, content)}, data=fields)

    def raw(self, *parts: bytes, timeout: float = 30) -> bytes:
        """What comes back for bytes that are sent as they are, until the server closes or falls silent."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            found = b""
            with suppress(OSError):
                for part in parts:
                    connection.sendall(part)
            with suppress(OSError):
                while more := connection.recv(65536):
                    found += more
            return found

    def lines(self) -> list[dict[str, Any]]:
        """The access log, where it is in JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def line(self, **wanted: object) -> dict[str, Any]:
        """The line of the access log that has these values; it comes a moment after the answer."""
        deadline = time.monotonic() + 20
        while True:
            for found in self.lines():
                if wanted.items() <= found.items():
                    return found
            assert time.monotonic() < deadline, wanted
            time.sleep(0.02)

    def stop(self) -> int:
        """Stop it as systemd would; its exit code."""
        self.session.close()
        self.process.terminate()
        return self.process.wait(timeout=60)


Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts `mreg serve` with these words, on the registry of the test's environment; ``files`` limits open files."""
    running: list[Served] = []

    def start(*words: str, secret: str = "", files: int = 0, **variables: str) -> Served:
        log = Path(tempfile.mkdtemp()) / "log"
        with log.open("wb") as stream:
            process = start_mreg(
                "serve", "--port", "0", *words, stdout=stream, env={**os.environ, **variables}, files=files
            )
        while not (match := re.search(r"at (http://[^/,]+)\S*,", log.read_text())):
            assert process.poll() is None, log.read_text()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.05)
        running.append(Served(match[1], process, log, secret))
        return running[-1]

    yield start
    for one in running:
        one.session.close()
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


@pytest.fixture
def server(serve: Serve) -> Served:
    """A server without tokens, with the model classifier."""
    served = serve("--json-log")
    assert served.post("/models", {"name": "classifier"}).status_code == 200
    return served


@dataclass(frozen=True)
class Tokens:
    """A token file, and the secrets in it by name."""

    file: Path
    secrets: dict[str, str]


@pytest.fixture
def tokens(command: Mreg) -> Tokens:
    """A token of each role, called as the role, and two approvers."""
    secrets, lines = {}, []
    for name, role in (("reader", "reader"), ("writer", "writer"), ("approver", "approver"), ("admin", "admin")):
        made = json.loads(command("token", "create", name, "--role", role, "--line", "--json").out)
        secrets[name] = made["secret"]
        lines.append(made["line"])
    file = Path("tokens").absolute()
    file.write_text("\n".join(lines) + "\n")
    return Tokens(file, secrets)


@pytest.fixture
def store() -> Path:
    """The artifact store of the test's own home."""
    return Path(os.environ["HOME"], ".local/share/mreg/artifacts")


def stored(store: Path) -> list[str]:
    """Every file of a store, half-written ones too."""
    return sorted(path.name for path in store.rglob("*") if path.is_file())


@pytest.fixture
def in_process(registry: LocalRegistry) -> Iterator[Callable[..., Served]]:
    """Serves the registry from a thread of this process, where a test can make it impatient."""
    import threading

    import uvicorn

    from mreg.server.app import build_app
    from mreg.server.connections import Connections, compute_limits
    from mreg.server.protocol import Protocol
    from mreg.server.settings import ServerSettings

    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(settings: ServerSettings | None = None, served: LocalRegistry = registry) -> Served:
        start.apps.append(build_app(served, settings or ServerSettings()))  # type: ignore[attr-defined]
        config = uvicorn.Config(
            start.apps[-1],  # type: ignore[attr-defined]
            port=0,
            ws="none",
            http=Protocol.factory(Connections(compute_limits(1024))),  # type: ignore[arg-type]
            lifespan="off",
            access_log=False,
            log_config=None,
            timeout_graceful_shutdown=5,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        servers.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        return Served(f"http://127.0.0.1:{port}", None, Path("log"))  # type: ignore[arg-type]

    start.apps = []  # type: ignore[attr-defined]
    yield start
    for server, thread in servers:
        server.should_exit = True
        thread.join(timeout=20)
    for app in start.apps:  # type: ignore[attr-defined]
        app.state.prepared.close()  # as `mreg.server.run` does: what stays would count in the next test
