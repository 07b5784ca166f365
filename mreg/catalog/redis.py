"""A catalog on a Redis server: one string, with the SHA-256 of its file as tag.

The value is the tag, a newline, and the same file as in a bucket. `WATCH` makes a swap conditional.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from shlex import quote as shell_quote
from typing import Any

import redis

from mreg.catalog.embedded import damaged, unreachable
from mreg.catalog.object_database import ObjectDatabase
from mreg.catalog.packing import LARGEST_OBJECT
from mreg.catalog.redis_connection import Command, RedisConnection
from mreg.catalog.redis_failures import ANOTHER, Demoted, code_of, replica
from mreg.catalog.versioned import VersionedObject
from mreg.domain.password import Password
from mreg.domain.redis_url import RedisUrl
from mreg.errors import Corrupt, MregError

TAG_BYTES = 64
HEAD_BYTES = TAG_BYTES + 1

PROBE_MILLISECONDS = 60_000
"""Expiry of a probe, in case its client is killed."""

MISSING, LASTING = -2, -1
"""The time to live of a key that does not exist, and of one without an expiry."""


class RedisDatabase(ObjectDatabase):
    """A catalog on a Redis server; `ObjectDatabase` describes the other arguments.

    Args:
        url: The server and the key.
        password: Password of the user.
    """

    def __init__(
        self,
        url: RedisUrl,
        folder: str,
        orphans: Callable[[], str] = lambda: "",
        notice: Callable[[str], None] = lambda _text: None,
        *,
        password: Password | None = None,
    ) -> None:
        super().__init__(RedisObject(url, password or Password(), notice), folder, orphans, notice)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """What the server answered to INFO.

    Attributes:
        known: Whether INFO is allowed; otherwise all other values are empty.
        primary: Address of the primary if the server is a replica.
        evicting: The ``maxmemory-policy``, if it removes keys without an expiry.
        appends: Whether the server keeps an append-only file.
        failed: Names of the writes to the disk that failed last.
        clustered: Whether the server is a node of a cluster.
    """

    known: bool = False
    primary: str = ""
    evicting: str = ""
    appends: bool = False
    failed: tuple[str, ...] = ()
    clustered: bool = False


class RedisObject(VersionedObject):
    """A key of a Redis server and its copies, which are keys that begin with it."""

    def __init__(self, url: RedisUrl, password: Password, notice: Callable[[str], None] = lambda _text: None) -> None:
        self._url = url
        self._key = url.key
        self._server = RedisConnection(url, password, notice)
        self._was_primary = False
        self._unsure = False  # whether the outcome of an EXEC is unknown, because its answer was lost
        self.identity = url.place

    def location(self, ending: str = "") -> str:
        return replace(self._url, key=f"{self._key}{ending}").place

    def fetch(self, tag: str = "") -> tuple[bytes, str] | None:
        def once() -> tuple[bytes, str] | None:
            found, _ = self._look()
            if found in (None, tag):
                return None if found is None else (b"", tag)
            (value,) = self._answers(("GETRANGE", self._key, 0, HEAD_BYTES + LARGEST_OBJECT))
            return self._parts(value)

        return self._server.retry(once)

    def swap(self, data: bytes, tag: str) -> str:
        new = sha256(data).hexdigest()
        self._unsure = False

        def once() -> str:
            found, state = self._look(("WATCH", self._key))
            self._refuse_eviction(state)
            if (found or "") != tag:
                self._answers(("UNWATCH",))
                if found != new:
                    return ""
                self._unsure = False  # the answer to an earlier EXEC was lost
                return new
            unsure, self._unsure = self._unsure, True
            answers = self._server.ask(("MULTI",), ("SET", self._key, _value(new, data)), ("EXEC",))
            if not isinstance(answers[-1], list | Exception | None):
                raise redis.InvalidResponse("the answer has another type")
            self._unsure = unsure  # this one did all or nothing
            if state.known and any(isinstance(answer, redis.exceptions.ReadOnlyError) for answer in answers):
                raise Demoted("")  # since `_look`
            _raise_first(answers)
            if answers[-1] is None:
                return ""
            self._unsure = False
            return new

        return self._server.retry(once)

    def move(self, ending: str) -> bool:
        copy = f"{self._key}{ending}"

        def once() -> bool:
            moved, _ = self._server.ask(("RENAMENX", self._key, copy), ("PERSIST", copy))  # without an expiry
            if isinstance(moved, redis.ResponseError) and "no such key" in str(moved):
                return bool(self._answers(("EXISTS", copy))[0])  # the answer was lost
            _raise_first([moved])
            if not moved:
                raise unreachable(self._url.place, f"the key {copy} exists already", "try again")
            return True

        return self._server.retry(once)

    def store_copy(self, ending: str, data: bytes) -> bool:
        copy, value = f"{self._key}{ending}", _value(sha256(data).hexdigest(), data)

        def once() -> bool:
            stored = self._answers(("SET", copy, value, "NX"))[0] is not None
            # If the answer was lost, it is there.
            return stored or bool(self._answers(("GETRANGE", copy, 0, len(value)))[0] == value)

        return self._server.retry(once)

    def remove_copy(self, ending: str) -> None:
        self._server.retry(lambda: self._answers(("DEL", f"{self._key}{ending}")))

    def require_support(self, *, again: bool = False) -> None:
        """Check it if ``again`` is set; `swap` checks the settings of the server each time."""

        def once() -> None:
            _, state = self._look()
            self._refuse_eviction(state)
            self._try_watching()

        if again:
            self._server.retry(once)

    def explain_refusal(self, *, exists: bool) -> None:  # noqa: ARG002
        self.require_support(again=True)

    def was_refused(self, error: MregError) -> bool:  # noqa: ARG002
        return not self._unsure

    def clock(self) -> datetime | None:
        (answer,) = self._server.retry(lambda: self._server.ask(("TIME",)))
        try:
            seconds, microseconds = map(int, answer)
            return datetime.fromtimestamp(seconds + microseconds / 1e6, UTC)
        except (TypeError, ValueError, OverflowError, OSError):
            return None

    def remarks(self) -> tuple[str, ...]:
        def once() -> tuple[str, ...]:
            info, *settings = self._server.ask(("INFO",), ("CONFIG", "GET", "save"), ("CONFIG", "GET", "appendfsync"))
            return tuple(_remarks(self._url, _state(info), *map(_setting, settings)))

        return self._server.retry(once)

    def close(self) -> None:
        self._server.close()

    def _answers(self, *commands: Command) -> list[Any]:
        """Return the answers of the server.

        Raises:
            redis.ResponseError: The first of them that is an error.
        """
        answers = self._server.ask(*commands)
        _raise_first(answers)
        return answers

    def _look(self, *before: Command) -> tuple[str | None, ServerState]:
        """Return the tag of the key, which is None if it does not exist, and the state of the server.

        Args:
            before: Commands that are sent before.

        Raises:
            Corrupt: The value is not a catalog, or too large.
            Unavailable: The server is a replica, or would remove the key.
        """
        look: list[Command] = [("GETRANGE", self._key, 0, TAG_BYTES), ("PTTL", self._key), ("STRLEN", self._key)]
        info, *answers = self._server.ask(("INFO",), *before, *look)
        state = _state(info)
        _raise_first(answers)
        self._refuse_replica(state)
        head, left, size = answers[-3:]
        if not (isinstance(head, bytes) and isinstance(left, int) and isinstance(size, int)):
            raise redis.InvalidResponse("the answers have other types")
        if left == MISSING:
            return None, state
        if left != LASTING:
            raise unreachable(
                self._url.place,
                f"the key {self._key} has an expiry (EXPIRE), so the server would remove the catalog",
                f"{self._url.command} PERSIST {shell_quote(self._key)}",
            )
        if size > HEAD_BYTES + LARGEST_OBJECT:
            raise Corrupt(
                f"{self._url.place} is too large: {size:,} bytes; the limit is {LARGEST_OBJECT:,}",
                hint=f"if it is not a catalog, {ANOTHER}",
            )
        return self._tag(head), state

    def _tag(self, head: bytes) -> str:
        tag = head[:TAG_BYTES].decode("ascii", "replace")
        if head[TAG_BYTES:HEAD_BYTES] != b"\n" or set(tag) - set("0123456789abcdef"):
            raise damaged(self._url.place, f"is damaged: the key {self._key} does not have the form of a catalog")
        return tag

    def _parts(self, value: Any) -> tuple[bytes, str] | None:
        """Return the file and the tag of a value; None if the key was removed meanwhile.

        Raises:
            Corrupt: The file is not that of the tag, or too large.
        """
        if not isinstance(value, bytes):
            raise redis.InvalidResponse("the answer has another type")
        if not value:
            return None
        tag, data = self._tag(value[:HEAD_BYTES]), value[HEAD_BYTES:]
        if len(data) > LARGEST_OBJECT or sha256(data).hexdigest() != tag:
            raise damaged(self._url.place, "is damaged: its bytes do not match their SHA-256")
        return data, tag

    def _refuse_replica(self, state: ServerState) -> None:
        if not state.primary:
            self._was_primary = True
        elif self._was_primary:
            raise Demoted(state.primary)
        else:
            raise replica(self._url, state.primary)

    def _refuse_eviction(self, state: ServerState) -> None:
        if state.evicting:
            raise unreachable(
                self._url.place,
                f"the server removes keys when its memory is full (maxmemory-policy {state.evicting})",
                f"{self._url.command} CONFIG SET maxmemory-policy noeviction, and set it in the configuration file",
            )

    def _try_watching(self) -> None:
        """Write and remove a probe, and check that the server does not commit over a change of a watched key."""
        probe, expiry = f"{self._key}.probe-{os.urandom(8).hex()}", ("PX", PROBE_MILLISECONDS)
        answers = self._server.ask(
            ("WATCH", probe),
            ("SET", probe, "1", *expiry),
            ("MULTI",),
            ("SET", probe, "2", *expiry),
            ("EXEC",),
            ("DEL", probe),
        )
        _raise_first(answers)
        if answers[-2] is not None:
            raise unreachable(
                self._url.place,
                "the server ignores WATCH, so writers would overwrite each other",
                "name the server itself, without a proxy, or keep the catalog in PostgreSQL or in a file",
            )


def _value(tag: str, data: bytes) -> bytes:
    return b"%s\n%s" % (tag.encode(), data)


def _raise_first(answers: list[Any]) -> None:
    """Raise the first error among answers; the reason why EXEC was aborted comes before it."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, list):
            _raise_first(answer)


def _state(answer: Any) -> ServerState:
    if isinstance(answer, Exception):
        if code_of(answer) in ("NOPERM", "ERR"):
            return ServerState()
        raise answer
    if not isinstance(answer, bytes):
        raise redis.InvalidResponse("the answer has another type")
    lines = answer.decode("utf-8", "replace").splitlines()
    values = dict(line.split(":", 1) for line in lines if ":" in line)
    policy = values.get("maxmemory_policy", "")
    bounded = values.get("maxmemory", "0") != "0"
    writes = {"rdb_last_bgsave_status": "snapshot", "aof_last_write_status": "append-only file"}
    return ServerState(
        known=True,
        primary=f"{values.get('master_host', '?')}:{values.get('master_port', '?')}"
        if values.get("role") == "slave"
        else "",
        evicting=policy if bounded and policy.startswith("allkeys") else "",
        appends=values.get("aof_enabled") == "1",
        failed=tuple(name for key, name in writes.items() if values.get(key, "ok") != "ok"),
        clustered=values.get("cluster_enabled") == "1",
    )


def _setting(answer: Any) -> str | None:
    """Return the value of a setting; None if it cannot be read."""
    if isinstance(answer, list) and len(answer) == 2 and isinstance(answer[1], bytes):
        return answer[1].decode("utf-8", "replace")
    return None


def _remarks(url: RedisUrl, state: ServerState, save: str | None, sync: str | None) -> list[str]:
    """Return the remarks on the settings of a server; a setting is None if it cannot be read."""
    keep = f"to keep it: {url.command} CONFIG SET appendonly yes, and set it in the configuration file"
    found = []
    if not state.known:
        found.append("INFO is not allowed, so mreg cannot check role, maxmemory-policy, appendonly and cluster-enabled")
    elif not state.appends:
        if save is None:
            found.append(
                "appendonly no, and CONFIG is not allowed, so mreg cannot check save: if the server crashes, it loses "
                "the writes that it did not save"
            )
        elif save:
            found.append(
                f"appendonly no: if the server crashes, it loses the writes since the last snapshot (save {save}); "
                f"{keep}"
            )
        else:
            found.append(f"appendonly no, and save is empty: if the server stops, it loses the catalog; {keep}")
    elif sync is None:
        found.append(
            "CONFIG is not allowed, so mreg cannot check appendfsync: a power failure can lose the last writes"
        )
    elif sync != "always":
        loss = "the last second" if sync == "everysec" else "the last writes"
        found.append(f"appendfsync {sync}: a power failure of the server can lose {loss}")
    found += [f"the last write of the {name} failed: check the log and the disk of the server" for name in state.failed]
    if state.clustered:
        found.append("cluster-enabled yes: mreg does not follow redirects, so the key must stay on this node")
    return found
