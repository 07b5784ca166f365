"""What an S3 store or the way to it did wrong, as errors of mreg; and whether it may pass by itself."""

from __future__ import annotations

from typing import Any

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from mreg.errors import BadProfile, Conflict, MregError, Unavailable

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
"""A connection that did not come about, or broke."""

SILENCE = (boto.ConnectTimeoutError, boto.ReadTimeoutError)
"""Nobody answered for as long as is waited for."""

FAILURES = (boto.BotoCoreError, boto.ClientError, ResponseParserError)
"""All that botocore raises where a request fails."""

KEYS_HINT = "check the credentials that are in use: aws sts get-caller-identity, or the keys of this store"

WORDS: dict[str, tuple[str, str]] = {
    "NoSuchBucket": ("there is no such bucket", "check artifacts in the profile, or make the bucket"),
    "AccessDenied": ("permission is refused", "these credentials need the permissions that the README lists for S3"),
    "403": ("permission is refused", "these credentials need the permissions that the README lists for S3"),
    "AllAccessDisabled": ("all access is disabled", "ask who owns the bucket"),
    "InvalidAccessKeyId": ("the access key is unknown there", KEYS_HINT),
    "SignatureDoesNotMatch": ("the secret key is wrong", KEYS_HINT),
    "InvalidToken": ("the session token is wrong", KEYS_HINT),
    "ExpiredToken": ("the session token has expired", "log in again, for example with aws sso login"),
    "TokenRefreshRequired": ("the session token must be renewed", "log in again, for example with aws sso login"),
    "RequestTimeTooSkewed": ("the clocks differ too much", "set this machine's clock: timedatectl set-ntp true"),
    "RequestExpired": ("the clocks differ too much", "set this machine's clock: timedatectl set-ntp true"),
    "QuotaExceeded": ("its quota is used up", "free some space there, or name another store: mreg profile list"),
    "XMinioStorageFull": ("it is full", "free some space there, or name another store: mreg profile list"),
    "NotImplemented": ("it can't do that", "mreg profile check says what this store lacks"),
    "MethodNotAllowed": ("it can't do that", "check endpoint_url in the profile: is it the address of an S3 store?"),
}
"""Message and hint by the code of an S3 answer: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""

REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "307"}


def code_of(error: BaseException) -> str:
    """The code of an S3 answer; empty where there was none."""
    if not isinstance(error, boto.ClientError):
        return ""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: BaseException) -> int:
    """The HTTP status of an S3 answer; 0 where there was none."""
    if not isinstance(error, boto.ClientError):
        return 0
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def throttled(error: BaseException) -> bool:
    """Whether the store asks for fewer requests."""
    return code_of(error) in THROTTLED


def passing(error: BaseException) -> bool:
    """Whether the same request may succeed a little later."""
    if isinstance(error, LOST):
        return not isinstance(error, boto.SSLError)
    return throttled(error) or code_of(error) in PASSING or status_of(error) in (500, 502, 503, 504)


def translated(error: Exception, url: str, endpoint: str) -> MregError:
    """The error of mreg for one of botocore.

    Args:
        url: The bucket's, for the message.
        endpoint: The address that was called.
    """
    if isinstance(error, boto.ClientError):
        return _answered(error, url, endpoint)
    if isinstance(error, boto.ProfileNotFound):
        return BadProfile(
            f"there is no AWS profile {_last(error, 'profile')!r}",
            hint="check aws_profile and AWS_PROFILE: aws configure list-profiles",
        )
    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)):
        what = "no credentials were found" if isinstance(error, boto.NoCredentialsError) else str(error).rstrip(".")
        return Unavailable(f"{url} can't be used: {what}", hint=f"looked for {CREDENTIAL_SOURCES}")
    if isinstance(error, (boto.TokenRetrievalError, boto.SSOError, boto.UnauthorizedSSOTokenError)):
        return Unavailable(f"{url} can't be used: {str(error).rstrip('.')}", hint="log in again: aws sso login")
    if isinstance(error, boto.SSLError):
        return Unavailable(
            f"{endpoint} has no certificate that can be trusted: {_reason(error)}",
            hint="name the authority's file in AWS_CA_BUNDLE, or check endpoint_url in the profile",
        )
    if isinstance(error, boto.ProxyConnectionError):
        return Unavailable(
            f"the proxy on the way to {endpoint} can't be reached: {_reason(error)}",
            hint="check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
        )
    if isinstance(error, ResponseParserError):
        return foreign(endpoint)
    if isinstance(error, (boto.ParamValidationError, boto.InvalidRegionError, boto.NoRegionError, ValueError)):
        return BadProfile(
            f"{url} can't be used: {_reason(error)}", hint="check artifacts, endpoint_url and region in the profile"
        )
    if isinstance(error, SILENCE):
        return _lost(f"{endpoint} does not answer", error)
    if isinstance(error, boto.EndpointConnectionError):
        return _lost(f"{endpoint} can't be reached", error)
    return _lost(f"the connection to {endpoint} broke", error)


def foreign(endpoint: str, what: str = "") -> Unavailable:
    """The error for an answer that looks well and is not a store's: a proxy's page, say."""
    return Unavailable(
        f"{endpoint} gave an answer that is no S3 store's{what}",
        hint="check endpoint_url in the profile, and whether a proxy stands between: HTTPS_PROXY, NO_PROXY",
    )


def _lost(what: str, error: Exception) -> Unavailable:
    return Unavailable(
        f"{what}: {_reason(error)}", hint="check the network and endpoint_url in the profile: mreg profile check"
    )


def _answered(error: boto.ClientError, url: str, endpoint: str) -> MregError:
    code, status = code_of(error), status_of(error)
    if throttled(error):
        return Unavailable(f"{url} asks for fewer requests ({code})", hint="try again later, or with fewer at once")
    if code in REGION:
        headers: dict[str, Any] = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        region = error.response.get("Error", {}).get("Region") or headers.get("x-amz-bucket-region")
        where = f", in {region}" if region else ""
        hint = f"write region: {region} into the profile" if region else "check region and endpoint_url in the profile"
        return Unavailable(f"{url} is elsewhere{where} ({code})", hint=hint)
    if code in ("PreconditionFailed", "ConditionalRequestConflict", "412", "409"):
        return Conflict(f"{url} was changed by another at the same moment", hint="run the command again")
    if code in WORDS:
        words, hint = WORDS[code]
        return Unavailable(f"{url} can't be used: {words} ({code})", hint=hint)
    if status >= 500 and status != 501 and code.isdecimal():
        return Unavailable(f"{endpoint} has trouble of its own (HTTP {status})", hint="try again later")
    if not code or code.isdecimal():
        return foreign(endpoint, f" (HTTP {status})")
    message = str(error.response.get("Error", {}).get("Message", "")).strip().rstrip(".")
    return Unavailable(f"{url} can't be used: {message or code} ({code})", hint="mreg profile check tries each step")


def _reason(error: BaseException) -> str:
    """The innermost reason in a chain of wrapped errors, in one line."""
    seen: BaseException = error
    inner = getattr(error, "kwargs", {}).get("error")
    while isinstance(inner, BaseException) and inner is not seen:
        seen, inner = inner, getattr(inner, "reason", None) or inner.__cause__ or inner.__context__
    text = getattr(seen, "strerror", None) or str(seen) or type(seen).__name__
    return text.rpartition(": ")[2].strip("'\").") or text


def _last(error: boto.BotoCoreError, name: str) -> str:
    return str(error.kwargs.get(name, "?"))
