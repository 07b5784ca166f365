"""`mreg serve`: what it prints when it starts and when Ctrl-C stops it."""

from __future__ import annotations

import ipaddress
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mreg.server.settings import ServerSettings


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_stops_a_server_quietly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREG_CATALOG", str(tmp_path / "c.db"))
    words = [sys.executable, "-m", "mreg", "serve", "--port", "0"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        assert server.stderr.readline().startswith("mreg serves the catalog of MREG_CATALOG at http://127.0.0.1:")
        server.send_signal(signal.SIGINT)
        assert (server.wait(20), server.stderr.read().splitlines()[-1]) == (0, "stopped")


def settings(host: str, *names: str) -> ServerSettings:
    return ServerSettings(host=host, stored_tokens=True, hosts=names)


def test_the_url_of_a_server_is_one_that_clients_can_use() -> None:
    assert settings("127.0.0.1").client_host == "127.0.0.1"
    assert settings("::1").client_host == "[::1]"
    assert settings("0.0.0.0", "models.example", "other").client_host == "models.example"
    for unspecified in ("0.0.0.0", "::"):
        address = ipaddress.ip_address(settings(unspecified).client_host.strip("[]"))
        assert not address.is_unspecified
    refusing = [settings(*words).refuses_names for words in (("0.0.0.0",), ("0.0.0.0", "a"), ("127.0.0.1",))]
    assert refusing == [True, False, False]


def test_a_server_on_all_addresses_says_how_to_allow_a_name() -> None:
    subprocess.run(
        [sys.executable, "-m", "mreg", "token", "create", "a", "--role", "reader"], check=True, capture_output=True
    )
    words = [sys.executable, "-m", "mreg", "serve", "--port", "0", "--host", "0.0.0.0"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        first, second = server.stderr.readline(), server.stderr.readline()
        server.terminate()
        server.stderr.read()
    assert "//0.0.0.0" not in first
    assert second == (
        "requests with a host name other than localhost get status 421; to allow one: "
        "mreg serve --port 0 --host 0.0.0.0 --allow-host NAME\n"
    )
