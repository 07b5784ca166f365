"""What `mreg serve` writes to its log and answers to curl on a terminal: text alone."""

from __future__ import annotations

import json
import logging

import pytest
import requests

from mreg.server.monitoring import JsonLines, PlainLines
from tests.hostile import printable_only
from tests.server.conftest import Serve, serve

__all__ = ["serve"]

HOSTILE = "a\x1b[31m\x7f\x9b2J\u061c\u202e\u2028\ufeff\r\n127.0.0.1 - - DELETE /models/m 200"


@pytest.mark.parametrize("words", [(), ("--json-log",)])
def test_the_log_and_the_answers_are_text(words: tuple[str, ...], serve: Serve) -> None:
    served = serve(*words)
    assert served.post("/models", {"name": "m", "description": HOSTILE}).status_code == 200
    for path in ("/models", "/models/m", "/models/%1b%5b31m%c2%9b%e2%80%ae%0d%0a", "/models/m/versions"):
        found = served.get(path)
        assert printable_only(found.content), found.content
    assert served.get("/models/m").json()["description"] == HOSTILE
    with requests.Session() as session:
        session.get(f"{served.url}/models", headers={"User-Agent": "\x9b2J", "Host": "\x9b.example"}, timeout=30)
    served.raw(b"GET /\xc2\x9b2J\x1b[31m HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    served.stop()
    assert printable_only(served.log.read_bytes())


@pytest.mark.parametrize("formatter", [PlainLines(), JsonLines()])
def test_a_logged_failure_is_text(formatter: logging.Formatter) -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "x", 1, "%s", (HOSTILE,), (ValueError, error, None))
    line = formatter.format(record)
    assert printable_only(line.encode())
    if isinstance(formatter, JsonLines):
        assert json.loads(line)["message"] == HOSTILE
    else:
        assert line.startswith("ERROR x: a\\x1b[31m\\x7f\\x9b2J\\u061c\\u202e\\u2028\\ufeff\\r\\n127.0.0.1")
