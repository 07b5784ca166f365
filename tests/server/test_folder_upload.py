"""Folders over HTTP: several parts or a tar make the version that a push of the folder makes, or nothing."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mreg
from tests.artifacts.test_folder_upload import FILES, HOSTILE, archive, make, member, tar_of
from tests.server.conftest import Serve, Served, Tokens, stored
from tests.server.test_upload import BOUNDARY, END, FILE, nothing_happened, part
from tests.servers import Place

TAR = {"Content-Type": "application/x-tar"}
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
ROUTE = "/models/classifier/versions"


def parts(files: dict[str, bytes]) -> bytes:
    return b"".join(part("folder_file", data, f'; filename="{name}"') for name, data in files.items())


def pushed(folder: Path) -> dict[str, Any]:
    with mreg.open_registry() as registry:
        version = registry.push(folder, name="classifier")
        return {"checksum": str(version.artifact.digest), "name": version.artifact.name}


def test_a_folder_over_http_is_the_version_that_a_push_makes(server: Served, tmp_path: Path) -> None:
    folder = make(tmp_path / "net", FILES)
    wanted = pushed(folder)
    data = tar_of(folder)
    sent = [
        server.ask("POST", f"{ROUTE}?artifact_name=net&accuracy=0.9", data=data, headers=TAR),
        server.ask("POST", f"{ROUTE}?artifact_name=net", data=iter([data[:1000], data[1000:]]), headers=TAR),
        server.ask("POST", ROUTE, files={"folder_tar": data}, data={"artifact_name": "net"}),
        server.ask(
            "POST",
            f"{ROUTE}?artifact_name=net",
            data=parts(FILES) + part("executables", b'["config.json"]') + END,
            headers=FORM,
        ),
    ]
    for answered in sent:
        artifact = answered.json()["artifact"]
        assert {key: artifact[key] for key in wanted} == wanted
        assert (artifact["kind"], artifact["file_count"]) == ("folder", len(FILES))
    assert sent[0].json()["metrics"] == {"accuracy": 0.9}
    listed = server.get(f"{ROUTE}/5/files").json()
    assert {file["path"]: file["size_bytes"] for file in listed} == {path: len(data) for path, data in FILES.items()}
    assert [file["path"] for file in listed if file["executable"]] == ["config.json"]
    for path, content in FILES.items():
        assert server.get(f"{ROUTE}/5/files/{path}").content == content


@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("tar"), reason="needs curl and tar")
def test_curl_and_tar_send_a_folder_as_the_guide_says(server: Served, tmp_path: Path) -> None:
    folder = make(tmp_path / "net", FILES)
    wanted = pushed(folder)["checksum"]
    url = f"{server.url}{ROUTE}"
    for command in (
        f"tar -C net -cf - . | curl -fsS -X POST -T - -H 'Content-Type: application/x-tar' '{url}?artifact_name=net'",
        f"tar --format=pax -C net -cf - . | curl -fsS -X POST -T - -H 'Content-Type: application/x-tar' '{url}'",
        f"tar -C net -cf net.tar . && curl -fsS -F folder_tar=@net.tar -F accuracy=0.9 '{url}'",
    ):
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=True)
        assert json.loads(done.stdout)["artifact"]["checksum"] == wanted
    (folder / "config.json").chmod(0o644)
    wanted = pushed(folder)["checksum"]
    words = [word for path in FILES for word in ("-F", f"folder_file=@net/{path};filename={path}")]
    done = subprocess.run(["curl", "-fsS", *words, url], cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(done.stdout)["artifact"]["checksum"] == wanted


def test_the_name_of_a_folder_is_that_of_its_model_unless_it_is_given(server: Served) -> None:
    server.post("/models", {"name": "team/net"})
    data = archive(member("a", b"x"))
    answered = server.ask("POST", "/models/team%2Fnet/versions", data=data, headers=TAR)
    assert answered.json()["artifact"]["name"] == "net"
    answered = server.ask("POST", f"{ROUTE}?artifact_name=m.bin", files={"model_file": ("other", b"x")})
    assert answered.json()["artifact"]["name"] == "m.bin"
    for name in ("..", "a/b", "a%5Cb", "%1b"):
        refused = server.ask("POST", f"{ROUTE}?artifact_name={name}", data=data, headers=TAR)
        assert (refused.status_code, refused.json()["code"]) == (400, "bad_input")


ONE = {"a.bin": b"x"}
BAD_FORMS = {
    "a file and a folder": FILE + parts(ONE) + END,
    "a folder and a file": parts(ONE) + FILE + END,
    "a folder and a tar": parts(ONE) + part("folder_tar", archive(member("b", b"x"))) + END,
    "a tar twice": part("folder_tar", archive(member("b", b"x"))) * 2 + END,
    "no path": part("folder_file", b"x") + END,
    "a path that leads out": parts({"../x": b"x"}) + END,
    "an absolute path": parts({"/etc/passwd": b"x"}) + END,
    "a path with dots inside": parts({"a/../../x": b"x"}) + END,
    "a path with a backslash": parts({"a\\\\..\\\\x": b"x"}) + END,
    "a path with NUL": part("folder_file", b"x", '; filename="a\0b"') + END,
    "a path with an escape": parts({"a\x1b[2Jb": b"x"}) + END,
    "a path that is not UTF-8": part("folder_file", b"x", '; filename="a?b"').replace(b"?", b"\xff") + END,
    "a path of 5,000 bytes": parts({"d/" * 2500 + "f": b"x"}) + END,
    "the same path twice": parts(ONE) * 2 + END,
    "paths that differ in case": parts({"a": b"x", "A": b"x"}) + END,
    "a file that is a folder, too": parts({"a": b"x", "a/b": b"x"}) + END,
    "only empty files": parts({"a": b"", "b": b""}) + END,
    "an incomplete tar": part("folder_tar", archive(member("b", b"x"))[:700]) + END,
    "no end": parts(ONE),
    "a wrong checksum": parts(ONE) + part("checksum", b"sha256:" + b"0" * 64) + END,
    "executables of a file": FILE + part("executables", b'["m.pkl"]') + END,
    "an executable that is not there": parts(ONE) + part("executables", b'["b.bin"]') + END,
    "executables that are no list": parts(ONE) + part("executables", b'{"a.bin": true}') + END,
    "executables that are no texts": parts(ONE) + part("executables", b"[1]") + END,
    "executables that are no JSON": parts(ONE) + part("executables", b"a.bin") + END,
    "a bad metric": parts(ONE) + part("accuracy", b"high") + END,
}  # fmt: skip


def test_a_folder_that_is_not_taken_leaves_nothing(server: Served, store: Path) -> None:
    for what, body in BAD_FORMS.items():
        answered = server.ask("POST", ROUTE, data=body, headers=FORM)
        assert (answered.status_code, answered.json()["code"]) == (400, "bad_input"), f"{what}: {answered.text}"
        assert nothing_happened(server, store), what
    for what, made in HOSTILE.items():
        answered = server.ask("POST", ROUTE, data=made(), headers=TAR)
        assert "operator of the server" not in answered.text, f"{what}: {answered.text}"
        assert (answered.status_code, answered.json()["code"]) == (400, "bad_input"), f"{what}: {answered.text}"
    assert nothing_happened(server, store)
    assert server.process.poll() is None
    assert "Traceback" not in server.log.read_text()


def test_a_compressed_body_and_other_types_are_refused(server: Served, store: Path) -> None:
    for headers in (
        {"Content-Type": "application/gzip"},
        {"Content-Type": "application/x-tar", "Content-Encoding": "gzip"},
        {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Content-Encoding": "gzip"},
        {"Content-Type": "application/zip"},
    ):
        answered = server.ask("POST", ROUTE, data=archive(member("a", b"x")), headers=headers)
        assert (answered.status_code, answered.json()["code"]) == (415, "no_form")
    assert nothing_happened(server, store)


def test_the_checksum_of_a_folder_is_the_digest_of_its_manifest(server: Served, tmp_path: Path) -> None:
    folder = make(tmp_path / "net", {"a": b"x", "b": b"y"})
    digest = pushed(folder)["checksum"].removeprefix("sha256:")
    right = server.ask("POST", ROUTE, data=tar_of(folder), headers={**TAR, "X-Checksum-Sha256": digest})
    wrong = server.ask("POST", ROUTE, data=tar_of(folder), headers={**TAR, "X-Checksum-Sha256": "0" * 64})
    assert (right.status_code, wrong.status_code) == (200, 400)


@pytest.mark.parametrize("kind", ["tar", "parts"])
def test_a_folder_that_is_cut_or_too_large_leaves_nothing(serve: Serve, store: Path, kind: str) -> None:
    server = serve("--max-upload", "20MB", "--json-log")
    server.post("/models", {"name": "classifier"})
    files = {f"f{number}": os.urandom(9 << 20) for number in range(3)}
    if kind == "tar":
        body, content_type = archive(*(member(name, data) for name, data in files.items())), "application/x-tar"
    else:
        body, content_type = parts(files) + END, f"multipart/form-data; boundary={BOUNDARY}"
    head = f"POST {ROUTE} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n"
    announced = server.raw(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
    assert b" 413 " in announced.split(b"\r\n")[0]
    chunk = b"%x\r\n%s\r\n" % (len(body), body)
    too_large = server.raw(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(), chunk, b"0\r\n\r\n")
    assert b" 413 " in too_large.split(b"\r\n")[0]
    assert nothing_happened(server, store)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(f"{head}Content-Length: {19 << 20}\r\n\r\n".encode() + body[: 15 << 20])
    deadline = time.monotonic() + 20
    while not (nothing_happened(server, store) and any(line["status"] == 400 for line in server.lines())):
        assert time.monotonic() < deadline, stored(store)
        time.sleep(0.05)


CLOSING = "Expect: 100-continue\r\nConnection: close\r\n\r\n"


def test_roles_and_unknown_models_are_told_before_the_body_is_read(serve: Serve, tokens: Tokens) -> None:
    server = serve("--token-file", str(tokens.file))
    for name, model, status in (("reader", "classifier", 403), ("writer", "none", 404)):
        head = f"POST /models/{model}/versions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-tar\r\n"
        secret = tokens.secrets[name]
        sent = f"{head}Authorization: Bearer {secret}\r\nContent-Length: 9999999\r\n{CLOSING}"
        assert server.raw(sent.encode()).startswith(f"HTTP/1.1 {status}".encode())


def test_a_folder_goes_to_a_bucket_as_well(serve: Serve, bucket: Place, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    server = serve(TMPDIR=str(temporary))
    server.post("/models", {"name": "classifier"})
    files = FILES | {"copy.bin": FILES["weights/large.bin"]}
    folder = make(tmp_path / "net", files)
    answered = server.ask("POST", f"{ROUTE}?artifact_name=net", data=tar_of(folder), headers=TAR)
    assert answered.json()["artifact"]["checksum"] == pushed(folder)["checksum"]
    assert server.ask("POST", ROUTE, data=HOSTILE["a symbolic link"](), headers=TAR).status_code == 400
    assert server.get(f"{ROUTE}/1/files/copy.bin").content == files["copy.bin"]
    assert list(temporary.iterdir()) == []
    assert bucket.uploads() == []


def test_memory_stays_bounded_whatever_the_size_of_the_folder(server: Served) -> None:
    def peak() -> int:
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))

    def chunks(count: int, size: int) -> Any:
        data = os.urandom(size)
        for number in range(count):
            info = tarfile.TarInfo(f"f{number}")
            info.size = size
            yield info.tobuf(tarfile.GNU_FORMAT)
            yield data
        yield bytes(1024)

    assert server.ask("POST", ROUTE, data=chunks(2, 5 << 20), headers=TAR).status_code == 200
    before = peak()
    for count, size in ((20, 10 << 20), (2_000, 51_200)):
        assert server.ask("POST", ROUTE, data=chunks(count, size), headers=TAR).status_code == 200
    assert peak() - before < 64 << 10


def test_a_stopped_folder_upload_is_told_so_and_leaves_nothing(
    in_process: Callable[..., Served], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mreg.server import guard

    monkeypatch.setattr(guard, "IDLE_SECONDS", 0.3)
    server = in_process()
    server.post("/models", {"name": "classifier"})
    head = f"POST {ROUTE} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-tar\r\nContent-Length: 9999\r\n"
    answer = server.raw(f"{head}Connection: close\r\n\r\n".encode() + archive(member("a", b"x" * 3000))[:2000])
    assert b" 408 " in answer.split(b"\r\n")[0]
    assert nothing_happened(server, store)
