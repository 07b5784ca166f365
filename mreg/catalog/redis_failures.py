"""Translation of Redis's errors."""

from __future__ import annotations

import ssl

import redis

from mreg.catalog.embedded import unreachable
from mreg.domain.password import Password
from mreg.domain.redaction import attributed, redacted
from mreg.domain.redis_url import PASSWORD_VARIABLE, RedisUrl
from mreg.errors import Corrupt, MregError

PASSING = ("LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "BUSY")
"""Codes of a server that is about to respond. https://redis.io/docs/latest/develop/reference/protocol-spec/"""

LOGIN = (
    f"set the password in {PASSWORD_VARIABLE}, or take the URL from a variable: catalog: ${{REDIS_URL}} in the profile"
)

RIGHTS = (
    "grant this user the commands that the documentation lists, on the keys that begin with the catalog's: {cli} "
    "ACL SETUSER"
)

ANOTHER = "name another key: redis://HOST:PORT/DATABASE/KEY"


class Demoted(redis.ConnectionError):
    """The server was the primary, and is a replica now: the address can lead to the new primary soon."""


def code_of(error: BaseException) -> str:
    """Return the code of an error that the server answered with; empty for another error."""
    if not isinstance(error, redis.ResponseError | redis.AuthenticationError | redis.BusyLoadingError):
        return ""
    known = getattr(error, "status_code", None) or next((code for kind, code in KINDS if isinstance(error, kind)), "")
    word = str(error).partition(" ")[0]
    return str(known) or (word if word.isupper() else "ERR")


KINDS: tuple[tuple[type[Exception], str], ...] = (
    (redis.exceptions.OutOfMemoryError, "OOM"),
    (redis.exceptions.ReadOnlyError, "READONLY"),
    (redis.exceptions.NoPermissionError, "NOPERM"),
    (redis.exceptions.MovedError, "MOVED"),
    (redis.exceptions.AskError, "ASK"),
    (redis.exceptions.TryAgainError, "TRYAGAIN"),
    (redis.exceptions.ClusterDownError, "CLUSTERDOWN"),
    (redis.exceptions.ClusterCrossSlotError, "CROSSSLOT"),
    (redis.exceptions.MasterDownError, "MASTERDOWN"),
    (redis.exceptions.ExecAbortError, "EXECABORT"),
    (redis.BusyLoadingError, "LOADING"),
    (redis.AuthenticationError, "WRONGPASS"),
)
"""redis-py removes the code from the texts of these errors."""


def passing(error: BaseException) -> bool:
    """Return whether a retry can succeed."""
    if isinstance(error, redis.AuthenticationError | redis.exceptions.AuthorizationError):
        return False
    if isinstance(error, redis.ConnectionError):
        return not isinstance(_cause(error), ssl.SSLError | FileNotFoundError | PermissionError)
    return code_of(error) in PASSING  # a timeout has passed already


def translated(error: redis.RedisError, url: RedisUrl, password: Password) -> MregError:
    """Return the `MregError` for an exception of redis-py, with the original message of the server or the system."""
    place, secrets = url.place, (password.reveal(),)
    detail = attributed("the server", str(error), secrets)
    code = code_of(error)
    if code == "WRONGTYPE":
        return Corrupt(f"{place} is not a catalog: the key {url.key} has a value of another type", hint=ANOTHER)
    if code in ANSWERS:
        why, hint = ANSWERS[code]
        return unreachable(place, f"{why}{detail}", hint.replace("{cli}", url.command))
    text = str(error)
    if "without any password configured" in text:
        return unreachable(place, f"the server has no password{detail}", "remove the password from the URL of catalog")
    if code in ("WRONGPASS", "NOAUTH"):
        why = "wrong user name or password" if password else "the server requires a password"
        return unreachable(place, f"{why}{detail}", LOGIN)
    if "DB index is out of range" in text or "SELECT is not allowed in cluster mode" in text:
        hint = "name another number, such as redis://HOST:PORT/0, or raise databases in its configuration"
        return unreachable(place, f"the server has no database {url.database}{detail}", hint)
    if code:
        return unreachable(place, f"the server refused the command{detail}", "try each step: mreg profile check")
    if isinstance(error, Demoted):
        return replica(url, str(error))
    if isinstance(error, redis.TimeoutError):
        hint = "check the network, and host and port in the catalog's URL"
        if url.tls:  # Redis waits for the end of a command that it takes the handshake for
            hint += f"; if the server does not use TLS, write redis://{url.address}"
        return unreachable(place, "it does not respond", hint)
    if isinstance(error, redis.InvalidResponse):
        return unreachable(
            place, "the response is not from a Redis server", "check host, port and scheme of the catalog's URL"
        )
    return _unconnected(error, url)


ANSWERS: dict[str, tuple[str, str]] = {
    "OOM": (
        "the server is full (maxmemory)",
        "raise maxmemory, or free some memory there: {cli} INFO memory; nothing was changed",
    ),
    "READONLY": (
        "the server is a read-only replica (replica-read-only)",
        "name the primary in the catalog's URL: {cli} INFO replication shows it",
    ),
    "MOVED": (
        "the server is a node of a cluster (cluster-enabled), and the key is on another node",
        "name a server without cluster mode in the catalog's URL: mreg does not follow the redirects of a cluster",
    ),
    "MISCONF": (
        "the server cannot save its data on its disk (stop-writes-on-bgsave-error)",
        "free some space there, and check its log; nothing was changed",
    ),
    "NOPERM": ("permission denied", RIGHTS),
    "NOREPLICAS": (
        "the server has too few replicas (min-replicas-to-write)",
        "start its replicas; nothing was changed",
    ),
    "LOADING": ("the server is starting", "try again later"),
    "MASTERDOWN": ("the server is a replica without its primary (replica-serve-stale-data)", "name the primary"),
    "CLUSTERDOWN": ("the cluster is down", "check it: {cli} CLUSTER INFO"),
    "BUSY": ("the server runs a script", "try again later, or end the script: {cli} SCRIPT KILL"),
}
ANSWERS["ASK"] = ANSWERS["CROSSSLOT"] = ANSWERS["MOVED"]
"""Message and hint by the code of an error; ``{cli}`` stands for redis-cli with the address of the server."""


def replica(url: RedisUrl, primary: str) -> MregError:
    """Return the error for a server that is a replica.

    Args:
        primary: Address of its primary; empty if it is unknown.
    """
    where = f" of {redacted(primary)}" if primary else ""
    return unreachable(
        url.place,
        f"the server is a replica{where} (replicaof), and its data can be old",
        f"name the primary in the catalog's URL, or make this server the primary: {url.command} REPLICAOF NO ONE",
    )


def _cause(error: BaseException) -> BaseException | None:
    return error.__cause__ or error.__context__


def _unconnected(error: redis.RedisError, url: RedisUrl) -> MregError:
    """Return the error for a connection that was lost or could not be made."""
    cause = _cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return unreachable(
            url.place,
            f"cannot trust the certificate of {url.address}: {redacted(cause.verify_message or str(cause))}",
            "add ?ssl_ca_certs=/FILE with the certificate authority to the URL of catalog, or correct the host",
        )
    if isinstance(cause, ssl.SSLError):
        reason = redacted(cause.reason or str(cause)).replace("_", " ").lower()
        return unreachable(
            url.place,
            f"the TLS connection to {url.address} failed: {reason}",
            f"if the server does not use TLS, write redis://{url.address}; otherwise check port and certificates",
        )
    if isinstance(cause, FileNotFoundError | PermissionError) and url.tls:
        return unreachable(
            url.place,
            f"cannot read a file of TLS: {redacted(cause.strerror or str(cause))}",
            "check ssl_ca_certs, ssl_certfile and ssl_keyfile in the URL of catalog",
        )
    reason = redacted(getattr(cause, "strerror", None) or str(error))
    hint = f"check that the server runs at this address: {url.command} PING"
    if not url.tls:
        hint += f"; if it uses TLS, write rediss://{url.address}"
    return unreachable(url.place, reason, hint)
