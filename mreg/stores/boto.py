"""What only AWS's own client does: multipart uploads, lists, probes with wrong sums, and the credential chain.

obstore cannot list or resume the parts of an upload. Its lists take a page of a proxy for an empty bucket and a list
that is cut off for a complete one, and it sends no checksum but the right one. Importing boto3 and creating a client
takes 0.3 s, so a command does it only for one of these.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import boto3
from botocore import exceptions as boto
from botocore.auth import AUTH_TYPE_MAPS, UNSIGNED_PAYLOAD, S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.parsers import ResponseParserError
from botocore.session import Session
from urllib3 import exceptions as http

from mreg.stores import client
from mreg.stores.failures import Failure, Kind, secrets_in
from mreg.stores.integrity import MD5_HEADER, SUM_HEADER, IntegrityCheck, changed, digests, encoded
from mreg.stores.responses import LONGEST_BODY, page_words
from mreg.stores.settings import StoreSettings

LONGEST_ANSWER = 6 << 20
"""Maximum number of bytes of a successful response. A list of 1,000 keys of maximum length has about 4 MiB.

XML with many small elements takes 25 times as much memory once it is parsed.
"""

BODILESS = ("abort_multipart_upload",)
"""Operations whose responses have no fields, so that a proxy's page cannot be detected."""

UNREADABLE = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError)
"""Exceptions that botocore raises, besides its own, for a response with a missing or malformed field."""

SIGNER = "mreg-s3v4"
_SIGNED = "mreg_sha256"
_PIECE = 64 << 10
_DIGITS = 20


def chain(profile: str) -> Any:
    """Return the credentials of botocore's chain; None if there are none.

    Args:
        profile: AWS profile; empty for that of the environment.
    """
    return Session(profile=profile or None).get_credentials()


class Aws:
    """One bucket by boto3, without retries; every failure is a `Failure`. Safe for threads.

    Attributes:
        secrets: The secret key and session token in use, if they are known without a request.

    Args:
        name: Name of the bucket.
        region: Region if neither the settings nor AWS's configuration name one.
        sent_as: Returns how the checksum of an upload of this thread is sent.
        signing: Sign URLs for other programs, which send no checksums.
    """

    def __init__(
        self, name: str, settings: StoreSettings, sent_as: Callable[[], IntegrityCheck], *, signing: bool = False
    ) -> None:
        self._name = name
        self._sent_as = sent_as
        try:
            session = boto3.Session(profile_name=settings.aws_profile or None)
            self._client = session.client(
                "s3",
                endpoint_url=settings.endpoint_url or None,
                region_name=settings.region or session.region_name or "us-east-1",
                config=Config(
                    connect_timeout=client.CONNECT_SECONDS,
                    read_timeout=client.READ_SECONDS,
                    max_pool_connections=client.CONNECTIONS,
                    retries={"mode": "standard", "total_max_attempts": 1},
                    user_agent_extra="mreg",
                    # Self-hosted stores seldom have a DNS name for each bucket.
                    # The signature covers the content of every request, except where `Signer` uses a checksum header.
                    s3={
                        "addressing_style": settings.addressing_style or ("path" if settings.endpoint_url else "auto"),
                        "payload_signing_enabled": True,
                    },
                    **(
                        {"signature_version": "s3v4", "request_checksum_calculation": "when_required"}
                        if signing
                        else {}
                    ),
                ),
            )
        except (boto.BotoCoreError, ValueError) as error:
            raise failure_of_boto(error) from error
        known = vars(session.get_credentials() or object)
        self.secrets = secrets_in([known.get(name) for name in ("secret_key", "token", "_secret_key", "_token")])
        sender = self._client._endpoint.http_session
        events = self._client.meta.events
        events.register_last("before-send.s3", lambda request, **_: send(sender, request))
        events.register_last("response-received.s3", _keep_page)
        AUTH_TYPE_MAPS[SIGNER] = Signer
        events.register_first("choose-signer.s3", _choose_signer)
        events.register("before-call.s3", _stay)
        events.register("before-sign.s3", lambda request, **_: protect(request, self._sent_as()))

    def ask(self, operation: str, **params: Any) -> Any:
        """Call an operation of the client on this bucket, and return the response.

        Raises:
            Failure: The operation failed, or the response is not that of an S3 store.
        """
        try:
            answer = getattr(self._client, operation)(Bucket=self._name, **params)
        except (boto.BotoCoreError, boto.ClientError, ResponseParserError, *UNREADABLE) as error:
            raise failure_of_boto(error) from error
        if operation not in BODILESS and set(answer) <= {"ResponseMetadata"}:
            raise Failure(Kind.FOREIGN, f" (HTTP {answer['ResponseMetadata']['HTTPStatusCode']})")
        return answer

    def presign(self, operation: str, seconds: int, **params: Any) -> str:
        """Return a URL that permits one call of an operation without credentials; makes no request.

        Args:
            seconds: How long the URL is valid.
            params: Those that become headers, such as ``ContentLength``, are signed: the request must have them.

        Raises:
            Failure: There are no credentials.
        """
        try:
            return str(
                self._client.generate_presigned_url(
                    operation, Params={"Bucket": self._name, **params}, ExpiresIn=seconds
                )
            )
        except (boto.BotoCoreError, boto.ClientError, *UNREADABLE) as error:
            raise failure_of_boto(error) from error

    def put_by_url(self, url: str, data: bytes, headers: dict[str, str]) -> int:
        """Put bytes by a presigned URL, as another program does, and return the status of the response.

        Raises:
            Failure: The connection broke.
        """
        request = AWSRequest(method="PUT", url=url, headers=headers, data=data).prepare()
        try:
            return int(send(self._client._endpoint.http_session, request).status_code)
        except (boto.BotoCoreError, ResponseParserError, *UNREADABLE) as error:
            raise failure_of_boto(error) from error

    def clock(self, prefix: str) -> Any:
        """Return the date of a response, in whole seconds."""
        answer = self.ask("list_objects_v2", Prefix=prefix, MaxKeys=1)
        try:
            return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"].get("date", ""))
        except (ValueError, OverflowError):
            raise Failure(Kind.FOREIGN, " (no date)") from None


class Fields(dict[str, Any]):
    """The fields of a response. Reading a missing field raises an error, since every S3 store sends it.

    Args:
        fields: Fields by name; nested dictionaries become `Fields` as well.
        error: Returns the error for a missing field.
    """

    def __init__(self, fields: dict[str, Any], error: Callable[[], Exception]) -> None:
        super().__init__((name, _with_fields(value, error)) for name, value in fields.items())
        self._error = error

    def __missing__(self, name: str) -> Any:
        raise self._error()


def _with_fields(value: Any, error: Callable[[], Exception]) -> Any:
    if isinstance(value, dict):
        return Fields(value, error)
    return [_with_fields(item, error) for item in value] if isinstance(value, list) else value


def send(session: Any, request: Any) -> Any:
    """Send a prepared request and return the response, with its content in memory.

    An error response that is too long is truncated.

    Args:
        session: botocore's HTTP session.

    Raises:
        ResponseParserError: A successful response is longer than `LONGEST_ANSWER`.
        BotoCoreError: The connection broke.
    """
    request.stream_output = True  # stops botocore from reading the whole response
    answer = session.send(request)
    refused = answer.status_code >= 300
    limit = LONGEST_BODY if refused else LONGEST_ANSWER
    if not refused and request.method != "HEAD" and (_announced_length(answer) or 0) > limit:
        answer.raw.close()
        raise ResponseParserError(f"the response is longer than {limit} bytes")
    pieces: list[bytes] = []
    count = 0
    try:
        for piece in answer.raw.stream(_PIECE):
            count += len(piece)
            pieces.append(piece)
            if count > limit:
                answer.raw.close()
                break
    except http.ReadTimeoutError as error:
        raise boto.ReadTimeoutError(endpoint_url=request.url, error=error) from error
    except http.ProtocolError as error:
        raise boto.ConnectionClosedError(endpoint_url=request.url, error=error, request=request) from error
    except http.HTTPError as error:
        raise boto.HTTPClientError(error=error) from error
    if count > limit and not refused:
        raise ResponseParserError(f"the response is longer than {limit} bytes")
    answer._content = b"".join(pieces)[:limit]
    return answer


def _announced_length(answer: Any) -> int | None:
    """Return the content length that a response announces, in bytes; None if it is missing or not a number."""
    text = str(answer.headers.get("content-length") or "")
    return int(text) if text.isdecimal() and len(text) < _DIGITS else None


def _keep_page(response_dict: Any = None, parsed_response: Any = None, **_: object) -> None:
    """Keep the text of an error page as ``ResponseMetadata["Page"]``."""
    if not parsed_response or "Error" not in parsed_response:
        return
    code = str(parsed_response["Error"].get("Code") or "")
    body = (response_dict or {}).get("body")
    if isinstance(body, bytes) and (not code or code.isdecimal()):
        parsed_response.setdefault("ResponseMetadata", {})["Page"] = page_words(body.decode("utf-8", "replace"))


# Checksums of uploads


def protect(request: Any, check: IntegrityCheck) -> None:
    """Replace the checksum header of an upload with one that the store verifies; other requests stay unchanged.

    Args:
        request: botocore request that is not signed yet.

    Raises:
        Conflict: The file changed since it was hashed; only checked with the methods that use MD5 sums.
    """
    announced = request.headers.get(SUM_HEADER)
    if announced is None or check is IntegrityCheck.SUM:
        return
    del request.headers[SUM_HEADER]
    digest = base64.b64decode(announced)
    if check is IntegrityCheck.SIGNATURE:
        request.context[_SIGNED] = digest.hex()
    elif MD5_HEADER not in request.headers:
        sha256, md5 = digests(request.body)
        if sha256 != digest:
            raise changed()
        request.headers[MD5_HEADER] = encoded(md5)


class Signer(S3SigV4Auth):  # type: ignore[misc]
    """S3's signature. It covers the content unless a checksum header does, and reuses a known digest."""

    def payload(self, request: Any) -> str:
        known = request.context.get(_SIGNED)
        if known is None and (SUM_HEADER in request.headers or MD5_HEADER in request.headers):
            return str(UNSIGNED_PAYLOAD)
        return known or str(super().payload(request))


def _stay(context: dict[str, Any], **_: object) -> None:
    """Keep botocore from following a redirect to another region.

    It asks for the region of the bucket, and follows the redirect of this request in the same way, without an end.
    """
    context.setdefault("s3_redirect", {})["redirected"] = True


def _choose_signer(signature_version: Any, context: dict[str, Any], **_: object) -> str | None:
    ordinary = signature_version in ("v4", "s3v4") and context.get("auth_type") in (None, "v4")
    return SIGNER if ordinary and not context.get("is_presign_request") else None


# Failures


def failure_of_boto(error: BaseException) -> Failure:
    """Return the failure for an exception of botocore."""
    if isinstance(error, boto.ClientError):
        return _answered(error)
    if isinstance(error, boto.ProfileNotFound):
        return Failure(
            Kind.SETTINGS,
            f"AWS profile {str(error.kwargs.get('profile', '?'))!r} not found",
            hint="check aws_profile and AWS_PROFILE: aws configure list-profiles",
        )
    if isinstance(error, boto.NoCredentialsError):
        return Failure(Kind.CREDENTIALS, "no credentials found")
    if isinstance(error, (boto.PartialCredentialsError, boto.CredentialRetrievalError)):
        return Failure(Kind.CREDENTIALS, str(error))
    if isinstance(error, (boto.TokenRetrievalError, boto.SSOError, boto.UnauthorizedSSOTokenError)):
        return Failure(Kind.CREDENTIALS, str(error), hint="log in again: aws sso login")
    if isinstance(error, boto.SSLError):
        code = next((found[1] for wrapped in _chain(error) if (found := _OPENSSL.search(str(wrapped)))), "")
        return Failure(Kind.TLS, _reason(error), code=code)
    if isinstance(error, boto.ProxyConnectionError):
        return Failure(Kind.PROXY, _reason(error))
    if isinstance(error, (boto.ConnectTimeoutError, boto.ReadTimeoutError)):
        return Failure(Kind.SILENCE, _reason(error))
    if isinstance(error, boto.EndpointConnectionError):
        return Failure(Kind.UNREACHABLE, _reason(error))
    if isinstance(error, (boto.ParamValidationError, boto.InvalidRegionError, boto.NoRegionError)):
        return Failure(Kind.SETTINGS, _reason(error))
    if isinstance(error, ResponseParserError) or not isinstance(error, boto.BotoCoreError):
        return Failure(Kind.FOREIGN)
    return Failure(Kind.LOST, _reason(error))


def _answered(error: boto.ClientError) -> Failure:
    document = error.response.get("Error", {})
    metadata = error.response.get("ResponseMetadata", {})
    headers: dict[str, str] = metadata.get("HTTPHeaders", {})
    code = str(document.get("Code") or "")
    text = "" if code.isdecimal() else str(document.get("Message") or "").strip()
    return Failure(
        Kind.ANSWER,
        status=int(metadata.get("HTTPStatusCode", 0)),
        code=code,
        text="" if text in ("Unknown", "None", code) else text,
        page=str(metadata.get("Page") or ""),
        is_page=headers.get("content-type", "").partition(";")[0].strip().lower() == "text/html",
        region=str(document.get("Region") or headers.get("x-amz-bucket-region") or ""),
    )


_OPENSSL = re.compile(r"\[SSL: ([A-Z0-9_]+)\]")
_SOURCE_LINE = re.compile(r"\s*\(_ssl\.c:\d+\)|\[SSL: [A-Z0-9_]+\]\s*")
"""Text that Python adds to OpenSSL's message."""


def _chain(error: BaseException) -> list[BaseException]:
    """Return an exception and the exceptions that it wraps, outermost first."""
    found = [error]
    inner = getattr(error, "kwargs", {}).get("error")
    while isinstance(inner, BaseException) and inner not in found:
        found.append(inner)
        inner = getattr(inner, "reason", None) or inner.__cause__ or inner.__context__
    return found


def _reason(error: BaseException) -> str:
    """Return the message of the innermost exception in a chain, as one line."""
    seen = _chain(error)[-1]
    text = getattr(seen, "strerror", None) or str(seen) or type(seen).__name__
    text = _SOURCE_LINE.sub("", text).strip()
    reason = text.rpartition(": ")[2].strip("'\").") or text
    return reason + "'" * (reason.count("'") % 2)
