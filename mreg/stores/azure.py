"""Azure's configuration: the storage account of a URL, and the environment variables of its tools.

Keys, shared access signatures and connection strings are read here. obstore asks for tokens: of a service principal, of
a workload or managed identity, and of the Azure CLI.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mreg.stores.failures import Failure, Kind, Words
from mreg.stores.settings import StoreSettings

SUFFIX = "core.windows.net"
DEVELOPMENT = {
    "AccountName": "devstoreaccount1",
    "AccountKey": "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    "BlobEndpoint": "http://127.0.0.1:10000/devstoreaccount1",
}
"""The public account of the emulators: https://learn.microsoft.com/en-us/azure/storage/common/storage-connect-azurite"""

RIGHTS_HINT = (
    "assign the role Storage Blob Data Contributor on the container, or Storage Blob Data Reader for pulls, as the "
    "documentation shows"
)
KEY_HINT = "copy the account key or the connection string again: az storage account keys list --account-name ACCOUNT"
LOGIN_HINT = "log in again: az login"
CLOCK = ("the clock of this machine is wrong", "set this machine's clock: timedatectl set-ntp true")
MISSING = ("an object is missing", "find what is missing: mreg verify")
CONTAINER_MISSING = "the container does not exist"

WORDS = Words(
    name="Azure Blob Storage",
    credentials="AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN, the variables of "
    "a service principal (AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET) or of a workload identity, the "
    "managed identity of the machine, or az login",
    # https://learn.microsoft.com/en-us/rest/api/storageservices/blob-service-error-codes
    codes={
        "ContainerBeingDeleted": ("the container is being deleted", "choose another container, or try again later"),
        "ContainerDisabled": ("the container is disabled", "ask the owner of the storage account"),
        "AccountIsDisabled": ("the storage account is disabled", "ask the owner of the storage account"),
        "ResourceNotFound": ("the storage account does not exist", "check the name of the storage account"),
        "AuthenticationFailed": ("the credentials were refused", KEY_HINT),
        "AuthorizationFailure": (
            "permission denied, for example by the firewall of the storage account",
            "check its networks: az storage account show --name ACCOUNT --query networkRuleSet",
        ),
        "InvalidAuthenticationInfo": ("the credentials were refused", LOGIN_HINT),
        "NoAuthenticationInformation": ("the credentials are missing", LOGIN_HINT),
        "AuthorizationPermissionMismatch": ("permission denied", RIGHTS_HINT),
        "AuthorizationServiceMismatch": ("permission denied", RIGHTS_HINT),
        "InsufficientAccountPermissions": ("permission denied", RIGHTS_HINT),
        "KeyBasedAuthenticationNotPermitted": (
            "the storage account does not permit account keys",
            "unset the account key, and log in: az login",
        ),
        "PublicAccessNotPermitted": ("the credentials are missing", LOGIN_HINT),
        "403": ("permission denied", RIGHTS_HINT),
        "BlobImmutableDueToPolicy": (
            "a policy keeps the object from being changed",
            "choose a container without an immutability policy for the catalog",
        ),
        "BlobArchived": ("an object is archived", "restore it first: az storage blob set-tier --tier Hot"),
        "BlobNotFound": MISSING,
        "404": MISSING,
        "RequestBodyTooLarge": ("an object is too large for the store", "check the size limit of the store"),
    },
    damaged=frozenset({"Md5Mismatch", "Crc64Mismatch", "InvalidMd5"}),
    certificate_hint="set SSL_CERT_FILE to the file of the certificate authority, or check the address in the profile",
    network_hint="check the network and the name of the storage account: mreg profile check",
)

_SKEW = re.compile(r"date header (?:is )?too (?:old|new)|not within the allowed|time frame.*skew", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureConfig:
    """What the URL, the profile and the environment say of a container.

    Attributes:
        endpoint: URL of the storage account.
        options: obstore's configuration with the credentials.
        from_string: Whether account and credentials come from the connection string, which the Azure CLI reads as well.
        secrets: Values that no message may contain.
        ca_bundle: File of trusted certificates.
    """

    container: str
    account: str
    endpoint: str
    options: dict[str, Any]
    from_string: bool = False
    secrets: tuple[str, ...] = ()
    ca_bundle: str = ""


def read_config(url: str, settings: StoreSettings, environ: Mapping[str, str]) -> AzureConfig:
    """Return the configuration of a container.

    Args:
        url: ``az://CONTAINER/PREFIX``, or ``abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PREFIX``.

    Raises:
        Failure: The storage account is unknown, or the credentials are invalid.
    """
    name = url.partition("://")[2].partition("/")[0]
    container, _, host = name.partition("@")
    given = environ.get("AZURE_STORAGE_CONNECTION_STRING", "")
    text = _connection_string(given)
    endpoint = settings.endpoint_url.rstrip("/")
    if host and not endpoint:
        endpoint = f"https://{host.replace('.dfs.', '.blob.', 1)}"
    account = (
        host.partition(".")[0]
        or account_of(endpoint)
        or environ.get("AZURE_STORAGE_ACCOUNT_NAME")
        or environ.get("AZURE_STORAGE_ACCOUNT")
        or text.get("AccountName")
        or account_of(text.get("BlobEndpoint", ""))
    )
    if not account and given:
        raise Failure(
            Kind.CREDENTIALS,
            "AZURE_STORAGE_CONNECTION_STRING is not a connection string: it names no storage account",
            hint="copy it again: az storage account show-connection-string --name ACCOUNT",
        )
    if not account:
        raise Failure(
            Kind.SETTINGS,
            f"cannot use {url}: the storage account is unknown",
            hint=f"set AZURE_STORAGE_ACCOUNT, or write abfss://{container}@ACCOUNT.dfs.{SUFFIX}/PREFIX in the profile",
        )
    if (text.get("AccountName") or account_of(text.get("BlobEndpoint", ""))) != account:
        text = {}  # of another account
    scheme = text.get("DefaultEndpointsProtocol") or "https"
    endpoint = (
        endpoint
        or text.get("BlobEndpoint", "").rstrip("/")
        or environ.get("AZURE_STORAGE_ENDPOINT", "").rstrip("/")
        or f"{scheme}://{account}.blob.{text.get('EndpointSuffix') or SUFFIX}"
    )
    options, secrets = _credentials(text, environ)
    return AzureConfig(
        container=container,
        account=account,
        endpoint=endpoint,
        options=options,
        from_string=bool(text.get("AccountKey") or text.get("SharedAccessSignature")),
        secrets=secrets,
        ca_bundle=environ.get("SSL_CERT_FILE") or environ.get("REQUESTS_CA_BUNDLE") or "",
    )


def account_of(endpoint: str) -> str:
    """Return the storage account that an address names: in its host, or in its path (an emulator); empty otherwise."""
    found = re.fullmatch(r"https?://([a-z0-9]{3,24})\.(?:z[0-9]{1,2}\.)?(?:blob|dfs)\.[^/]+", endpoint)
    if found:
        return found[1]
    path = urlsplit(endpoint).path.strip("/")
    return path if re.fullmatch(r"[a-z0-9]{3,24}", path) else ""


def _connection_string(text: str) -> dict[str, str]:
    """Return the settings of a connection string by name; those that are malformed are left out."""
    found = {
        key.strip(): value.strip() for key, mark, value in (part.partition("=") for part in text.split(";")) if mark
    }
    return DEVELOPMENT | found if found.get("UseDevelopmentStorage", "").lower() == "true" else found


def _credentials(text: Mapping[str, str], environ: Mapping[str, str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return obstore's options for the first credentials found, in the order of the Azure CLI, and their secrets."""

    def first(*names: str) -> str:
        return next((environ[name] for name in names if environ.get(name)), "")

    key = text.get("AccountKey") or ""
    signature = "" if key else text.get("SharedAccessSignature") or ""
    if not key and not signature:
        key = first("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_KEY")
    if key:
        _check_key(key)
        return {"account_key": key, "credential_type": "access_key"}, (key,)
    signature = (signature or first("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY")).lstrip("?")
    if signature:
        if "sig=" not in signature:
            raise Failure(
                Kind.CREDENTIALS,
                "the shared access signature is invalid: it has no sig=",
                hint="copy it again: az storage container generate-sas",
            )
        return {"sas_key": signature, "credential_type": "sas_token"}, (signature, *parse_qs(signature).get("sig", ()))
    if token := first("AZURE_STORAGE_TOKEN"):
        return {"token": token, "credential_type": "bearer_token"}, (token,)
    if secret := first("AZURE_CLIENT_SECRET", "AZURE_STORAGE_CLIENT_SECRET"):
        return {"credential_type": "client_secret"}, (secret,)
    if first("AZURE_FEDERATED_TOKEN_FILE"):
        return {"credential_type": "workload_identity"}, ()
    if not first("IDENTITY_ENDPOINT", "MSI_ENDPOINT") and _has_login(environ):
        return {"credential_type": "azure_cli", "use_azure_cli": True}, ()
    return {"credential_type": "managed_identity"}, ()


def _check_key(key: str) -> None:
    try:
        base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raise Failure(Kind.CREDENTIALS, "the account key is invalid: it is not in Base64", hint=KEY_HINT) from None


def _has_login(environ: Mapping[str, str]) -> bool:
    """Return whether the Azure CLI is installed and has a login."""
    folder = environ.get("AZURE_CONFIG_DIR") or os.path.expanduser("~/.azure")
    return os.path.isfile(os.path.join(folder, "azureProfile.json")) and shutil.which("az") is not None


def explain(config: AzureConfig) -> Callable[[Failure], tuple[str, str] | None]:
    """Return a function that tells why a request was refused, as message and hint; None if the code says enough."""

    def why(failure: Failure) -> tuple[str, str] | None:
        if failure.code == "ContainerNotFound":
            account = "" if config.from_string else f"--account-name {shlex.quote(config.account)} "
            create = f"az storage container create {account}--name {shlex.quote(config.container)}"
            return CONTAINER_MISSING, f"check artifacts in the profile, or create it: {create}"
        # Azure answers AuthorizationFailure to a network that its firewall refuses, and its emulator to a wrong key.
        emulated = failure.code == "AuthorizationFailure" and "authenticate" in failure.text
        if failure.status != 403 or not (failure.code == "AuthenticationFailed" or emulated):
            return None
        if _SKEW.search(failure.text):
            return CLOCK
        if "sas_key" in config.options:
            return _explain_signature(config.options["sas_key"])
        if "account_key" in config.options:
            return f"wrong account key of {config.account}", KEY_HINT
        return "the token was refused", f"{LOGIN_HINT}, with the tenant of the storage account"

    return why


def _explain_signature(signature: str) -> tuple[str, str]:
    """Return why a shared access signature was refused, by its own times."""
    fields = parse_qs(signature)
    renew = "make a new one, and set AZURE_STORAGE_SAS_TOKEN: az storage container generate-sas"
    now = datetime.now(UTC)
    ends, begins = (_time(fields.get(name, [""])[0]) for name in ("se", "st"))
    if ends is not None and ends <= now:
        return f"the shared access signature expired at {ends:%Y-%m-%d %H:%M:%S} UTC", renew
    if begins is not None and begins > now:
        return f"the shared access signature is not valid before {begins:%Y-%m-%d %H:%M:%S} UTC", renew
    return "the shared access signature was refused", renew


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
