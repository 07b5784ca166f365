"""Uploads: whole, verified and visible, or nothing."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import mreg
from mreg.domain.digest import Digest
from mreg.errors import Unavailable
from mreg.registry.local import LocalRegistry
from mreg.server import guard
from mreg.server.settings import ServerSettings
from tests.server.conftest import Serve, Served, stored
from tests.servers import Place

BOUNDARY = "----a-boundary"
HEAD = (
    "POST /models/classifier/versions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
)


def part(name: str, content: bytes, more: str = "") -> bytes:
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + content + b"\r\n"


FILE = part("model_file", b"data", '; filename="m.pkl"')
END = f"--{BOUNDARY}--\r\n".encode()


def nothing_happened(server: Served, store: Path) -> bool:
    return server.get("/models/classifier").json()["version_count"] == 0 and stored(store) == []


BAD_FORMS = {
    "no file": part("accuracy", b"0.9") + END,
    "a file twice": FILE + FILE + END,
    "a field twice": FILE + part("accuracy", b"0.9") + part("accuracy", b"0.9") + END,
    "an unknown field": FILE + part("acuracy", b"0.9") + END,
    "no end": FILE,
    "an empty file": part("model_file", b"", '; filename="m"') + END,
    "a file name that leads out": part("model_file", b"x", '; filename=".."') + END,
    "a control character in the name": part("model_file", b"x", '; filename="a\x1bb"') + END,
    "no number": FILE + part("accuracy", b"high") + END,
    "not a number": FILE + part("accuracy", b"nan") + END,
    "metrics that are no JSON": FILE + part("metrics", b"{") + END,
    "metrics given twice": FILE + part("metrics", b'{"accuracy": 1}') + part("accuracy", b"1") + END,
    "a metric twice": FILE + part("metrics", b'{"a": 1, "a": 2}') + END,
    "tags that are a list": FILE + part("tags", b"[1]") + END,
    "a field that is no UTF-8": FILE + part("description", b"\xff") + END,
    "a field with NUL": FILE + part("description", b"a\0b") + END,
    "a stage that is none": FILE + part("stage", b"Nowhere") + END,
    "an alias that is none": FILE + part("aliases", b"latest") + END,
    "a checksum that is none": FILE + part("checksum", b"sha256:12") + END,
    "another checksum": FILE + part("checksum", b"sha256:" + b"0" * 64) + END,
    "a field of 2 MiB": FILE + part("description", b"x" * (2 << 20)) + END,
    "a part without a name": FILE + f"--{BOUNDARY}\r\nContent-Type: text/plain\r\n\r\nx\r\n".encode() + END,
    "headers of 10 KB in small lines": (
        f"--{BOUNDARY}\r\n" + "".join(f"X{n}: {'y' * 1300}\r\n" for n in range(7)) + "\r\nx\r\n"
    ).encode()
    + END,
    "a header of 10 KB": f"--{BOUNDARY}\r\nX: {'y' * 10_000}\r\n\r\nx\r\n".encode() + END,
    "no form at all": b"hello",
    "nothing": b"",
}


def test_a_form_that_is_not_taken_leaves_nothing(server: Served, store: Path) -> None:
    for what, body in BAD_FORMS.items():
        answered = server.ask(
            "POST",
            "/models/classifier/versions",
            data=body,
            headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
        )
        assert answered.status_code == 400, f"{what}: {answered.text}"
        assert answered.json()["code"] == "bad_input", what
        assert nothing_happened(server, store), what
    assert "did you mean accuracy?" in server.upload(b"x", acuracy="1").json()["hint"]


def test_fields_may_come_before_and_behind_the_file_and_in_the_query(server: Served) -> None:
    for body, query in (
        (part("accuracy", b"0.9") + FILE + END, ""),
        (FILE + part("accuracy", b"0.9") + END, ""),
        (FILE + END, "?accuracy=0.9"),
    ):
        answered = server.ask(
            "POST",
            f"/models/classifier/versions{query}",
            data=body,
            headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
        )
        assert answered.json()["metrics"] == {"accuracy": 0.9}
    both = server.ask(
        "POST", "/models/classifier/versions?accuracy=1", files={"model_file": b"x"}, data={"accuracy": "1"}
    )
    assert (both.status_code, "repeated field" in both.json()["detail"]) == (400, True)
    for query in ("?acuracy=1", "?accuracy=1&accuracy=2"):
        assert server.ask("POST", f"/models/classifier/versions{query}", files={"model_file": b"x"}).status_code == 400


@pytest.mark.parametrize("size", [1, 1 << 20, (1 << 20) + 1, (9 << 20) - 7])
def test_bytes_of_every_size_come_back_as_they_were(server: Served, size: int) -> None:
    data = os.urandom(max(size - 64, 0)) + b"\r\n--" + BOUNDARY.encode() + b"\r\n--\r\r\n"
    data = data[:size] if size < 64 else data
    sent = server.upload(data)
    assert sent.json()["artifact"]["checksum"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert server.get("/models/classifier/versions/1/artifact").content == data


def test_what_the_client_says_of_the_bytes_is_held_against_them(server: Served, store: Path) -> None:
    right = hashlib.sha256(b"data").hexdigest()
    for header in ("0" * 64, right[:-1], "sha512"):
        answered = server.ask(
            "POST", "/models/classifier/versions", files={"model_file": b"data"}, headers={"X-Checksum-Sha256": header}
        )
        assert answered.status_code == 400
        assert nothing_happened(server, store)
    for header, field in ((right, "0" * 64), ("0" * 64, right)):  # neither is heard alone
        answered = server.ask(
            "POST",
            "/models/classifier/versions",
            files={"model_file": b"data"},
            data={"checksum": f"sha256:{field}"},
            headers={"X-Checksum-Sha256": header},
        )
        assert answered.status_code == 400
        assert nothing_happened(server, store)
    for word in (right, right.upper()):
        answered = server.ask(
            "POST", "/models/classifier/versions", files={"model_file": b"data"}, headers={"X-Checksum-Sha256": word}
        )
        assert answered.status_code == 200


@pytest.mark.parametrize("sent", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_that_is_cut_leaves_nothing(server: Served, store: Path, sent: float, chunked: bool) -> None:
    body = part("model_file", os.urandom(5 << 20), '; filename="m"') + END
    some = body[: int(len(body) * sent)]
    if chunked:
        head = f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode()
        some = b"%x\r\n%s\r\n" % (len(some), some)
    else:
        head = f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode()
    import socket

    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head + some)
        time.sleep(0.2)
    deadline = time.monotonic() + 20
    while not (nothing_happened(server, store) and any(line["status"] == 400 for line in server.lines())):
        assert time.monotonic() < deadline, stored(store)
        time.sleep(0.05)


def test_an_upload_beyond_the_limit_is_refused_and_leaves_nothing(serve: Serve, store: Path) -> None:
    server = serve("--max-upload", "2MB")
    server.post("/models", {"name": "classifier"})
    body = part("model_file", b"x" * (3 << 20), '; filename="m"') + END
    announced = server.raw(f"{HEAD}Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode())
    assert b" 413 " in announced.split(b"\r\n")[0]
    chunks = [
        b"%x\r\n%s\r\n" % (1 << 20, body[at : at + (1 << 20)].ljust(1 << 20)) for at in range(0, len(body), 1 << 20)
    ]
    unannounced = server.raw(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode(), *chunks, b"0\r\n\r\n")
    assert b" 413 " in unannounced.split(b"\r\n")[0]
    assert nothing_happened(server, store)
    assert server.upload(b"x" * (1 << 20)).status_code == 200


def test_who_falls_silent_in_the_middle_is_sent_away(
    in_process: Callable[..., Served], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "IDLE_SECONDS", 0.3)
    server = in_process()
    server.post("/models", {"name": "classifier"})
    answer = server.raw(f"{HEAD}Content-Length: 1000\r\nConnection: close\r\n\r\n".encode() + FILE)
    assert b" 408 " in answer.split(b"\r\n")[0]
    assert nothing_happened(server, store)


def test_who_sends_a_byte_now_and_then_is_sent_away(
    in_process: Callable[..., Served], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "IDLE_SECONDS", 0.5)
    server = in_process()
    server.post("/models", {"name": "classifier"})
    import socket

    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(f"{HEAD}Content-Length: 100000\r\n\r\n".encode() + FILE[:60])
        for _ in range(12):
            time.sleep(0.1)
            connection.sendall(b"x")
        assert b" 408 " in connection.recv(1000).split(b"\r\n")[0]
    assert nothing_happened(server, store)


def test_unknown_models_and_low_roles_are_told_before_the_body_is_asked_for(server: Served) -> None:
    head = HEAD.replace("classifier", "none")
    head += "Connection: close\r\nExpect: 100-continue\r\n"
    answer = server.raw(f"{head}Content-Length: 99999999\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404")


def test_many_at_once_get_consecutive_numbers(server: Served) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: server.upload(b"%d" % (number % 5)).json()["version"], range(24)))
    assert sorted(answers) == list(range(1, 25))


def test_bytes_that_are_there_already_are_kept_once(server: Served, store: Path) -> None:
    for _ in range(3):
        assert server.upload(b"same").status_code == 200
    assert stored(store) == [hashlib.sha256(b"same").hexdigest()[2:]]


def test_an_upload_goes_to_a_bucket_as_well(serve: Serve, bucket: Place, tmp_path: Path) -> None:
    server = serve(TMPDIR=str(tmp_path))
    server.post("/models", {"name": "classifier"})
    data = os.urandom(9 << 20)
    assert server.upload(data, accuracy="0.9").json()["artifact"]["checksum"].endswith(hashlib.sha256(data).hexdigest())
    assert server.upload(b"small").status_code == 200
    assert server.get("/models/classifier/versions/1/artifact").content == data
    assert (
        server.get("/models/classifier/versions/1/artifact", headers={"Range": "bytes=8388600-8388620"}).content
        == data[8388600:8388621]
    )
    assert server.upload(b"x", checksum="sha256:" + "0" * 64).status_code == 400
    assert list(tmp_path.iterdir()) == []
    assert bucket.uploads() == []


def test_memory_stays_bounded_whatever_the_size(server: Served) -> None:
    def peak() -> int:
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))

    server.upload(b"x" * (1 << 20))
    before = peak()
    chunk = os.urandom(1 << 20)
    size = 300 << 20
    start, end = part("model_file", b"", '; filename="m"')[:-2], b"\r\n" + END
    head = f"{HEAD}Content-Length: {len(start) + size + len(end)}\r\nConnection: close\r\n\r\n".encode()
    answer = server.raw(head + start, *[chunk] * 300, end, timeout=60)
    assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
    assert peak() - before < 64 << 10


def test_received_bytes_that_a_gc_took_meanwhile_are_put_again(registry: LocalRegistry, store: Path) -> None:
    with registry.open_upload() as incoming:
        incoming.write(b"data")
        first = incoming.put()
        (blob,) = (path for path in (store / "blobs").rglob("*") if path.is_file())
        blob.unlink()
        assert incoming.put() == first
        assert blob.read_bytes() == b"data"
    assert stored(store) == [blob.name]


def test_a_disk_without_room_is_told_before_bytes_come(registry: LocalRegistry) -> None:
    with pytest.raises(Unavailable, match="not enough space"), registry.open_upload(1 << 60):
        pass


def test_what_is_received_and_not_pushed_is_dropped(registry: LocalRegistry, store: Path) -> None:
    with registry.open_upload() as incoming:
        incoming.write(b"x" * (9 << 20))
        assert incoming.digest() == Digest.sha256(hashlib.sha256(b"x" * (9 << 20)).hexdigest())
    assert stored(store) == []


def test_one_upload_too_many_is_asked_to_come_again(
    in_process: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mreg.server import receiving

    monkeypatch.setattr(receiving.UPLOADS, "limit", 1)
    server = in_process(ServerSettings())
    server.post("/models", {"name": "classifier"})
    import socket

    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(f"{HEAD}Content-Length: 1000\r\n\r\n".encode() + FILE)
        deadline = time.monotonic() + 10
        while not receiving.UPLOADS.active:
            assert time.monotonic() < deadline
        answer = server.upload(b"x")
        assert (answer.status_code, answer.headers["retry-after"], answer.json()["code"]) == (503, "5", "busy")
    deadline = time.monotonic() + 10
    while server.upload(b"x").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_boundary_that_is_none_is_refused(server: Served) -> None:
    for boundary in ("x" * 257, "x" * 8000, '"', ""):
        answer = server.ask(
            "POST",
            "/models/classifier/versions",
            data=b"x",
            headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        )
        assert answer.status_code in (400, 415), answer.text


def test_an_upload_that_is_stopped_with_the_server_is_told_so_and_leaves_nothing(serve: Serve, store: Path) -> None:
    server = serve("--grace", "0")
    server.post("/models", {"name": "classifier"})
    import socket

    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(f"{HEAD}Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n".encode())
        assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(FILE)
        assert server.stop() == 0
        answer = b""
        while more := connection.recv(65536):
            answer += more
    assert answer.startswith(b"HTTP/1.1 503")
    assert b'"code":"stopping"' in answer
    assert stored(store) == []
    assert "Traceback" not in server.log.read_text()


def test_an_upload_and_a_command_meet_as_two_commands_do(server: Served) -> None:
    answers: list[int] = []

    def push() -> None:
        with mreg.open_registry() as registry:
            for number in range(10):
                Path(f"{threading.get_ident()}").write_bytes(b"%d" % number)
                answers.append(registry.push(f"{threading.get_ident()}", name="classifier").version)

    thread = threading.Thread(target=push)
    thread.start()
    uploaded = [server.upload(b"u%d" % number).json()["version"] for number in range(10)]
    thread.join()
    assert sorted(answers + uploaded) == list(range(1, 21))
    with mreg.open_registry() as registry:
        assert registry.verify_audit().events == 21
