"""Azurite, Microsoft's own emulator of Azure Blob Storage, with a way to its containers around everything that is tested."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode
from xml.etree import ElementTree

from tests.servers import BUCKET, Store, loose_ports

AZURITE = Path(sys.prefix, "azurite/node_modules/azurite/dist/src/blob/main.js")
"""Where `tests/run.sh` puts it."""

ACCOUNT = "mregtests"
VERSION = "2023-11-03"
"""The version of the REST interface in requests of the tests."""


@dataclass(frozen=True)
class Answer:
    """The response to a request."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Azurite(Store):
    """Azurite with one container. It checks signatures, shared access signatures, conditions and Content-MD5.

    It does not check the Content-CRC64 header, and each request is served in turn by a single thread.
    """

    scheme = "az"
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="mreg-azurite-")))
    ports: list[int] = field(default_factory=lambda: loose_ports(1))
    key: str = field(default_factory=lambda: base64.b64encode(os.urandom(64)).decode())
    process: subprocess.Popen[bytes] | None = None

    def endpoint_at(self, port: int) -> str:
        return f"http://127.0.0.1:{port}/{ACCOUNT}"

    def environment(self) -> dict[str, str]:
        return {"AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": self.key}

    def connection_string(self, endpoint: str = "") -> str:
        """The connection string of the account, as the portal of Azure shows it."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={self.key};"
            f"BlobEndpoint={endpoint or self.endpoint};"
        )

    def start(self) -> None:
        for _ in range(3):
            self._spawn()
            if self._answers():
                return
            self.kill()
            self.ports = loose_ports(1)
        raise RuntimeError((self.folder / "log").read_text()[-2000:])

    def _spawn(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    "node", AZURITE, "--blobHost", "127.0.0.1", "--blobPort", str(self.port), "--location",
                    self.folder / "data", "--silent", "--skipApiVersionCheck", "--disableTelemetry",
                ],
                stdout=log, stderr=log, start_new_session=True, cwd=self.folder,
                env=os.environ | {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{self.key}"},
            )  # fmt: skip

    def _answers(self, seconds: float = 60) -> bool:
        """Wait until it has the container; false if its process ends before."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process is not None and self.process.poll() is None:
            try:
                return self.make_container(BUCKET) in (201, 409)
            except OSError:
                time.sleep(0.1)
        return False

    def kill(self) -> None:
        """As a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def make_container(self, name: str) -> int:
        """Make a container, and return the status of the response."""
        return self.ask("PUT", name, {"restype": "container"}).status

    def ask(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send a request that is signed with the account's key.

        The signature: https://learn.microsoft.com/en-us/rest/api/storageservices/authorize-with-shared-key
        """
        query = query or {}
        path = f"/{ACCOUNT}/{quote(path)}"
        sent = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": VERSION, **(headers or {})}
        of_service = sorted((name, value) for name, value in sent.items() if name.startswith("x-ms-"))
        resource = f"/{ACCOUNT}{path}" + "".join(f"\n{name}:{query[name]}" for name in sorted(query))
        text = "\n".join(
            [
                method, "", "", str(len(body)) if body else "", sent.get("Content-MD5", ""), "", "", "", "", "", "", "",
                *(f"{name}:{value}" for name, value in of_service),
                resource,
            ]
        )  # fmt: skip
        sent["Authorization"] = f"SharedKey {ACCOUNT}:{self._sign(text)}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, f"{path}?{urlencode(query)}", body or None, sent)
            response = connection.getresponse()
            return Answer(
                response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            )
        finally:
            connection.close()

    def _sign(self, text: str) -> str:
        return base64.b64encode(hmac.new(base64.b64decode(self.key), text.encode(), hashlib.sha256).digest()).decode()

    def shared_access(self, permissions: str, lasts: timedelta = timedelta(hours=1)) -> str:
        """A shared access signature of the container.

        Its form: https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas
        """
        ends = (datetime.now(UTC) + lasts).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = "\n".join(
            [permissions, "", ends, f"/blob/{ACCOUNT}/{BUCKET}", "", "", "", VERSION, "c", *[""] * 7]
        )  # fmt: skip
        fields = {"sv": VERSION, "sr": "c", "sp": permissions, "se": ends, "sig": self._sign(text)}
        return urlencode(fields)

    def keys(self, prefix: str, container: str = BUCKET) -> list[str]:
        found: list[str] = []
        marker = ""
        while True:
            query = {"restype": "container", "comp": "list", "prefix": prefix}
            answer = self.ask("GET", container, query | ({"marker": marker} if marker else {}))
            assert answer.status == 200, answer.body
            page = ElementTree.fromstring(answer.body)
            found += [name.text or "" for name in page.iterfind("Blobs/Blob/Name")]
            marker = page.findtext("NextMarker") or ""
            if not marker:
                return found

    def read(self, key: str) -> bytes:
        answer = self.ask("GET", f"{BUCKET}/{key}")
        if answer.status != 200:
            raise KeyError(key)
        return answer.body

    def write(self, key: str, data: bytes) -> None:
        answer = self.ask("PUT", f"{BUCKET}/{key}", body=data, headers={"x-ms-blob-type": "BlockBlob"})
        assert answer.status == 201, answer.body

    def delete(self, key: str, container: str = BUCKET) -> None:
        self.ask("DELETE", f"{container}/{key}")

    def uploads(self, prefix: str) -> list[str]:
        """Names of blobs that have blocks and no content."""
        query = {"restype": "container", "comp": "list", "prefix": prefix, "include": "uncommittedblobs"}
        listed = ElementTree.fromstring(self.ask("GET", BUCKET, query).body)
        every = [name.text or "" for name in listed.iterfind("Blobs/Blob/Name")]
        return sorted(set(every) - set(self.keys(prefix)))


def query_of(line: str) -> dict[str, str]:
    """The query of the first line of a request."""
    found = re.search(r"\?(\S*)", line)
    return dict(parse_qsl(found[1])) if found else {}
