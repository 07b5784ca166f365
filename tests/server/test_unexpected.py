"""Failures of the server that nobody expected, as its clients see them."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from mreg import errors
from mreg.remote.connection import Connection
from tests.server.conftest import Serve, Served


def test_an_unexpected_failure_of_the_server_is_told_as_one(
    in_process: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **_options: object) -> None:
        raise ZeroDivisionError("secret")

    server = in_process()
    monkeypatch.setattr("mreg.registry.local.LocalRegistry.models", fail)
    with Connection(server.url) as connection, pytest.raises(errors.MregError) as raised:
        connection.call("GET", "/models")
    assert isinstance(raised.value, errors.Unavailable)
    assert raised.value.message == f"{server.url}: unexpected error in the server"
    assert "log" in raised.value.hint


def test_a_body_that_ends_too_early_is_not_an_unexpected_failure_in_any_route(serve: Serve) -> None:
    server = serve("--json-log")
    server.post("/models", {"name": "m"})
    names = {"digest": f"sha256:{'0' * 64}", "upload": "0" * 32}
    routes = {
        (method.upper(), path.format(model="m", version="1", key="k", alias="a", name="n", **names)): route
        for path, methods in server.get("/openapi.json").json()["paths"].items()
        for method, route in methods.items()
        if "requestBody" in route
    }
    assert ("POST", "/gc") in routes
    assert ("POST", "/models/m/versions") in routes
    for (method, path), route in routes.items():
        kind = "json" if "application/json" in route["requestBody"]["content"] else "octet-stream"
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/{kind}\r\n"
        more = "Content-Length: 100\r\nUpload-Offset: 0\r\nUpload-Length: 100\r\nIdempotency-Key: k\r\n\r\n{"
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall((head + more).encode())
        line = server.line(method=method, path=path)
        assert line["status"] < 500, line
    assert "Traceback" not in server.log.read_text()
