"""The nginx configuration of the guide to serving works."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.servers import free_ports

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
NAME = "models.example"


@contextlib.contextmanager
def running(*words: str | Path) -> Iterator[None]:
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


@pytest.mark.skipif(NGINX is None, reason="needs nginx")
def test_uploads_and_downloads_pass_through_the_proxy_of_the_guide(tmp_path: Path) -> None:
    assert NGINX is not None
    proxy, server = free_ports(2)
    found = re.search(r"```nginx[^\n]*\n(.*?)```", (ROOT / "docs/how-to/serve.md").read_text(), re.DOTALL)
    assert found is not None
    places = "".join(
        f"  {name}_temp_path {tmp_path};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = found[1].replace("127.0.0.1:8000", f"127.0.0.1:{server}").replace("listen 443", f"listen 127.0.0.1:{proxy}")
    (tmp_path / "nginx.conf").write_text(text.replace("http {\n", f"http {{\n  access_log off;\n{places}"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}",
         "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", f"{NAME}.key", "-out", f"{NAME}.crt"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    Path("model.bin").write_bytes(os.urandom(3 << 20))  # more than nginx takes without client_max_body_size
    own = f"user root; daemon off; pid {tmp_path}/pid; error_log {tmp_path}/log;"
    own = own if os.geteuid() == 0 else own.removeprefix("user root; ")

    def curl(path: str, *words: str) -> str:
        done = subprocess.run(
            ["curl", "-fsS", "--cacert", tmp_path / f"{NAME}.crt", "--resolve", f"{NAME}:{proxy}:127.0.0.1",
             "--retry", "50", "--retry-all-errors", "--retry-delay", "1", *words, f"https://{NAME}:{proxy}{path}"],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + (tmp_path / "log").read_text()
        return done.stdout

    serve = [sys.executable, "-m", "mreg", "serve", "--port", str(server), "--allow-host", NAME]
    with running(*serve), running(NGINX, "-p", tmp_path, "-c", "nginx.conf", "-g", own):
        deadline = time.monotonic() + 30
        while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert curl("/models") == "[]"
        curl("/models", "-H", "Content-Type: application/json", "-d", '{"name": "m"}')
        assert '"version":1' in curl("/models/m/versions", "-F", "model_file=@model.bin").replace(" ", "")
        curl("/models/m/versions/1/artifact", "-o", "out.bin")
    assert Path("out.bin").read_bytes() == Path("model.bin").read_bytes()
