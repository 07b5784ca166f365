"""Ways to a server that some networks prescribe: TLS with a certificate authority of one's own, and an HTTP proxy."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit


def make_certificates(folder: Path) -> tuple[Path, Path, Path]:
    """Make a certificate authority and a certificate of it for this machine; the files of both, and of the key."""
    authority, authority_key = folder / "ca.pem", folder / "ca.key"
    certificate, key, request, names = (folder / name for name in ("cert.pem", "cert.key", "cert.csr", "names"))
    names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    commands: tuple[list[str | Path], ...] = (
        ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", authority_key, "-out", authority, "-days", "2",
         "-subj", "/CN=Authority of the tests", "-addext", "keyUsage=critical,keyCertSign"],
        ["req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", "/CN=localhost"],
        ["x509", "-req", "-in", request, "-CA", authority, "-CAkey", authority_key, "-out", certificate, "-days", "2",
         "-set_serial", "1", "-extfile", names],
    )  # fmt: skip
    for words in commands:
        subprocess.run(["openssl", *words], check=True, capture_output=True)
    return authority, certificate, key


class _Listener:
    """Serves each connection in a thread."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._guarded, args=(client,), daemon=True).start()

    def _guarded(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self._serve(client)
        client.close()

    def _serve(self, client: socket.socket) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class TlsServer(_Listener):
    """TLS before a server that has none."""

    def __init__(self, port: int, certificate: Path, key: Path) -> None:
        self._target = port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        super().__init__()

    @property
    def endpoint(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def _serve(self, client: socket.socket) -> None:
        with (
            self._context.wrap_socket(client, server_side=True) as secure,
            socket.create_connection(("127.0.0.1", self._target)) as server,
        ):
            join(secure, server)


class Flipper(_Listener):
    """Changes one bit of what comes towards a server, as it is on the wire.

    Attributes:
        after: Bytes that pass unchanged before that; None changes nothing, as does a bit that was changed.
        flipped: Whether the bit was changed.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self.after: int | None = None
        self.flipped = False
        self._lock = threading.Lock()
        super().__init__()

    def _serve(self, client: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._target)) as server:
            join(client, server, self._flip)

    def _flip(self, data: bytes) -> bytes:
        with self._lock:
            if self.after is None:
                return data
            if self.after >= len(data):
                self.after -= len(data)
                return data
            place, self.after, self.flipped = self.after, None, True
        return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


class HttpProxy(_Listener):
    """An HTTP proxy, for plain requests and with CONNECT.

    Attributes:
        targets: Host and port of each connection, or of each plain request.
        login: User and password that it asks for, as ``user:password``; empty for none.
        refusal: First line of its answer to every request; empty to serve them.
    """

    def __init__(self) -> None:
        self.targets: list[str] = []
        self.login = ""
        self.refusal = ""
        super().__init__()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _serve(self, client: socket.socket) -> None:
        while head := _read_head(client):
            start, _, rest = head.partition(b"\r\n")
            method, target, _ = start.decode("latin-1").split(" ")
            wanted = base64.b64encode(self.login.encode()).decode()
            refusal = self.refusal
            if self.login and f"Basic {wanted}".encode() not in rest:
                refusal = "407 Proxy Authentication Required"
            if refusal:
                client.sendall(f"HTTP/1.1 {refusal}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                return
            address = target if method == "CONNECT" else urlsplit(target).netloc
            self.targets.append(address)
            host, _, port = address.rpartition(":")
            with socket.create_connection((host, int(port))) as server:
                if method == "CONNECT":
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    join(client, server)
                    return
                url = urlsplit(target)
                path = (url.path or "/") + (f"?{url.query}" if url.query else "")
                rest = re.sub(rb"(?i)(?<=\n)(proxy-)?connection:[^\r]*\r\n", b"", b"\n" + rest)[1:]
                server.sendall(f"{method} {path} HTTP/1.1\r\nConnection: close\r\n".encode() + rest)
                join(client, server)
                return


def join(one: socket.socket, other: socket.socket, change: Callable[[bytes], bytes] = bytes) -> None:
    """Pass everything on between two connections, until one of them ends.

    Args:
        change: Returns what arrives at the other one of a piece.
    """

    def copy(source: socket.socket, to: socket.socket, change: Callable[[bytes], bytes] = bytes) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                to.sendall(change(data))
        with contextlib.suppress(OSError):
            to.shutdown(socket.SHUT_RDWR)

    upward = threading.Thread(target=copy, args=(one, other, change), daemon=True)
    upward.start()
    copy(other, one)
    upward.join(5)


def _read_head(client: socket.socket) -> bytes:
    """Return the head of a request and whatever of its body came with it; empty at the end of the connection."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = client.recv(65536)
        if not data:
            return b""
        head += data
    return head
