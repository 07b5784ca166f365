"""Transfers between a client and the bucket of a server, by presigned URLs, through a bad network."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import mreg
from mreg.registry.remote import RemoteRegistry
from mreg.remote import blobs, connection, direct
from mreg.remote.connection import Connection
from mreg.results.profiles import Profile
from tests.proxy import Proxy
from tests.servers import Place, Store, new_place
from tests.serving import Serving, serving

SIZE = 24 << 20
SIGNED = "X-Amz-Signature"
XML = "application/xml"


@pytest.fixture(scope="module")
def store_proxy(s3_server: Store) -> Iterator[Proxy]:
    made = Proxy(s3_server.port)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def place(s3_server: Store) -> Place:
    return new_place(s3_server)


@pytest.fixture(scope="module")
def served(
    people: Path, s3_server: Store, store_proxy: Proxy, place: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    """A server that reaches its bucket through the proxy, and so gives its clients URLs of the proxy."""
    folder = tmp_path_factory.mktemp("served")
    variables = {
        **s3_server.environment(),
        "MREG_CATALOG": str(folder / "catalog.db"),
        "MREG_ARTIFACTS": place.url,
        "MREG_ENDPOINT_URL": store_proxy.endpoint,
    }
    with serving(folder, variables, "--direct") as found:
        yield found


@dataclass
class Client:
    """A user of the server, with the proxies on both ways.

    Attributes:
        server: Proxy before the server.
        store: Proxy before the bucket; the server uses it as well.
    """

    registry: mreg.Registry
    server: Proxy
    store: Proxy
    notes: list[str]
    name: str = field(default_factory=lambda: f"m{os.urandom(16).hex()}")

    def signed(self) -> list[str]:
        """First lines of the requests by presigned URLs."""
        return [line for line in self.store.requests if SIGNED in line]

    def refuse(self, status: str, times: int = 1 << 30, method: str = "") -> list[str]:
        """Answer so many requests by presigned URLs; return the list of the answered ones."""
        answered: list[str] = []

        def answer(line: str) -> tuple[str, str, str] | None:
            if SIGNED not in line or not line.startswith(method) or len(answered) >= times:
                return None
            answered.append(line)
            return status, XML, "<Error><Code>AccessDenied</Code></Error>"

        self.store.answer = answer
        return answered


@pytest.fixture
def open_client(
    served: Serving, store_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Client]]:
    monkeypatch.setattr(blobs, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(connection, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(direct, "BACKOFF_SECONDS", 0.01)
    opened: list[Client] = []

    def open_one(user: str = "ada", host: str = "127.0.0.1") -> Client:
        proxy = Proxy(int(served.url.rpartition(":")[2]))
        notes: list[str] = []
        line = Connection(f"http://{host}:{proxy.port}", token=lambda: served.secrets[user])
        profile = Profile(name="team", catalog="", artifacts="")
        registry = RemoteRegistry(line, profile, notes.append)  # type: ignore[abstract]
        store_proxy.requests, store_proxy.heads = [], []
        opened.append(Client(registry, proxy, store_proxy, notes))
        return opened[-1]

    yield open_one
    store_proxy.heal()
    for client in opened:
        client.registry.close()
        client.server.stop()


@pytest.fixture
def client(open_client: Callable[..., Client]) -> Client:
    return open_client()


def write(size: int = SIZE, path: str = "model.bin") -> bytes:
    content = os.urandom(size)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(content)
    return content


def direct_notes(client: Client) -> list[str]:
    return [note for note in client.notes if "not directly" in note]


# Downloads


@pytest.fixture
def pushed(client: Client) -> tuple[mreg.ModelVersion, bytes]:
    """A version in the bucket; nothing of its push is left in the records of the proxies."""
    content = write()
    version = client.registry.push("model.bin", name=client.name)
    client.notes.clear()
    client.server.requests, client.server.down = [], 0
    client.store.requests, client.store.heads = [], []
    return version, content


def test_a_large_file_comes_from_the_bucket(client: Client, pushed: tuple[mreg.ModelVersion, bytes]) -> None:
    version, content = pushed
    client.registry.pull(version, "back.bin")
    assert Path("back.bin").read_bytes() == content
    assert client.server.down < 1 << 20
    assert len([line for line in client.server.requests if "/blobs/" in line]) == 1
    assert len(client.signed()) == 3
    assert client.notes == []


def test_the_token_is_not_sent_to_the_bucket(
    client: Client, served: Serving, pushed: tuple[mreg.ModelVersion, bytes]
) -> None:
    client.registry.pull(pushed[0], "back.bin")
    heads = [head for head in client.store.heads if SIGNED.encode() in head]
    assert len(heads) == 3
    for head in heads:
        assert served.secrets["ada"].encode() not in head
        assert b"authorization" not in head.lower() and b"mreg-api" not in head.lower()


def test_an_expired_url_is_asked_for_again(client: Client, pushed: tuple[mreg.ModelVersion, bytes]) -> None:
    version, content = pushed
    assert client.refuse("403 Forbidden", times=1) == []
    client.registry.pull(version, "back.bin")
    assert Path("back.bin").read_bytes() == content
    assert (client.notes, client.server.down < 1 << 20) == ([], True)


@pytest.mark.parametrize(
    "status, what",
    [
        ("403 Forbidden", "answered (403 Forbidden)"),
        ("404 Not Found", "answered (404 Not Found)"),
        ("302 Found", "redirects (302 Found)"),
        ("200 OK", "answered (200 OK)"),
        ("503 Slow Down", "answered (503 Slow Down)"),
    ],
)
def test_a_bucket_that_refuses_is_replaced_by_the_server(
    client: Client, pushed: tuple[mreg.ModelVersion, bytes], status: str, what: str
) -> None:
    version, content = pushed
    client.refuse(status)
    client.registry.pull(version, "back.bin")
    assert Path("back.bin").read_bytes() == content
    address = client.server.endpoint
    assert client.notes == [f"the bytes go through {address}, not directly: {client.store.endpoint} {what}"]


def test_a_bucket_that_cannot_be_reached_is_replaced_by_the_server(
    client: Client, pushed: tuple[mreg.ModelVersion, bytes]
) -> None:
    version, content = pushed
    closed = Proxy(1)
    closed.stop()
    client.server.replace = (client.store.endpoint.encode(), closed.endpoint.encode())
    client.registry.pull(version, "back.bin")
    assert Path("back.bin").read_bytes() == content
    reason = f"cannot reach {closed.endpoint}: connection refused"
    assert client.notes == [f"the bytes go through {client.server.endpoint}, not directly: {reason}"]
    assert client.signed() == []


@pytest.mark.parametrize(
    "url, reason",
    [
        (b"http://192.0.2.1:9", "the server gave an invalid presigned URL: http://192.0.2.1:9 has no TLS"),
        (b"ftp://127.0.0.1", "the server gave an invalid presigned URL"),
        (b"http://user@127.0.0.1:9", "the server gave an invalid presigned URL"),
        (
            b"http://127.0.0.1:99999",
            "the server gave an invalid presigned URL: the URL of the server has an invalid port",
        ),
        (b"\x1b[2J", "the server gave an invalid presigned URL"),
    ],
)
def test_a_url_that_a_hostile_server_gives_is_not_used(
    client: Client, pushed: tuple[mreg.ModelVersion, bytes], url: bytes, reason: str
) -> None:
    version, content = pushed
    client.server.replace = (client.store.endpoint.encode(), url)
    client.registry.pull(version, "back.bin")
    assert Path("back.bin").read_bytes() == content
    assert client.notes == [f"the bytes go through {client.server.endpoint}, not directly: {reason}"]


@pytest.mark.parametrize("share", [0.001, 0.3, 0.7, 0.99])
def test_a_direct_pull_continues_after_a_cut(
    client: Client, pushed: tuple[mreg.ModelVersion, bytes], share: float
) -> None:
    version, content = pushed
    client.store.cut_down_after = int(client.store.down + SIZE * share)
    client.registry.pull(version, "back.bin")
    assert Path("back.bin").read_bytes() == content
    assert (client.notes, client.server.down < 1 << 20) == ([], True)


def test_a_bucket_that_goes_down_in_the_middle_is_replaced_by_the_server(
    client: Client, pushed: tuple[mreg.ModelVersion, bytes]
) -> None:
    version, content = pushed
    client.store.cut_down_after = client.store.down + SIZE // 2
    client.store.lose_answer = lambda line: SIGNED in line and client.store.cut_down_after is None
    client.registry.pull(version, "back.bin")
    assert Path("back.bin").read_bytes() == content
    (note,) = client.notes
    assert note.startswith(f"the bytes go through {client.server.endpoint}, not directly: {client.store.endpoint} ")


def test_wrong_bytes_of_a_bucket_are_not_pulled(
    client: Client, place: Place, pushed: tuple[mreg.ModelVersion, bytes]
) -> None:
    version, content = pushed
    digest = version.artifact.digest
    place.write(f"blobs/sha256/{digest.value[:2]}/{digest.value[2:]}", content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(mreg.Corrupt, match=f"the blob {digest} is damaged"):
        client.registry.pull(version, "back.bin")
    assert not Path("back.bin").exists()


def test_a_small_file_comes_from_the_server(client: Client) -> None:
    content = write(300_000)
    version = client.registry.push("model.bin", name=client.name)
    client.registry.pull(version, "back.bin")
    assert Path("back.bin").read_bytes() == content
    assert client.signed() == []
