"""Random and damaged HTTP against a real server: documented answers, bounded memory and files, nothing written outside."""

# ruff: noqa: F811  (fixtures are imported)
from __future__ import annotations

import json
import os
import random
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import mreg
from tests.attacks.test_connections import ask, descriptors, linux, peak
from tests.conftest import FULL
from tests.hostile import PEAK_BYTES, plant, untouched
from tests.server.conftest import Serve, Served, serve  # noqa: F401

REQUESTS = 1_500 if FULL else 100
"""Of each seed."""

SEEDS = range(8 if FULL else 1)

STATUSES = {100, 200, 206, 304, 308, 400, 401, 403, 404, 405, 408, 409, 412, 413, 414, 415, 416, 421, 422, 431, 503}
"""Those of docs/reference/exit-codes.md without 500, which would be a bug of the server or a damaged store."""

METHODS = [
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"PATCH",
    b"DELETE",
    b"OPTIONS",
    b"TRACE",
    b"CONNECT",
    b"PRI",
    b"get",
    b"\0",
    b"",
]
PIECES = [
    *(
        "..",
        ".",
        "%2e%2e",
        "%2E.",
        "..%2f",
        "%2f",
        "%252e",
        "\\",
        "%5c",
        "C:",
        "%00",
        "%0d%0aX:y",
        "%ff",
        "%ed%a0%80",
        "%",
        "%zz",
    ),
    *(
        "classifier",
        "classifier%2F1",
        "1",
        "latest",
        "best~1",
        "production",
        "sha256:" + "0" * 64,
        "models",
        "versions",
        "files",
    ),
    *(
        "artifact",
        "resolve",
        "api",
        "tags",
        "aliases",
        "policy",
        "ui",
        "static",
        "etc",
        "passwd",
        "{model}",
        "-rf",
        "$(id)",
        "é",
        "x" * 300,
        "@",
        "a@1",
    ),
]
ROUTES = [
    *(
        "/models",
        "/models/classifier",
        "/models/classifier/versions",
        "/models/classifier/versions/1",
        "/search",
        "/history",
    ),
    *(
        "/models/classifier/versions/1/artifact",
        "/models/classifier/versions/1/files/x",
        "/models/classifier/rename",
        "/policy",
    ),
    *(
        "/models/classifier/versions/1/transition",
        "/models/classifier/aliases/a",
        "/models/classifier/tags/t",
        "/ui",
        "/compare",
        "/classifier/resolve/main/model.pkl",
        "/api/models/classifier/tree/1/x",
        "/api/models/classifier/revision/1",
    ),
    *("/models/classifier/versions/1/approve", "/models/classifier/rollback", "/metrics", "/readyz", "/openapi.json"),
]
TEXTS = [
    *(
        "",
        "x",
        "a" * 3000,
        "é",
        "\x1b[2J",
        "a\0b",
        "\u202e",
        "../../x",
        "/etc/passwd",
        "-1",
        "1e999",
        "nan",
        "0x10",
        "9" * 400,
        "null",
    ),
    *("[red]x[/red]", "$(touch PWNED)", '"', "\\", "\r\nX: y", "%s", "{}", "<script>"),
]
FIELDS = [
    *(
        "model_file",
        "accuracy",
        "metrics",
        "parameters",
        "tags",
        "data",
        "aliases",
        "stage",
        "parent",
        "checksum",
        "description",
    ),
    *("run_id", "format", "acuracy", "", "model_file[]"),
]
FILE_NAMES = [
    *(
        "m.pkl",
        "../../../home/documents/thesis.txt",
        "/tmp/x",
        "..",
        "",
        "a/b",
        "a\\b",
        "C:\\x",
        "x\0y",
        "a" * 400,
        "con",
        ".ssh",
    ),
    *("é", '\\"', "%2e%2e%2fx", "m.pkl\r\nX: y", "utf-8''..%2F..%2Fx", "-rf"),
]


class Sender:
    """Makes requests of one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def request(self) -> bytes:
        kinds: list[Callable[[], bytes]] = [
            self.line,
            self.headers,
            self.chunks,
            self.form,
            self.form,
            self.document,
            self.document,
        ]
        made = self.random.choice(kinds)()
        if self.random.random() < 0.35:
            made = self.damaged(made)
        return made if self.random.random() < 0.9 else made * self.random.randrange(2, 40)

    def noise(self, most: int) -> bytes:
        return self.random.randbytes(self.random.randrange(most))

    def target(self) -> bytes:
        choose = self.random.choice
        path = choose(ROUTES)
        if self.random.random() < 0.5:
            path = "".join(f"/{choose(PIECES)}" for _ in range(self.random.randrange(1, 7)))
        if self.random.random() < 0.3:
            path += "?" + "&".join(
                f"{choose(['q', 'sort', 'limit', 'offset', 'version_a', 'force', 'x'])}={choose(PIECES)}"
                for _ in range(3)
            )
        return path.encode()

    def head(self, method: bytes, target: bytes, *more: bytes) -> bytes:
        fixed = [b"Host: localhost", *more]
        if self.random.random() < 0.9:
            fixed.append(b"Connection: close")
        return b"\r\n".join([method + b" " + target + b" HTTP/1.1", *fixed, b"", b""])

    def line(self) -> bytes:
        choose = self.random.choice
        version = choose(
            [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"", b"HTTP/1.1 x", b"ICE/1.0", self.noise(20)]
        )
        space = choose([b" ", b"  ", b"\t", b""])
        target = choose(
            [self.target(), b"*", b"http://evil.example/models", b"//x", self.noise(60), b"/" + b"a" * 20_000]
        )
        return choose(METHODS) + space + target + space + version + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    def headers(self) -> bytes:
        choose = self.random.choice
        names = [
            *(
                b"X",
                b"Host",
                b"Origin",
                b"Referer",
                b"Authorization",
                b"Range",
                b"If-Range",
                b"If-None-Match",
                b"Content-Length",
            ),
            *(
                b"Transfer-Encoding",
                b"Expect",
                b"Upgrade",
                b"Content-Type",
                b"Sec-Fetch-Site",
                b"Cookie",
                b"",
                b" X",
                b"X ",
            ),
        ]
        values = [
            *(
                b"localhost",
                b"evil.example",
                b"null",
                b"Bearer x",
                b"Basic eDp4",
                b"bytes=0-0," * 500,
                b"bytes=-1",
                b"chunked",
            ),
            *(
                b"5",
                b"-1",
                b"9" * 30,
                b"100-continue",
                b"websocket",
                b"\xff",
                b"a" * 9000,
                b"\r\n folded",
                b"",
                b'W/"x"' * 999,
            ),
        ]
        count = choose([1, 3, 20, 3000])
        lines = [choose(names) + choose([b": ", b":", b" : "]) + choose(values) for _ in range(count)]
        return self.head(choose(METHODS[:7]), self.target(), *lines)

    def chunks(self) -> bytes:
        choose = self.random.choice
        sizes = [
            b"5",
            b"05",
            b"5;x=y",
            b"5 ",
            b"-5",
            b"zz",
            b"f" * 17,
            b"",
            b"0x5",
            b"7fffffffffffffff",
            b"5;" + b"x" * 5000,
        ]
        body = b"".join(choose(sizes) + choose([b"\r\n", b"\n"]) + b"hello" + choose([b"\r\n", b""]) for _ in range(3))
        end = choose([b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"", b"0\r\n" + b"X: y\r\n" * 3000 + b"\r\n"])
        coding = choose([b"chunked", b"gzip, chunked", b"chunked, chunked", b"Chunked", b"identity", b"\tchunked"])
        return self.head(choose([b"POST", b"PUT"]), self.target(), b"Transfer-Encoding: " + coding) + body + end

    def form(self) -> bytes:
        choose = self.random.choice
        boundary = choose([b"x", b"----a", b"'()+_,-./:=?", b"a b", b"x" * 70, b"x" * 300, b"\xff", b'"x"', b""])
        parts = [self.part(boundary) for _ in range(self.random.randrange(5))]
        if self.random.random() < 0.7:
            file = b'\r\nContent-Disposition: form-data; name="model_file"; filename="m"\r\n\r\ndata\r\n'
            parts.append(b"--" + boundary + file)
        end = choose(
            [b"--" + boundary + b"--\r\n"] * 4 + [b"", b"--" + boundary, b"--" + boundary + b"--" + b"z" * 50_000]
        )
        body = choose([b"", b"", b"preamble\r\n", b"\r\n" * 20_000]) + b"".join(parts) + end
        length = choose([len(body)] * 6 + [0, len(body) - 1, len(body) + 1, 10**12])
        target = choose([b"/models/classifier/versions"] * 4 + [b"/models/none/versions", self.target()])
        kind = choose(
            [b"multipart/form-data; boundary="] * 5 + [b"multipart/mixed; boundary=", b"multipart/form-data; x="]
        )
        return self.head(b"POST", target, b"Content-Type: " + kind + boundary, b"Content-Length: %d" % length) + body

    def part(self, boundary: bytes) -> bytes:
        choose = self.random.choice
        name, value = choose(FIELDS), choose([*TEXTS, '{"a": 1}', "[" * 5000, '{"a": NaN}', "0.5"])
        file = f'; filename="{choose(FILE_NAMES)}"' if self.random.random() < 0.4 else ""
        if self.random.random() < 0.1:
            file = f"; filename*=UTF-8''{choose(PIECES)}"
        header = f'Content-Disposition: form-data; name="{name}"{file}\r\n'
        header = choose(
            [header] * 6 + ["", header * 2, header + "X: y\r\n" * 900, header.replace(":", ""), header[:30]]
        )
        return b"--" + boundary + b"\r\n" + header.encode() + b"\r\n" + value.encode() + b"\r\n"

    def document(self) -> bytes:
        choose = self.random.choice
        kinds: list[Callable[[], bytes]] = [
            lambda: json.dumps(self.value(4)).encode(),
            self.nested,
            lambda: self.noise(300),
        ]
        body = choose(kinds)()
        kind = choose(
            [b"application/json"] * 6
            + [b"text/plain", b"application/x-www-form-urlencoded", b"application/json; charset=utf-16"]
        )
        headers = (b"Content-Type: " + kind, b"Content-Length: %d" % choose([len(body)] * 8 + [len(body) + 5, 2 << 20]))
        return self.head(choose(METHODS[2:6]), self.target(), *headers) + body

    def nested(self) -> bytes:
        choose = self.random.choice
        return choose([b"[", b'{"a":', b'{"name":[', b"[{},"]) * choose([10, 1000, 100_000])

    def value(self, depth: int) -> object:
        choose = self.random.choice
        names = [
            "name",
            "description",
            "tags",
            "stage",
            "version",
            "to",
            "reason",
            "value",
            "Production",
            "gates",
            "approvals",
            "x",
        ]
        if depth and self.random.random() < 0.7:
            if self.random.random() < 0.8:
                return {choose([*names, *TEXTS]): self.value(depth - 1) for _ in range(self.random.randrange(4))}
            return [self.value(depth - 1) for _ in range(self.random.randrange(4))]
        return choose(
            [*TEXTS, None, True, 0, -1, 10**400, 1.5, float("nan"), float("inf"), "\ud800", "a" * 100_000, "classifier"]
        )

    def damaged(self, request: bytes) -> bytes:
        found = bytearray(request)
        for _ in range(self.random.randrange(1, 6)):
            place = self.random.randrange(len(found) + 1)
            match self.random.randrange(4):
                case 0:
                    found[place : place + 1] = self.noise(3)
                case 1:
                    found[place:place] = self.noise(40)
                case 2:
                    del found[place : place + self.random.randrange(30)]
                case 3:
                    del found[place:]
        return bytes(found)


def exchange(server: Served, request: bytes) -> bytes:
    """What comes back until the server closes the connection or says nothing more."""
    found = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection, suppress(OSError):
        connection.sendall(request)
        connection.settimeout(0.15)
        while more := connection.recv(1 << 16):
            found += more
    return found


@linux
@pytest.mark.campaign
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
def test_random_requests_get_documented_answers_and_touch_nothing_else(serve: Serve, seed: int) -> None:
    home, here = Path(os.environ["HOME"]), Path.cwd()
    plant(home)
    plant(here)
    server = serve("--json-log", "--max-upload", "2MB")
    server.post("/models", {"name": "classifier"})
    server.upload(b"x", name="x")
    server.session.close()
    base = descriptors(server)
    sender = Sender(seed)
    with untouched(home, but=(".local/share/mreg",)), untouched(here):
        for number in range(REQUESTS):
            request = sender.request()
            answer = exchange(server, request)
            shown = f"seed {seed}, request {number}: {request[:2000]!r}: {answer[:2000]!r}"
            assert not answer or answer.startswith(b"HTTP/1.1 "), shown
            for status in re.findall(rb"(?:^|\n)HTTP/1\.1 (\d{3}) ", answer):
                assert int(status) in STATUSES, shown
            assert server.process.poll() is None, shown
            if number % 40 == 0:
                assert ask(server).startswith(b"HTTP/1.1 200"), shown
                assert peak(server) < PEAK_BYTES, shown
    assert peak(server) < PEAK_BYTES
    deadline = time.monotonic() + 90
    while descriptors(server) > base + 12:
        assert time.monotonic() < deadline, descriptors(server)
        time.sleep(0.1)
    log = server.log.read_text()
    assert "Traceback" not in log, [line[-1000:] for line in log.splitlines() if "Traceback" in line][:3]
    with mreg.open_registry() as registry:
        registry.verify_audit()
        assert not Path("PWNED").exists()
