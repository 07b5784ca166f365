"""`mreg serve` beside a plain server: large files up and down, requests a second, memory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import mreg
from benchmarks import hub
from benchmarks.clients import ask, fetch, send_file, send_form
from benchmarks.measure import MREG, Figure, against, in_turn, run, running_server
from tests.environments import hub_client

SLOWER = 1 / 0.8
"""A transfer may take so many times what it takes on the plain server."""

CONNECTIONS = 8
VERSIONS = 3
"""Of each model that is asked for."""

SLOWER_REQUEST = 1 / 0.6
"""A request may take so many times what it takes a FastAPI route that has the JSON in memory."""

GROWTH_MIB = 16.0
"""What requests may leave in memory behind."""

UPLOAD_MIB = 64.0
"""What an upload may need of it at a time, whatever its size."""


def measure(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """Everything on one registry in a file and a folder."""
    (folder / "served").mkdir()
    os.environ.update(MREG_CATALOG=str(folder / "served/catalog.db"), MREG_ARTIFACTS=str(folder / "served/artifacts"))
    _fill(folder, 20 if quick else 1_000)
    with running_server([*MREG, "serve", "--port", "0"], folder) as (served, _):
        _status, document = ask(served, "GET", "/models/model-0007")
        plain_folder = folder / "plain"
        plain_folder.mkdir()
        (plain_folder / "document.json").write_bytes(document)
        with running_server([sys.executable, "-m", "benchmarks.plain", str(plain_folder)], folder) as (plain, _):
            yield from _transfers(folder, served, plain, 16 if quick else 512)
            yield from _requests(served, plain, 200 if quick else 4_000, 20 if quick else 1_000)
    with running_server([*MREG, "serve", "--port", "0"], folder) as (served, process):
        yield from _memory(folder, served, process, 64 if quick else 2048)


def _fill(folder: Path, models: int) -> None:
    path = folder / "model.pkl"
    with mreg.open_registry() as registry:
        registry.register("big")
        for number in range(models):
            for version in range(VERSIONS):
                path.write_text(f"{number} {version}")
                registry.push(
                    path,
                    name=f"model-{number:04d}",
                    metrics={"accuracy": version / 10, "latency_ms": number / 7},
                    parameters={"lr": 0.01},
                    tags={"team": "mail"},
                )


def _transfers(folder: Path, served: int, plain: int, mebibytes: int) -> Iterator[Figure]:
    big = folder / "big.bin"
    with big.open("wb") as stream:
        for _ in range(mebibytes):
            stream.write(os.urandom(1 << 20))

    def changed() -> Path:
        """Other bytes each time, or they would be there already; what came before is gone, in both, so that both
        write into the same memory and disk again."""
        (folder / "plain/big").unlink(missing_ok=True)
        if ask(served, "DELETE", "/models/big/versions/latest")[0] == 200:
            run([*MREG, "gc", "--grace", "0s", "--remove", "--yes"])
        with big.open("r+b") as stream:
            stream.write(os.urandom(16))
        os.sync()
        return big

    rounds = 5 if mebibytes > 100 else 1
    size = f"{mebibytes} MiB"
    durable, quickly, uploading = in_turn(
        [
            lambda: send_file(plain, "/files/big?durable=true", changed()),
            lambda: send_file(plain, "/files/big", changed()),
            lambda: send_form(served, "/models/big/versions", changed()),
        ],
        rounds,
        settle=True,
    )
    yield Figure(name=f"plain server: a body of {size}, fsync", value=durable, unit="s", note=_rate(mebibytes, durable))
    yield Figure(name="plain server: the same without fsync", value=quickly, unit="s", note=_rate(mebibytes, quickly))
    note = f"{_rate(mebibytes, uploading)}; {quickly / uploading:.2f} times the rate without fsync"
    yield against(f"mreg: upload of {size}, hashed and on the disk", uploading, durable, SLOWER, note=note)
    send_file(plain, "/files/big", big)
    given, pieces, downloading = in_turn(
        [
            lambda: fetch(plain, "/files/big"),
            lambda: fetch(plain, "/pieces/big"),
            lambda: fetch(served, "/models/big/versions/latest/artifact"),
        ],
        rounds,
        settle=True,
    )
    yield Figure(name=f"plain server: a FileResponse of {size}", value=given, unit="s", note=_rate(mebibytes, given))
    yield Figure(name="plain server: the same by 1 MiB", value=pieces, unit="s", note=_rate(mebibytes, pieces))
    note = f"{_rate(mebibytes, downloading)}; {pieces / downloading:.2f} times the rate by 1 MiB"
    yield against(f"mreg: download of {size}, verified", downloading, given, SLOWER, note=note)
    python = hub_client("")
    given, downloading = in_turn(
        [lambda: hub.seconds_from(python, plain), lambda: hub.seconds_from(python, served)], rounds, settle=True
    )
    name = f"huggingface_hub: {size} from the plain server"
    yield Figure(name=name, value=given, unit="s", note=_rate(mebibytes, given))
    name = f"huggingface_hub: {size} from mreg"
    yield against(name, downloading, given, SLOWER, note=_rate(mebibytes, downloading))
    big.unlink()


def _rate(mebibytes: int, seconds: float) -> str:
    return f"{mebibytes / seconds:.0f} MiB/s"


def _requests(served: int, plain: int, count: int, models: int) -> Iterator[Figure]:
    def crowd(port: int, path: str, count: int = count) -> float:
        """Milliseconds of a request on average."""
        command = [sys.executable, "-m", "benchmarks.clients", str(port), path, str(CONNECTIONS), str(count)]
        return 1000 * float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / count

    def after_a_change() -> float:
        """Each model is asked for once after a change of the catalog, which makes the server read all of them again."""
        ask(served, "PATCH", "/models/big", b'{"description": "%d"}' % time.time_ns())
        return crowd(served, "/models/model-{number}", models)

    show, read, on_thread, on_loop = in_turn(
        [
            lambda: crowd(served, "/models/model-0007"),
            after_a_change,
            lambda: crowd(plain, "/def"),
            lambda: crowd(plain, "/async"),
        ],
        5,
    )
    yield Figure(name="FastAPI: a def route, the JSON from memory", value=on_thread, unit="ms", note=_pace(on_thread))
    yield Figure(name="FastAPI: an async def route, the same", value=on_loop, unit="ms", note=_pace(on_loop))
    note = f"{_pace(show)}, {on_thread / show:.2f} of def, {on_loop / show:.2f} of async def; {CONNECTIONS} connections"
    yield against("mreg: GET /models/NAME", show, on_thread, SLOWER_REQUEST, unit="ms", note=note)
    note = f"{_pace(read)}, {on_thread / read:.2f} of def"
    yield Figure(name="mreg: the same for every model, after a change", value=read, unit="ms", note=note)


def _pace(milliseconds: float) -> str:
    return f"{1000 / milliseconds:.0f}/s"


def _memory(folder: Path, served: int, process: int, mebibytes: int) -> Iterator[Figure]:
    """A server of its own, since what others left in it would count."""
    if not Path("/proc/self/status").exists():
        return
    paths = [f"/models/model-{number % 20:04d}" for number in range(1_000)]
    for path in paths[:100]:  # what is imported and cached at the first request is no growth
        ask(served, "GET", path)
    before, _ = _resident(process)
    for path in paths:
        ask(served, "GET", path)
    after, peak = _resident(process)
    name = "mreg: memory that 1,000 requests leave behind"
    yield Figure(name=name, value=after - before, unit="MiB", limit=GROWTH_MIB, note=_told(before, after, peak))
    big = folder / "zeros.bin"
    with big.open("wb") as stream:
        stream.write(os.urandom(16))
        stream.truncate(mebibytes << 20)
    send_form(served, "/models/big/versions", big)
    before = after
    after, peak = _resident(process)
    name = f"mreg: memory that an upload of {mebibytes} MiB takes"
    yield Figure(name=name, value=peak - before, unit="MiB", limit=UPLOAD_MIB, note=_told(before, after, peak))
    fetch(served, "/models/big/versions/latest/artifact")
    before = after
    after, peak = _resident(process)
    name = f"mreg: memory with a download of {mebibytes} MiB, too"
    yield Figure(name=name, value=peak, unit="MiB", note=_told(before, after, peak))


def _told(before: float, after: float, peak: float) -> str:
    return f"{before:.0f} MiB before, {after:.0f} after, {peak:.0f} at most"


def _resident(process: int) -> tuple[float, float]:
    """MiB of a process now, and at most so far."""
    text = Path(f"/proc/{process}/status").read_text()
    kilobytes = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", text, re.MULTILINE))
    return int(kilobytes["VmRSS"]) / 1024, int(kilobytes["VmHWM"]) / 1024
