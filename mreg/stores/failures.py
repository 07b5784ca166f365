"""Failures of requests: one type for all clients, which of them are transient, and the `MregError` for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from mreg.domain.redaction import attributed, redacted
from mreg.errors import BadProfile, Conflict, MregError, Unavailable


class Kind(StrEnum):
    """What happened to a request."""

    ANSWER = "answer"
    """The store answered with an error status."""
    FOREIGN = "foreign"
    """The response is not from an object store, or cannot be read."""
    SILENCE = "silence"
    """Timeout."""
    UNREACHABLE = "unreachable"
    """No connection."""
    LOST = "lost"
    """The connection broke."""
    TLS = "tls"
    """The TLS handshake failed."""
    PROXY = "proxy"
    """The proxy cannot be reached."""
    CREDENTIALS = "credentials"
    """There are no credentials, or they cannot be read or renewed."""
    SETTINGS = "settings"
    """The settings cannot be used."""


class Failure(Exception):
    """A request to a store that failed.

    Attributes:
        kind: What happened.
        reason: One line from the system or the client; of the kind FOREIGN, details in parentheses.
        status: HTTP status of the response; 0 without response.
        code: Error code of the store, or the status in digits if the response has none; empty if an error document has
            no code, and without response.
        text: Error message of the store, unchanged.
        page: Text of a response that is not an error document.
        is_page: The response is an HTML page.
        region: Region of the bucket, if the response names it.
        hint: The next step, of the kinds CREDENTIALS and SETTINGS; with SETTINGS, the reason is the whole message.
    """

    def __init__(
        self,
        kind: Kind,
        reason: str = "",
        *,
        status: int = 0,
        code: str = "",
        text: str = "",
        page: str = "",
        is_page: bool = False,
        region: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(f"{kind}: {reason or code or status}")
        self.kind = kind
        self.reason = reason
        self.status = status
        self.code = code
        self.text = text
        self.page = page
        self.is_page = is_page
        self.region = region
        self.hint = hint

    @property
    def is_foreign(self) -> bool:
        """True if an error response does not come from an object store: it has no code, or it is an HTML page."""
        return self.kind is Kind.ANSWER and (not self.code or (self.code.isdecimal() and self.is_page))

    @property
    def is_missing(self) -> bool:
        """True if the store answered that the object does not exist."""
        return self.status == 404 and self.code not in MISSING_BUCKET and not self.is_foreign

    @property
    def is_throttled(self) -> bool:
        """True if the store throttles requests."""
        return self.code in THROTTLED

    @property
    def is_transient(self) -> bool:
        """True if a retry can succeed."""
        if self.kind in (Kind.SILENCE, Kind.UNREACHABLE, Kind.LOST, Kind.PROXY):
            return True
        return self.is_throttled or self.code in PASSING or self.status in (500, 502, 503, 504)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What messages about one provider say.

    Attributes:
        name: Kind of store after "is not from".
        credentials: Where credentials are looked for.
        codes: Message and hint by error code.
        region: Error codes of a bucket in another region.
        damaged: Error codes of an upload that arrived damaged.
        key_hint: Hint if the store cannot use its encryption key.
        certificate_hint: Hint if the certificate is not trusted.
        network_hint: Hint if the store does not answer.
    """

    name: str
    credentials: str
    codes: Mapping[str, tuple[str, str]]
    region: frozenset[str] = frozenset()
    damaged: frozenset[str] = frozenset()
    key_hint: str = ""
    certificate_hint: str = ""
    network_hint: str = "check the network and endpoint_url in the profile: mreg profile check"


@dataclass(slots=True, kw_only=True)
class Target:
    """The store that messages are about.

    Attributes:
        url: URL of the bucket and prefix.
        endpoint: URL that is called.
        words: The words of its provider.
        secrets: Values that no message may contain.
        explain: Returns message and hint for an answer that its code does not explain; None if the code does.
        explain_tls: Returns OpenSSL's code and text for a failed TLS handshake; both empty if it succeeds.
    """

    url: str
    endpoint: str
    words: Words
    secrets: tuple[str, ...] = ()
    explain: Callable[[Failure], tuple[str, str] | None] = field(default=lambda _failure: None)
    explain_tls: Callable[[], tuple[str, str]] = field(default=lambda: ("", ""))


MISSING_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound", "ResourceNotFound"})

THROTTLED = {
    "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "BandwidthLimitExceeded",
    "TooManyRequests", "RequestThrottled", "ServerBusy", "429", "503",
}  # fmt: skip
PASSING = {
    "InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted", "OperationTimedOut",
    "500", "502", "503", "504",
}  # fmt: skip

SPACE_HINT = "free some space there, or choose another store: mreg profile list"
NO_TLS = {
    "WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG",
    "BAD_RECORD_TYPE",
}  # fmt: skip
"""OpenSSL's reasons for bytes that are not TLS."""


def refused(error: BaseException | None) -> bool:
    """Return whether the store refused a request with status 4xx."""
    return isinstance(error, Failure) and 400 <= error.status < 500 and not error.is_foreign


def translated(failure: Failure, target: Target) -> MregError:
    """Return the `MregError` for a failure, with the original message of the store or the system."""
    endpoint, reason = target.endpoint, redacted(failure.reason, target.secrets)
    match failure.kind:
        case Kind.ANSWER:
            return _answered(failure, target)
        case Kind.FOREIGN:
            return foreign(target, failure.reason)
        case Kind.CREDENTIALS:
            hint = failure.hint or f"set one of: {target.words.credentials}"
            return Unavailable(f"cannot use {target.url}: {reason}", hint=hint)
        case Kind.SETTINGS:
            if failure.hint:
                return BadProfile(reason, hint=failure.hint)
            return BadProfile(
                f"cannot use {target.url}: {reason}", hint="check artifacts, endpoint_url and region in the profile"
            )
        case Kind.TLS:
            return _without_tls(*target.explain_tls(), failure, target)
        case Kind.PROXY:
            return Unavailable(
                f"cannot reach the proxy for {endpoint}: {reason}", hint="check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
            )
        case Kind.SILENCE:
            return Unavailable(f"{endpoint} does not respond: {reason}", hint=target.words.network_hint)
        case Kind.UNREACHABLE:
            return Unavailable(f"cannot reach {endpoint}: {reason}", hint=target.words.network_hint)
    hint = target.words.network_hint
    if endpoint.startswith("http://"):
        hint += f"; if the store uses TLS, {_other_scheme(endpoint, 'https')}"
    return Unavailable(f"the connection to {endpoint} was lost: {reason}", hint=hint)


def foreign(target: Target, what: str = "", page: str = "") -> Unavailable:
    """Return the error for a response that does not come from an object store, such as the page of a proxy.

    Args:
        what: Details of the response in parentheses.
        page: Text of the response.
    """
    endpoint = target.endpoint
    hint = "check endpoint_url in the profile, and the proxy: HTTPS_PROXY, HTTP_PROXY, NO_PROXY"
    if endpoint.startswith("http://") and "https" in page.lower():
        hint = f"if the store uses TLS, {_other_scheme(endpoint, 'https')}; otherwise {hint}"
    says = attributed("the response", page, target.secrets)
    return Unavailable(f"the response of {endpoint} is not from {target.words.name}{what}{says}", hint=hint)


def damaged(url: str, code: str = "", detail: str = "") -> Unavailable:
    """Return the error for an upload that arrived damaged, detected by the store or by mreg."""
    return Unavailable(
        f"cannot use {url}: an upload was damaged in transit{f' ({code})' if code else ''}{detail}",
        hint="push again; if it fails again, check for a proxy that changes uploads: HTTPS_PROXY, HTTP_PROXY",
    )


def _without_tls(code: str, found: str, failure: Failure, target: Target) -> Unavailable:
    """Return the error for a failed TLS handshake.

    Args:
        code: OpenSSL's code of the failure; empty if the client's reason is all that is known.
        found: OpenSSL's text.
    """
    endpoint, reason = target.endpoint, redacted(found or failure.reason, target.secrets)
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
    hint = target.words.certificate_hint
    if "expired" in reason.lower() or "not yet valid" in reason.lower():
        hint = "renew the certificate of the store, or set this machine's clock: timedatectl set-ntp true"
    elif "mismatch" in reason or "not valid for" in reason.lower() or "doesn't match" in reason:
        hint = "set endpoint_url in the profile to a host name of the certificate"
    return Unavailable(f"cannot trust the certificate of {endpoint}: {reason}", hint=hint)


def _other_scheme(endpoint: str, scheme: str) -> str:
    return f"set endpoint_url: {scheme}://{endpoint.partition('://')[2]} in the profile"


def _answered(failure: Failure, target: Target) -> MregError:
    url, words, secrets = target.url, target.words, target.secrets
    code, status = redacted(failure.code, secrets)[:80], failure.status
    detail = attributed("the store", failure.text, secrets) or attributed("the response", failure.page, secrets)
    if failure.is_throttled:
        return Unavailable(
            f"{url} asks for fewer requests ({code}){detail}", hint="try again later, or with fewer concurrent requests"
        )
    if code in words.region:
        region = redacted(failure.region)
        where = f", in {region}" if region else ""
        hint = f"set region: {region} in the profile" if region else "check region and endpoint_url in the profile"
        return Unavailable(f"{url} is in another region{where} ({code}){detail}", hint=hint)
    if code in ("PreconditionFailed", "ConditionalRequestConflict", "ConditionNotMet", "412", "409"):
        return Conflict(f"{url} was changed by another client at the same time{detail}", hint="run the command again")
    if failure.is_foreign and not (code == "503" or (status >= 500 and status != 501)):
        return foreign(target, f" (HTTP {status})", failure.page or failure.text)
    if words.key_hint and "kms" in f"{code} {failure.text}".lower():
        return Unavailable(
            f"cannot use {url}: the store cannot use its encryption key ({code}){detail}", hint=words.key_hint
        )
    if code in words.damaged:
        return damaged(url, code, detail)
    if known := target.explain(failure) or words.codes.get(code):
        said, hint = known
        return Unavailable(f"cannot use {url}: {said} ({code}){detail}", hint=hint)
    if status >= 500 and status != 501:
        number = f"HTTP {status}" if not code or code == str(status) else f"{code}, HTTP {status}"
        return Unavailable(
            f"cannot use {url}: the store at {target.endpoint} failed ({number}){detail}",
            hint="try again later; if it fails again, ask the operator of the store",
        )
    if not code or code.isdecimal():
        return foreign(target, f" (HTTP {status})", failure.page)
    return Unavailable(
        f"cannot use {url}: the store refused the request ({code}){detail}", hint="try each step: mreg profile check"
    )


def secrets_in(values: Sequence[str | None]) -> tuple[str, ...]:
    """Return the values that are known and not empty."""
    return tuple(value for value in values if value)
