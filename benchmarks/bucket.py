"""A bucket: push and pull beside boto3's own transfers, against a SeaweedFS of this machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import MREG, Figure, against, in_turn, peak_memory, run
from tests.proxy import Proxy
from tests.servers import BUCKET, WRITER, S3Server

PART_MIB = 8
AWAY_SECONDS = 0.02
"""A usual way to a region and back."""

TRANSFER = """
import sys, boto3
from boto3.s3.transfer import TransferConfig
client = boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1")
config = TransferConfig(multipart_chunksize={part} << 20)
"""
UPLOAD = TRANSFER.format(part=PART_MIB) + f'client.upload_file(sys.argv[2], "{BUCKET}", "plain/big", Config=config)'
DOWNLOAD = TRANSFER.format(part=PART_MIB) + f'client.download_file("{BUCKET}", "plain/big", sys.argv[2], Config=config)'
PUT_EACH = TRANSFER.format(part=PART_MIB) + (
    "import os\n"
    "for name in sorted(os.listdir(sys.argv[2])):\n"
    f'    client.put_object(Bucket="{BUCKET}", Key="each/" + name, Body=open(sys.argv[2] + "/" + name, "rb").read())\n'
)
GET_EACH = TRANSFER.format(part=PART_MIB) + (
    "import os\n"
    "os.mkdir(sys.argv[3])\n"
    "for name in sorted(os.listdir(sys.argv[2])):\n"
    f'    found = client.get_object(Bucket="{BUCKET}", Key="each/" + name)\n'
    '    open(sys.argv[3] + "/" + name, "wb").write(found["Body"].read())\n'
)


def measure(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """A large file and many small ones, up and down."""
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
        yield from _large_file(folder, server, 64 if quick else 512)
        yield from _small_files(folder, server, 200 if quick else 2000)
    finally:
        server.stop()


def _plain(endpoint: str, code: str, *words: Path) -> float:
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
    up, pushing, down, pulling = in_turn(
        [lambda: _plain(server.endpoint, UPLOAD, big), push, download, pull], rounds, settle=True
    )
    size = f"{mebibytes} MiB"
    yield Figure(name=f"boto3 upload_file of {size}", value=up, unit="s", note=f"{mebibytes / up:.0f} MiB/s")
    yield against(f"mreg push of {size} to the bucket", pushing, up, 1 / 0.9, note=f"{mebibytes / pushing:.0f} MiB/s")
    yield Figure(name=f"boto3 download_file of {size}", value=down, unit="s", note=f"{mebibytes / down:.0f} MiB/s")
    yield against(f"mreg pull of {size}", pulling, down, 1 / 0.9, note=f"{mebibytes / pulling:.0f} MiB/s")
    change()
    memory = peak_memory([*MREG, "push", str(big), "--name", "big"])
    yield Figure(name=f"peak memory of that push of {size}", value=memory, unit="MiB", limit=250)
    pulled.unlink()
    memory = peak_memory([*MREG, "pull", "big", str(pulled)])
    yield Figure(name=f"peak memory of that pull of {size}", value=memory, unit="MiB", limit=250)
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
    many, pulled, plain = folder / "many", folder / "pulled", folder / "plain"
    many.mkdir(parents=True)

    def change() -> None:
        for number in range(count):
            (many / f"{number:05d}").write_bytes(os.urandom(10 << 10))

    def push() -> float:
        change()
        return run([*MREG, "push", str(many), "--name", "many"])

    def pull() -> float:
        shutil.rmtree(pulled, ignore_errors=True)
        return run([*MREG, "pull", "many", str(pulled)])

    def get_each() -> float:
        shutil.rmtree(plain, ignore_errors=True)
        return _plain(endpoint, GET_EACH, many, plain)

    change()
    put, pushing, get, pulling = in_turn([lambda: _plain(endpoint, PUT_EACH, many), push, get_each, pull], 2)
    yield Figure(name=f"boto3 put_object of {count} files of 10 KiB in turn{where}", value=put, unit="s")
    yield against(f"mreg push of a folder of {count} such files{where}", pushing, put, 1 / 5)
    yield Figure(name=f"boto3 get_object of {count} files of 10 KiB in turn{where}", value=get, unit="s")
    yield against(f"mreg pull of a folder of {count} such files{where}", pulling, get, 1 / 5)
