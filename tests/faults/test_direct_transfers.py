"""Transfers between a client and the bucket of a server, by presigned URLs, through a bad network."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import requests

import mreg
from mreg.artifacts.partial import RESUME
from mreg.domain.text import size_text
from mreg.registry.remote import RemoteRegistry
from mreg.remote import blobs, connection, direct, direct_upload
from mreg.remote.connection import Connection
from mreg.results.profiles import Profile
from tests.proxy import Proxy
from tests.server.test_schemas import SHAPES, strict
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
        # Before a test makes the bucket fail, the server has probed it.
        assert Raw(found.url, found.secrets["ada"], os.urandom(9 << 20)).missing()[0]["direct"] is True
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
    monkeypatch.setattr(direct_upload, "BACKOFF_SECONDS", 0.01)
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


# Uploads


def push(client: Client) -> mreg.ModelVersion:
    return client.registry.push("model.bin", name=client.name)


def left(place: Place, content: bytes, *others: str) -> list[str]:
    """What is left of the upload of bytes in the bucket.

    Args:
        others: Further folders, such as ``blobs``.
    """
    digest = hashlib.sha256(content).hexdigest()
    keys = [*place.uploads(), *place.keys("direct"), *(key for folder in others for key in place.keys(folder))]
    return [key for key in keys if digest[2:] in key]


def check_pushed(client: Client, version: mreg.ModelVersion, content: bytes) -> None:
    """The version has the bytes, there is no other, and nothing temporary is left."""
    stream = io.BytesIO()
    client.registry.stream(version, stream)
    assert stream.getvalue() == content
    found = client.registry.show(client.name)
    assert isinstance(found, mreg.ModelVersions) and len(found.versions) == 1


class Passes:
    """The steps of each pass of a push, by its name."""

    def __init__(self) -> None:
        self.steps: dict[str, list[tuple[int, int]]] = {}
        self.name = "push"

    def name_pass(self, name: str) -> None:
        self.name = name

    def __call__(self, done: int, total: int) -> None:
        self.steps.setdefault(self.name, []).append((done, total))


def test_a_large_file_goes_to_the_bucket(client: Client, place: Place) -> None:
    content = write()
    passes = Passes()
    version = client.registry.push("model.bin", name=client.name, progress=passes)
    signed = client.signed()
    assert len(signed) == 3
    assert all(line.startswith("PUT ") and "SignedHeaders=content-length%3Bhost" in line for line in signed)
    assert client.server.up < 1 << 20
    assert passes.steps["push"][-1] == (SIZE, SIZE)
    verified = passes.steps["verify"]
    assert (verified[0], verified[-1], verified) == ((0, SIZE), (SIZE, SIZE), sorted(verified))
    assert (client.notes, left(place, content)) == ([], [])
    check_pushed(client, version, content)


def test_the_verification_of_a_folder_is_shown_after_its_last_byte(client: Client) -> None:
    for name in ("one", "two"):
        write(9 << 20, f"folder/{name}.bin")
    write(1000, "folder/small.bin")
    passes = Passes()
    client.registry.push("folder", name=client.name, progress=passes)
    assert passes.steps["push"][-1] == ((18 << 20) + 1000, (18 << 20) + 1000)
    assert passes.steps["verify"][-1] == (18 << 20, 18 << 20)
    assert len(client.signed()) == 4


def test_the_token_is_not_sent_to_the_bucket_with_an_upload(client: Client, served: Serving) -> None:
    write()
    push(client)
    heads = [head for head in client.store.heads if SIGNED.encode() in head]
    assert len(heads) == 3
    for head in heads:
        assert served.secrets["ada"].encode() not in head
        assert b"authorization" not in head.lower() and b"mreg-api" not in head.lower()


@pytest.mark.parametrize("status", ["403 Forbidden", "400 Bad Request", "503 Slow Down", "500 Internal Error"])
def test_a_part_that_is_refused_once_is_sent_again(client: Client, status: str) -> None:
    content = write()
    answered = client.refuse(status, times=1, method="PUT")
    version = push(client)
    assert (len(answered), client.notes) == (1, [])
    assert client.server.up < 1 << 20
    check_pushed(client, version, content)


@pytest.mark.parametrize(
    "status, what",
    [
        ("403 Forbidden", "answered (403 Forbidden)"),
        ("404 Not Found", "answered (404 Not Found)"),
        ("302 Found", "redirects (302 Found)"),
        ("503 Slow Down", "answered (503 Slow Down)"),
    ],
)
def test_an_upload_that_the_bucket_refuses_goes_to_the_server(
    client: Client, place: Place, status: str, what: str
) -> None:
    content = write()
    client.refuse(status, method="PUT")
    version = push(client)
    address = client.server.endpoint
    assert client.notes[0] == f"the bytes go through {address}, not directly: {client.store.endpoint} {what}"
    assert len(direct_notes(client)) == 1
    client.store.heal()
    check_pushed(client, version, content)
    assert left(place, content) == []


def test_an_upload_to_a_bucket_that_cannot_be_reached_goes_to_the_server(client: Client) -> None:
    content = write()
    closed = Proxy(1)
    closed.stop()
    client.server.replace = (client.store.endpoint.encode(), closed.endpoint.encode())
    version = push(client)
    reason = f"cannot reach {closed.endpoint}: connection refused"
    assert direct_notes(client) == [f"the bytes go through {client.server.endpoint}, not directly: {reason}"]
    client.server.heal()
    check_pushed(client, version, content)


@pytest.mark.parametrize("share", [0.01, 0.4, 0.8, 0.99])
def test_a_direct_push_continues_after_a_cut(client: Client, share: float) -> None:
    content = write()
    client.registry.models(limit=1)
    client.store.cut_up_after = client.store.up + int(SIZE * share)
    version = push(client)
    assert client.server.up < 1 << 20
    check_pushed(client, version, content)


def test_a_direct_push_that_broke_off_is_resumed_by_the_next(client: Client) -> None:
    content = write(48 << 20)
    parts: list[str] = []

    def lose(line: str) -> bool:
        parts.extend([line] * (SIGNED in line))
        return SIGNED in line and len(parts) > 2

    client.store.answer = lambda line: ("503 Slow Down", XML, "<Error/>") if lose(line) else None
    with pytest.raises(mreg.Unavailable, match=r"answered \(503 Slow Down\)") as raised:
        push(client)
    assert RESUME in raised.value.hint
    client.store.heal()
    client.store.requests = []
    client.notes.clear()
    version = push(client)
    assert client.notes[0] == f"resumed: {size_text(2 * (8 << 20))} of {size_text(48 << 20)} had arrived before"
    assert len(client.signed()) == 4
    check_pushed(client, version, content)


def test_bytes_that_arrive_changed_at_the_bucket_make_no_version(client: Client, place: Place) -> None:
    content = write()
    client.store.flip = lambda line: SIGNED in line and line.startswith("PUT")
    with pytest.raises(mreg.BadInput, match="the bytes do not match their digest"):
        push(client)
    with pytest.raises(mreg.NotFound):
        client.registry.model(client.name)
    assert left(place, content, "blobs") == []
    client.store.heal()
    check_pushed(client, push(client), content)


def test_a_server_that_is_killed_before_it_moves_the_bytes_moves_them_later(
    client: Client, served: Serving, place: Place
) -> None:
    content = write()
    killed: list[str] = []

    def kill(line: str) -> None:
        if line.startswith("PUT ") and "/blobs/" in line and SIGNED not in line and not killed:
            killed.append(line)
            served.kill()

    client.store.answer = kill
    with pytest.raises(mreg.Unavailable) as raised:
        push(client)
    assert raised.value.hint.count("the bytes that arrived are kept") == 1
    assert killed and [key for key in left(place, content) if key.endswith(".bytes")]
    served.start()
    client.store.requests = []
    client.notes.clear()
    version = push(client)
    assert client.notes[0] == f"resumed: {size_text(SIZE)} of {size_text(SIZE)} had arrived before"
    assert client.signed() == []
    assert left(place, content) == []
    check_pushed(client, version, content)


@pytest.mark.parametrize("lost", ["/direct ", "/direct/finish", "missing", "versions "])
def test_a_lost_answer_makes_no_second_version(client: Client, lost: str) -> None:
    content = write()
    client.registry.models(limit=1)
    seen: list[str] = []

    def lose(line: str) -> bool:
        first = lost in line and line.startswith("POST") and not seen
        seen.extend([line] * first)
        return first

    client.server.lose_answer = lose
    version = push(client)
    assert seen
    check_pushed(client, version, content)


def test_a_client_that_has_announced_too_much_uploads_to_the_server(
    open_client: Callable[..., Client], served: Serving
) -> None:
    client = open_client("eve")
    raw = Raw(served.url, served.secrets["eve"], b"", client.name)
    sizes = [(100 << 30) - number for number in range(4)]
    assert [raw.begin(size).status_code for size in sizes] == [200] * 4
    refused = raw.begin(9 << 20)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    content = write()
    version = push(client)
    assert direct_notes(client) == [
        f"the bytes go through {client.server.endpoint}, not directly: this client has 4 unfinished direct uploads of "
        "429 GB, and can have at most 100 of 429 GB together"
    ]
    assert client.signed() == []
    check_pushed(client, version, content)


def test_an_older_server_gets_all_bytes_itself(client: Client) -> None:
    content = write()
    client.server.replace = (b'"direct":true', b'"dirext":true')
    version = push(client)
    assert (client.signed(), client.notes) == ([], [])
    client.server.heal()
    check_pushed(client, version, content)


# Hostile clients


@dataclass
class Raw:
    """A client of the routes, as curl is one."""

    url: str
    secret: str
    data: bytes
    model: str = "raw"

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.data).hexdigest()}"

    def post(self, rest: str, document: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.secret}"}
        return requests.post(f"{self.url}/models/{self.model}/blobs{rest}", json=document, headers=headers, timeout=60)

    def missing(self) -> list[dict[str, object]]:
        found = self.post("/missing", {"blobs": [{"digest": self.digest, "size": len(self.data)}]})
        return list(found.json())

    def begin(self, size: int = 0) -> requests.Response:
        return self.post(f"/{self.digest}/direct", {"size": size or len(self.data)})

    def finish(self, size: int = 0) -> requests.Response:
        return self.post(f"/{self.digest}/direct/finish", {"size": size or len(self.data)})

    def upload(self, data: bytes = b"") -> list[str]:
        """Send the missing parts, and return their URLs."""
        parts = self.begin().json()["parts"]
        for part in parts:
            body = (data or self.data)[part["start"] : part["start"] + part["size_bytes"]]
            assert requests.put(part["url"], data=body, timeout=60).status_code == 200
        return [part["url"] for part in parts]


@pytest.fixture
def raw(served: Serving, client: Client) -> Raw:
    return Raw(served.url, served.secrets["ada"], os.urandom(9 << 20), client.name)


def test_a_client_uploads_with_two_requests_and_its_parts(raw: Raw) -> None:
    assert raw.missing() == [{"digest": raw.digest, "method": "server", "direct": True}]
    raw.upload()
    begun = raw.begin()
    assert begun.json() == {"digest": raw.digest, "arrived_bytes": len(raw.data), "parts": []}
    strict(SHAPES["DirectUpload"]).validate_json(begun.content)
    assert raw.finish().json() == {"digest": raw.digest, "offset": len(raw.data), "complete": True}
    assert raw.missing() == []


def test_finishing_twice_or_at_the_same_time_is_finishing_once(raw: Raw, place: Place) -> None:
    raw.upload()
    with ThreadPoolExecutor(3) as pool:
        found = [future.result() for future in [pool.submit(raw.finish) for _ in range(3)]]
    assert [response.status_code for response in (*found, raw.finish())] == [200] * 4
    assert (raw.missing(), left(place, raw.data)) == ([], [])


def test_nobody_continues_or_finishes_the_direct_upload_of_another(raw: Raw, served: Serving) -> None:
    raw.upload()
    bob = replace(raw, secret=served.secrets["ben"])
    other = replace(raw, model=f"{raw.model}-other")
    for one in (bob, other):
        refused = one.finish()
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
        assert one.begin().json()["arrived_bytes"] == 0
        assert one.missing() == [{"digest": raw.digest, "method": "server", "direct": True}]
    assert raw.finish().status_code == 200
    # Whether the store has the blob or not, the others learn nothing.
    unknown = replace(bob, data=os.urandom(9 << 20))
    for one in (bob, unknown):
        begun = one.begin().json()
        assert (len(one.missing()), begun["arrived_bytes"], len(begun["parts"])) == (1, 0, 2)
        assert one.finish().status_code == 400


def test_a_url_changes_nothing_once_the_bytes_are_verified(raw: Raw, place: Place) -> None:
    urls = raw.upload()
    size = 8 << 20
    assert requests.put(urls[0], data=b"x" * (size - 1), timeout=60).status_code == 403  # the length is signed
    assert requests.get(urls[0], timeout=60).status_code == 403
    assert raw.finish().status_code == 200
    digest = raw.digest.removeprefix("sha256:")
    assert requests.put(urls[0], data=b"x" * size, timeout=60).status_code == 404
    assert hashlib.sha256(place.read(f"blobs/sha256/{digest[:2]}/{digest[2:]}")).hexdigest() == digest
    assert left(place, raw.data) == []


@pytest.mark.parametrize("wrong", ["bytes", "part", "size"])
def test_a_wrong_direct_upload_is_refused_and_removed(raw: Raw, place: Place, wrong: str) -> None:
    if wrong == "bytes":
        raw.upload(raw.data[:-1] + b"!")
    elif wrong == "part":
        part = raw.begin().json()["parts"][1]
        requests.put(part["url"], data=raw.data[part["start"] :], timeout=60)
    else:
        raw = replace(raw, data=raw.data[:-1])
        declared = raw.begin(len(raw.data) + 1).json()["parts"]
        for part in declared:
            body = (raw.data + b"!")[part["start"] : part["start"] + part["size_bytes"]]
            assert requests.put(part["url"], data=body, timeout=60).status_code == 200
    refused = raw.finish(9 << 20)
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_input"), refused.text
    assert left(place, raw.data, "blobs") == []
    assert raw.finish(9 << 20).status_code == 409
    assert len(raw.missing()) == 1


def test_sizes_beyond_the_limits_are_refused(raw: Raw) -> None:
    assert raw.post(f"/{raw.digest}/direct", {"size": 0}).status_code == 422
    assert raw.post(f"/{raw.digest}/direct", {"size": -1}).status_code == 422
    assert raw.post(f"/{raw.digest}/direct", {"size": 101 << 30}).status_code == 413
    assert raw.post(f"/{raw.digest}/direct/finish", {"size": 101 << 30}).status_code == 413
