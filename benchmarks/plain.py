"""``python -m benchmarks.plain FOLDER``: what `mreg serve` is held against, a server that only moves bytes.

The same uvicorn with the same settings, and routes that do nothing but what HTTP asks: a raw body written to a file, a
file sent, a JSON document answered. It prints its address once it listens.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, StreamingResponse

CHUNK_BYTES = 1 << 20


def application(folder: Path) -> FastAPI:
    """The plain server over a folder, which has ``document.json`` in it."""
    app = FastAPI(docs_url=None, redoc_url=None)
    document = json.loads((folder / "document.json").read_text())

    @app.post("/files/{name}")
    async def receive(name: str, request: Request, durable: bool = False) -> dict[str, int]:
        size = 0
        # Written where it arrives: handing each piece to a thread would cost this server a third of its speed.
        with (folder / name).open("wb", buffering=CHUNK_BYTES) as stream:
            async for part in request.stream():
                stream.write(part)
                size += len(part)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        return {"size": size}

    @app.get("/files/{name}")
    async def give(name: str) -> FileResponse:
        return FileResponse(folder / name)

    @app.api_route("/{repo}/resolve/main/{name}", methods=["GET", "HEAD"])
    async def give_as_the_hub(repo: str, name: str) -> FileResponse:
        return FileResponse(folder / repo, headers={"X-Repo-Commit": "0" * 40, "ETag": f'"{name}"'})

    @app.get("/pieces/{name}")
    async def give_in_pieces(name: str) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            with (folder / name).open("rb", buffering=0) as stream:
                while piece := stream.read(CHUNK_BYTES):
                    yield piece

        return StreamingResponse(pieces(), headers={"Content-Length": str((folder / name).stat().st_size)})

    @app.get("/def")
    def on_a_thread() -> Any:
        return document

    @app.get("/async")
    async def on_the_loop() -> Any:
        return document

    return app


def main() -> None:
    """Serve until told to stop."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(
            application(Path(sys.argv[1])),
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=30,
        )
        print(f"at http://127.0.0.1:{listening.getsockname()[1]},", flush=True)
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
