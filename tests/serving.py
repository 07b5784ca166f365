"""A server that several tests share: a process of `mreg serve` with a token for each user."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from mreg.testing.registry import USERS
from tests.conftest import ROOT
from tests.forking import Process, start_mreg

if TYPE_CHECKING:
    from mreg.registry.remote import RemoteRegistry


@dataclass
class Serving:
    """A running server.

    Attributes:
        secrets: Token of each user; all are administrators.
        variables: Variables that name the store of the server.
    """

    url: str
    secrets: Mapping[str, str]
    variables: Mapping[str, str]
    process: Process
    log: Path
    words: tuple[str, ...] = ()

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        """Start the server again after a kill, at the same URL."""
        self.process, self.url = _start(self.log.parent, self.variables, str(self.port), self.words)


@contextmanager
def serving(folder: Path, variables: Mapping[str, str], *words: str) -> Iterator[Serving]:
    """Start a server over the store that the variables name, and stop it at the end."""
    made, lines = {}, []
    for user in USERS:
        made[user], line = token(user, "admin")
        lines.append(line)
    tokens = folder / "tokens"
    tokens.write_text("\n".join(lines) + "\n")
    tokens.chmod(0o600)
    process, url = _start(folder, variables, "0", words)
    found = Serving(url, made, variables, process, folder / "log", words)
    try:
        yield found
    finally:
        found.kill()


def serving_a_folder(folder: Path) -> AbstractContextManager[Serving]:
    """Start a server over SQLite and a folder, both in ``folder``."""
    variables = {"MREG_CATALOG": str(folder / "catalog.db"), "MREG_ARTIFACTS": str(folder / "artifacts")}
    return serving(folder, variables)


class OpenClient(Protocol):
    """Opens the registry of a user of a server."""

    def __call__(self, user: str = "ada", *, secret: str = "", **options: Any) -> RemoteRegistry: ...


@contextmanager
def clients(served: Serving, url: str = "") -> Iterator[OpenClient]:
    """Return the function that opens registries behind a server; they are closed at the end.

    Args:
        url: URL of the server for its clients, such as that of a proxy (default: its own).
    """
    from mreg.registry.remote import RemoteRegistry
    from mreg.remote.connection import Connection
    from mreg.results.profiles import Profile

    with ExitStack() as opened:

        def open_client(user: str = "ada", *, secret: str = "", **options: Any) -> RemoteRegistry:
            given = secret or served.secrets[user]
            profile = Profile(name="team", catalog="", artifacts="")
            registry = RemoteRegistry(  # type: ignore[abstract]
                Connection(url or served.url, token=lambda: given), profile, **options
            )
            opened.callback(registry.close)
            return registry

        yield open_client


def _start(folder: Path, variables: Mapping[str, str], port: str, words: tuple[str, ...]) -> tuple[Process, str]:
    environment = {**os.environ, **variables, "HOME": str(folder), "USERPROFILE": str(folder), "PYTHONPATH": str(ROOT)}
    log = folder / "log"
    with log.open("wb") as stream:
        process = start_mreg(
            "serve",
            "--port",
            port,
            "--token-file",
            str(folder / "tokens"),
            *words,
            stdout=stream,
            env=environment,
            cwd=folder,
        )
    try:
        while not (match := re.search(r"at (http://\S+),", log.read_text())):
            assert process.poll() is None, log.read_text()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.05)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process, match[1]


def token(name: str, role: str) -> tuple[str, str]:
    """Return a new secret, and its line in a token file."""
    from mreg.registry.tokens import new_token
    from mreg.results.tokens import Role

    made = new_token(name, Role.parse(role))
    return made.secret, made.token.line
