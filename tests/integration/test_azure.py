"""Artifacts and catalog in Azure Blob Storage: credentials, addresses, messages, and what a bad network does."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

import mreg
from mreg.stores.azure import DEVELOPMENT, account_of, read_config
from mreg.stores.failures import Failure
from mreg.stores.settings import StoreSettings
from tests.azure import ACCOUNT, Azurite
from tests.conftest import Mreg, local_registry
from tests.faults.test_flips import refuse_other_bytes
from tests.faults.test_kill import check
from tests.faults.test_words_of_the_store import answering
from tests.hostile import printable_only
from tests.proxy import Proxy
from tests.servers import BUCKET, Place, Store
from tests.ways import Flipper, TlsServer, make_certificates

LARGE = (20 << 20) + 12_345
KEYS = ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY")


def write(name: str, size: int = 1000) -> bytes:
    data = os.urandom(size)
    Path(name).write_bytes(data)
    return data


@pytest.fixture
def object_store(azurite: Store) -> Store:
    """The object store of every test here."""
    return azurite


@pytest.fixture
def server(bucket: Place, monkeypatch: pytest.MonkeyPatch) -> Azurite:
    """The store, with the catalog in the container as well."""
    monkeypatch.setenv("MREG_CATALOG", f"{bucket.url}/catalog.db")
    assert isinstance(bucket.server, Azurite)
    return bucket.server


def goes_both_ways(command: Mreg, size: int = LARGE) -> None:
    data = write("a.bin", size)
    done = command("push", "a.bin", "-n", "m")
    assert done.code == 0, done
    Path("out").unlink(missing_ok=True)
    done = command("pull", "m@latest", "out")
    assert done.code == 0, done
    assert Path("out").read_bytes() == data


def key_variables(server: Azurite, name: str) -> dict[str, str]:
    return {"AZURE_STORAGE_ACCOUNT": ACCOUNT, name: server.key}


def sas_variables(server: Azurite, permissions: str, mark: str = "") -> dict[str, str]:
    return {"AZURE_STORAGE_ACCOUNT": ACCOUNT, "AZURE_STORAGE_SAS_TOKEN": mark + server.shared_access(permissions)}


CREDENTIALS: dict[str, Callable[[Azurite], dict[str, str]]] = {
    "account key": lambda server: key_variables(server, "AZURE_STORAGE_ACCOUNT_KEY"),
    "account key of the CLI": lambda server: key_variables(server, "AZURE_STORAGE_KEY"),
    "connection string": lambda server: {"AZURE_STORAGE_CONNECTION_STRING": server.connection_string()},
    "connection string with a signature": lambda server: {
        "AZURE_STORAGE_CONNECTION_STRING": f"BlobEndpoint={server.endpoint};SharedAccessSignature={server.shared_access('rwdl')}"
    },
    "signature": lambda server: sas_variables(server, "rwdl"),
    "signature as copied": lambda server: sas_variables(server, "racwdl", "?"),
}


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_each_kind_of_credentials_reads_and_writes(
    kind: str, server: Azurite, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in KEYS:
        monkeypatch.delenv(name)
    variables = CREDENTIALS[kind](server)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if "connection" in kind:
        monkeypatch.delenv("MREG_ENDPOINT_URL")
    goes_both_ways(command)
    done = command("profile", "check")
    assert done.code == 0, done
    assert command("gc", "--remove", "--yes").code == 0


def test_who_may_only_read_reads(
    server: Azurite, bucket: Place, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write("a.bin")
    assert command("push", "a.bin", "-n", "m").code == 0
    before = bucket.keys()
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_KEY")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", server.shared_access("rl"))
    assert command("pull", "m", "out").code == 0
    assert Path("out").read_bytes() == data
    assert command("list").code == 0
    write("b.bin")
    done = command("push", "b.bin", "-n", "m")
    assert (done.code, done.err.splitlines()[0]) == (
        8,
        f"error: cannot use {bucket.url}: permission denied (AuthorizationPermissionMismatch); the store says: "
        "This request is not authorized to perform this operation using this permission",
    )
    assert "assign the role Storage Blob Data Contributor on the container" in done.err
    done = command("profile", "check", "--json")
    assert done.code == 8
    found = {one["name"]: one for one in json.loads(done.out)}
    assert found["store latency"]["latency_seconds"] > 0
    assert "store throughput" not in found
    assert bucket.keys() == before


def wrong(**variables: str) -> Callable[[Azurite], dict[str, str]]:
    return lambda _server: variables


WRONG: dict[str, tuple[Callable[[Azurite], dict[str, str]], int, str, str]] = {
    "key": (
        wrong(AZURE_STORAGE_ACCOUNT_KEY=base64.b64encode(b"another key").decode()), 8,
        rf"cannot use az://.*: wrong account key of {ACCOUNT} \(AuthorizationFailure\); the store says: ", "az storage account keys list",
    ),
    "not a key": (
        wrong(AZURE_STORAGE_ACCOUNT_KEY="hunter2!"), 8, "cannot use az://.*: the account key is invalid: it is not in Base64\n", "copy the account key",
    ),
    "expired": (
        lambda server: {"AZURE_STORAGE_ACCOUNT_KEY": "", "AZURE_STORAGE_SAS_TOKEN": server.shared_access("rwdl", timedelta(hours=-1))}, 8,
        r"the shared access signature expired at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \(AuthorizationFailure\)", "az storage container generate-sas",
    ),
    "signature": (
        lambda server: {"AZURE_STORAGE_ACCOUNT_KEY": "", "AZURE_STORAGE_SAS_TOKEN": re.sub("sig=.*", "sig=aHVudGVyMg%3D%3D", server.shared_access("rwdl"))}, 8,
        r"the shared access signature was refused \(AuthorizationFailure\)", "az storage container generate-sas",
    ),
    "no signature": (
        wrong(AZURE_STORAGE_ACCOUNT_KEY="", AZURE_STORAGE_SAS_TOKEN="sv=2023"), 8, "the shared access signature is invalid: it has no sig=", "generate-sas",
    ),
    "container": (
        wrong(MREG_ARTIFACTS="az://no-such-container/x"), 8,
        r"cannot use az://no-such-container/x: the container does not exist \(ContainerNotFound\)",
        f"az storage container create --account-name {ACCOUNT} --name no-such-container\n",
    ),
    "account": (
        lambda server: {"MREG_ENDPOINT_URL": server.endpoint.replace(ACCOUNT, "someoneelse")}, 8,
        r"the storage account does not exist \(ResourceNotFound\)", "check the name of the storage account",
    ),
    "no account": (
        wrong(AZURE_STORAGE_ACCOUNT_NAME="", MREG_ENDPOINT_URL=""), 2,
        "cannot use az://.*: the storage account is unknown\n", "set AZURE_STORAGE_ACCOUNT, or write abfss://models@ACCOUNT.dfs.core.windows.net/PREFIX",
    ),
    "container, by connection string": (
        lambda server: {
            "MREG_ARTIFACTS": "az://no-such-container/x", "AZURE_STORAGE_CONNECTION_STRING": server.connection_string()
        }, 8,
        r"the container does not exist \(ContainerNotFound\)", "create it: az storage container create --name no-such-container\n",
    ),
    "connection string": (
        wrong(AZURE_STORAGE_ACCOUNT_NAME="", MREG_ENDPOINT_URL="", AZURE_STORAGE_CONNECTION_STRING="hunter2"), 8,
        "cannot use az://.*: AZURE_STORAGE_CONNECTION_STRING is not a connection string: it names no storage account\n", "az storage account show-connection-string",
    ),
    "unreachable": (wrong(MREG_ENDPOINT_URL=f"http://127.0.0.1:1/{ACCOUNT}"), 8, f"cannot reach http://127.0.0.1:1/{ACCOUNT}: Connection refused\n", "check the network"),
    "name": (wrong(MREG_ENDPOINT_URL="http://no-such-account.invalid"), 8, "cannot reach http://no-such-account.invalid: ", "name of the storage account"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("size", [1000, 5 << 20], ids=["small", "large"])
def test_what_is_wrong_is_told_with_the_next_step(
    what: str, size: int, bucket: Place, command: Mreg, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    assert isinstance(bucket.server, Azurite)
    made, code, words, hint = WRONG[what]
    for name, value in made(bucket.server).items():
        monkeypatch.setenv(name, value)
    write("a.bin", size)
    done = command("push", "a.bin", "-n", "m")
    assert done.code == code, done
    first, *hints = done.err.splitlines(keepends=True)
    assert re.search(f"^error: .*{words}", first), done.err
    assert hint in "".join(hints)
    assert len(hints) <= 3
    assert not any(secret in done.err for secret in (bucket.server.key, "hunter2", "aHVudGVyMg"))
    assert command("show", "m").code == 4
    assert bucket.keys() == []


def test_a_clock_that_is_wrong_is_told(
    server: Azurite, proxy: Proxy, bucket: Place, command: Mreg, impatient: None
) -> None:
    """Azure refuses a request whose date is 15 minutes from its own."""
    ahead = timedelta(hours=1)
    body = (
        '<?xml version="1.0" encoding="utf-8"?><Error><Code>AuthenticationFailed</Code><Message>Server failed to '
        "authenticate the request.\nRequestId:1-2\nTime:2026-01-01T00:00:00Z</Message><AuthenticationErrorDetail>Request date header "
        "too old: 'Thu, 26 Nov 2026 10:00:00 GMT'</AuthenticationErrorDetail></Error>"
    )

    def answer(_line: str) -> tuple[str, str, str] | None:
        sent = re.search(rb"(?i)\r\n(?:x-ms-)?date: *([^\r]+)", proxy.head)
        assert sent is not None, proxy.head
        off = abs(datetime.now(UTC) + ahead - parsedate_to_datetime(sent[1].decode()))
        return ("403 Forbidden", "application/xml", body) if off > timedelta(minutes=15) else None

    proxy.answer = answer
    write("a.bin")
    done = command("push", "a.bin", "-n", "m")
    assert done.code == 8, done
    assert "the clock of this machine is wrong (AuthenticationFailed); the store says: Server failed to" in done.err
    assert "timedatectl set-ntp true" in done.err
    assert "RequestId" not in done.err
    ahead = timedelta()
    goes_both_ways(command, 1000)


# Addresses


def test_the_address_of_a_container_is_normalized_and_names_the_account(
    command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MREG_CATALOG", "MREG_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    for text in (
        "https://mlteam.blob.core.windows.net/models/registry/",
        "https://mlteam.dfs.core.windows.net/models/registry",
        "abfss://models@mlteam.dfs.core.windows.net/registry",
    ):
        monkeypatch.setenv("MREG_ARTIFACTS", text)
        shown = json.loads(command("profile", "show", "--json").out)
        assert shown["artifacts"] == "abfss://models@mlteam.dfs.core.windows.net/registry"
        assert shown["catalog"] == "abfss://models@mlteam.dfs.core.windows.net/registry/catalog.db"


def test_a_container_by_its_account_is_the_same_place(
    server: Azurite, bucket: Place, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_both_ways(command, 1000)
    url = f"abfss://{BUCKET}@{ACCOUNT}.dfs.core.windows.net/{bucket.prefix}"
    monkeypatch.setenv("MREG_ARTIFACTS", url)
    monkeypatch.setenv("MREG_CATALOG", f"{url}/catalog.db")
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME")
    goes_both_ways(command, 1000)
    assert command("show", "m@2").code == 0


REFUSED = [
    ("az://", "has no container"), ("az://Models/x", "has no container"), ("az://a/x", "has no container"),
    ("az://models--x/y", "has no container"), ("az://models/../x", "invalid prefix"), ("az://models//x", "invalid prefix"),
    ("az://models/x?sig=hunter2", "contains a query"), ("az://ada:hunter2@models/x", "contains a password"),
    ("abfss://models/x", "has no container"), ("abfss://models@evil/x", "has no container"),
    ("abfss://models@mlteam.dfs.evil.example/x", "has no container"), ("abfss://models@mlteam.dfs.core.windows.net.evil/x", "has no container"),
    ("https://mlteam.blob.evil.example/models/x", "unsupported URL scheme"),
    ("abfss://models@ada:hunter2@mlteam.dfs.core.windows.net/x", "contains a password"),
    ("https://mlteam.blob.core.windows.net/models/x?sv=1&sig=hunter2", "contains a query"),
    ("https://mlteam.blob.core.windows.net/", "unsupported URL scheme"),
    ("https://models.example/x", "unsupported URL scheme"),
    ("azure://models/x", "unsupported URL scheme"), ("wasbs://models@mlteam.blob.core.windows.net/x", "unsupported URL scheme"),
    ("AZ://models/x", "unsupported URL scheme"), ("gs://", "has no bucket"), ("gs://m/../x", "has no bucket"),
    ("DefaultEndpointsProtocol=https;AccountName=x;AccountKey=hunter2", "got a connection string of Azure Storage"),
    ("SharedAccessSignature=sig=hunter2", "got a connection string of Azure Storage"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), REFUSED)
@pytest.mark.parametrize("key", ["MREG_ARTIFACTS", "MREG_CATALOG"])
def test_an_address_that_is_not_valid_is_refused_without_its_secrets(
    key: str, text: str, words: str, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(key, text)
    done = command("profile", "show")
    assert done.code == 2, done
    assert words in done.err
    assert "hunter2" not in done.err
    assert len(done.err.splitlines()) == 2


# What the environment says


CHOICES: list[tuple[dict[str, str], str]] = [
    ({}, "managed_identity"),
    ({"AZURE_STORAGE_ACCOUNT_KEY": "YQ==", "AZURE_STORAGE_SAS_TOKEN": "sig=x"}, "access_key"),
    ({"AZURE_STORAGE_CONNECTION_STRING": "AccountName=mlteam;AccountKey=YQ==", "AZURE_STORAGE_KEY": "Yg=="}, "access_key"),
    ({"AZURE_STORAGE_CONNECTION_STRING": "AccountName=other;AccountKey=YQ==", "AZURE_STORAGE_SAS_TOKEN": "sig=x"}, "sas_token"),
    ({"AZURE_STORAGE_SAS_TOKEN": "?sv=1&sig=x", "AZURE_CLIENT_SECRET": "x"}, "sas_token"),
    ({"AZURE_CLIENT_SECRET": "x", "AZURE_CLIENT_ID": "y", "AZURE_TENANT_ID": "z"}, "client_secret"),
    ({"AZURE_FEDERATED_TOKEN_FILE": "/x", "AZURE_CLIENT_ID": "y", "AZURE_TENANT_ID": "z"}, "workload_identity"),
    ({"IDENTITY_ENDPOINT": "http://localhost:1", "AZURE_CONFIG_DIR": "{login}"}, "managed_identity"),
    ({"AZURE_CONFIG_DIR": "{login}"}, "azure_cli"),
    ({"AZURE_STORAGE_TOKEN": "x"}, "bearer_token"),
]  # fmt: skip


@pytest.mark.parametrize(("variables", "kind"), CHOICES)
def test_credentials_are_chosen_in_the_order_of_the_documentation(
    variables: dict[str, str], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "azureProfile.json").write_text("{}")
    (tmp_path / "az").write_text("#!/bin/sh\n")
    (tmp_path / "az").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    environ = {name: value.replace("{login}", str(tmp_path)) for name, value in variables.items()}
    config = read_config("abfss://models@mlteam.dfs.core.windows.net/x", StoreSettings(), environ)
    assert config.options["credential_type"] == kind
    assert (config.account, config.container) == ("mlteam", "models")
    assert config.endpoint == "https://mlteam.blob.core.windows.net"


def test_the_account_comes_from_the_profile_the_environment_or_the_connection_string() -> None:
    def found(environ: dict[str, str], endpoint: str = "") -> tuple[str, str]:
        config = read_config("az://models/x", StoreSettings(endpoint_url=endpoint), environ)
        return config.account, config.endpoint

    assert found({"AZURE_STORAGE_ACCOUNT": "mlteam"}) == ("mlteam", "https://mlteam.blob.core.windows.net")
    assert found({}, "https://mlteam.blob.core.chinacloudapi.cn/")[0] == "mlteam"
    assert found({"AZURE_STORAGE_ACCOUNT_NAME": "mlteam"}, "https://models.internal") == (
        "mlteam",
        "https://models.internal",
    )
    text = "DefaultEndpointsProtocol=https;AccountName=mlteam;AccountKey=YQ==;EndpointSuffix=core.usgovcloudapi.net"
    assert found({"AZURE_STORAGE_CONNECTION_STRING": text}) == ("mlteam", "https://mlteam.blob.core.usgovcloudapi.net")
    emulator = found({"AZURE_STORAGE_CONNECTION_STRING": "UseDevelopmentStorage=true"})
    assert emulator == (DEVELOPMENT["AccountName"], DEVELOPMENT["BlobEndpoint"])
    assert account_of("https://x") == account_of("http://127.0.0.1:1/a/b") == ""
    for text in ("", ";;;", "=", "AccountName", "a=b=c;\0"):
        with pytest.raises(Failure):
            found({"AZURE_STORAGE_CONNECTION_STRING": text})


# A bad network


@pytest.mark.parametrize("point", range(6))
def test_an_upload_that_is_cut_once_goes_through(point: int, proxy: Proxy, bucket: Place) -> None:
    data = write("big.bin", LARGE)
    proxy.cut_up_after = 1 + point * (LARGE + 4000) // 6
    with local_registry() as registry:
        registry.push("big.bin", name="m")
        assert bucket.read(bucket.keys("blobs/")[0]) == data
        check(registry)
    assert bucket.uploads() == []


def test_an_upload_that_is_cut_for_good_leaves_no_version_and_is_sent_again(
    proxy: Proxy, bucket: Place, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mreg.stores import client

    monkeypatch.setitem(client.PATIENT, "retry_timeout", timedelta(seconds=1))
    data = write("big.bin", LARGE)
    proxy.cut_up_after = LARGE // 2
    proxy.cut_for_good = True
    with local_registry() as registry:
        with pytest.raises(mreg.Unavailable):
            registry.push("big.bin", name="m")
        with pytest.raises(mreg.NotFound):
            registry.show("m")
        assert bucket.keys("blobs/") == []
        proxy.heal()
        registry.push("big.bin", name="m")
        check(registry)
    assert bucket.read(bucket.keys("blobs/")[0]) == data
    assert bucket.uploads() == []


@pytest.mark.parametrize("point", range(4))
def test_a_download_that_is_cut_once_goes_through(point: int, proxy: Proxy, tmp_path: Path) -> None:
    data = write("big.bin", LARGE)
    with local_registry() as registry:
        registry.push("big.bin", name="m")
        proxy.heal()
        proxy.cut_down_after = 1 + point * LARGE // 4
        registry.pull("m", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data


KINDS = {
    "small blob": ("/blobs/", 1000),
    "block": ("comp=block&", LARGE),
    "list of blocks": ("comp=blocklist", LARGE),
    "catalog": ("/catalog.db", 1000),
}


@pytest.mark.parametrize("times", [1, 1000], ids=["once", "always"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_bit_is_never_pushed_silently(
    kind: str, times: int, server: Azurite, proxy: Proxy, bucket: Place, tmp_path: Path, impatient: None
) -> None:
    sign, size = KINDS[kind]
    data = write("model.bin", size)
    write("first.bin")
    with local_registry() as registry:
        registry.push("first.bin", name="m")
        proxy.flip = lambda line: line.startswith("PUT") and matches(sign, line) and len(proxy.flipped) < times
        try:
            registry.push("model.bin", name="m")
        except mreg.MregError as error:
            assert proxy.flipped
            assert "damaged in transit" in error.message or kind == "list of blocks"
            proxy.heal()
            if kind == "catalog":
                return
            with pytest.raises(mreg.NotFound):
                registry.show("m@2")
            registry.push("model.bin", name="m")
        else:
            assert proxy.flipped
            proxy.heal()
        refuse_other_bytes(bucket)
        registry.pull("m@2", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data


def matches(sign: str, line: str) -> bool:
    if sign == "comp=block&":
        return re.search(r"comp=block(?!list)", line) is not None
    return sign in line and (sign != "/blobs/" or "comp=" not in line)


@pytest.fixture
def tls(server: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Flipper, Path]]:
    """The account behind TLS and a network that can change a bit, and the file of the certificate's authority."""
    authority, certificate, key = make_certificates(tmp_path)
    secure = TlsServer(server.port, certificate, key)
    flipper = Flipper(secure.port)
    monkeypatch.setenv("MREG_ENDPOINT_URL", f"https://127.0.0.1:{flipper.port}/{ACCOUNT}")
    yield flipper, authority
    flipper.stop()
    secure.stop()


@pytest.mark.parametrize("size", [200_000, LARGE], ids=["small", "large"])
def test_with_tls_a_changed_bit_breaks_the_connection_and_nothing_is_read_back(
    size: int, tls: tuple[Flipper, Path], bucket: Place, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    flipper, authority = tls
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    assert "check uploads (by TLS)" in command("profile", "check").out
    flipper.after = size // 2
    goes_both_ways(command, size)
    assert flipper.flipped
    refuse_other_bytes(bucket)


def test_an_authority_that_is_not_trusted_is_told_with_the_variable_to_set(
    tls: tuple[Flipper, Path], command: Mreg, impatient: None
) -> None:
    write("a.bin")
    done = command("push", "a.bin", "-n", "m")
    assert done.code == 8, done
    assert f"cannot trust the certificate of https://127.0.0.1:{tls[0].port}/{ACCOUNT}: " in done.err
    assert "set SSL_CERT_FILE to the file of the certificate authority" in done.err


PAGE = b"<html><head><title>Welcome to the Airport Wi-Fi</title></head><body>Please log in</body></html>"
DETAIL = (
    "<Error><Code>AuthenticationFailed</Code><Message>\x1b[2J\u202eab\nerror: forged</Message><AuthenticationErrorDetail>"
    "sig=hunter2 \x85 AccountKey=aHVudGVyMg</AuthenticationErrorDetail></Error>"
)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, PAGE, "is not from Azure Blob Storage"),
        (403, PAGE, "is not from Azure Blob Storage (HTTP 403); the response says: Welcome to the Airport Wi-Fi"),
        (404, PAGE, "is not from Azure Blob Storage (HTTP 404)"),
        (403, DETAIL.encode(), "wrong account key of mregtests (AuthenticationFailed)"),
        (409, b"<Error><Code>BlobImmutableDueToPolicy</Code></Error>", "a policy keeps the object from being changed"),
        (
            503,
            b"<Error><Code>ServerBusy</Code><Message>The server is busy.</Message></Error>",
            "asks for fewer requests (ServerBusy)",
        ),
        (
            403,
            b"<Error><Code>AuthorizationFailure</Code><Message>This request is not authorized to perform this operation.</Message></Error>",
            "permission denied, for example by the firewall of the storage account (AuthorizationFailure)",
        ),
        (500, b"", "failed (HTTP 500)"),
        (400, b"<Error><Code>" + b"x" * 90_000, ""),
    ],
    ids=range(9),
)
@pytest.mark.parametrize("size", [1000, 5 << 20], ids=["small", "large"])
def test_other_answers_are_told_in_one_printable_line_and_change_nothing(
    status: int, body: bytes, words: str, size: int, command: Mreg, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "YQ==")
    monkeypatch.setenv("MREG_CATALOG", str(Path("catalog.db").absolute()))
    monkeypatch.setenv("MREG_ARTIFACTS", "az://models/x")
    write("a.bin", size)
    with answering(status, body, "text/html" if body == PAGE else "application/xml") as port:
        monkeypatch.setenv("MREG_ENDPOINT_URL", f"http://127.0.0.1:{port}/{ACCOUNT}")
        done = command("push", "a.bin", "-n", "m")
    assert done.code == 8, done
    assert words in done.err
    assert printable_only(done.err.encode())
    assert not any(secret in done.err for secret in ("hunter2", "aHVudGVyMg"))
    assert [line for line in done.err.splitlines() if line.startswith("error: ")] == [
        next(line for line in done.err.splitlines() if line.startswith("error: "))
    ]
    assert command("show", "m").code == 4
