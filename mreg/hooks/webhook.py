"""Call the webhook of a hook, signed according to Standard Webhooks.

Specification: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import http.client
import os
import random
import ssl
import time
from urllib.parse import urlsplit

from mreg.domain.hook import Deployment, Hook
from mreg.hooks.message import OUTPUT_BYTES, Outcome, message

TRIES = 4
LONGEST_ANSWER = 64 << 10
"""Maximum number of bytes that are read of a response."""

AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""Statuses after which the call is retried."""


def call_webhook(hook: Hook, deployment: Deployment) -> Outcome:
    """Send the event; retry with growing pauses if the receiver cannot be reached or responds with a status in `AGAIN`.

    Redirects are not followed, because they could send the event anywhere. The signature covers id, time and body; a
    receiver that remembers ids can ignore repeated events. No failure of the receiver is raised.
    """
    body = message(deployment)
    secret = os.environ.get(hook.secret_env, "") if hook.secret_env else ""
    if hook.secret_env and not secret:
        return Outcome(
            succeeded=False, code=None, output=f"the environment variable {hook.secret_env} with the secret is not set"
        )
    try:
        key = _key(secret)
    except ValueError:
        return Outcome(succeeded=False, code=None, output=f"the secret in {hook.secret_env} is not valid Base64")
    deadline = time.monotonic() + hook.timeout
    pause = 0.5
    outcome = Outcome(succeeded=False, code=None, output="")
    for number in range(TRIES):
        outcome, again = _once(hook.webhook, _headers(deployment.key, body, key), body, deadline)
        left = deadline - time.monotonic()
        if not again or number == TRIES - 1 or left <= pause:
            break
        time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  clients must not retry at the same moment
        pause *= 3
    return outcome


def _key(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error as error:
            raise ValueError from error
    return secret.encode()


def _headers(key: str, body: bytes, secret: bytes) -> dict[str, str]:
    now = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "mreg",
        "webhook-id": key,
        "webhook-timestamp": now,
    }
    if secret:
        signed = hmac.new(secret, f"{key}.{now}.".encode() + body, hashlib.sha256).digest()
        headers["webhook-signature"] = "v1," + base64.b64encode(signed).decode()
    return headers


def _once(address: str, headers: dict[str, str], body: bytes, deadline: float) -> tuple[Outcome, bool]:
    """Call the webhook once; return the outcome and whether a retry can succeed."""
    parts = urlsplit(address)
    left = max(0.1, deadline - time.monotonic())
    host = parts.hostname or ""
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, parts.port, timeout=min(left, 30), context=context)
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=min(left, 30))
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with contextlib.closing(connection):
        try:
            connection.request("POST", target, body=body, headers=headers)
            answer = connection.getresponse()
            output = _read(answer, connection, deadline)
        except TimeoutError:
            return Outcome(succeeded=False, code=None, output="no response in time"), True
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            return Outcome(succeeded=False, code=None, output=f"cannot reach it: {reason}"), True
    succeeded = 200 <= answer.status < 300
    if 300 <= answer.status < 400:
        output = f"it redirects, and redirects are not followed\n{output}".rstrip()
    return Outcome(succeeded=succeeded, code=answer.status, output=output), answer.status in AGAIN


def _read(answer: http.client.HTTPResponse, connection: http.client.HTTPConnection, deadline: float) -> str:
    """Return the beginning of a response; reading stops at the deadline, so that a slow response cannot block."""
    received = b""
    with contextlib.suppress(TimeoutError, http.client.HTTPException, OSError):
        while len(received) < LONGEST_ANSWER and time.monotonic() < deadline:
            if connection.sock is not None:
                connection.sock.settimeout(max(0.1, min(5.0, deadline - time.monotonic())))
            chunk = answer.read1(4096)
            if not chunk:
                break
            received += chunk
    return received[:OUTPUT_BYTES].decode("utf-8", "replace").strip()
