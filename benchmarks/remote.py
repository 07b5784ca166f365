"""Commands against `mreg serve` on the same machine, beside the same on its files and beside curl."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import (
    COLD_SECONDS,
    MREG,
    Figure,
    against,
    change_pages,
    in_turn,
    remove_cold,
    run,
    running_server,
)
from mreg.domain.digest import Digest, blob_key
from tests.proxy import Proxy

SHOW_TIMES_LOCAL = 1.5
"""Limit of ``mreg show`` against the server, as a multiple of its time on the same catalog as a file."""

PUSH_TIMES_CURL = 1.25
"""Limit of a push of one large file, as a multiple of the time of ``curl -T`` to the same server."""

FILE_BYTES = 4 << 10
"""Size of each file of the folder."""


def measure(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """Everything on one catalog in a file and one folder of artifacts, by the token of a writer."""
    store = folder / "remote-store"
    store.mkdir()
    os.environ.update(MREG_CATALOG=str(store / "catalog.db"), MREG_ARTIFACTS=str(store / "artifacts"))
    create = [*MREG, "token", "create", "benchmark", "--role", "writer", "-q"]
    token = subprocess.run(create, check=True, capture_output=True, text=True).stdout.strip()
    with running_server([*MREG, "serve", "--port", "0"], folder) as (port, _):
        remote = _client(port, token)
        yield from _show(folder, remote, 2 if quick else 25)
        yield from _large_file(folder, store / "artifacts", port, token, quick=quick)
        yield from _folder(folder, remote, 20 if quick else 2_000, quick=quick)
        yield from _requests(folder, port, token, 20 if quick else 2_000)


def _client(port: int, token: str) -> dict[str, str]:
    """Return the environment of a client of the server on a port, which has no store of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MREG_")}
    return environment | {"MREG_SERVER": f"http://127.0.0.1:{port}", "MREG_TOKEN": token}


def _show(folder: Path, remote: dict[str, str], rounds: int) -> Iterator[Figure]:
    (folder / "small.pkl").write_bytes(b"m" * 1024)
    run([*MREG, "push", "small.pkl", "--name", "shown", "--accuracy", "0.9"])
    show = [*MREG, "show", "shown@1", "--json"]
    local, served = in_turn([lambda: run(show), lambda: run(show, env=remote)], rounds)
    yield Figure(name="mreg show NAME@1 --json on a file", value=local, unit="s")
    yield against("mreg show NAME@1 --json, server on this machine", served, local, SHOW_TIMES_LOCAL)


def _large_file(folder: Path, artifacts: Path, port: int, token: str, *, quick: bool) -> Iterator[Figure]:
    """A push and a pull, in turn with curl, which is a package of the system and is found on the PATH."""
    curl = shutil.which("curl")
    if curl is None:
        print("  curl is not on the PATH: a large file is not measured (Debian: apt install curl)", flush=True)
        return
    mebibytes = 16 if quick else 1024
    cold = 0.0 if quick else COLD_SECONDS
    remote = _client(port, token)
    big, pulled = folder / "large.bin", folder / "large-pulled.bin"
    with big.open("wb") as stream:
        for _ in range(mebibytes):
            stream.write(os.urandom(1 << 20))
    number = iter(range(1000))
    sent: list[Path] = []

    def changed() -> Digest:
        """Change the file, as the server does not take bytes again that it has; forget what was sent before."""
        change_pages(big, next(number))
        digest = _digest(big)
        for blob in sent:
            remove_cold(blob, cold)
        sent[:] = [artifacts / blob_key(digest)]
        return digest

    def by_curl(*words: str) -> float:
        header = f"Authorization: Bearer {token}"
        return run([curl, "--silent", "--show-error", "--fail", "--header", header, *words])

    def upload() -> float:
        url = f"http://127.0.0.1:{port}/models/large/blobs/{changed()}"
        return by_curl("--output", os.devnull, "--upload-file", str(big), url)

    def push() -> float:
        changed()
        return run([*MREG, "push", str(big), "--name", "large"], env=remote)

    rounds, size = 1 if quick else 5, f"{mebibytes} MiB"
    uploading, pushing = in_turn([upload, push], rounds, settle=not quick)
    yield Figure(name=f"curl -T of {size}", value=uploading, unit="s", note=_rate(mebibytes, uploading))
    yield against(f"mreg push of {size}", pushing, uploading, PUSH_TIMES_CURL, note=_rate(mebibytes, pushing))
    url = f"http://127.0.0.1:{port}/models/large/versions/latest/blobs/{_digest(big)}"

    def download() -> float:
        remove_cold(pulled, cold)
        return by_curl("--output", str(pulled), url)

    def pull() -> float:
        remove_cold(pulled, cold)
        return run([*MREG, "pull", "large", str(pulled)], env=remote)

    downloading, pulling = in_turn([download, pull], rounds, settle=not quick)
    yield Figure(name=f"curl -o of {size}", value=downloading, unit="s", note=_rate(mebibytes, downloading))
    note = (
        f"{_rate(mebibytes, pulling)}, {pulling / downloading:.2f} times curl, which neither verifies nor calls fsync"
    )
    yield Figure(name=f"mreg pull of {size}, verified", value=pulling, unit="s", note=note)
    big.unlink()
    pulled.unlink()


def _folder(folder: Path, remote: dict[str, str], count: int, *, quick: bool) -> Iterator[Figure]:
    """A folder of small files, other ones each time."""
    made: list[Path] = []

    def push(name: str, environment: dict[str, str] | None) -> float:
        made.append(_filled(folder / f"small-{len(made)}", count))
        return run([*MREG, "push", str(made[-1]), "--name", name], env=environment)

    def pull(name: str, environment: dict[str, str] | None) -> float:
        made.append(folder / f"small-{len(made)}")
        return run([*MREG, "pull", name, str(made[-1])], env=environment)

    pushed, sent, pulled, fetched = in_turn(
        [
            lambda: push("small-local", None),
            lambda: push("small-remote", remote),
            lambda: pull("small-local", None),
            lambda: pull("small-remote", remote),
        ],
        1 if quick else 3,
        settle=not quick,
    )
    size = f"{count:,} files of {FILE_BYTES >> 10} KiB"
    yield Figure(name=f"mreg push of {size}, local", value=pushed, unit="s")
    yield Figure(name=f"mreg push of {size}, server", value=sent, unit="s", note=f"{sent / pushed:.2f} times local")
    yield Figure(name=f"mreg pull of {size}, local", value=pulled, unit="s")
    yield Figure(
        name=f"mreg pull of {size}, server", value=fetched, unit="s", note=f"{fetched / pulled:.2f} times local"
    )


def _requests(folder: Path, port: int, token: str, count: int) -> Iterator[Figure]:
    """What passes between client and server at a push of a folder of small files, and at the same push again."""
    root = _filled(folder / "counted", count)
    payload = count * FILE_BYTES
    proxy = Proxy(port)
    remote = _client(proxy.port, token)
    try:
        for name in ("push", "push again"):
            proxy.requests.clear()
            up, down = proxy.up, proxy.down
            run([*MREG, "push", str(root), "--name", "counted"], env=remote)
            up, down = proxy.up - up, proxy.down - down
            name = f"{name} of {count:,} files of {FILE_BYTES >> 10} KiB"
            yield Figure(name=f"{name}: requests", value=len(proxy.requests), unit="")
            note = f"{up:,} bytes, {up / payload:.3f} times those of the files; {down:,} bytes of answers"
            yield Figure(name=f"{name}: bytes to the server", value=up / 1024, unit="KiB", note=note)
    finally:
        proxy.stop()


def _digest(path: Path) -> Digest:
    with path.open("rb") as stream:
        return Digest.sha256(hashlib.file_digest(stream, "sha256").hexdigest())


def _filled(root: Path, count: int) -> Path:
    for place in range(count):
        path = root / f"{place % 100:02d}" / f"{place:05d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(FILE_BYTES))
    return root


def _rate(mebibytes: int, seconds: float) -> str:
    return f"{mebibytes / seconds:.0f} MiB/s"
