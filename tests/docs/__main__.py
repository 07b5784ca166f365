"""``python -m tests.docs FILE...``: run pages and write today's output into them."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.azure import Azurite
from tests.docs.pages import Page, problem, run, short_home, written
from tests.docs.servers import replacements
from tests.servers import PostgresqlServer, RedisServer, S3Server


def main(names: list[str]) -> int:
    """Return 1 if a command of a page fails."""
    failed = 0
    with ExitStack() as stack:
        servers: dict[str, Any] = {}

        def server(name: str) -> Any:
            if name not in servers:
                servers[name] = {
                    "s3_server": S3Server,
                    "azurite": Azurite,
                    "postgresql": PostgresqlServer,
                    "redis_server": RedisServer,
                }[name]()
                servers[name].start()
                stack.callback(servers[name].stop)
            return servers[name]

        for name in names:
            page = Page(Path(name))
            with short_home() as home, pytest.MonkeyPatch.context() as monkeypatch:
                for variable in [name for name in os.environ if name.startswith(("MREG_", "AWS_", "XDG_"))]:
                    monkeypatch.delenv(variable)
                printed = run(page, home, replacements(page.needs, server, monkeypatch))
            page.path.write_text(written(page, printed))
            if found := problem(Page(page.path), printed):
                print(f"{name}: {found}", file=sys.stderr)
                failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
