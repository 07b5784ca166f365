"""Failed connections as errors: each cause has its own message and next step."""

from __future__ import annotations

import http.client
import os
import socket

from mreg.domain.address import Address
from mreg.domain.text import printable, quoted
from mreg.errors import Unavailable
from mreg.remote.proxies import Proxy

TLS_RECORD = "\x15\x03"
"""The start of a TLS alert, which a TLS server answers to a request without TLS."""


def transport_error(error: Exception, address: Address, proxy: Proxy | None) -> Unavailable:
    """Return the error for a connection that failed."""
    if isinstance(error, socket.gaierror):
        host = proxy.address.host if proxy else address.host
        return Unavailable(
            f"cannot reach {address}: the host name {host} was not found",
            hint="check the URL and the network",
        )
    if isinstance(error, TimeoutError):
        reason = error.args[0] if error.args and isinstance(error.args[0], str) else "no response"
        words = reason if reason.startswith("no ") else "no response in time"
        return Unavailable(f"cannot reach {address}: {words}", hint="check the network, and try again")
    if isinstance(error, ConnectionRefusedError):
        if proxy:
            return Unavailable(
                f"cannot reach {address}: the proxy {proxy.address} refused the connection",
                hint="check the variables HTTP_PROXY, HTTPS_PROXY and NO_PROXY",
            )
        return Unavailable(
            f"cannot reach {address}: connection refused",
            hint="check host and port, and whether mreg serve runs there",
        )
    if type(error).__module__ == "ssl":
        return _tls_error(error, address)
    if isinstance(error, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError):
        return Unavailable(
            f"{address} closed the connection without a response",
            hint=f"try again; if it never responds, try {address.other_scheme()}",
        )
    if isinstance(error, http.client.BadStatusLine):
        line = str(error.args[0]) if error.args else ""
        if address.scheme == "http" and line.startswith(TLS_RECORD):
            return Unavailable(f"{address} expects TLS", hint=f"use the URL {address.other_scheme()}")
        return Unavailable(f"{address} is not a web server: it answered {quoted(line)}", hint="check host and port")
    if isinstance(error, http.client.IncompleteRead):
        return Unavailable(f"the response from {address} was cut off", hint="try again")
    if isinstance(error, http.client.HTTPException):
        return Unavailable(
            f"invalid response from {address}: {printable(str(error) or type(error).__name__)}",
            hint="check host and port",
        )
    text = str(error)
    if isinstance(error, OSError) and text.startswith("Tunnel connection failed"):
        status = text.removeprefix("Tunnel connection failed: ")
        login = status.startswith("407")
        return Unavailable(
            f"cannot reach {address}: the proxy {proxy.address if proxy else ''} answered {quoted(status)}",
            hint="add its login to the variable: export HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
            if login
            else "check the variables HTTPS_PROXY and NO_PROXY",
        )
    if isinstance(error, OSError) and error.errno is not None:
        return Unavailable(
            f"cannot reach {address}: {(error.strerror or os.strerror(error.errno)).lower()}",
            hint="check the network, and try again",
        )
    return Unavailable(f"cannot reach {address}: {printable(text) or type(error).__name__}", hint="try again")


def _tls_error(error: Exception, address: Address) -> Unavailable:
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return Unavailable(
            f"cannot reach {address}: its certificate is not valid: {printable(error.verify_message).rstrip('.')}",
            hint="if it is signed by your own authority: export SSL_CERT_FILE=FILE.pem",
        )
    reason = getattr(error, "reason", None) or ""
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"):
        return Unavailable(
            f"{address} does not speak TLS",
            hint=f"check the port; a server without TLS has the URL {address.other_scheme()}",
        )
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Unavailable(
            f"{address} closed the connection during the TLS handshake", hint="check the port, and try again"
        )
    words = reason.replace("_", " ").lower() or printable(str(error))
    return Unavailable(f"cannot reach {address}: TLS failed: {words}", hint="check the URL and the TLS of the server")
