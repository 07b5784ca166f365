"""Translation of botocore's exceptions to `MregError`, and which of them are transient."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from mreg.domain.redaction import attributed, redacted
from mreg.errors import BadProfile, Conflict, MregError, Unavailable
from mreg.s3.integrity import WRONG_DIGEST

CREDENTIAL_SOURCES = (
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile of aws_profile or AWS_PROFILE in ~/.aws/credentials and "
    "~/.aws/config (single sign-on and assumed roles among them), and the role of a container or instance"
)

THROTTLED = {
    "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "BandwidthLimitExceeded",
    "TooManyRequests", "RequestThrottled", "429", "503",
}  # fmt: skip
PASSING = {"InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted", "500", "502", "503", "504"}
LOST = (
    boto.EndpointConnectionError,
    boto.ConnectTimeoutError,
    boto.ReadTimeoutError,
    boto.ConnectionClosedError,
    boto.ResponseStreamingError,
    boto.IncompleteReadError,
)
"""The connection could not be established, or it broke."""

SILENCE = (boto.ConnectTimeoutError, boto.ReadTimeoutError)
"""Timeouts."""

FAILURES = (boto.BotoCoreError, boto.ClientError, ResponseParserError)
"""Everything that botocore raises if a request fails."""

KEYS_HINT = "check the credentials in use: aws sts get-caller-identity, or the keys of this store"
RIGHTS_HINT = "grant these credentials the permissions for S3 that the documentation lists"
SPACE_HINT = "free some space there, or choose another store: mreg profile list"

WORDS: dict[str, tuple[str, str]] = {
    "NoSuchBucket": ("the bucket does not exist", "check artifacts in the profile, or create the bucket"),
    "AccessDenied": ("permission denied", RIGHTS_HINT),
    "403": ("permission denied", RIGHTS_HINT),
    "AllAccessDisabled": ("access is disabled", "ask the owner of the bucket"),
    "AccountProblem": ("the account is blocked or has a problem", "ask the owner of the account"),
    "InvalidAccessKeyId": ("unknown access key", KEYS_HINT),
    "SignatureDoesNotMatch": ("wrong secret key", KEYS_HINT),
    "InvalidToken": ("invalid session token", KEYS_HINT),
    "ExpiredToken": ("the session token has expired", "log in again, for example with aws sso login"),
    "TokenRefreshRequired": ("the session token must be renewed", "log in again, for example with aws sso login"),
    "RequestTimeTooSkewed": (
        "the clock of this machine is wrong",
        "set this machine's clock: timedatectl set-ntp true",
    ),
    "RequestExpired": ("the clock of this machine is wrong", "set this machine's clock: timedatectl set-ntp true"),
    "QuotaExceeded": ("quota exceeded", SPACE_HINT),
    "XMinioStorageFull": ("the store is full", SPACE_HINT),
    "NotImplemented": (
        "the store does not support the request",
        "show what the store does not support: mreg profile check",
    ),
    "MethodNotAllowed": (
        "the store does not support the request",
        "check endpoint_url in the profile: is it the address of an S3 store?",
    ),
    "NoSuchKey": ("an object is missing", "find what is missing: mreg verify"),
    "404": ("an object is missing", "find what is missing: mreg verify"),
    "NoSuchUpload": ("the upload was discarded meanwhile", "push again"),
    "InvalidObjectState": (
        "an object is archived",
        "restore it from its storage class first: aws s3api restore-object",
    ),
    "EntityTooLarge": ("an object is too large for the store", "check the size limit of the store"),
}
"""Message and hint by S3 error code: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""

KMS_HINT = (
    "grant these credentials kms:GenerateDataKey and kms:Decrypt on the key that encrypts the bucket, and check that "
    "the key is enabled"
)

REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "307"}


def code_of(error: BaseException) -> str:
    """Return the S3 error code of an exception; empty if it has none."""
    if not isinstance(error, boto.ClientError):
        return ""
    return str(error.response.get("Error", {}).get("Code") or "")


def status_of(error: BaseException) -> int:
    """Return the HTTP status of an S3 error response; 0 if there was none."""
    if not isinstance(error, boto.ClientError):
        return 0
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def message_of(error: BaseException) -> str:
    """Return the unchanged error message of the store; empty if it sent none."""
    if not isinstance(error, boto.ClientError) or code_of(error).isdecimal():
        return ""
    message = str(error.response.get("Error", {}).get("Message") or "").strip()
    return "" if message in ("Unknown", "None", code_of(error)) else message


def is_foreign(error: BaseException) -> bool:
    """Return whether an error response does not come from an S3 store: it has no code, or it is an HTML page."""
    if not isinstance(error, boto.ClientError):
        return False
    headers: dict[str, str] = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    is_page = headers.get("content-type", "").partition(";")[0].strip().lower() == "text/html"
    return not code_of(error) or (code_of(error).isdecimal() and is_page)


def throttled(error: BaseException) -> bool:
    """Return whether the store throttles requests."""
    return code_of(error) in THROTTLED


def passing(error: BaseException) -> bool:
    """Return whether a failure is transient, so that a retry can succeed."""
    if isinstance(error, LOST):
        return not isinstance(error, boto.SSLError)
    return throttled(error) or code_of(error) in PASSING or status_of(error) in (500, 502, 503, 504)


def refused(error: BaseException | None) -> bool:
    """Return whether the store refused a request with status 4xx."""
    return error is not None and 400 <= status_of(error) < 500 and not is_foreign(error)


def translated(error: Exception, url: str, endpoint: str, secrets: Sequence[str] = ()) -> MregError:
    """Return the `MregError` for an exception of botocore, with the original message of the store or the system.

    Args:
        url: URL of the bucket.
        endpoint: URL that was called.
        secrets: Values that the message must not contain.
    """
    if isinstance(error, boto.ClientError):
        return _answered(error, url, endpoint, secrets)
    if isinstance(error, boto.ProfileNotFound):
        return BadProfile(
            f"AWS profile {_last(error, 'profile')!r} not found",
            hint="check aws_profile and AWS_PROFILE: aws configure list-profiles",
        )
    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)):
        missing = isinstance(error, boto.NoCredentialsError)
        what = "no credentials found" if missing else redacted(str(error), secrets)
        return Unavailable(f"cannot use {url}: {what}", hint=f"set one of: {CREDENTIAL_SOURCES}")
    if isinstance(error, (boto.TokenRetrievalError, boto.SSOError, boto.UnauthorizedSSOTokenError)):
        return Unavailable(f"cannot use {url}: {redacted(str(error), secrets)}", hint="log in again: aws sso login")
    if isinstance(error, boto.SSLError):
        return _without_tls(error, endpoint)
    if isinstance(error, boto.ProxyConnectionError):
        return Unavailable(
            f"cannot reach the proxy for {endpoint}: {_reason(error)}",
            hint="check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
        )
    if isinstance(error, ResponseParserError):
        return foreign(endpoint)
    if isinstance(error, (boto.ParamValidationError, boto.InvalidRegionError, boto.NoRegionError, ValueError)):
        return BadProfile(
            f"cannot use {url}: {_reason(error)}", hint="check artifacts, endpoint_url and region in the profile"
        )
    if isinstance(error, SILENCE):
        return _lost(f"{endpoint} does not respond", error)
    if isinstance(error, boto.EndpointConnectionError):
        return _lost(f"cannot reach {endpoint}", error)
    if _is_tls(error) and endpoint.startswith("http://"):
        return Unavailable(f"{endpoint} expects TLS, got plain HTTP", hint=_other_scheme(endpoint, "https"))
    lost = _lost(f"the connection to {endpoint} was lost", error)
    if endpoint.startswith("http://"):
        lost.hint += f"; if the store uses TLS, {_other_scheme(endpoint, 'https')}"
    return lost


def foreign(endpoint: str, what: str = "", page: str = "", secrets: Sequence[str] = ()) -> Unavailable:
    """Return the error for a response that does not come from an S3 store, such as the page of a proxy.

    Args:
        what: Details of the response in parentheses.
        page: Text of the response.
    """
    hint = "check endpoint_url in the profile, and the proxy: HTTPS_PROXY, HTTP_PROXY, NO_PROXY"
    if endpoint.startswith("http://") and "https" in page.lower():
        hint = f"if the store uses TLS, {_other_scheme(endpoint, 'https')}; otherwise {hint}"
    return Unavailable(
        f"the response of {endpoint} is not from an S3 store{what}{attributed('the response', page, secrets)}",
        hint=hint,
    )


def damaged(url: str, code: str = "", detail: str = "") -> Unavailable:
    """Return the error for an upload that arrived damaged, detected by the store or by mreg."""
    return Unavailable(
        f"cannot use {url}: an upload was damaged in transit{f' ({code})' if code else ''}{detail}",
        hint="push again; if it fails again, check for a proxy that changes uploads: HTTPS_PROXY, HTTP_PROXY",
    )


def _without_tls(error: boto.SSLError, endpoint: str) -> Unavailable:
    """Return the error for a failed TLS handshake."""
    reason = _reason(error)
    code = next((found[1] for wrapped in _chain(error) if (found := _OPENSSL.search(str(wrapped)))), "")
    if code in NO_TLS:
        return Unavailable(
            f"{endpoint} does not support TLS: {reason}",
            hint=f"if the store uses plain HTTP, {_other_scheme(endpoint, 'http')}; otherwise check HTTPS_PROXY",
        )
    if code not in ("", "CERTIFICATE_VERIFY_FAILED"):
        return Unavailable(
            f"the TLS connection to {endpoint} failed: {reason}",
            hint="check endpoint_url in the profile, and the proxy: HTTPS_PROXY, NO_PROXY",
        )
    hint = "set AWS_CA_BUNDLE to the file of the certificate authority, or check endpoint_url in the profile"
    if "expired" in reason or "not yet valid" in reason:
        hint = "renew the certificate of the store, or set this machine's clock: timedatectl set-ntp true"
    elif "mismatch" in reason or "not valid for" in reason or "doesn't match" in reason:
        hint = "set endpoint_url in the profile to a host name of the certificate"
    return Unavailable(f"cannot trust the certificate of {endpoint}: {reason}", hint=hint)


_OPENSSL = re.compile(r"\[SSL: ([A-Z0-9_]+)\]")
NO_TLS = {
    "WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG",
    "BAD_RECORD_TYPE",
}  # fmt: skip
"""OpenSSL's reasons for bytes that are not TLS."""

_ALERT = re.compile(r"\\x15\\x03[\\x00-\\x04]|\x15\x03")
"""The start of a TLS alert where an HTTP response is expected."""


def _is_tls(error: Exception) -> bool:
    """Return whether the server answered plain HTTP with a TLS alert."""
    return any(_ALERT.search(str(wrapped)) for wrapped in _chain(error))


def _other_scheme(endpoint: str, scheme: str) -> str:
    return f"set endpoint_url: {scheme}://{endpoint.partition('://')[2]} in the profile"


def _lost(what: str, error: Exception) -> Unavailable:
    return Unavailable(
        f"{what}: {_reason(error)}", hint="check the network and endpoint_url in the profile: mreg profile check"
    )


def _answered(error: boto.ClientError, url: str, endpoint: str, secrets: Sequence[str]) -> MregError:
    code, status = redacted(code_of(error), secrets)[:80], status_of(error)
    page = str(error.response.get("ResponseMetadata", {}).get("Page") or "")
    detail = attributed("the store", message_of(error), secrets) or attributed("the response", page, secrets)
    if throttled(error):
        return Unavailable(
            f"{url} asks for fewer requests ({code}){detail}", hint="try again later, or with fewer concurrent requests"
        )
    if code in REGION:
        headers: dict[str, Any] = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        region = redacted(
            str(error.response.get("Error", {}).get("Region") or headers.get("x-amz-bucket-region") or "")
        )
        where = f", in {region}" if region else ""
        hint = f"set region: {region} in the profile" if region else "check region and endpoint_url in the profile"
        return Unavailable(f"{url} is in another region{where} ({code}){detail}", hint=hint)
    if code in ("PreconditionFailed", "ConditionalRequestConflict", "412", "409"):
        return Conflict(f"{url} was changed by another client at the same time{detail}", hint="run the command again")
    if is_foreign(error) and not (code == "503" or (status >= 500 and status != 501)):
        return foreign(endpoint, f" (HTTP {status})", page or message_of(error), secrets)
    if "kms" in f"{code} {message_of(error)}".lower():
        return Unavailable(f"cannot use {url}: the store cannot use its encryption key ({code}){detail}", hint=KMS_HINT)
    if code in WRONG_DIGEST:
        return damaged(url, code, detail)
    if code in WORDS:
        words, hint = WORDS[code]
        return Unavailable(f"cannot use {url}: {words} ({code}){detail}", hint=hint)
    if status >= 500 and status != 501:
        number = f"HTTP {status}" if not code or code == str(status) else f"{code}, HTTP {status}"
        return Unavailable(
            f"cannot use {url}: the store at {endpoint} failed ({number}){detail}",
            hint="try again later; if it fails again, ask the operator of the store",
        )
    if not code or code.isdecimal():
        return foreign(endpoint, f" (HTTP {status})", page, secrets)
    return Unavailable(
        f"cannot use {url}: the store refused the request ({code}){detail}", hint="try each step: mreg profile check"
    )


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
    return redacted(reason + "'" * (reason.count("'") % 2))


_SOURCE_LINE = re.compile(r"\s*\(_ssl\.c:\d+\)|\[SSL: [A-Z0-9_]+\]\s*")
"""Text that Python adds to OpenSSL's message."""


def _last(error: boto.BotoCoreError, name: str) -> str:
    return str(error.kwargs.get(name, "?"))
