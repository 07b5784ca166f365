"""Requests for small objects without the overhead of botocore's client.

For a small object, botocore's client spends more processor time on a request (service model, endpoint rules, hooks)
than a nearby store does. This module uses the same signing and HTTP sessions without that. It only makes the first try:
any outcome except success and a failed condition is left to botocore's client with its retries and errors. Only
timeouts are raised, since the time has been spent already.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.parsers import ResponseParserError
from botocore.utils import get_environ_proxies
from urllib3.exceptions import HTTPError

from mreg.s3.answers import announced_length, begins_at, send
from mreg.s3.failures import SILENCE
from mreg.s3.integrity import Signer

SMALL_BYTES = 1 << 20
"""Up to this size the overhead of botocore is noticeable."""


class SmallObjectClient:
    """First tries at small objects of one bucket; safe for threads.

    Args:
        client: botocore's client, for the address of the bucket and the signature settings.
        session: botocore's session, for the credentials and the trusted certificates.
        protect: Called with each request before it is signed; see `mreg.s3.integrity.protect`.
    """

    def __init__(
        self, client: Any, session: Any, bucket: str, connections: int, protect: Callable[[Any], None]
    ) -> None:
        self._protect = protect
        config = client.meta.config
        self._config = config
        self._region = client.meta.region_name
        self._credentials = session.get_credentials()
        self._base = ""
        self._usable = self._credentials is not None
        if not self._usable:
            return
        signed = client.generate_presigned_url("head_object", Params={"Bucket": bucket, "Key": "x"})
        self._base = signed.partition("?")[0].removesuffix("x")
        self._http = URLLib3Session(
            verify=session.get_config_variable("ca_bundle") or True,
            proxies=get_environ_proxies(self._base),
            timeout=(config.connect_timeout, config.read_timeout),
            max_pool_connections=connections,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )

    def put(self, key: str, data: bytes, headers: dict[str, str]) -> tuple[int, str, str]:
        """Put an object and return the status, and with status 200 the entity tag and the version ID.

        The status is 200, 412, or 0 if botocore's client must make the request.
        """
        answer = self._send("PUT", key, headers, data, SMALL_BYTES)
        if answer is not None and answer.status_code == 200 and "etag" in answer.headers:
            return 200, str(answer.headers["etag"]), str(answer.headers.get("x-amz-version-id", ""))
        if answer is not None and answer.status_code == 412 and b"PreconditionFailed" in answer.content:
            return 412, "", ""
        return 0, "", ""

    def get(self, key: str, start: int, length: int) -> bytes | None:
        """Return a range of an object; None if botocore's client must fetch it."""
        headers = {"Range": f"bytes={start}-{start + length - 1}"} if length else {}
        answer = self._send("GET", key, headers, None, max(length, SMALL_BYTES))
        if answer is None or not _is_whole(answer, 200, 206):
            return None
        return bytes(answer.content) if begins_at(start, answer.status_code, answer.headers) else None

    def fetch(self, key: str, etag: str, largest: int) -> tuple[bytes, str] | None:
        """Return the bytes and the entity tag of an object; None if botocore's client must fetch it.

        Args:
            etag: Known entity tag; if it still matches, the bytes returned are empty.
            largest: Maximum size in bytes; the result for a larger object is None.
        """
        answer = self._send("GET", key, {"If-None-Match": etag} if etag else {}, None, largest)
        if answer is None:
            return None
        if answer.status_code == 304 and etag:
            return b"", etag
        whole = _is_whole(answer, 200) and "etag" in answer.headers
        return (bytes(answer.content), str(answer.headers["etag"])) if whole else None

    def _send(self, method: str, key: str, headers: dict[str, str], data: bytes | None, longest: int) -> Any:
        if not self._usable:
            return None
        request = AWSRequest(method=method, url=self._base + quote(key, safe="/~"), headers=headers, data=data)
        request.context["client_config"] = self._config
        try:
            self._protect(request)
            Signer(self._credentials.get_frozen_credentials(), "s3", self._region).add_auth(request)
            answer = send(self._http, request.prepare(), longest)
        except SILENCE:
            raise
        except (BotoCoreError, HTTPError, ResponseParserError):
            return None
        if answer.status_code in (301, 307, 308, 400, 403):
            self._usable = False  # this store needs botocore's client
        return answer


def _is_whole(answer: Any, *statuses: int) -> bool:
    """Return whether a response is a success with complete content; a connection can end early without an error."""
    return answer.status_code in statuses and announced_length(answer) in (None, len(answer.content))
