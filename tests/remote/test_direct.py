"""Connections to the object store that a server names."""

from __future__ import annotations

import pytest

from mreg.errors import BadInput
from mreg.remote.connection import Connection


@pytest.mark.parametrize(
    "server, insecure, store, allowed",
    [
        ("https://models.example", False, "https://s3.example", True),
        ("https://models.example", False, "http://s3.example", False),
        ("https://models.example", False, "http://127.0.0.1:9000", False),
        ("http://models.example", True, "http://s3.example", True),
        ("http://models.example", True, "http://127.0.0.1:9000", False),
        ("http://models.example", True, "http://localhost", False),
        ("http://127.0.0.1:8000", False, "http://127.0.0.1:9000", True),
        ("http://127.0.0.1:8000", False, "http://[::1]:9000", True),
        ("http://127.0.0.1:8000", False, "http://s3.example", False),
    ],
)
def test_a_store_without_tls_is_used_like_a_server_without_tls(
    server: str, insecure: bool, store: str, allowed: bool
) -> None:
    with Connection(server, insecure=insecure, token=lambda: "secret") as connection:
        if allowed:
            assert str(connection.to_store(store).address) == store
            assert connection.to_store(store) is connection.to_store(store)
        else:
            with pytest.raises(BadInput, match=r"has no TLS$"):
                connection.to_store(store)
