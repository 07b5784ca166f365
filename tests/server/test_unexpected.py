"""Failures of the server that nobody expected, as its clients see them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mreg import errors
from mreg.remote.connection import Connection
from tests.server.conftest import Served


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
