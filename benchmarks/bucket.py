"""A bucket: commands beside the same on a file, and transfers beside bare obstore and boto3, all on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.measure import MREG, Figure, against, in_turn, peak_memory, run
from mreg.files import WRITE_BYTES
from tests.proxy import Proxy
from tests.servers import BUCKET, WRITER, S3Server

PART_MIB = 8
AT_ONCE = 16
AWAY_SECONDS = 0.02
"""A usual way to a region and back."""

MEMORY_MIB = 150

BOTO = """
import os, sys, boto3
client = boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1")
"""
PUT_EACH = BOTO + (
    "for name in sorted(os.listdir(sys.argv[2])):\n"
    '    data = open(sys.argv[2] + "/" + name, "rb").read()\n'
    f'    client.put_object(Bucket="{BUCKET}", Key=sys.argv[3] + "/each/" + name, Body=data)\n'
)
GET_EACH = BOTO + (
    "os.mkdir(sys.argv[4])\n"
    "for name in sorted(os.listdir(sys.argv[2])):\n"
    f'    found = client.get_object(Bucket="{BUCKET}", Key=sys.argv[3] + "/each/" + name)\n'
    '    open(sys.argv[4] + "/" + name, "wb").write(found["Body"].read())\n'
)
BARE = f"""
import hashlib, os, sys, threading, obstore
from concurrent.futures import ThreadPoolExecutor
from obstore.store import S3Store
store = S3Store("{BUCKET}", endpoint=sys.argv[1], region="us-east-1", client_options={{"allow_http": True}})
"""
PUT_MANY = (
    BARE
    + f"""
def put(name):
    with open(os.path.join(sys.argv[2], name), "rb") as stream:
        obstore.put(store, sys.argv[3] + "/bare/" + name, stream.read(), mode="create")
with ThreadPoolExecutor({AT_ONCE}) as pool:
    list(pool.map(put, os.listdir(sys.argv[2])))
"""
)
GET_MANY = (
    BARE
    + f"""
os.mkdir(sys.argv[4])
def get(name):
    data = obstore.get(store, sys.argv[3] + "/bare/" + name).bytes()
    with open(os.path.join(sys.argv[4], name), "wb") as stream:
        stream.write(data)
with ThreadPoolExecutor({AT_ONCE}) as pool:
    list(pool.map(get, os.listdir(sys.argv[2])))
"""
)
UPLOAD = (
    BARE
    + f"""
def add():
    with open(sys.argv[2], "rb") as stream:
        hashlib.file_digest(stream, "sha256")
hashing = threading.Thread(target=add)
hashing.start()
with open(sys.argv[2], "rb") as stream:
    obstore.put(store, "bare/big", stream, chunk_size={PART_MIB} << 20, max_concurrency=8)
hashing.join()
"""
)
UPLOAD_HASHED_FIRST = UPLOAD.replace("hashing.start()\n", "hashing.start()\nhashing.join()\n")
"""The order that content-addressed blobs need: the key of a blob is known once it is hashed."""

DOWNLOAD = (
    BARE
    + f"""
size, part = obstore.head(store, "bare/big")["size"], {PART_MIB} << 20
target = os.open(sys.argv[2], os.O_CREAT | os.O_RDWR)
def get(start):
    data = memoryview(obstore.get_range(store, "bare/big", start=start, length=min(part, size - start)))
    for place in range(0, len(data), {WRITE_BYTES}):
        os.pwrite(target, data[place:place + {WRITE_BYTES}], start + place)
with ThreadPoolExecutor(8) as pool:
    list(pool.map(get, range(0, size, part)))
os.fsync(target)
"""
)


def measure(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """Commands on a catalog, a large file and many small ones, up and down."""
    server = S3Server(folder / "seaweedfs")
    server.folder.mkdir()
    server.start()
    try:
        os.environ.update(
            AWS_ACCESS_KEY_ID=WRITER[0],
            AWS_SECRET_ACCESS_KEY=WRITER[1],
            MREG_ARTIFACTS=f"s3://{BUCKET}/registry",
            MREG_CATALOG=str(folder / "catalog.db"),
            MREG_ENDPOINT_URL=server.endpoint,
        )
        yield from _commands(folder, 3 if quick else 25)
        yield from _large_file(folder, server, 64 if quick else 512)
        yield from _small_files(folder, server, 200 if quick else 2000)
    finally:
        server.stop()


def _commands(folder: Path, rounds: int) -> Iterator[Figure]:
    """The catalog and the bytes in a bucket, beside both on this machine's disk."""
    here = {"MREG_CATALOG": str(folder / "own.db"), "MREG_ARTIFACTS": str(folder / "own")}
    there = {"MREG_CATALOG": f"s3://{BUCKET}/own/catalog.db", "MREG_ARTIFACTS": f"s3://{BUCKET}/own"}
    model, number = folder / "model.pkl", iter(range(100_000))

    def push(where: Mapping[str, str]) -> float:
        model.write_bytes(b"\x80\x04" + f"{next(number):01021d}".encode() + b".")
        return run([*MREG, "push", str(model), "--name", "m"], env={**os.environ, **where})

    def show(where: Mapping[str, str]) -> float:
        return run([*MREG, "show", "m@1", "--json"], env={**os.environ, **where})

    for where in (here, there):
        push(where)
    shown, seen, pushed, sent = in_turn(
        [lambda: show(here), lambda: show(there), lambda: push(here), lambda: push(there)], rounds
    )
    yield Figure(name="mreg show --json, catalog in a file", value=shown, unit="s")
    yield against("mreg show --json, catalog in a bucket", seen, shown, 1.5)
    yield Figure(name="mreg push of 1 KiB, everything on the disk", value=pushed, unit="s")
    yield against("mreg push of 1 KiB, everything in a bucket", sent, pushed, 2)
    model.unlink()


def _plain(endpoint: str, code: str, *words: Path | str) -> float:
    return run([sys.executable, "-c", code, endpoint, *map(str, words)])


def _large_file(folder: Path, server: S3Server, mebibytes: int) -> Iterator[Figure]:
    big, pulled = folder / "big.bin", folder / "pulled.bin"
    with big.open("wb") as stream:
        for _ in range(mebibytes):
            stream.write(os.urandom(1 << 20))
    number = iter(range(100_000))

    def change() -> None:  # other bytes each time, or it would be a second push
        for place in range(0, mebibytes, PART_MIB):
            with big.open("r+b") as stream:
                stream.seek(place << 20)
                stream.write(f"{next(number):08d}".encode())

    def push() -> float:
        change()
        return run([*MREG, "push", str(big), "--name", "big"])

    def pull() -> float:
        pulled.unlink(missing_ok=True)
        return run([*MREG, "pull", "big", str(pulled)])

    def download() -> float:
        pulled.unlink(missing_ok=True)
        return _plain(server.endpoint, DOWNLOAD, pulled)

    rounds = 3 if mebibytes > 100 else 1
    hashed_first, at_once, pushing, down, pulling = in_turn(
        [
            lambda: _plain(server.endpoint, UPLOAD_HASHED_FIRST, big),
            lambda: _plain(server.endpoint, UPLOAD, big),
            push,
            download,
            pull,
        ],
        rounds,
        settle=True,
    )
    size = f"{mebibytes} MiB"
    note = f"{mebibytes / pushing:.0f} MiB/s"
    for how, up in (("hashed first", hashed_first), ("hashed at the same time", at_once)):
        yield Figure(name=f"obstore put of {size}, {how}", value=up, unit="s", note=f"{mebibytes / up:.0f} MiB/s")
        yield against(f"mreg push of {size}, beside {how}", pushing, up, 1.25, note=note)
    yield Figure(name=f"bare obstore ranges of {size}", value=down, unit="s", note=f"{mebibytes / down:.0f} MiB/s")
    yield against(f"mreg pull of {size}", pulling, down, 1.2, note=f"{mebibytes / pulling:.0f} MiB/s")
    change()
    memory = peak_memory([*MREG, "push", str(big), "--name", "big"])
    yield Figure(name=f"peak memory of that push of {size}", value=memory, unit="MiB", limit=MEMORY_MIB)
    pulled.unlink()
    memory = peak_memory([*MREG, "pull", "big", str(pulled)])
    yield Figure(name=f"peak memory of that pull of {size}", value=memory, unit="MiB", limit=MEMORY_MIB)
    big.unlink()
    pulled.unlink()


def _small_files(folder: Path, server: S3Server, count: int) -> Iterator[Figure]:
    """On this machine both sides share its processors; at a distance the waiting is what counts."""
    yield from _many(folder / "near", server.endpoint, count, "")
    proxy = Proxy(server.port)
    proxy.latency = AWAY_SECONDS
    os.environ["MREG_ENDPOINT_URL"] = proxy.endpoint
    try:
        yield from _many(folder / "away", proxy.endpoint, count // 10, f", {AWAY_SECONDS * 1000:.0f} ms away")
    finally:
        proxy.stop()


def _many(folder: Path, endpoint: str, count: int, where: str) -> Iterator[Figure]:
    """Each round puts under new keys and gets into a new folder.

    Removing the objects of an earlier round is no part of a put, and ext4 takes ten times as long to create files soon
    after others in that place were removed.
    """
    many, number = folder / "many", iter(range(100_000))
    many.mkdir(parents=True)
    prefix = ""

    def change() -> None:
        for name in range(count):
            (many / f"{name:05d}").write_bytes(os.urandom(10 << 10))

    def put(code: str) -> float:
        return _plain(endpoint, code, many, prefix)

    def put_first(code: str) -> float:
        nonlocal prefix
        prefix = f"{folder.name}-{next(number)}"
        return put(code)

    def push() -> float:
        change()
        return run([*MREG, "push", str(many), "--name", "many"])

    def target() -> Path:
        return folder / f"pulled-{next(number)}"

    def get(code: str) -> float:
        return _plain(endpoint, code, many, prefix, target())

    change()
    put_each, put_many, pushing, got, got_many, pulling = in_turn(
        [
            lambda: put_first(PUT_EACH),
            lambda: put(PUT_MANY),
            push,
            lambda: get(GET_EACH),
            lambda: get(GET_MANY),
            lambda: run([*MREG, "pull", "many", str(target())]),
        ],
        3,
    )
    each, at_once = f"boto3, one by one{where}", f"bare obstore, {AT_ONCE} at once{where}"
    yield Figure(name=f"put of {count} files of 10 KiB, {each}", value=put_each, unit="s")
    yield Figure(name=f"put of {count} files of 10 KiB, {at_once}", value=put_many, unit="s")
    yield against(f"mreg push of them, beside boto3{where}", pushing, put_each, 1 / 4)
    yield against(f"mreg push of them, beside bare obstore{where}", pushing, put_many, 1.3)
    yield Figure(name=f"get of {count} files of 10 KiB, {each}", value=got, unit="s")
    yield Figure(name=f"get of {count} files of 10 KiB, {at_once}", value=got_many, unit="s")
    yield against(f"mreg pull of them, beside boto3{where}", pulling, got, 1 / 4)
    yield against(f"mreg pull of them, beside bare obstore{where}", pulling, got_many, 1.3)
