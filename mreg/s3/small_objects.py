"""Small objects without the client's price of a request.

botocore's client spends more processor time on a request (its model, its rules of endpoints, its hooks) than a store
near by does on a small object. Here the same signing and the same connections are used without all that. Whatever is
not a plain success or a plain refusal is left to the client with its repeats and errors: this is a first try alone.
Only silence comes out as it is, since it has been waited for.
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

from mreg.s3.answers import send
from mreg.s3.failures import SILENCE
from mreg.s3.integrity import Signer

SMALL_BYTES = 1 << 20
"""Up to this size the price of a request is felt."""


class SmallObjectClient:
    """First tries at small objects of one bucket; safe for threads.

    Args:
        client: Says where the bucket is and how it is signed for.
        session: Has the credentials, and the certificates that are trusted.
        protect: Makes the sum of an upload what the store checks, before it is signed.
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
        """The status of a PUT, and of a 200 the entity tag and the version: 200, 412, or 0 where the client must do it.

        It is 0 also where no S3 store said so.
        """
        answer = self._send("PUT", key, headers, data, SMALL_BYTES)
        if answer is not None and answer.status_code == 200 and "etag" in answer.headers:
            return 200, str(answer.headers["etag"]), str(answer.headers.get("x-amz-version-id", ""))
        if answer is not None and answer.status_code == 412 and b"PreconditionFailed" in answer.content:
            return 412, "", ""
        return 0, "", ""

    def get(self, key: str, start: int, length: int) -> bytes | None:
        """Some bytes of an object; None where the client must fetch them."""
        headers = {"Range": f"bytes={start}-{start + length - 1}"} if length else {}
        answer = self._send("GET", key, headers, None, max(length, SMALL_BYTES))
        return bytes(answer.content) if answer is not None and _is_whole(answer, 200, 206) else None

    def fetch(self, key: str, etag: str, largest: int) -> tuple[bytes, str] | None:
        """A whole object and its entity tag, no bytes where it still has the one given; None for the client to say.

        One that is larger, or does not say how large it is, is not read.
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
            self._usable = False  # the client knows more of this store than is known here
        return answer


def _is_whole(answer: Any, *statuses: int) -> bool:
    """Whether it is a success with all the bytes that it announced; a connection may end early without an error."""
    announced = answer.headers.get("content-length")
    return answer.status_code in statuses and (announced is None or len(answer.content) == int(announced))
