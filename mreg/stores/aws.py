"""AWS's configuration: environment variables and the files in ~/.aws, as far as that needs no request.

Static keys are read here. Everything else (single sign-on, assumed roles, web identities, credential processes,
containers) is left to botocore's chain, which takes 0.2 s to import. The instance metadata are asked by obstore.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mreg.stores.failures import Failure, Kind, Words, secrets_in

if TYPE_CHECKING:
    from mreg.stores.settings import StoreSettings

RIGHTS_HINT = "grant these credentials the permissions for S3 that the documentation lists"
KEYS_HINT = "check the credentials in use: aws sts get-caller-identity, or the keys of this store"
LOGIN_HINT = "log in again, for example with aws sso login"
CLOCK = ("the clock of this machine is wrong", "set this machine's clock: timedatectl set-ntp true")
MISSING = ("an object is missing", "find what is missing: mreg verify")

WORDS = Words(
    name="an S3 store",
    credentials="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile of aws_profile or AWS_PROFILE in "
    "~/.aws/credentials and ~/.aws/config (single sign-on and assumed roles among them), and the role of a container "
    "or instance",
    # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    codes={
        "NoSuchBucket": ("the bucket does not exist", "check artifacts in the profile, or create the bucket"),
        "AccessDenied": ("permission denied", RIGHTS_HINT),
        "403": ("permission denied", RIGHTS_HINT),
        "AllAccessDisabled": ("access is disabled", "ask the owner of the bucket"),
        "AccountProblem": ("the account is blocked or has a problem", "ask the owner of the account"),
        "InvalidAccessKeyId": ("unknown access key", KEYS_HINT),
        "SignatureDoesNotMatch": ("wrong secret key", KEYS_HINT),
        "InvalidToken": ("invalid session token", KEYS_HINT),
        "ExpiredToken": ("the session token has expired", LOGIN_HINT),
        "TokenRefreshRequired": ("the session token must be renewed", LOGIN_HINT),
        "RequestTimeTooSkewed": CLOCK,
        "RequestExpired": CLOCK,
        "QuotaExceeded": ("quota exceeded", "free some space there, or choose another store: mreg profile list"),
        "XMinioStorageFull": ("the store is full", "free some space there, or choose another store: mreg profile list"),
        "NotImplemented": (
            "the store does not support the request",
            "show what the store does not support: mreg profile check",
        ),
        "MethodNotAllowed": (
            "the store does not support the request",
            "check endpoint_url in the profile: is it the address of an S3 store?",
        ),
        "NoSuchKey": MISSING,
        "404": MISSING,
        "NoSuchUpload": ("the upload was discarded meanwhile", "push again"),
        "InvalidObjectState": (
            "an object is archived",
            "restore it from its storage class first: aws s3api restore-object",
        ),
        "EntityTooLarge": ("an object is too large for the store", "check the size limit of the store"),
    },
    region=frozenset(
        {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "307"}
    ),
    damaged=frozenset({"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}),
    key_hint="grant these credentials kms:GenerateDataKey and kms:Decrypt on the key that encrypts the bucket, and "
    "check that the key is enabled",
    certificate_hint="set AWS_CA_BUNDLE to the file of the certificate authority, or check endpoint_url in the profile",
)

LARGEST_FILE = 1 << 20
"""Maximum number of bytes of a file in ~/.aws."""

_CHAINED = (
    "role_arn", "source_profile", "credential_source", "web_identity_token_file", "sso_session", "sso_start_url",
    "sso_account_id", "login_session",
)  # fmt: skip
"""Settings of an AWS profile whose credentials need a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsConfig:
    """What AWS's configuration says for one profile.

    Attributes:
        region: Region.
        endpoint_url: Address of the store; empty for AWS.
        ca_bundle: File of trusted certificates.
        checksums: Uploads may ask the store to check SHA-256 sums.
        keys: Access key, secret key and session token; None if they must be asked for.
        chained: The credentials come from botocore's chain; otherwise, without keys, from the instance metadata.
        metadata: The instance metadata can be used.
    """

    region: str
    endpoint_url: str
    ca_bundle: str
    checksums: bool
    keys: tuple[str, str, str] | None
    chained: bool
    metadata: bool


def read_config(settings: StoreSettings, environ: Mapping[str, str]) -> AwsConfig:
    """Return the configuration; files that are missing or unreadable count as empty, as for botocore."""
    name = settings.aws_profile or environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or ""
    config = _file(environ.get("AWS_CONFIG_FILE") or "~/.aws/config")
    shared = _file(environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials")
    section = config.get(f"profile {name}" if name and name != "default" else "default", {})
    if name == "default" and not section:
        section = config.get("profile default", {})
    stored = shared.get(name or "default", {})
    keys, chained = _credentials(settings, environ, section, stored, named=bool(name))
    checksums = environ.get("AWS_REQUEST_CHECKSUM_CALCULATION") or section.get("request_checksum_calculation", "")
    return AwsConfig(
        region=settings.region or environ.get("AWS_DEFAULT_REGION") or section.get("region", "") or "us-east-1",
        endpoint_url=settings.endpoint_url or _endpoint(environ, config, section),
        ca_bundle=environ.get("AWS_CA_BUNDLE") or section.get("ca_bundle", ""),
        checksums=checksums.lower() != "when_required",
        keys=keys,
        chained=chained,
        metadata=environ.get("AWS_EC2_METADATA_DISABLED", "").lower() != "true",
    )


def _credentials(
    settings: StoreSettings,
    environ: Mapping[str, str],
    section: Mapping[str, str],
    stored: Mapping[str, str],
    *,
    named: bool,
) -> tuple[tuple[str, str, str] | None, bool]:
    """Return the static keys and whether botocore's chain is needed, in the order of that chain."""
    if environ.get("AWS_ACCESS_KEY_ID") and not settings.aws_profile:
        secret = environ.get("AWS_SECRET_ACCESS_KEY")
        token = environ.get("AWS_SESSION_TOKEN") or environ.get("AWS_SECURITY_TOKEN") or ""
        return ((environ["AWS_ACCESS_KEY_ID"], secret, token), False) if secret else (None, True)
    if any(key in one for key in _CHAINED for one in (section, stored)) or environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return None, True
    if found := _static(stored):
        return found, False
    if "credential_process" in section or "credential_process" in stored:
        return None, True
    if found := _static(section):
        return found, False
    container = any(environ.get(f"AWS_CONTAINER_CREDENTIALS_{kind}_URI") for kind in ("RELATIVE", "FULL"))
    partial = any(key in one for key in ("aws_access_key_id", "aws_secret_access_key") for one in (section, stored))
    legacy = any(os.path.isfile(os.path.expanduser(path)) for path in ("/etc/boto.cfg", "~/.boto"))
    return None, container or partial or legacy or named or bool(environ.get("AWS_CREDENTIAL_FILE"))


def _static(section: Mapping[str, str]) -> tuple[str, str, str] | None:
    key, secret = section.get("aws_access_key_id"), section.get("aws_secret_access_key")
    token = section.get("aws_session_token") or section.get("aws_security_token") or ""
    return (key, secret, token) if key and secret else None


def _endpoint(environ: Mapping[str, str], config: Mapping[str, Mapping[str, str]], section: Mapping[str, str]) -> str:
    ignored = environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") or section.get("ignore_configured_endpoint_urls", "")
    if ignored.lower() == "true":
        return ""
    services = config.get(f"services {section.get('services', '')}", {})
    nested = re.search(r"^\s*endpoint_url\s*=\s*(\S+)", services.get("s3", ""), re.MULTILINE)
    return (
        environ.get("AWS_ENDPOINT_URL_S3")
        or environ.get("AWS_ENDPOINT_URL")
        or (nested[1] if nested else "")
        or section.get("endpoint_url", "")
    )


def _file(path: str) -> dict[str, dict[str, str]]:
    """Return the sections of a file in ~/.aws; empty if it cannot be read or parsed."""
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as stream:
            text = stream.read(LARGEST_FILE)
    except (OSError, UnicodeDecodeError):
        return {}
    import configparser

    parser = configparser.RawConfigParser(default_section="", strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}
    return {" ".join(name.split()).replace('"', ""): dict(parser[name]) for name in parser.sections()}


class Credentials:
    """The credentials of obstore's requests: a callable that returns the current ones.

    obstore calls it again before they expire. An exception in it would reach the caller as text, so it is kept here.

    Attributes:
        failure: Why the last call failed.
    """

    def __init__(self, config: AwsConfig, profile: str, learn: Callable[[tuple[str, ...]], None]) -> None:
        self._config = config
        self._profile = profile
        self._learn = learn
        self._chain: Any = None
        self.failure: Failure | None = None

    def __call__(self) -> Any:
        self.failure = None
        try:
            key, secret, token, expires = self._current()
        except Failure as error:
            self.failure = error
            raise
        self._learn(secrets_in((secret, token)))
        return {"access_key_id": key, "secret_access_key": secret, "token": token or None, "expires_at": expires}

    def _current(self) -> tuple[str, str, str, datetime | None]:
        if self._config.keys is not None:
            return (*self._config.keys, None)
        if not self._config.chained:
            raise Failure(Kind.CREDENTIALS, "no credentials found")
        from mreg.stores.boto import chain, failure_of_boto

        try:
            self._chain = self._chain or chain(self._profile)
            if self._chain is None:
                raise Failure(Kind.CREDENTIALS, "no credentials found")
            frozen = self._chain.get_frozen_credentials()
        except Failure:
            raise
        except Exception as error:
            raise failure_of_boto(error) from error
        expires = getattr(self._chain, "_expiry_time", None)
        if expires is not None:
            expires = expires.astimezone(UTC)  # obstore accepts no other time zone
        return frozen.access_key, frozen.secret_key, frozen.token or "", expires


def host_of_aws(region: str, environ: Mapping[str, str]) -> str:
    """Return the host name of S3 in a region."""
    fips = "-fips" if environ.get("AWS_USE_FIPS_ENDPOINT", "").lower() == "true" else ""
    dual = ".dualstack" if environ.get("AWS_USE_DUALSTACK_ENDPOINT", "").lower() == "true" else ""
    return f"s3{fips}{dual}.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"


def is_virtual(style: str, bucket: str, endpoint: str, *, named: bool) -> bool:
    """Return whether the bucket is part of the host name.

    Args:
        style: The profile's addressing_style.
        endpoint: URL of the store.
        named: The profile names the endpoint: self-hosted stores seldom have a DNS name for each bucket.
    """
    if style in ("path", "virtual"):
        return style == "virtual"
    if named and not style:
        return False
    host = endpoint.partition("://")[2].partition("/")[0].rpartition(":")[0] or endpoint.partition("://")[2]
    address = re.fullmatch(r"[\d.]+|\[.*\]", host) is not None
    dns = re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", bucket) is not None
    return dns and not address
