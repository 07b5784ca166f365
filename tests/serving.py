"""A server that several tests share: a process of `mreg serve` with a token for each user."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mreg.testing.registry import USERS
from tests.conftest import ROOT


@dataclass(frozen=True)
class Serving:
    """A running server.

    Attributes:
        secrets: Token of each user; all are administrators.
        variables: Variables that name the store of the server.
    """

    url: str
    secrets: Mapping[str, str]
    variables: Mapping[str, str]
    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def serving(folder: Path, variables: Mapping[str, str], *words: str) -> Iterator[Serving]:
    """Start a server over the store that the variables name, and stop it at the end."""
    environment = {**os.environ, **variables, "HOME": str(folder), "USERPROFILE": str(folder), "PYTHONPATH": str(ROOT)}
    made, lines = {}, []
    for user in USERS:
        made[user], line = token(user, "admin")
        lines.append(line)
    tokens = folder / "tokens"
    tokens.write_text("\n".join(lines) + "\n")
    tokens.chmod(0o600)
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "mreg", "serve", "--port", "0", "--token-file", str(tokens), *words],
            stdout=stream,
            stderr=stream,
            env=environment,
            cwd=folder,
        )
    try:
        while not (match := re.search(r"at (http://\S+),", log.read_text())):
            assert process.poll() is None, log.read_text()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.05)
        yield Serving(match[1], made, variables, process, log)
    finally:
        process.kill()
        process.wait()


def token(name: str, role: str) -> tuple[str, str]:
    """Return a new secret, and its line in a token file."""
    from mreg.registry.tokens import new_token
    from mreg.results.tokens import Role

    made = new_token(name, Role.parse(role))
    return made.secret, made.token.line
