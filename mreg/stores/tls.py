"""Why a TLS handshake failed, in OpenSSL's words: obstore's TLS names only the kind."""

from __future__ import annotations

import contextlib
import http.client
import ssl
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

SECONDS = 10.0


def explain_tls(endpoint: str, ca_bundle: str) -> tuple[str, str]:
    """Shake hands once more, and return OpenSSL's code and text of the failure; both empty if it succeeds."""
    address = urlsplit(endpoint)
    try:
        context = ssl.create_default_context(cafile=ca_bundle or None)
        connection = _connection(address.hostname or "", address.port or 443, context)
    except (OSError, ValueError):
        return "", ""
    with contextlib.closing(connection):
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            return "CERTIFICATE_VERIFY_FAILED", str(error.verify_message).rstrip(".")
        except ssl.SSLError as error:
            code = error.reason or ""
            return code, code.replace("_", " ").lower()
        except (OSError, ValueError, http.client.HTTPException):
            return "", ""
    return "", ""


def _connection(host: str, port: int, context: ssl.SSLContext) -> http.client.HTTPSConnection:
    """Return an unopened connection, by the proxy of the environment."""
    proxy = "" if proxy_bypass(host) else getproxies().get("https", "")
    if not proxy:
        return http.client.HTTPSConnection(host, port, timeout=SECONDS, context=context)
    found = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    connection = http.client.HTTPSConnection(found.hostname or "", found.port or 80, timeout=SECONDS, context=context)
    connection.set_tunnel(host, port)
    return connection
