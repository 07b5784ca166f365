"""What an object store, a proxy or a system says of a failure reaches the user: attributed, printable, short, no secrets."""

from __future__ import annotations

import re
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mreg
from mreg.domain.digest import Digest
from mreg.domain.redaction import LONGEST, attributed, redacted
from mreg.profile.cache import stores_folder
from mreg.stores.bucket import Bucket
from mreg.stores.integrity import IntegrityCheck
from mreg.stores.settings import StoreSettings
from mreg.stores.traits import Memory, Traits
from tests.conftest import Done, Mreg
from tests.hostile import PEAK_BYTES, attack, environment, printable_only
from tests.proxy import Proxy
from tests.servers import WRITER

pytestmark = pytest.mark.usefixtures("impatient")

DENIED = (
    "User: arn:aws:sts::111122223333:assumed-role/Trainer/i-0abc is not authorized to perform: kms:GenerateDataKey on "
    "resource: arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab because no identity-based "
    "policy allows the kms:GenerateDataKey action"
)
PAGE = b"<html><head><title>Welcome to the Airport Wi-Fi</title></head><body>Please log in</body></html>"


@contextmanager
def answering(
    status: int,
    body: bytes,
    kind: str = "application/xml",
    *,
    context: ssl.SSLContext | None = None,
    endless: bool = False,
) -> Iterator[int]:
    """Serve one answer to every request, as an S3 store gives it; the port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            left = int(self.headers.get("Content-Length") or 0)
            while left:
                left -= len(self.rfile.read(min(left, 1 << 16)))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            if endless:
                self.send_header("Connection", "close")
            else:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.close_connection = endless
            if self.command == "HEAD":
                return
            try:
                self.wfile.write(body)
                while endless:
                    self.wfile.write(b" " * (1 << 16))
            except OSError:
                self.close_connection = True

        def __getattr__(self, name: str) -> Callable[[], None]:
            if name.startswith("do_"):
                return self.answer
            raise AttributeError(name)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that breaks the connection is part of the test."""

    server = Server(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "short-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-session-token")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("MREG_CATALOG", str(Path("catalog.db").absolute()))
    monkeypatch.setenv("MREG_ARTIFACTS", "s3://models/x")
    Path("a.bin").write_bytes(b"x" * 1000)


def know(endpoint: str) -> None:
    """Have it remembered that the store checks sums, so that the first request is the upload itself."""
    traits = Traits(integrity=IntegrityCheck.SUM)
    Memory(stores_folder(), f"{endpoint} models").keep(traits, time.time())


def push(command: Mreg, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> Done:
    monkeypatch.setenv("MREG_ENDPOINT_URL", endpoint)
    return command("push", "a.bin", "-n", "m")


def error(code: str = "", message: str | None = None, extra: str = "") -> bytes:
    words = (f"<Code>{code}</Code>" if code else "") + ("" if message is None else f"<Message>{message}</Message>")
    return f'<?xml version="1.0"?><Error>{words}{extra}</Error>'.encode()


STORE = "cannot use s3://models/x: "
FOREIGN = "the response of http://127.0.0.1:PORT is not from an S3 store"
ANSWERS: list[tuple[int, bytes, str, str, str]] = [
    (403, error("AccessDenied", DENIED), "application/xml",
     f"{STORE}the store cannot use its encryption key (AccessDenied); the store says: {DENIED}", "grant these credentials kms:GenerateDataKey"),
    (400, error("KMS.DisabledException", "key/1 is disabled."), "application/xml",
     f"{STORE}the store cannot use its encryption key (KMS.DisabledException); the store says: key/1 is disabled", "check that the key is enabled"),
    (403, error("AccessDenied", "Access Denied. Ask Ada."), "application/xml",
     f"{STORE}permission denied (AccessDenied); the store says: Access Denied. Ask Ada", "grant these credentials the permissions"),
    (500, error("InternalError", "We encountered an internal error. Please try again."), "application/xml",
     f"{STORE}the store at http://127.0.0.1:PORT failed (InternalError, HTTP 500); the store says: We encountered an internal error. Please try again",
     "ask the operator of the store"),
    (503, error("SlowDown", "Please reduce your request rate."), "application/xml",
     "s3://models/x asks for fewer requests (SlowDown); the store says: Please reduce your request rate", "try again later"),
    (403, error("QuotaExceeded", "The quota of 5 GiB of user lab is used up"), "application/xml",
     f"{STORE}quota exceeded (QuotaExceeded); the store says: The quota of 5 GiB of user lab is used up", "free some space"),
    (400, error("Odd", "The moon is full."), "application/xml",
     f"{STORE}the store refused the request (Odd); the store says: The moon is full", "mreg profile check"),
    (400, error("Odd"), "application/xml", f"{STORE}the store refused the request (Odd)\n", "mreg profile check"),
    (400, error("Odd", ""), "application/xml", f"{STORE}the store refused the request (Odd)\n", "mreg profile check"),
    (400, error("Odd", "None"), "application/xml", f"{STORE}the store refused the request (Odd)\n", "mreg profile check"),
    (400, error("AuthorizationHeaderMalformed", "the region is wrong", "<Region>eu-west-9</Region>"), "application/xml",
     "s3://models/x is in another region, in eu-west-9 (AuthorizationHeaderMalformed); the store says: the region is wrong", "region: eu-west-9"),
    (403, b"", "application/xml", f"{STORE}permission denied (403)\n", "grant these credentials"),
    (502, b"<html><body>upstream is away</body></html>", "text/html",
     f"{STORE}the store at http://127.0.0.1:PORT failed (HTTP 502); the response says: upstream is away", "try again later"),
    (500, b"", "text/plain", f"{STORE}the store at http://127.0.0.1:PORT failed (HTTP 500)\n", "try again later"),
    (200, PAGE, "text/html", FOREIGN, "HTTPS_PROXY"),
    (403, PAGE, "text/html", f"{FOREIGN} (HTTP 403); the response says: Welcome to the Airport Wi-Fi", "HTTPS_PROXY"),
    (404, PAGE, "text/html", f"{FOREIGN} (HTTP 404); the response says: Welcome to the Airport Wi-Fi", "HTTPS_PROXY"),
    (407, b"log in at the proxy", "text/plain", f"{FOREIGN} (HTTP 407); the response says: log in at the proxy", "HTTPS_PROXY"),
    (400, b"Client sent an HTTP request to an HTTPS server.\n", "text/plain",
     f"{FOREIGN} (HTTP 400); the response says: Client sent an HTTP request to an HTTPS server",
     "if the store uses TLS, set endpoint_url: https://127.0.0.1:PORT in the profile"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "kind", "words", "hint"), ANSWERS, ids=[f"{a[0]}-{a[1][:70]!r}" for a in ANSWERS]
)
@pytest.mark.parametrize(
    ("size", "known"), [(1000, False), (1000, True), (9 << 20, False)], ids=["small", "small-known", "large"]
)
def test_a_message_has_the_words_of_the_store_and_a_way_out(
    status: int,
    body: bytes,
    kind: str,
    words: str,
    hint: str,
    size: int,
    known: bool,
    credentials: None,
    command: Mreg,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("a.bin").write_bytes(b"x" * size)
    with answering(status, body, kind) as port:
        if known:
            know(f"http://127.0.0.1:{port}")
        done = push(command, monkeypatch, f"http://127.0.0.1:{port}")
    assert done.code == 8, done
    assert f"error: {words}".replace("PORT", str(port)) in done.err
    assert hint.replace("PORT", str(port)) in done.err
    assert "None (" not in done.err
    assert command("show", "m").code == 4


SECRETS = (
    "AKIAIOSFODNN7EXAMPLE", "short-secret", "a-session-token", "hunter2", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024", "eyJhbGciOiJIUzI1NiJ9.e30.abc",
)  # fmt: skip
LEAKS = (
    "the key AKIAIOSFODNN7EXAMPLE is unknown", "you sent short-secret", "the token a-session-token expired",
    "GET https://models.example/k?X-Amz-Credential=AKIAIOSFODNN7EXAMPLE&amp;X-Amz-Signature=hunter2 was refused",
    "proxy http://ada:hunter2@proxy.example:3128 said no", "Authorization: AWS4-HMAC-SHA256 Credential=x/y, Signature=hunter2",
    "Authorization: Bearer hunter2", "secret_key = 'hunter2'", "password=hunter2", "x-amz-security-token: hunter2",
    '{"api_key": "hunter2"}', "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY is not it",
    "fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024 was expected", "Cookie: sid=hunter2",
    "AccountName=x;AccountKey=hunter2;", "sv=2023&sig=hunter2 is refused", "Authorization: SharedKey x:hunter2", "jwt eyJhbGciOiJIUzI1NiJ9.e30.abc is bad",
)  # fmt: skip


@pytest.mark.parametrize("leak", LEAKS)
def test_a_message_repeats_no_secret_that_the_store_says(
    leak: str, credentials: None, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    for body, kind in ((error("Odd", leak), "application/xml"), (leak.encode(), "text/plain")):
        with answering(400, body, kind) as port:
            for known in (False, True):
                if known:
                    know(f"http://127.0.0.1:{port}")
                done = push(command, monkeypatch, f"http://127.0.0.1:{port}")
                assert done.code == 8
                assert "***" in done.err
                assert not any(secret in done.err for secret in SECRETS), done.err


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, error("Odd", "\x85\u202eab\u2028cd\u200b\r\nerror: forged")),
        (400, error("Odd\u202e\n" * 50, "x")),
        (400, error("Odd", "x" * 200_000)),
        (400, error("Odd", "password=" * 20_000)),
        (400, error("AuthorizationHeaderMalformed", "x", f"<Region>{'x' * 9000}\n\u202e</Region>")),
        (400, b"\x1b[2J\x1b]52;c;aGk=\x07 \x00\xff\xfe" * 1000),
        (400, b"<" * 200_000),
        (400, b"<script>" * 50_000),
        (403, b"<html><title>" + b"\x1b[31m" * 9000),
    ],
    ids=range(9),
)
@pytest.mark.parametrize("known", [False, True], ids=["first", "known"])
def test_hostile_words_stay_one_short_printable_line(
    status: int, body: bytes, known: bool, credentials: None, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(status, body, "text/plain") as port:
        if known:
            know(f"http://127.0.0.1:{port}")
        done = push(command, monkeypatch, f"http://127.0.0.1:{port}")
    assert done.code in (2, 8)
    assert printable_only(done.err.encode())
    first, *hints = done.err.splitlines()
    assert first.startswith("error: ")
    assert hints
    assert all(hint.startswith("  ") for hint in hints)
    assert all(len(line) < 2 * LONGEST for line in (first, *hints))


@pytest.mark.parametrize("status", [200, 400, 403, 500])
def test_an_answer_without_an_end_is_not_taken_into_memory(status: int, credentials: None) -> None:
    with answering(status, b"<Error><Code>Odd</Code><Message>", endless=True) as port:
        variables = environment(MREG_ENDPOINT_URL=f"http://127.0.0.1:{port}")
        done = attack("push", "a.bin", "-n", "m", seconds=60, peak_bytes=PEAK_BYTES, env=variables)
    assert done.code == 8, done


def test_a_page_in_place_of_an_answer_is_never_taken_for_an_empty_bucket(
    credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    works: dict[str, Callable[[Bucket], object]] = {
        "list": lambda bucket: list(bucket.list("")),
        "clock": lambda bucket: bucket.clock(),
        "stat": lambda bucket: bucket.stat("k"),
        "open": lambda bucket: bucket.open("k"),
        "fetch": lambda bucket: bucket.fetch("k"),
        "put": lambda bucket: bucket.put("k", b"1", Digest.sha256("0" * 64)),
        "swap": lambda bucket: bucket.swap("k", b"1", Digest.sha256("0" * 64), ""),
        "complete": lambda bucket: bucket.call("complete_multipart_upload", Key="k", UploadId="u"),
        "begin": lambda bucket: bucket.call("create_multipart_upload", Key="k"),
    }
    for status in (200, 404):
        with answering(status, PAGE, "text/html") as port:
            for what, work in works.items():
                bucket = Bucket("s3://models/x", StoreSettings(endpoint_url=f"http://127.0.0.1:{port}"), print)
                if what == "open" and status == 200:
                    continue  # the bytes of an object are held against its digest
                with pytest.raises(mreg.Unavailable, match="is not from an S3 store"):
                    work(bucket)


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """A server's side of TLS with a certificate that nobody signed."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "key", "-out", tmp_path / "cert",
         "-days", "2", "-subj", "/CN=other.example", "-addext", "subjectAltName=DNS:other.example"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    return context


def test_tls_to_a_server_without_tls_is_told_as_that(
    credentials: None, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(400, b"") as port:
        done = push(command, monkeypatch, f"https://127.0.0.1:{port}")
    assert done.code == 8
    assert f"error: https://127.0.0.1:{port} does not support TLS: wrong version number\n" in done.err
    assert f"set endpoint_url: http://127.0.0.1:{port} in the profile" in done.err
    assert "WRONG_VERSION_NUMBER" not in done.err


def test_plain_http_to_a_server_with_tls_is_told_as_that(
    credentials: None, command: Mreg, monkeypatch: pytest.MonkeyPatch, tls: ssl.SSLContext
) -> None:
    with answering(400, b"", context=tls) as port:
        done = push(command, monkeypatch, f"http://127.0.0.1:{port}")
    assert done.code == 8
    assert f"set endpoint_url: https://127.0.0.1:{port} in the profile" in done.err


def test_a_certificate_that_is_not_trusted_or_for_another_name_is_told(
    credentials: None, command: Mreg, monkeypatch: pytest.MonkeyPatch, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    with answering(400, b"", context=tls) as port:
        done = push(command, monkeypatch, f"https://127.0.0.1:{port}")
        assert f"cannot trust the certificate of https://127.0.0.1:{port}: self-signed certificate\n" in done.err
        assert "AWS_CA_BUNDLE" in done.err
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "cert"))
        done = push(command, monkeypatch, f"https://127.0.0.1:{port}")
    assert re.search(r"cannot trust the certificate of .*'127\.0\.0\.1'", done.err), done
    assert "set endpoint_url in the profile to a host name of the certificate" in done.err
    assert "_ssl.c" not in done.err


def test_a_sum_that_the_store_refuses_does_not_blame_the_file(proxy: Proxy, command: Mreg) -> None:
    Path("big.bin").write_bytes(b"x" * (9 << 20))
    answer = (
        "400 Bad Request",
        "application/xml",
        error("BadDigest", "The SHA256 you specified did not match").decode(),
    )
    proxy.answer = lambda line: answer if "partNumber" in line else None
    done = command("push", "big.bin", "-n", "m")
    assert done.code == 8, done
    assert "an upload was damaged in transit (BadDigest); the store says: The SHA256 you" in done.err
    assert "changed while it was read" not in done.err
    assert not any(secret in done.err for secret in WRITER)


def test_a_real_store_is_quoted(proxy: Proxy, command: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.bin").write_bytes(b"x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    done = command("push", "a.bin", "-n", "m")
    assert done.code == 8
    assert "wrong secret key (SignatureDoesNotMatch); the store says: The request signature we" in done.err
    assert "another-secret" not in done.err


@given(st.text(max_size=6000), st.text(max_size=20))
def test_foreign_words_are_always_one_bounded_printable_line(text: str, secret: str) -> None:
    found = redacted(text, [secret])
    assert found.isprintable()
    assert len(found) <= LONGEST + 4
    assert attributed("the store", text).startswith("; the store says: ") or not redacted(text)
