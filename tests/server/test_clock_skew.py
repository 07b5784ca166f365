"""Clocks that differ by more than any period of time that mreg knows: of clients, servers and stores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

import mreg
from mreg.artifacts.claims import VALID
from mreg.registry import remote_identity
from mreg.registry.local import LocalRegistry
from mreg.registry.remote import RemoteRegistry
from mreg.remote import blobs, connection
from mreg.remote.connection import Connection
from mreg.results.profiles import Profile
from mreg.server.access import Access
from tests.proxy import Proxy
from tests.server.conftest import Served

LARGE = 9 << 20
"""Sent in several requests."""

NOT_EXPIRED = {
    "year-behind": timedelta(days=-365),
    "day-behind": -VALID - timedelta(hours=1),
    "hour-ahead": timedelta(hours=1),
}
EXPIRED = {"day-ahead": VALID + timedelta(hours=1), "year-ahead": timedelta(days=365)}
"""Differences of the clock of a server, by whether uploads of now have expired by that clock."""


class Clock:
    """A clock that is wrong by `off`."""

    off = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.off


@pytest.fixture
def clock() -> Clock:
    """The clock of the server; that of its store is right."""
    return Clock()


@pytest.fixture
def line(
    registry: LocalRegistry, in_process: Callable[..., Served], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Proxy]:
    """The connection to a server with the clock."""
    monkeypatch.setattr("mreg.server.app.Access", partial(Access, now=clock))
    served = in_process(served=LocalRegistry(replace(registry._session, now=clock)))  # type: ignore[abstract]
    made = Proxy(served.port)
    yield made
    made.stop()


@pytest.fixture
def open_remote(line: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., RemoteRegistry]]:
    monkeypatch.setattr(blobs, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(connection, "BACKOFF_SECONDS", 0.01)
    opened: list[RemoteRegistry] = []

    def open_one(secret: str = "") -> RemoteRegistry:
        client = Connection(line.endpoint, token=lambda: secret)
        opened.append(RemoteRegistry(client, Profile(name="team", catalog="", artifacts="")))  # type: ignore[abstract]
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def remote(open_remote: Callable[..., RemoteRegistry]) -> RemoteRegistry:
    return open_remote()


def write(size: int = LARGE, path: str = "model.bin") -> bytes:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_bytes(data := os.urandom(size))
    return data


def test_pushes_to_a_server_with_a_wrong_clock_make_one_version_each(
    remote: RemoteRegistry, line: Proxy, clock: Clock
) -> None:
    for name, skew in NOT_EXPIRED.items():
        clock.off = skew
        line.lose_answer = lambda request: "versions " in request and line.requests.count(request) == 1
        for number, path in enumerate(("model.bin", "net", "small.bin"), 1):
            data = write(path="net/model.bin" if path == "net" else path, size=100 if path == "small.bin" else LARGE)
            version = remote.push(path, name=name)
            assert version.version == number
            remote.pull(version, back := f"back-{name}-{number}")
            assert Path(back, "model.bin" if path == "net" else "").read_bytes() == data
        assert abs(version.created_at - clock()) < timedelta(hours=1) / 2
        assert remote.verify(name).problems == ()
    remote.verify_audit()


def test_a_server_for_which_each_upload_expires_at_once_names_its_clock(remote: RemoteRegistry, clock: Clock) -> None:
    """The store's clock is that of another machine, such as a file server."""
    write()
    write(100, "net/small.bin")
    for skew in EXPIRED.values():
        clock.off = skew
        for path in ("model.bin", "net"):
            with pytest.raises(mreg.Unavailable) as raised:
                remote.push(path, name="m")
            hours = int(raised.value.message.split()[6])
            assert hours in (skew // timedelta(hours=1), skew // timedelta(hours=1) - 1)
            assert raised.value.message == (
                f"the clock of the server is {hours} hours ahead of the clock of its artifact store"
            )
            assert raised.value.hint == "operator of the server: set its clock: timedatectl set-ntp true"
    clock.off = timedelta(0)
    assert [remote.push(path, name="m").version for path in ("model.bin", "net")] == [1, 2]


def test_a_clock_that_jumps_in_the_middle_of_a_push_makes_one_version(
    remote: RemoteRegistry, line: Proxy, clock: Clock
) -> None:
    remote.models(limit=1)
    for name, skew in NOT_EXPIRED.items():
        data = write()
        write(path="net/1.bin")
        line.lose_answer = lambda _request: False
        line.when_up = (line.up + LARGE // 2, partial(setattr, clock, "off", skew))
        assert remote.push("model.bin", name=name).version == 1
        assert clock.off == skew

        def jump_back(request: str) -> bool:
            first = "versions " in request and clock.off != timedelta(0)
            if first:
                clock.off = timedelta(0)
            return first

        line.lose_answer = jump_back  # the repeated request is of another time
        assert remote.push("net", name=name).version == 2
        assert clock.off == timedelta(0)
        remote.pull(f"{name}@1", f"back-{name}")
        assert Path(f"back-{name}").read_bytes() == data
        assert len(remote.show(name).versions) == 2  # type: ignore[union-attr]


def test_uploads_that_expire_before_their_version_is_created_are_made_again(
    remote: RemoteRegistry, line: Proxy, store: Path
) -> None:
    """The clocks of the server and of its store jump together."""
    for name, skew in EXPIRED.items():
        data = write()
        expired: list[Path] = []

        def jump(request: str, skew: timedelta = skew, expired: list[Path] = expired) -> None:
            if "versions " in request and not expired:
                expired += [path for path in (store / "uploads").rglob("*") if path.is_file()]
                for path in expired:
                    at = (datetime.now(UTC) - skew).timestamp()
                    os.utime(path, (at, at))

        line.answer = jump
        assert remote.push("model.bin", name=name).version == 1
        assert expired
        remote.pull(f"{name}@1", f"back-{name}")
        assert Path(f"back-{name}").read_bytes() == data


def test_the_period_of_a_token_is_one_of_the_clock_of_the_server(
    remote: RemoteRegistry, open_remote: Callable[..., RemoteRegistry], clock: Clock
) -> None:
    creating = remote  # without a token, as the server has none yet
    # From the latest clock to the earliest: the token that creates the next one has not expired.
    for name, skew in sorted((NOT_EXPIRED | EXPIRED).items(), key=lambda item: item[1], reverse=True):
        clock.off = skew
        made = creating.create_token(name, role="admin", expires=timedelta(hours=1))
        assert made.token.expires is not None
        assert abs(made.token.expires - clock() - timedelta(hours=1)) < timedelta(minutes=30)
        creating = open_remote(made.secret)
        assert creating.whoami().expires == made.token.expires
    clock.off += timedelta(hours=2)
    with pytest.raises(mreg.Unavailable, match=f"the token '{name}' expired at "):
        creating.whoami()


def test_a_client_says_how_far_its_clock_is_from_that_of_the_server(
    remote: RemoteRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ahead(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(hours=2)

    assert {check.lacks for check in remote_identity.reach(remote._session)} == {""}
    monkeypatch.setattr(remote_identity, "datetime", Ahead)
    (clocks,) = [check for check in remote_identity.reach(remote._session) if check.name == "clocks"]
    assert clocks.lacks.startswith("this machine's clock is 7,")
    assert clocks.lacks.endswith(" s ahead of the server's")
