"""Object stores other than SeaweedFS: radosgw, moto and s3rver, each with what it does not do, and Azurite."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.azure import AZURITE, Azurite
from tests.servers import ADMIN, BUCKET, WRITER, S3Server, Store, loose_ports

S3RVER = Path(sys.prefix, "s3rver/node_modules/s3rver/bin/s3rver.js")
"""Where `tests/run.sh` puts it."""

CEPH = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "ceph-authtool", "monmaptool")


CONFIGURATION = """[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon2}/0,v1:127.0.0.1:{mon1}/0]
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
# Without this radosgw waits for ever where no authentication is required.
ms mon client mode = crc
keyring = {folder}/keyring
admin socket =
log file = {folder}/$name.log
run dir = {folder}
crash dir = {folder}
# Changes of the cluster's maps are proposed at once: a second for each is most of the time that a start takes.
paxos propose interval = 0.02
paxos min wait = 0.01
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail warn = 0
mon data avail crit = 0
mon data = {folder}/mon
osd data = {folder}/osd
osd class dir = {classes}
osd objectstore = bluestore
bluestore block size = 8589934592
osd memory target = 1073741824
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{s3}
rgw dns name = s3.localhost
"""


@dataclass
class Radosgw(Store):
    """A Ceph cluster of one node with radosgw.

    It checks a signed SHA-256 and Content-MD5, but not x-amz-checksum-sha256; compares If-Match with its quotes; and
    ignores or refuses conditions in a bucket with versioning.

    One is shared by all processes of a test run, since it needs some seconds to start: each holds a lock until it has
    no more use of it, and the last one stops it.
    """

    folder: Path = field(
        default_factory=lambda: Path(
            tempfile.gettempdir(), f"mreg-radosgw-{os.environ.get('PYTEST_XDIST_TESTRUNUID') or os.getpid()}"
        )
    )
    ports: list[int] = field(default_factory=list)
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        import fcntl

        self.folder.mkdir(exist_ok=True)
        self._users = (self.folder / "users").open("w")
        fcntl.flock(self._users, fcntl.LOCK_SH)
        with (self.folder / "starting").open("w") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            ready = self.folder / "ports"
            if not ready.exists():
                self._start_again()
                ready.write_text(" ".join(map(str, self.ports)))
            self.ports = [int(port) for port in ready.read_text().split()]

    def _start_again(self) -> None:
        """Start it, on other ports if somebody took one meanwhile."""
        for left in (2, 1, 0):
            try:
                self._start()
                return
            except (RuntimeError, subprocess.TimeoutExpired):
                if not left:
                    raise
                self._kill()
                for name in ("mon", "osd", "rgw"):
                    shutil.rmtree(self.folder / name)
                (self.folder / "pids").unlink()

    def _start(self) -> None:
        self.ports = loose_ports(3)
        folder, fsid = self.folder, str(uuid.uuid4())
        for name in ("mon", "osd", "rgw"):
            (folder / name).mkdir()
        s3, mon1, mon2 = self.ports
        # Debian's Ceph 18 looks for its classes in a relative path.
        classes = next(Path(shutil.which("ceph-osd") or "").parents[1].glob("lib/*/rados-classes"))
        (folder / "ceph.conf").write_text(
            CONFIGURATION.format(fsid=fsid, folder=folder, classes=classes, s3=s3, mon1=mon1, mon2=mon2)
        )
        every = ["--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *"]
        self._run("ceph-authtool", "--create-keyring", "keyring", "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        self._run("ceph-authtool", "keyring", "--gen-key", "-n", "client.admin", *every)
        address = f"[v2:127.0.0.1:{mon2},v1:127.0.0.1:{mon1}]"
        self._run("monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a", address, "monmap")
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", "monmap", "--keyring", "keyring")
        self._spawn("ceph-mon", "-f", "-i", "a")
        osd = str(uuid.uuid4())
        self._run("ceph", "osd", "new", osd)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._spawn("ceph-osd", "-f", "-i", "0")
        gateway = self._spawn("radosgw", "-f", "-n", "client.admin")
        self._run(
            "radosgw-admin", "user", "create", "--uid=mreg", "--display-name=mreg",
            f"--access-key={WRITER[0]}", f"--secret-key={WRITER[1]}",
        )  # fmt: skip
        self._run(
            "radosgw-admin", "key", "create", "--uid=mreg", f"--access-key={ADMIN[0]}", f"--secret-key={ADMIN[1]}"
        )
        if not self.answers(gateway):
            raise RuntimeError((self.folder / "log").read_text()[-2000:])

    def _run(self, *words: str) -> None:
        done = subprocess.run(
            words, cwd=self.folder, env=self._environment, capture_output=True, check=False, timeout=40
        )
        if done.returncode:
            raise RuntimeError(f"{words}: {done.stderr.decode()[-2000:]}")

    def _spawn(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                words, cwd=self.folder, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        with (self.folder / "pids").open("a") as pids:
            pids.write(f"{process.pid}\n")
        self._processes.append(process)
        return process

    @property
    def _environment(self) -> dict[str, str]:
        return os.environ | {"CEPH_CONF": str(self.folder / "ceph.conf")}

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes.clear()
        pids = self.folder / "pids"
        for pid in pids.read_text().split() if pids.exists() else []:
            _kill(int(pid))

    def stop(self) -> None:
        import fcntl

        with (self.folder / "starting").open("w") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            try:
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._users.close()
                for process in self._processes:
                    process.returncode = 0  # others go on using it, and the last of them ends it
                return
            self._kill()
            shutil.rmtree(self.folder, ignore_errors=True)
            self._users.close()


def _kill(pid: int) -> None:
    """End another process's child, and wait until it is gone or only its parent has still to ask for its exit code."""
    deadline = time.monotonic() + 30
    status = Path(f"/proc/{pid}/stat")
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        os.kill(pid, signal.SIGKILL)
        while time.monotonic() < deadline and status.read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.01)


MOTO = """
import sys
from io import BytesIO
from threading import RLock
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

app, lock = DomainDispatcherApplication(create_backend_app), RLock()

def one_at_a_time(environ, start_response):
    chunked = environ.get("wsgi.input_terminated")
    length = -1 if chunked else int(environ.get("CONTENT_LENGTH") or 0)
    environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read(length))  # a slow client keeps nobody else waiting
    with lock:
        return list(app(environ, start_response))

run_simple("127.0.0.1", int(sys.argv[1]), one_at_a_time, threaded=True)
"""


@dataclass
class Moto(Store):
    """moto's server, which keeps everything in memory and checks neither sums nor signatures.

    Its requests are served one at a time: moto looks at a condition and stores the object in two steps.
    """

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="mreg-moto-")))
    ports: list[int] = field(default_factory=lambda: loose_ports(1))
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", MOTO, str(self.port)],
                stdout=log, stderr=log, start_new_session=True, cwd=self.folder,
            )  # fmt: skip
        if not self.answers(self.process):
            raise RuntimeError((self.folder / "log").read_text()[-2000:])

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class S3rver(Store):
    """s3rver, from npm: no lists of parts, no conditions, and neither sums nor signatures are checked."""

    writer = ("S3RVER", "S3RVER")
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="mreg-s3rver-")))
    ports: list[int] = field(default_factory=lambda: loose_ports(1))
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    "node", S3RVER, "--directory", self.folder, "--address", "127.0.0.1", "--port", str(self.port),
                    "--configure-bucket", BUCKET,
                ],
                stdout=log, stderr=log, start_new_session=True, cwd=self.folder,
            )  # fmt: skip
        if not self.answers(self.process):
            raise RuntimeError((self.folder / "log").read_text()[-2000:])

    def client(self, who: tuple[str, str] = writer) -> Any:
        return super().client(self.writer)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def running(store: Store) -> Iterator[Store]:
    """Start a store, and stop it in the end."""
    try:
        store.start()
        yield store
    finally:
        store.stop()


def refuse_missing(kind: str) -> None:
    """Skip the test if the programs of a store are not installed; `tests/run.sh` installs them."""
    programs = {"radosgw": CEPH, "redis": ("redis-server",)}.get(kind, ())
    missing = [name for name in programs if shutil.which(name) is None]
    program = {"s3rver": S3RVER, "azurite": AZURITE}.get(kind)
    if program is not None and not (shutil.which("node") and program.exists()):
        missing = [kind]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


STORES: dict[str, type[Store]] = {
    "seaweedfs": S3Server,
    "radosgw": Radosgw,
    "moto": Moto,
    "s3rver": S3rver,
    "azurite": Azurite,
}
