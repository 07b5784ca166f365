"""`mreg serve` as people run it: the lines of the guides, and the server with PostgreSQL and an S3 store as processes."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

import mreg
from mreg import errors
from tests.conftest import ROOT, Mreg
from tests.places import catalogs_of
from tests.servers import Place, RedisServer

EXAMPLES = ROOT / "examples"
HTTP_GUIDE = (ROOT / "docs/how-to/http.md").read_text()
SERVE_GUIDE = (ROOT / "docs/how-to/serve.md").read_text()
ADDRESS = "http://127.0.0.1:8000"
"""The address of the server in the guides."""

COMPOSE = {
    kind: yaml.safe_load((EXAMPLES / name).read_text())
    for kind, name in (("postgresql", "compose.yaml"), ("redis", "compose-redis.yaml"))
}
UNIT = dict(re.findall(r"^(\w+)=(.*)$", (EXAMPLES / "mreg.service").read_text(), re.MULTILINE))


@dataclass
class Running:
    """A server's process and its address."""

    process: subprocess.Popen[bytes]
    url: str
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def ask(self, method: str, path: str, secret: str, **options: Any) -> requests.Response:
        options["headers"] = {"Authorization": f"Bearer {secret}"}
        return self.session.request(method, self.url + path, timeout=60, **options)

    def stop(self) -> int:
        """Stop it as systemd and docker do; its exit code."""
        self.session.close()
        self.process.terminate()
        return self.process.wait(timeout=60)


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `mreg serve` with these words and waits until it listens."""
    running: list[Running] = []

    def serve(*words: str) -> Running:
        log = tmp_path / f"log-{len(running)}"
        with log.open("wb") as stream:
            command = [sys.executable, "-m", "mreg", "serve", "--port", "0", *words]
            process = subprocess.Popen(command, stdout=stream, stderr=stream)
        running.append(Running(process, ""))
        while not (found := re.search(r" at (http://\S+),", log.read_text())):
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        running[-1].url = found[1]
        return running[-1]

    yield serve
    for one in running:
        one.session.close()
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def known_flags(command: Mreg) -> set[str]:
    """The flags of `mreg serve`."""
    return set(re.findall(r"--[a-z][a-z-]*", command("serve", "--help").out))


@dataclass(frozen=True)
class Team:
    """What the compose files put together, as processes: a profile file, tokens, and the secrets of two."""

    tokens: Path
    writer: str
    reader: str


@pytest.fixture
def team(
    place: Place,
    request: pytest.FixtureRequest,
    command: Mreg,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Team:
    catalog = catalogs_of(getattr(request, "param", "postgresql"), request, monkeypatch, tmp_path)()
    profiles = tmp_path / "profiles.yaml"
    profiles.write_text(
        f"default: team\nprofiles:\n  team:\n    catalog: {catalog}\n    artifacts: {place.url}\n"
        f"    endpoint_url: {place.endpoint}\n"
    )
    monkeypatch.setenv("MREG_CONFIG", str(profiles))
    made = {
        role: json.loads(command("token", "create", f"the-{role}", "--role", role, "--line", "--json").out)
        for role in ("writer", "reader")
    }
    tokens = tmp_path / "tokens"
    tokens.write_text("".join(one["line"] + "\n" for one in made.values()))
    return Team(tokens, made["writer"]["secret"], made["reader"]["secret"])


def upload(server: Running, secret: str, content: bytes, **fields: str) -> requests.Response:
    files = {"model_file": ("model.pkl", content)}
    return server.ask("POST", "/models/classifier/versions", secret, files=files, data=fields)


@pytest.mark.parametrize("team", COMPOSE, indirect=True)
def test_a_team_works_over_http_on_a_database_server_and_s3(team: Team, start: Start, place: Place) -> None:
    server = start("--token-file", str(team.tokens))
    content = os.urandom(3 << 20)
    assert requests.get(f"{server.url}/readyz", timeout=60).json()["status"] == "ready"
    assert server.ask("POST", "/models", team.writer, json={"name": "classifier"}).status_code == 200

    made = upload(server, team.writer, content, accuracy="0.95", metrics='{"auc": 0.97}').json()
    assert (made["reference"], made["metrics"]) == ("classifier@1", {"accuracy": 0.95, "auc": 0.97})
    for stage in ("Staging", "Production"):
        moved = server.ask("POST", "/models/classifier/versions/1/transition", team.writer, json={"stage": stage})
        assert (moved.status_code, moved.json()["stage"]) == (200, stage)
    production = server.ask("GET", "/models/classifier/production", team.reader).json()
    assert production["version"] == 1
    assert production["artifact_path"] == ""  # a reader does not see places of the server
    given = server.ask("GET", "/models/classifier/versions/production/artifact", team.reader)
    assert given.content == content
    assert given.headers["X-Checksum-Sha256"] == hashlib.sha256(content).hexdigest()

    events = server.ask("GET", "/models/classifier/history", team.reader).json()
    assert {event["actor"] for event in events} == {"the-writer"}
    assert server.stop() == 0
    with mreg.open_registry() as registry:  # the same by the command line's way
        assert registry.version("classifier@production").created_by == "the-writer"
        assert registry.verify_audit().events == len(events)


def test_a_reader_may_not_write_and_a_stranger_not_read(team: Team, start: Start) -> None:
    server = start("--token-file", str(team.tokens))
    server.ask("POST", "/models", team.writer, json={"name": "classifier"})
    assert upload(server, team.reader, b"x").json()["code"] == "role_too_low"
    assert server.ask("POST", "/models", team.reader, json={"name": "other"}).status_code == 403
    assert server.ask("GET", "/models", "mreg_of-nobody").status_code == 401
    (only,) = server.ask("GET", "/models", team.reader).json()
    assert (only["name"], only["version_count"]) == ("classifier", 0)


def test_a_server_that_is_stopped_finishes_the_upload_under_way(team: Team, start: Start) -> None:
    first, second = (start("--token-file", str(team.tokens)) for _ in range(2))
    first.ask("POST", "/models", team.writer, json={"name": "classifier"})
    first.session.close()
    content = os.urandom(2 << 20)
    request = requests.Request(
        "POST",
        f"{first.url}/models/classifier/versions",
        files={"model_file": ("model.pkl", content)},
        headers={"Authorization": f"Bearer {team.writer}", "Host": f"127.0.0.1:{first.port}", "Connection": "close"},
    ).prepare()
    assert isinstance(request.body, bytes)
    headers = [f"{key}: {value!s}\r\n" for key, value in request.headers.items()]
    head = f"POST {request.path_url} HTTP/1.1\r\n" + "".join(headers)
    with socket.create_connection(("127.0.0.1", first.port), timeout=60) as connection:
        connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(request.body[: 1 << 20])
        first.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 30
        while listens(first.port):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert first.process.poll() is None
        connection.sendall(request.body[1 << 20 :])
        answer = b""
        while more := connection.recv(65536):
            answer += more
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert first.process.wait(timeout=60) == 0
    seen = second.ask("GET", "/models/classifier/versions/1/artifact", team.reader)
    assert seen.content == content


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


def test_two_servers_give_one_row_of_numbers(team: Team, start: Start) -> None:
    servers = [start("--token-file", str(team.tokens)) for _ in range(2)]
    servers[0].ask("POST", "/models", team.writer, json={"name": "classifier"})
    numbers: list[int] = []

    def push(server: Running) -> None:
        numbers.extend([upload(server, team.writer, os.urandom(1000)).json()["version"] for _ in range(5)])

    threads = [threading.Thread(target=push, args=(server,)) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 11))


@pytest.mark.parametrize("kind", COMPOSE)
def test_the_compose_file_starts_the_server_by_flags_that_it_has(command: Mreg, kind: str) -> None:
    service = COMPOSE[kind]["services"]["mreg"]
    entry_point = re.search(r"^ENTRYPOINT (.*)$", (EXAMPLES / "Dockerfile").read_text(), re.MULTILINE)
    assert entry_point is not None
    assert json.loads(entry_point[1]) == ["mreg"]
    assert service["command"][0] == "serve"
    flags = {word for word in service["command"] if word.startswith("--")}
    assert flags <= known_flags(command)
    assert {"--token-file", "--host", "--grace"} <= flags
    grace = int(service["command"][service["command"].index("--grace") + 1])
    assert int(service["stop_grace_period"].removesuffix("s")) > grace
    assert "/readyz" in service["healthcheck"]["test"][-1]
    compile(service["healthcheck"]["test"][-1], "healthcheck", "exec")


@pytest.mark.parametrize("kind", COMPOSE)
def test_the_compose_file_has_no_secret(kind: str) -> None:
    for service in COMPOSE[kind]["services"].values():
        for key, value in service.get("environment", {}).items():
            if "KEY" in key or "PASSWORD" in key or "AUTH" in key:
                assert re.fullmatch(r"\$\{\w+:\?\}", value), key


@pytest.mark.parametrize("kind", COMPOSE)
def test_a_profile_takes_the_places_of_the_compose_file(
    command: Mreg, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    for key, value in COMPOSE[kind]["services"]["mreg"]["environment"].items():
        monkeypatch.setenv(key, value)
    shown = json.loads(command("profile", "show", "--json").out)
    catalog = {"postgresql": "postgresql://mreg@postgresql/mreg", "redis": "redis://redis:6379/0"}[kind]
    assert (shown["catalog"], shown["artifacts"]) == (catalog, "s3://models/registry")


def test_the_compose_files_differ_only_in_the_catalog() -> None:
    one, other = COMPOSE["postgresql"], COMPOSE["redis"]
    assert one["volumes"] == other["volumes"]
    assert one["services"].keys() ^ other["services"].keys() == {"postgresql", "redis"}
    for name in ("seaweedfs", "bucket"):
        assert one["services"][name] == other["services"][name]
    for key, value in one["services"]["mreg"].items():
        assert key in ("environment", "depends_on") or other["services"]["mreg"][key] == value


def test_redis_of_the_compose_file_keeps_what_it_confirms(
    redis_server: RedisServer, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = shlex.split(COMPOSE["redis"]["services"]["redis"]["command"][-1].replace("$$REDISCLI_AUTH", "secret"))
    assert words[:3] == ["exec", "docker-entrypoint.sh", "redis-server"]
    pairs = zip(words[3::2], words[4::2], strict=True)
    server = RedisServer(options={name.removeprefix("--"): value for name, value in pairs})
    server.start()
    try:
        monkeypatch.setenv("MREG_CATALOG", server.url())
        monkeypatch.setenv("MREG_ARTIFACTS", os.path.abspath("artifacts"))
        monkeypatch.setenv("REDISCLI_AUTH", "secret")
        done = command("profile", "check")
        assert (done.code, "settings of the server" in done.out) == (0, False), done
    finally:
        server.stop()


def test_the_unit_starts_the_server_by_flags_that_it_has(command: Mreg) -> None:
    words = shlex.split(UNIT["ExecStart"])
    assert words[1] == "serve"
    assert {word for word in words if word.startswith("--")} <= known_flags(command)
    assert int(UNIT["TimeoutStopSec"]) > int(words[words.index("--grace") + 1])
    hardened = {"DynamicUser": "yes", "ProtectSystem": "strict", "NoNewPrivileges": "yes", "StateDirectory": "mreg"}
    assert hardened.items() <= UNIT.items()
    assert "EnvironmentFile" in UNIT


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_the_unit_is_one_that_systemd_understands(tmp_path: Path) -> None:
    text = (EXAMPLES / "mreg.service").read_text().replace(shlex.split(UNIT["ExecStart"])[0], sys.executable)
    (tmp_path / "mreg.service").write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / "mreg.service")], capture_output=True, text=True, check=False
    )
    about_others = [line for line in done.stderr.splitlines() if str(tmp_path) not in line and "mreg" not in line]
    assert (done.returncode, done.stderr.splitlines()) == (0, about_others)


def shell_lines(beginning: str) -> list[str]:
    """Return the shell lines of the guide to HTTP that begin so, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", HTTP_GUIDE, re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith(beginning)]


PROMISED = (
    ("/models/classifier/versions/1/transition", {"reference", "stage", "status", "previous_stage", "archived"}),
    ("/models/classifier/production", {"version", "artifact_path", "metrics"}),
    ("/models/classifier/compare", {"version_a", "version_b", "metric_diff"}),
    ("/files", {"path", "size_bytes", "checksum"}),
    ("/import", {"model", "versions"}),
    ("/verify", {"artifacts", "blobs", "problems"}),
    ("/gc", {"kind", "removed"}),
    ("/doctor", {"name", "state"}),
    ("/evaluations", {"reference", "metrics", "added", "replaced", "voided"}),
    ("-F 'folder_file=", {"version_id", "version", "stage", "status", "metrics"}),
    ("-F model_file=", {"version_id", "version", "stage", "status", "metrics"}),
    ('-d \'{"name": ', {"model_id", "name", "description", "tags"}),
    ("/models/classifier", {"name", "versions", "production_version"}),
    ("/models", {"model_id", "name", "version_count", "latest_version", "production_version"}),
    ("/search", {"reference", "metrics"}),
)
"""The first words of each that a line has, and the keys of what is answered (of a list: of what is in it)."""


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_every_curl_line_of_the_guide_works(start: Start) -> None:
    server = start()
    # Lines with a variable depend on those before them: the test of the page runs them together.
    lines = [line for line in shell_lines("curl ") if not re.search(r"\$(digest|upload)", line)]
    assert len(lines) >= 10
    content = b"\x80\x04K\x01."
    Path("model.pkl").write_bytes(content)
    Path("better.pkl").write_bytes(b"\x80\x04K\x02.")
    Path("net/weights").mkdir(parents=True)
    for name in ("net/config.json", "net/weights/one.bin"):
        Path(name).write_text("{}")
    digest = hashlib.sha256(content).hexdigest()
    for line in lines:
        assert ADDRESS in line
        script = 'curl() { command curl -fsS --max-time 60 "$@"; }; ' + line.replace(ADDRESS, server.url)
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        if " -o " in line and "/files/" in line:
            assert Path(line.split(" -o ")[1].split()[0]).read_text() == "{}"
        elif not any(words in line for words in (" -o ", "/artifact", "text/event-stream")):
            keys = next(keys for words, keys in PROMISED if words in line)
            parsed = json.loads(done.stdout)
            for item in parsed if isinstance(parsed, list) else [parsed]:
                assert keys <= set(item), line
        if "-D -" in line:
            assert f"x-checksum-sha256: {digest}" in done.stdout.lower()
    (downloaded,) = Path("deployed").glob("classifier@*-model.pkl")
    assert downloaded.read_bytes() == content
    assert Path("best.pkl").read_bytes() == content
    versions = server.session.get(f"{server.url}/models/classifier", timeout=60).json()["versions"]
    assert [(one["version"], one["stage"]) for one in versions] == [
        (3, "None"), (2, "None"), (1, "Production"),
    ]  # fmt: skip


def test_every_serve_line_of_the_guide_has_flags_that_the_server_has(command: Mreg) -> None:
    lines = re.findall(r"^(?:\$ )?(mreg serve.*)$", SERVE_GUIDE, re.MULTILINE)
    assert len(lines) >= 2
    flags = {word for line in lines for word in shlex.split(line.split("  #")[0]) if word.startswith("--")}
    assert flags <= known_flags(command)


def test_the_exit_codes_page_has_the_status_of_every_error() -> None:
    from mreg.server.problems import STATUSES

    rows = re.findall(
        r"^\| \d \|[^|]*\| (\d+) ([^|]*) \|", (ROOT / "docs/reference/exit-codes.md").read_text(), re.MULTILINE
    )
    told = {code: int(status) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)}
    told |= {code: int(status) for _, codes in rows for status, code in re.findall(r", (\d+) `(\w+)`", codes)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.MregError)]
    for kind in kinds:
        status = next(status for base, status in STATUSES if issubclass(kind, base))
        if kind is errors.DamagedBundle:
            assert (status, told[kind.code]) == (400, 500)
        elif kind not in (errors.MregError, errors.Unchanged):  # no route waits
            assert told[kind.code] == status, kind


def test_the_exit_codes_page_has_every_code_of_the_http_layer_with_its_exit_code() -> None:
    from mreg.cli.failures import EXIT_CODES
    from mreg.remote.problems import problem_error
    from mreg.server.problems import CODES

    sent = {(status, code) for status, code in CODES.items()}
    for path in (ROOT / "mreg/server").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            match call:
                case ast.Call(
                    func=ast.Name(id="Refused" | "problem" | "_response"),
                    args=[ast.Constant(value=int(status)), ast.Constant(value=str(code)), *_],
                ):
                    sent.add((status, code))
    page = (ROOT / "docs/reference/exit-codes.md").read_text().partition("Errors that only HTTP has")[2]
    told = {
        (int(status), code): int(exit_code)
        for statuses, codes, exit_code in re.findall(r"^\| ([\d, ]+) \| ([^|]+) \|[^|]+\| (\d) \|$", page, re.MULTILINE)
        for status in statuses.split(", ")
        for code in re.findall(r"`(\w+)`", codes)
    }
    assert set(told) == sent
    for (status, code), exit_code in told.items():
        error, _ = problem_error(status, {"code": code, "detail": "why"}, "https://models.example")
        assert next(number for kind, number in EXIT_CODES if isinstance(error, kind)) == exit_code, code


def test_the_exit_codes_page_has_the_exit_code_of_every_error() -> None:
    from mreg.cli.failures import EXIT_CODES

    page = (ROOT / "docs/reference/exit-codes.md").read_text()
    rows = re.findall(r"^\| (\d) \|[^|]*\|([^|]*)\|", page, re.MULTILINE)
    told = {code: int(number) for number, codes in rows for code in re.findall(r"`(\w+)`", codes)}
    listed = re.findall(r"`(\w+)`", page.partition("The codes are ")[2].partition(".\n")[0])
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.MregError) and kind is not errors.MregError:
            assert kind.code in listed, kind
            if kind is not errors.Unchanged:  # has no code over HTTP
                assert told[kind.code] == next(number for base, number in EXIT_CODES if issubclass(kind, base)), kind


ROUTES = (
    ("post", "/models"),
    ("get", "/models"),
    ("get", "/models/{model}"),
    ("post", "/models/{model}/versions"),
    ("get", "/models/{model}/versions/{version}"),
    ("post", "/models/{model}/versions/{version}/transition"),
    ("get", "/models/{model}/production"),
    ("get", "/models/{model}/compare"),
)
"""The routes that never change."""


def test_the_routes_that_never_change_are_served(start: Start) -> None:
    served = start().url
    paths = requests.get(f"{served}/openapi.json", timeout=60).json()["paths"]
    assert [route for route in ROUTES if route[0] not in paths[route[1]]] == []
