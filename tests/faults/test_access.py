"""What stands between a client and its bucket: clocks, credentials that expire, certificates, proxies and names."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import Mreg
from tests.proxy import Proxy
from tests.servers import ADMIN, WRITER, Place
from tests.ways import HttpProxy, TlsServer, make_certificates

pytestmark = pytest.mark.usefixtures("impatient")

PART = 8 << 20
LARGE = PART + 1000
SIZES = pytest.mark.parametrize("size", [1000, LARGE], ids=["small", "large"])
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


def write(name: str, size: int) -> bytes:
    data = os.urandom(size)
    Path(name).write_bytes(data)
    return data


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def goes_both_ways(command: Mreg, size: int) -> None:
    """A push and a pull work, with the same bytes."""
    data = write("a.bin", size)
    done = command("push", "a.bin", "-n", "m")
    assert done.code == 0, done
    Path("out").unlink(missing_ok=True)
    done = command("pull", "m@latest", "out")
    assert done.code == 0, done
    assert Path("out").read_bytes() == data


def refused(command: Mreg, size: int, code: int = 8) -> str:
    """A push fails and changes nothing; its messages."""
    write("a.bin", size)
    done = command("push", "a.bin", "-n", "m")
    assert done.code == code, done
    assert "Traceback" not in done.err
    assert not any(secret in done.err for secret in (WRITER[1], ADMIN[1]))
    assert command("show", "m").code == 4
    return done.err


# Clocks


SKEW = (
    "403 Forbidden",
    "application/xml",
    '<?xml version="1.0"?><Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and '
    "the current time is too large.</Message></Error>",
)


def clock_of_store(proxy: Proxy, ahead: timedelta) -> None:
    """Let the store's clock go ahead of this machine's: AWS refuses what was signed 15 minutes before its own time."""

    def answer(_line: str) -> tuple[str, str, str] | None:
        signed = re.search(rb"(?i)x-amz-date: *(\d{8}T\d{6}Z)", proxy.head)
        assert signed is not None, proxy.head
        at = datetime.strptime(signed[1].decode(), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return SKEW if abs(datetime.now(UTC) + ahead - at) > timedelta(minutes=15) else None

    proxy.answer = answer


@SIZES
@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_wrong_is_told_and_changes_nothing(
    hours: int, size: int, proxy: Proxy, command: Mreg, bucket: Place
) -> None:
    clock_of_store(proxy, timedelta(hours=hours))
    said = refused(command, size)
    assert (
        f"error: cannot use {bucket.url}: the clock of this machine is wrong (RequestTimeTooSkewed); the store says: "
        "The difference between the request time and the current time is too large\n"
    ) in said
    assert "timedatectl set-ntp true" in said
    assert bucket.keys() == []
    clock_of_store(proxy, timedelta())
    goes_both_ways(command, size)


def test_a_clock_that_is_a_little_off_does_not_matter(proxy: Proxy, command: Mreg) -> None:
    clock_of_store(proxy, timedelta(minutes=10))
    goes_both_ways(command, LARGE)


# Credentials that expire


PROCESS = """
import datetime, json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
with (folder / "asked").open("a") as asked:
    asked.write("x")
keys = json.loads((folder / "keys").read_text())
if keys is None:
    sys.exit("the login has ended")
ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=30)
print(json.dumps({
    "Version": 1, "AccessKeyId": keys[0], "SecretAccessKey": keys[1], "Expiration": ends.isoformat(),
}))
"""


class Process:
    """A credential process in the AWS configuration, whose credentials expire within the time in which clients renew them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        (folder / "process.py").write_text(PROCESS)
        words = [sys.executable, str(folder / "process.py"), str(folder)]
        (folder / "config").write_text(f"[default]\ncredential_process = {shlex.join(words)}\n")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))
        self.give(WRITER)

    def give(self, keys: tuple[str, str] | None) -> None:
        """Give out these keys from now on; None fails."""
        (self._folder / "keys").write_text(json.dumps(keys))

    @property
    def asked(self) -> int:
        return (self._folder / "asked").stat().st_size


@pytest.fixture
def credential_process(bucket: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Process:
    return Process(tmp_path, monkeypatch)


EXPIRED = (
    "400 Bad Request",
    "application/xml",
    '<?xml version="1.0"?><Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>',
)
PARTS = 12
UNDER_WAY = 9
"""Parts that can be signed before the keys are changed."""


def key_of(proxy: Proxy) -> str:
    """The access key that signed the request."""
    found = re.search(rb"Credential=([^/]+)/", proxy.head)
    assert found is not None, proxy.head
    return found[1].decode()


@pytest.mark.parametrize("way", ["push", "pull"])
def test_credentials_that_expire_in_the_middle_of_a_transfer_are_renewed(
    way: str, credential_process: Process, proxy: Proxy, command: Mreg
) -> None:
    data = write("big.bin", PARTS * PART)
    transferred: list[str] = []

    def answer(line: str) -> tuple[str, str, str] | None:
        """Change the keys at the second part, and refuse the old ones once no request under way can have them."""
        moves = "partNumber=" in line if way == "push" else line.startswith("GET") and b"range:" in proxy.head.lower()
        if not moves:
            return EXPIRED if len(transferred) > UNDER_WAY and key_of(proxy) == WRITER[0] else None
        transferred.append(key_of(proxy))
        if len(transferred) == 2:
            credential_process.give(ADMIN)
        return EXPIRED if len(transferred) > 2 + UNDER_WAY and transferred[-1] == WRITER[0] else None

    if way == "pull":
        assert command("push", "big.bin", "-n", "m").code == 0
    proxy.answer = answer
    done = command("push", "big.bin", "-n", "m") if way == "push" else command("pull", "m@1", "out")
    assert done.code == 0, done
    proxy.heal()
    assert {transferred[0], transferred[-1]} == {WRITER[0], ADMIN[0]}
    assert credential_process.asked >= 2
    if way == "push":
        assert command("pull", "m@1", "out").code == 0
    assert Path("out").read_bytes() == data


def test_credentials_that_cannot_be_renewed_end_a_push_which_is_resumed_later(
    credential_process: Process, proxy: Proxy, command: Mreg, bucket: Place
) -> None:
    data = write("big.bin", PARTS * PART)
    parts: list[str] = []

    def answer(line: str) -> tuple[str, str, str] | None:
        if "partNumber=" in line:
            parts.append(line)
            if len(parts) == 2:
                credential_process.give(None)
        return EXPIRED if len(parts) > 2 else None

    proxy.answer = answer
    done = command("push", "big.bin", "-n", "m")
    assert done.code == 8, done
    assert re.search("the login has ended|the session token has expired", done.err), done.err
    assert "Traceback" not in done.err
    assert command("show", "m").code == 4
    proxy.heal()
    credential_process.give(ADMIN)
    done = command("push", "big.bin", "-n", "m")
    assert done.code == 0, done
    assert "resumed: " in done.err
    assert bucket.read(bucket.keys("blobs/")[0]) == data


# A certificate authority of one's own


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def tls(bucket: Place, certificates: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsServer]:
    """The bucket behind TLS, with a certificate of an authority that this machine does not trust."""
    _, certificate, key = certificates
    server = TlsServer(bucket.server.port, certificate, key)
    monkeypatch.setenv("MREG_ENDPOINT_URL", server.endpoint)
    yield server
    server.stop()


@SIZES
def test_an_authority_that_is_not_trusted_is_told_with_the_variable_to_set(
    size: int, tls: TlsServer, command: Mreg
) -> None:
    said = refused(command, size)
    assert f"cannot trust the certificate of {tls.endpoint}: " in said
    assert "set AWS_CA_BUNDLE to the file of the certificate authority" in said


@SIZES
@pytest.mark.parametrize("by", ["variable", "configuration"])
def test_an_authority_of_a_file_is_trusted(
    by: str,
    size: int,
    tls: TlsServer,
    certificates: tuple[Path, Path, Path],
    command: Mreg,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    if by == "variable":
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates[0]))
    else:
        (tmp_path / "config").write_text(f"[default]\nca_bundle = {certificates[0]}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    goes_both_ways(command, size)


@pytest.mark.parametrize(
    "content", [None, b"", b"not a certificate", b"\x00\xff" * 1000], ids=["missing", "empty", "text", "bytes"]
)
def test_a_file_of_authorities_that_cannot_be_used_is_told(
    content: bytes | None, tls: TlsServer, command: Mreg, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "authorities.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(path))
    write("a.bin", 1000)
    done = command("push", "a.bin", "-n", "m")
    assert done.code == 2, done
    assert done.err.startswith(f"error: {'cannot read' if content is None else 'invalid'} AWS_CA_BUNDLE {path}: ")
    assert "PEM" in done.err
    assert command("show", "m").code == 4


# Proxies


@pytest.fixture
def http_proxy(bucket: Place) -> Iterator[HttpProxy]:
    proxy = HttpProxy()
    yield proxy
    proxy.stop()


@SIZES
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_a_store_is_reached_through_a_proxy(
    name: str,
    size: int,
    http_proxy: HttpProxy,
    tls: TlsServer,
    certificates: tuple[Path, Path, Path],
    command: Mreg,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates[0]))
    monkeypatch.setenv(name, http_proxy.url)
    goes_both_ways(command, size)
    assert set(http_proxy.targets) == {f"127.0.0.1:{tls.port}"}


@SIZES
def test_a_store_without_tls_is_reached_through_a_proxy_that_asks_for_a_login(
    size: int, http_proxy: HttpProxy, command: Mreg, bucket: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    http_proxy.login = "ada:pass word"
    monkeypatch.setenv("HTTP_PROXY", http_proxy.url.replace("//", "//ada:pass%20word@"))
    goes_both_ways(command, size)
    assert set(http_proxy.targets) == {bucket.endpoint.partition("//")[2]}


@SIZES
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_hosts_of_no_proxy_are_reached_directly(
    name: str,
    size: int,
    http_proxy: HttpProxy,
    tls: TlsServer,
    certificates: tuple[Path, Path, Path],
    command: Mreg,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates[0]))
    monkeypatch.setenv("HTTPS_PROXY", http_proxy.url)
    monkeypatch.setenv(name, "models.example,127.0.0.1")
    goes_both_ways(command, size)
    assert http_proxy.targets == []


@SIZES
@pytest.mark.parametrize("refusal", ["gone", "403 Forbidden", "407 Proxy Authentication Required", "502 Bad Gateway"])
def test_a_proxy_that_does_not_connect_is_named(
    refusal: str, size: int, http_proxy: HttpProxy, tls: TlsServer, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", http_proxy.url.replace("//", "//ada:hunter2@"))
    http_proxy.refusal = refusal
    if refusal == "gone":
        http_proxy.stop()
    said = refused(command, size)
    assert f"the proxy for {tls.endpoint}" in said
    assert "check HTTPS_PROXY" in said
    assert "hunter2" not in said


# Names


@pytest.mark.parametrize("what", ["artifacts", "catalog"])
def test_a_host_that_has_no_address_is_named_with_the_next_step(
    what: str, bucket: Place, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    if what == "catalog":
        monkeypatch.setenv("MREG_CATALOG", f"{bucket.url}/catalog.db")
    monkeypatch.setenv("MREG_ENDPOINT_URL", "http://no-such-host.invalid:9000")
    write("a.bin", 1000)
    for words in (["push", "a.bin", "-n", "m"], ["profile", "check"]):
        done = command(*words)
        assert done.code == 8, done
        lines = done.err.splitlines()  # a busy machine can be so slow that notes come before
        first, *hints = lines[next(number for number, line in enumerate(lines) if line.startswith("error: ")) :]
        reason = first.removeprefix("error: cannot reach http://no-such-host.invalid:9000: ")
        assert re.search("name|address", reason, re.IGNORECASE), first
        assert any("check the network and endpoint_url in the profile" in hint for hint in hints), hints
