"""The configurations of the guide to reverse proxies work in nginx and Caddy."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import ROOT, Mreg
from tests.server.test_page import crawled
from tests.servers import Store, free_ports, new_place
from tests.serving import Serving, clients
from tests.serving import serving as serving_for_clients

SEARCHED = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"
NAME = "models.example"
PROXIES = ("nginx", "caddy", "caddy without the prefix")


@contextlib.contextmanager
def running(*words: str | Path, ready: Callable[[], bool], log: Path, **variables: str) -> Iterator[None]:
    with log.open("wb") as stream:
        process = subprocess.Popen(
            words, stdout=stream, stderr=stream, start_new_session=True, env={**os.environ, **variables}
        )
    try:
        while not ready():
            assert process.poll() is None, log.read_text()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.05)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@dataclass
class Answer:
    status_code: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()


@dataclass
class Through:
    """A client of the proxy, by the name of the guide."""

    port: int
    certificate: Path
    log: Path = field(default_factory=Path)

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.port}"

    def connection(self) -> http.client.HTTPConnection:
        """A connection with TLS, whose certificate was checked."""
        context = ssl.create_default_context(cafile=self.certificate)
        made = http.client.HTTPConnection(NAME, self.port, timeout=60)
        made.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), 60), server_hostname=NAME)
        return made

    def get(self, address: str, **headers: str) -> Answer:
        made = self.connection()
        made.request("GET", address, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = made.getresponse()
        found = Answer(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())
        made.close()
        return found

    def curl(self, path: str, *words: str) -> str:
        done = subprocess.run(
            ["curl", "-q", "-fsS", "--cacert", self.certificate, "--resolve", f"{NAME}:{self.port}:127.0.0.1", *words,
             f"{self.url}{path}"],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + self.log.read_text()
        return done.stdout


@contextlib.contextmanager
def proxy(kind: str, server: int, folder: Path) -> Iterator[Through]:
    """Run a proxy with the configuration of the guide in front of a port."""
    program = shutil.which(kind.partition(" ")[0], path=SEARCHED)
    if program is None:
        pytest.skip(f"needs {kind}")
    (port,) = free_ports(1)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}",
         "-addext", f"subjectAltName=DNS:{NAME},IP:127.0.0.1", "-keyout", f"{NAME}.key", "-out", f"{NAME}.crt"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    made = Through(port, folder / f"{NAME}.crt", folder / "proxy.log")
    words, config = _nginx(port, folder) if kind == "nginx" else _caddy(port, folder, stripping=" " in kind)
    text = config.read_text().replace("127.0.0.1:8000", f"127.0.0.1:{server}")
    config.write_text(text)
    home = {name: str(folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    with running(program, *words, ready=lambda: accepts(port), log=made.log, **home):
        yield made


def _nginx(port: int, folder: Path) -> tuple[list[str], Path]:
    config = folder / "nginx.conf"
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    own = "".join(f"  {name}_temp_path {folder};\n" for name in names) + "  access_log off;\n"
    text = (ROOT / "examples/nginx.conf").read_text().replace("listen 443", f"listen 127.0.0.1:{port}")
    config.write_text(text.replace("http {\n", f"http {{\n{own}"))
    user = "user root; " if os.geteuid() == 0 else ""
    options = f"{user}daemon off; pid {folder}/pid; error_log stderr;"
    return ["-p", str(folder), "-c", "nginx.conf", "-g", options], config


def _caddy(port: int, folder: Path, *, stripping: bool) -> tuple[list[str], Path]:
    config = folder / "Caddyfile"
    text = (ROOT / "examples/Caddyfile").read_text()
    own = f"https://{NAME}:{port}, https://127.0.0.1:{port} {{\n\tbind 127.0.0.1\n\ttls {folder}/{NAME}.crt {folder}/{NAME}.key\n"
    text = text.replace(f"{NAME} {{\n", own)
    if stripping:
        text = re.sub(r"(?s)(reverse_proxy) /mreg/\*(.*?\n\t\})", r"handle_path /mreg/* {\n\1\2\n}", text)
        assert "handle_path" in text
    config.write_text("{\n\tadmin off\n\tauto_https off\n}\n" + text)
    return ["run", "--config", str(config), "--adapter", "caddyfile"], config


@contextlib.contextmanager
def serving(port: int, log: Path) -> Iterator[None]:
    words = ["--port", str(port), "--trusted-proxy", "127.0.0.1", "--allow-host", NAME, "--json-log"]
    with running(sys.executable, "-m", "mreg", "serve", *words, ready=lambda: accepts(port), log=log):
        yield


@pytest.mark.parametrize("kind", PROXIES)
def test_a_registry_is_used_below_a_prefix_through_a_proxy(
    kind: str, tmp_path: Path, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    (server,) = free_ports(1)
    data = os.urandom(3 << 20)  # more than nginx takes without client_max_body_size
    Path("model.bin").write_bytes(data)
    Path("net/sub").mkdir(parents=True)
    Path("net/sub/config.json").write_text("{}")
    with tarfile.open("net.tar", "w") as tar:
        tar.add("net", ".")
    with proxy(kind, server, tmp_path) as client, serving(server, tmp_path / "server.log"):
        api = "/mreg/models"
        assert client.curl(api) == "[]"
        client.curl(api, "-H", "Content-Type: application/json", "-d", '{"name": "team/churn"}')
        model = f"{api}/team%2Fchurn"
        assert json.loads(client.curl(f"{model}/versions", "-F", "model_file=@model.bin"))["version"] == 1
        # curl sends standard input in chunks, without a length.
        chunked = ["-X", "POST", "-T", "net.tar", "-H", "Content-Type: application/x-tar", "-H", "Content-Length:",
                   "-H", "Transfer-Encoding: chunked"]  # fmt: skip
        assert json.loads(client.curl(f"{model}/versions?artifact_name=net", *chunked))["version"] == 2
        client.curl(f"{model}/versions/1/artifact", "-OJ")
        assert Path("team~2Fchurn@1-model.bin").read_bytes() == data
        part = client.get(f"{model}/versions/1/artifact", Range="bytes=1000000-2999999")
        assert (part.status_code, part.content) == (206, data[1_000_000:3_000_000])
        etag = f'"sha256:{hashlib.sha256(data).hexdigest()}"'
        assert part.headers["etag"] == etag
        assert client.get(f"{model}/versions/1/artifact", If_None_Match=etag).status_code == 304
        assert client.get(f"{model}/versions/2/files/sub%2Fconfig.json").text == "{}"
        assert client.get(f"{model}?limit=1").headers["link"] == f'<{model}?limit=1&offset=1>; rel="next"'
        assert json.loads(client.get("/mreg/openapi.json").text)["servers"] == [{"url": "/mreg"}]
        assert client.get("/mreg/ui/").headers["location"] == "/mreg/ui"
        pages = crawled(client, "/mreg/ui")  # type: ignore[arg-type]
        assert {"/mreg/ui/models/team%2Fchurn", "/mreg/ui/models/team%2Fchurn/versions/2"} <= set(pages)
        own = {"Origin": client.url, "Content_Type": "application/json"}
        assert _posted(client, f"{api}", '{"name": "m"}', **own) == 200
        assert _posted(client, f"{api}", '{"name": "n"}', **{**own, "Origin": "https://evil.example"}) == 403
        assert client.get("/mreg/models", X_Forwarded_Prefix="/evil").status_code == 200
        assert "/evil" not in client.get("/mreg/ui", X_Forwarded_Prefix="/evil").text
        _check_commands(client, command, monkeypatch)
    lines = [json.loads(line) for line in (tmp_path / "server.log").read_text().splitlines() if line[:1] == "{"]
    assert {line["path"].partition("/models")[0] for line in lines if "/models" in line["path"]} <= {
        "/mreg",
        "/mreg/ui",
    }


def _be_client(client: Through, monkeypatch: pytest.MonkeyPatch) -> None:
    """Find the proxy by its name, and trust its certificate."""
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *more, **options: resolve("127.0.0.1" if host == NAME else host, *more, **options),
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(client.certificate))


def _check_commands(client: Through, command: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run commands on the server, by its URL with the prefix."""
    _be_client(client, monkeypatch)
    monkeypatch.setenv("MREG_SERVER", f"{client.url}/mreg")
    shown = command("show", "team/churn@1", "--json")
    assert shown.code == 0, shown.err
    assert json.loads(shown.out)["version"] == 1
    assert command("register", "team/of-command").code == 0
    assert {model["name"] for model in json.loads(command("list", "--json").out)} == {
        "m",
        "team/churn",
        "team/of-command",
    }
    assert command("promote", "team/churn@1", "--to", "staging", "--yes").code == 0
    _check_transfers(command)
    missing = command("show", "team/none")
    assert missing.code == 4
    assert "model 'team/none' not found" in missing.err


def _check_transfers(command: Mreg) -> None:
    """Push a file and a folder through the proxy, and pull them."""
    large, small = os.urandom(12 << 20), {f"sub/{number}.bin": os.urandom(9_000) for number in range(300)}
    Path("large.bin").write_bytes(large)
    Path("many/sub").mkdir(parents=True)
    for path, content in {**small, "large.bin": large[1:]}.items():
        Path("many", path).write_bytes(content)
    for number, what in enumerate(("large.bin", "many"), start=1):
        pushed = command("push", what, "--name", "team/pushed", "--json")
        assert (pushed.code, pushed.err) == (0, "")
        assert json.loads(pushed.out)["version"] == number
        pulled = command("pull", f"team/pushed@{number}", f"back-{what}")
        assert pulled.code == 0, pulled.err
    assert Path("back-large.bin").read_bytes() == large
    back = {path.relative_to("back-many").as_posix(): path for path in Path("back-many").rglob("*.bin")}
    assert {path: file.read_bytes() for path, file in back.items()} == {**small, "large.bin": large[1:]}
    verified = command("verify", "team/pushed", "--json")
    assert verified.code == 0, verified.err
    cached = command("path", "team/pushed@1")
    assert Path(cached.out.strip()).read_bytes() == large


@pytest.fixture(scope="module")
def with_bucket(people: Path, s3_server: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with direct transfers, whose bucket has no TLS."""
    folder, place = tmp_path_factory.mktemp("served"), new_place(s3_server)
    variables = {
        **s3_server.environment(),
        "MREG_CATALOG": str(folder / "catalog.db"),
        "MREG_ARTIFACTS": place.url,
        "MREG_ENDPOINT_URL": place.endpoint,
    }
    options = ["--direct", "--root-path", "/mreg", "--trusted-proxy", "127.0.0.1", "--allow-host", NAME]
    with serving_for_clients(folder, variables, *options) as found:
        yield found


@pytest.mark.parametrize("kind", PROXIES)
def test_transfers_past_a_proxy_are_direct_or_go_through_it(
    kind: str, with_bucket: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(kind, with_bucket.port, tmp_path) as through:
        _be_client(through, monkeypatch)
        for host, reason in (("127.0.0.1", ""), (NAME, "has no TLS")):
            content, notes, logged = os.urandom(9 << 20), list[str](), len(with_bucket.log.read_text())
            Path("model.bin").write_bytes(content)
            with clients(with_bucket, f"https://{host}:{through.port}/mreg") as open_client:
                client = open_client(notice=notes.append)
                version = client.push("model.bin", name=f"{kind.replace(' ', '-')}/{host}")
                client.pull(version, f"back-{host}")
            assert Path(f"back-{host}").read_bytes() == content
            log = with_bucket.log.read_text()[logged:]
            assert ("/direct/finish 200 " in log, " 206 " in log) == (not reason, bool(reason)), log
            told = [note for note in notes if "not directly: " in note]
            assert bool(told) is bool(reason) and all(reason in note for note in told), notes


def _posted(client: Through, path: str, body: str, **headers: str) -> int:
    made = client.connection()
    made.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    status = made.getresponse().status
    made.close()
    return status


class Upstream:
    """A server that answers each request step by step, and sees each part of a body as it arrives.

    It reads a body until it has seen ``end``, and sends each event after the client has confirmed the previous one.
    """

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.received = b""
        self.changed = threading.Condition()
        self.confirmed = threading.Semaphore(0)
        self.heads: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listening.accept()
                with connection, contextlib.suppress(OSError):
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        self.heads.append(head)
        if head.startswith(b"GET"):
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            for number in range(3):
                event = b"event: progress\ndata: %d\n\n" % number
                connection.sendall(b"%x\r\n%s\r\n" % (len(event), event))
                assert self.confirmed.acquire(timeout=60)
            connection.sendall(b"0\r\n\r\n")
            return
        while b"end" not in body:
            with self.changed:
                self.received = body
                self.changed.notify_all()
            body += connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    def wait_for(self, text: bytes) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: text in self.received, timeout=60), self.received


@pytest.mark.parametrize("kind", PROXIES)
def test_a_proxy_passes_on_events_and_parts_of_uploads_as_they_arrive(kind: str, tmp_path: Path) -> None:
    upstream = Upstream()
    with proxy(kind, upstream.port, tmp_path) as client:
        made = client.connection()
        made.request("GET", "/mreg/models/m/verify")
        answer = made.getresponse()
        for number in range(3):
            assert answer.readline() == b"event: progress\n"
            assert answer.readline() == b"data: %d\n" % number
            assert answer.readline() == b"\n"
            upstream.confirmed.release()
        assert answer.read() == b""
        made.close()
        for chunked in (False, True):
            _upload_in_two_parts(client, upstream, chunked=chunked)
    upstream.listening.close()
    assert all(b"host: models.example" in head.lower() for head in upstream.heads)
    assert all(b"x-forwarded-prefix: /mreg\r\n" in head.lower() + b"\r\n" for head in upstream.heads)


def _upload_in_two_parts(client: Through, upstream: Upstream, *, chunked: bool) -> None:
    parts = [b"begin", b"end"]
    made = client.connection()
    made.putrequest("POST", "/mreg/models/m/versions")
    made.putheader("Content-Type", "application/x-tar")
    made.putheader(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "8")))
    made.endheaders()
    upstream.received = b""
    for part in parts:
        made.send(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
        if part == b"begin":
            upstream.wait_for(part)
    if chunked:
        made.send(b"0\r\n\r\n")
    assert made.getresponse().read() == b"ok"
    made.close()
