"""Who may come in, from where, with what, and what never gets through."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

import mreg
from mreg.errors import BadInput
from mreg.registry.tokens import new_token
from mreg.results.tokens import Role, Token
from mreg.server import protocol
from mreg.server.settings import TARGET_LIMIT, ServerSettings
from mreg.server.tokens import find_token, parse_tokens
from tests.conftest import FULL, SEED, Mreg
from tests.server.conftest import Serve, Served, Tokens, stored

MAY: dict[str, list[tuple[str, str, object]]] = {
    "reader": [("GET", "/models", None), ("GET", "/models/m/versions/1/artifact", None), ("GET", "/search", None),
               ("GET", "/metrics", None), ("GET", "/openapi.json", None), ("GET", "/ui", None)],
    "writer": [("POST", "/models", {"name": "new"}), ("PATCH", "/models/m", {"description": "x"}),
               ("PUT", "/models/m/tags/a", {"value": "b"}), ("PUT", "/models/m/aliases/champ", {"version": 1}),
               ("POST", "/models/m/versions/1/evaluations", {"metrics": {"auc": 0.9}}),
               ("POST", "/models/m/versions/1/transition", {"stage": "Staging"})],
    "approver": [("POST", "/models/m/versions/1/approve", {}), ("POST", "/models/m/versions/1/reject", {"reason": "x"}),
                 ("DELETE", "/models/m/versions/1/decision", None)],
    "admin": [("PUT", "/policy", {"Production": {"approvals": 1}}), ("DELETE", "/policy", None),
              ("PUT", "/models/m/policy", {}), ("POST", "/models/m/rename", {"name": "n"}),
              ("DELETE", "/models/n/versions/1?force=true", None), ("DELETE", "/models/n", None)],
}  # fmt: skip


def test_a_role_may_do_what_its_place_allows_and_no_more(serve: Serve, tokens: Tokens, command: Mreg) -> None:
    Path("f").write_bytes(b"x")
    command("push", "f", "-n", "m")
    server = serve("--token-file", str(tokens.file), "--json-log")
    for needed, requests in MAY.items():
        for method, path, document in requests:
            for role in Role:
                if role >= Role.parse(needed):
                    continue
                server.secret = tokens.secrets[str(role)]
                answer = server.ask(method, path, json=document)
                assert (answer.status_code, answer.json()["code"]) == (403, "role_too_low"), f"{role} {method} {path}"
                name = answer.json()["detail"].partition(" ")[0]
                assert answer.json()["detail"] == f"{name} has role {role}; this needs role {needed}"
            server.secret = ""
            assert server.ask(method, path, json=document).status_code == 401, path
            server.secret = tokens.secrets["reader"] + "x"
            assert server.ask(method, path, json=document).status_code == 401, path
        for method, path, document in requests:
            server.secret = tokens.secrets[needed]
            answer = server.ask(method, path, json=document)
            assert answer.status_code in (200, 409), f"{needed} {method} {path}: {answer.text}"
    with mreg.open_registry() as registry:
        actors = {event.action: event.actor for event in registry.history()}
    assert (actors["model.edited"], actors["policy.changed"], actors["model.deleted"]) == ("writer", "admin", "admin")
    log = server.log.read_text()
    assert not [secret for secret in tokens.secrets.values() if secret in log]
    assert {line["actor"] for line in server.lines()} == {None, "reader", "writer", "approver", "admin"}


def test_who_acts_is_the_token_and_never_what_the_client_says(serve: Serve, tokens: Tokens) -> None:
    server = serve("--token-file", str(tokens.file), secret=tokens.secrets["writer"])
    claims = {"X-User": "root", "X-Forwarded-User": "root", "From": "root@x", "X-Actor": "root"}
    assert server.ask("POST", "/models", json={"name": "m"}, headers=claims).json()["created_by"] == "writer"
    assert server.ask("POST", "/models", json={"name": "n", "created_by": "root"}).status_code == 422
    assert server.upload(b"x", "m", created_by="root").status_code == 400
    assert server.upload(b"x", "m").json()["created_by"] == "writer"


def test_a_page_is_for_tokens_as_well_by_the_browsers_own_way(serve: Serve, tokens: Tokens) -> None:
    server = serve("--token-file", str(tokens.file))
    asked = server.get("/ui")
    assert asked.status_code == 401
    assert asked.headers["www-authenticate"].startswith("Basic ")
    basic = {"Authorization": "Basic " + b64encode(f"any:{tokens.secrets['reader']}".encode()).decode()}
    assert server.get("/ui", headers=basic).status_code == 200
    # A browser sends it by itself, from whatever page: it must open nothing that changes something.
    for path in ("/models", "/metrics"):
        assert server.get(path, headers=basic).status_code == 401
    assert server.get("/models").headers["www-authenticate"] == "Bearer"
    for wrong in (
        "Basic",
        "Basic !!",
        "Basic " + b64encode(b"no colon").decode(),
        "Bearer",
        "Bearer  ",
        "Digest x",
        "Bearer \xff",
        "Basic \xff",
    ):
        assert server.get("/ui", headers={"Authorization": wrong.encode("latin-1")}).status_code == 401


def test_health_needs_no_token_and_tells_nothing(serve: Serve, tokens: Tokens) -> None:
    server = serve("--token-file", str(tokens.file))
    for path in ("/healthz", "/readyz"):
        found = server.get(path)
        assert found.status_code == 200
        assert os.environ["HOME"] not in found.text
    assert server.ask("POST", "/healthz").status_code == 405


def test_any_other_address_needs_tokens(command: Mreg) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.com"):
        done = command("serve", "--host", host)
        assert done.code == 2
        assert "without tokens: it is not a loopback address" in done.err
        assert "mreg token create admin --role admin" in done.err


BAD_TOKENS = {
    "": "has no tokens",
    "# only a comment\n": "has no tokens",
    "ci writer\n": "line 1: invalid token",
    "ci writer sha256:12": "line 1: invalid digest",
    "\nci owner sha256:" + "0" * 64: "line 2: invalid role",
    "ci writer sha256:" + "0" * 64 + "\nci reader sha256:" + "1" * 64: ": repeated name",
    "ci writer sha256:" + "0" * 64 + "\ncd reader sha256:" + "0" * 64: ": repeated digest",
    "ci writer mreg_secret-by-mistake": "line 1: invalid digest",
}


def test_a_token_file_is_read_exactly_and_never_shown(command: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    for text, message in BAD_TOKENS.items():
        Path("tokens").write_text(text)
        in_file = command("serve", "--token-file", "tokens")
        monkeypatch.setenv("MREG_SERVER_TOKENS", text)
        for done in (in_file, command("serve")):
            assert (done.code, message in done.err) == (2, True), done.err
            assert "secret-by-mistake" not in done.err
        monkeypatch.delenv("MREG_SERVER_TOKENS")
    assert command("serve", "--token-file", "none").code == 4
    assert command("serve", "--token-file", ".").code == 8
    Path("tokens").write_bytes(b"\xff")
    assert command("serve", "--token-file", "tokens").code == 8


def test_tokens_are_what_their_lines_say() -> None:
    made = new_token("ci", Role.WRITER)
    assert parse_tokens(f"  {made.token.line}  # of the build\n\n", "x") == (made.token,)
    assert find_token((made.token,), made.secret) == made.token
    for other in ("", made.secret[:-1], made.secret + "x", made.secret.upper(), "\udcff"):
        assert find_token((made.token,), other) is None
    assert new_token("ci", Role.WRITER).secret != made.secret
    for name in ("", "a b", "a#b", "a;b", "a\nb", "x" * 300):
        with pytest.raises(BadInput):
            new_token(name, Role.READER)
    with pytest.raises(BadInput, match="invalid role 'writr'"):
        Role.parse("writr")
    assert len(parse_tokens(";".join(new_token(f"t{n}", Role.READER).token.line for n in range(3)), "x")) == 3
    assert isinstance(made.token, Token)


def test_a_token_is_made_with_its_line_and_shown_once(command: Mreg) -> None:
    made = json.loads(command("token", "create", "ci", "--role", "writer", "--line", "--json").out)
    assert parse_tokens(made["line"], "x")[0].role is Role.WRITER
    quiet = command("token", "create", "ci", "--line", "-q")
    assert parse_tokens(quiet.out, "x")[0].role is Role.READER
    assert "(not shown again): mreg_" in quiet.err
    assert command("token", "create", "ci", "--line", "--role", "owner").code == 2
    assert command("token", "create", "a b", "--line").code == 2
    assert not Path(os.environ["HOME"], ".local/share/mreg/catalog.db").exists()


FOREIGN_HOSTS = [
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "",
    "evil.example:8000",
    "[::1",
    "a b",
    "[::1].evil.example",
    "[fe80::1%25evil.example]",
    "127.0.0.1:80:x",
    "127.0.0.1:x",
]
KNOWN_HOSTS = [
    "127.0.0.1",
    "localhost",
    "LOCALHOST:1",
    "[::1]",
    "[::1]:8000",
    "10.0.0.1",
    "models.example",
    "Models.Example:80",
]


def test_the_server_is_called_by_names_that_it_knows(serve: Serve) -> None:
    server = serve("--allow-host", "models.example")
    for host in FOREIGN_HOSTS:
        for path in ("/models", "/ui", "/healthz"):
            answer = server.raw(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            assert answer.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400")), (host, answer)
    assert server.raw(b"GET /models HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 421")
    for twice in (
        b"Host: localhost\r\nHost: evil.example",
        b"Host: evil.example\r\nHost: localhost",
        b"Host: localhost\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b",
    ):
        answer = server.raw(b"GET /models HTTP/1.1\r\n" + twice + b"\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400"), answer
    for host in KNOWN_HOSTS:
        answer = server.raw(f"GET /models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 200"), (host, answer)


def test_pages_of_other_origins_may_not_ask(server: Served, store: Path) -> None:
    own = f"http://127.0.0.1:{server.port}"
    for origin in (
        "http://evil.example",
        "null",
        "https://127.0.0.1",
        "http://127.0.0.1:1",
        "http://localhost",
        "file://",
        "http://[",
        "http://x]y",
        "http://[::1",
    ):
        for method, path in (("POST", "/models/classifier/versions"), ("GET", "/models"), ("OPTIONS", "/models")):
            answer = server.ask(method, path, headers={"Origin": origin})
            assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin"), origin
            assert "access-control-allow-origin" not in answer.headers
    assert server.ask("POST", "/models", json={"name": "own"}, headers={"Origin": own}).status_code == 200
    for site in ("cross-site", "same-site"):
        assert server.ask("POST", "/models", json={"name": site}, headers={"Sec-Fetch-Site": site}).status_code == 403
    visit = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert server.get("/ui", headers=visit).status_code == 200
    assert server.get("/models", headers=visit).status_code == 403
    assert stored(store) == []


def test_a_read_only_server_changes_nothing(serve: Serve, command: Mreg, tokens: Tokens) -> None:
    Path("f").write_bytes(b"x")
    command("push", "f", "-n", "m")
    server = serve("--read-only", "--token-file", str(tokens.file), secret=tokens.secrets["admin"])
    document = server.get("/openapi.json").json()
    tried = 0
    for path, operations in document["paths"].items():
        for method in operations:
            if method == "get":
                continue
            url = path.replace("{model}", "m").replace("{version}", "1").replace("{alias}", "a").replace("{key}", "k")
            answer = server.ask(method.upper(), url)
            assert (answer.status_code, answer.json()["code"]) == (403, "read_only"), url
            tried += 1
    assert tried >= 25
    assert server.get("/models/m/versions/1/artifact").content == b"x"
    with mreg.open_registry() as registry:
        assert registry.verify_audit().events == 2


def test_every_answer_carries_what_browsers_need_to_be_careful(server: Served) -> None:
    server.upload(b"<script>alert(1)</script>", name="x.html")
    for path in (
        "/models",
        "/models/none",
        "/nowhere",
        "/ui",
        "/models/classifier/versions/1/artifact",
        "/healthz",
        "/metrics",
    ):
        headers = server.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert ("sandbox" in policy) is (path != "/ui")
        assert "cache-control" in headers
        assert "server" not in headers
    assert server.get("/models/classifier/versions/1/artifact").headers["content-disposition"].startswith("attachment")


TRAVERSALS = [
    "..", "../x", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e", "%2e%2e%2fx", "%252e%252e", "%252e%252e%252fx",
    "..\\x", "..%5cx", "C:..%5cx", "C:%5cx", "%2fetc%2fpasswd", "//proc/self/root", "%2f%2fproc%2fself%2froot", "a%23b", "a;b",
    "a%3bb", "a%00b", "%00", "%0a", "%0d%0aX:y", "%1b[2J", "%e2%80%ae", "%e2%80%8b", "%ff", "%ed%a0%80", "file:%2f%2f%2fetc",
    "file:", "s3:%2f%2fx", "models:%2fx%2f1", "a@1", "a%401", "%20", "+", "-rf", "$(id)", "`id`", "[red]x[/red]", "%", "%2", "%zz",
    "x" * 129, "x" * 8000, "..%c0%af", "a%2f..%2fb", "a%2f%2fb", "{model}", "__proto__", "con", "NUL%2e.",
]  # fmt: skip
PLACES = [
    ("GET", "/models/{}"), ("GET", "/models/{}/production"), ("GET", "/models/{}/versions/1"), ("DELETE", "/models/{}"),
    ("GET", "/models/classifier/versions/{}"), ("GET", "/models/classifier/versions/{}/artifact"),
    ("GET", "/models/classifier/versions/1/files/{}"), ("GET", "/models/classifier/compare?version_a={}&version_b=1"),
    ("GET", "/compare?version_a={}&version_b=classifier@1"), ("GET", "/search?sort={}&limit=1"), ("GET", "/ui/{}"),
    ("GET", "/ui/models/{}"), ("GET", "/ui/static/{}"), ("GET", "/ui/models/classifier/versions/{}"), ("GET", "/{}"),
    ("DELETE", "/models/classifier/aliases/{}"), ("DELETE", "/models/classifier/tags/{}"),
    ("GET", "/models/classifier/stages?at={}"),
]  # fmt: skip


def test_nothing_in_a_path_or_query_leads_elsewhere(server: Served) -> None:
    server.upload(b"x")
    for method, place in PLACES:
        for attack in TRAVERSALS:
            answer = server.ask(method, place.format(attack))
            fine = answer.status_code < 500
            if answer.status_code == 200 and "/ui" not in place:
                # Only what names nothing else: an empty remainder, or text that a search ignores.
                fine = "root:" not in answer.text
            assert fine, f"{method} {place.format(attack)}: {answer.status_code} {answer.text[:200]}"
            assert "root:x:" not in answer.text
            assert "\x1b" not in answer.text
    assert server.get("/models/classifier").json()["version_count"] == 1


BODIES = [b"", b"{}", b"[]", b"null", b"1", b'"x"', b"{", b"\xff", b'{"name": null}', b'{"name": ["a"]}', b'{"name": {"a": 1}}',
          b'{"name": "a", "tags": {"a": 1}}', b'{"name": "a", "tags": []}', b'{"stage": 1}', b'{"stage": null}', b"[" * 100_000,
          b'{"name": "\\ud800"}', b'{"name": "a\\u0000"}', b'{"name": "x", "x": "y"}', b'{"description": "\\ud800"}',
          b'{"name": "' + b"x" * (1 << 20) + b'"}', b'{"approvals": 1e999}', b'{"Production": {"gates": 3}}',
          b'{"Production": {"approvals": 99999999999999999999}}', b'{"Production": null}',
          b'{"version": ' + b"9" * 5000 + b"}", b'{"version": true}', b'{"to": true}', b'{"\\ud800": {}}',
          b'{"Production": {"\\ud800": 1}}', b'{"aliases": {"\\ud800": {}}}']  # fmt: skip


TYPES = ("text/html", "multipart/form-data", "application/x-www-form-urlencoded")


def test_bodies_of_the_wrong_type_are_refused_by_every_route(server: Served) -> None:
    server.upload(b"x")
    chance = random.Random(SEED)
    document = server.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        url = (
            path.replace("{model}", "classifier")
            .replace("{version}", "1")
            .replace("{alias}", "a")
            .replace("{key}", "k")
        )
        for method, operation in operations.items():
            if "requestBody" not in operation:
                continue
            for body in BODIES:
                for kind in ("application/json", *(TYPES if FULL else [chance.choice(TYPES)])):
                    answer = server.ask(method.upper(), url, data=body, headers={"Content-Type": kind})
                    assert answer.status_code < 500, f"{method} {url} {kind} {body[:60]!r}: {answer.text[:300]}"
                    assert answer.status_code != 200 or body in (b"{}", b"", b"null", b'{"Production": null}'), (
                        f"{method} {url} {kind} {body[:60]!r}"
                    )


RAW = {
    "no length": b"POST /models HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\r\n",
    "two lengths": b'POST /models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 13\r\n\r\n{"name": "a"}',
    "length and chunks": b"POST /models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": b"POST /models HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    "a length that is no number": b"POST /models HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
    "an endless length": b"POST /models HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n",
    "a length beyond the limit": b"POST /models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n{}",
    "bad chunks": b"POST /models HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a header that is no header": b"GET /models HTTP/1.1\r\nHost: localhost\r\nX y\r\n\r\n",
    "NUL in the path": b"GET /mod\0els HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "bytes above 127 in the path": b"GET /models/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a whole URL": b"GET http://localhost/models/%2e%2e HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a method that is none": b"BREW /models HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "CONNECT": b"CONNECT example.com:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an upgrade": b"GET /models/%2e%2e HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "a path of 10 KB": b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a query of 10 KB": b"GET /models?" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "headers of 100 KB": b"GET /models HTTP/1.1\r\nHost: localhost\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
    "headers of 10,000 lines": b"GET /models HTTP/1.1\r\nHost: localhost\r\n" + b"X: yyyyyyy\r\n" * 10_000 + b"\r\n",
    "two hosts": b"GET /models HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
}


def answers(server: Served, requests: Collection[bytes]) -> Iterable[bytes]:
    """What comes back for requests that are sent at once, each on a connection of its own, in 2 seconds."""
    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(lambda request: server.raw(request, timeout=2), requests))


def test_what_is_no_request_is_refused_and_the_server_goes_on(server: Served) -> None:
    for what, answer in zip(RAW, answers(server, RAW.values()), strict=True):
        status = int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else None
        assert status is None or 400 <= status < 500, f"{what}: {answer[:300]!r}"
        assert not what.startswith("headers of 1") or status == 431, what
    assert server.get("/healthz").status_code == 200
    assert [one["name"] for one in server.get("/models").json()] == ["classifier"]
    assert "Traceback" not in server.log.read_text()


def test_a_target_is_refused_from_the_first_byte_beyond_the_limit(server: Served) -> None:
    def asked(path: str) -> bytes:
        return server.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())

    for path, counted in (("/nowhere/", 0), ("/models?limit=1&q=", 1)):  # the question mark is not counted
        at_limit = path + "x" * (TARGET_LIMIT - len(path) + counted)
        assert not asked(at_limit).startswith(b"HTTP/1.1 414"), path
        beyond = asked(at_limit + "x")
        assert beyond.startswith(b"HTTP/1.1 414"), path
        assert json.loads(beyond.partition(b"\r\n\r\n")[2])["code"] == "target_too_long"


def test_slow_headers_are_not_waited_for(in_process: Callable[..., Served], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEADERS_SECONDS", 0.3)
    server = in_process()
    for some in (b"", b"GET /mod", b"GET /models HTTP/1.1\r\nHost: localhost\r\n"):
        assert server.raw(some, timeout=60) == b""  # the server closes the connection
    assert server.get("/models").status_code == 200


def test_a_thousand_connections_at_once_are_served(server: Served) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(1000)]
        for connection in connections:
            connection.sendall(b"GET /models/classifier HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for connection in connections:
            connection.settimeout(60)
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
        assert server.get("/healthz").status_code == 200


def test_a_body_of_one_model_changes_no_other(server: Served) -> None:
    server.post("/models", {"name": "other"})
    for model in ("classifier", "other"):
        server.upload(b"x", model)
    for version in ("other@1", "other:1", "other/1", "models:/other/1"):
        for method, path, key in (("PUT", "aliases/zed", "version"), ("POST", "rollback", "to")):
            answer = server.ask(method, f"/models/classifier/{path}", json={key: version})
            refused = {(400, "bad_input"), (409, "not_allowed")} if key == "to" else {(400, "bad_input")}
            assert (answer.status_code, answer.json()["code"]) in refused, version
    assert server.get("/models/other").json()["aliases"] == {}


def test_tags_are_bounded(server: Served) -> None:
    many = {f"t{number}": "x" for number in range(1001)}
    assert server.post("/models", {"name": "m", "tags": many}).status_code == 400
    many.popitem()
    assert server.post("/models", {"name": "m", "tags": many}).status_code == 200
    assert server.ask("PUT", "/models/m/tags/one-more", json={"value": "x"}).status_code == 400
    assert server.ask("PUT", "/models/m/tags/t1", json={"value": "y"}).status_code == 200


def test_a_json_log_has_nothing_but_json(serve: Serve) -> None:
    server = serve("--json-log")
    answers(server, RAW.values())
    server.upload(b"x", "none")
    server.ask("POST", "/models/none/versions", data=b"x", headers={"Content-Type": "multipart/form-data; boundary=y"})
    server.get("/models")
    server.stop()
    first, *lines = server.log.read_text().splitlines()
    assert first.startswith("mreg serves")
    for line in lines:
        assert json.loads(line), line


def test_a_catalog_that_goes_while_it_is_served_is_told_and_not_written_to(server: Served) -> None:
    server.upload(b"x")
    catalog = Path(os.environ["HOME"], ".local/share/mreg/catalog.db")
    catalog.rename("moved.db")
    for answer in (
        server.upload(b"y"),
        server.get("/models"),
        server.post("/models", {"name": "n"}),
        server.get("/readyz"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    Path("moved.db").rename(catalog)
    assert server.upload(b"y").json()["version"] == 2
    with mreg.open_registry() as registry:
        assert registry.model("classifier").version_count == 2


def test_it_starts_without_the_packages_of_other_places() -> None:
    code = (
        "import sys\nfor name in ('psycopg', 'botocore', 'boto3'): sys.modules[name] = None\n"
        "from mreg.server.run import _import_modules\n_import_modules()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_settings_refuse_what_can_not_be_served(process: Mreg) -> None:
    assert process("serve", "--port", "99999").code == 2
    assert process("serve", "--max-upload", "much").code == 2
    assert process("serve", "--host", "127.0.0.1.1").code == 2
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = process("serve", "--port", str(taken.getsockname()[1]))
        assert (done.code, "Address already in use" in done.err) == (8, True)
    assert ServerSettings(host="::1").knows_host("localhost")


def test_a_server_that_is_told_to_stop_ends_well(serve: Serve) -> None:
    server = serve()
    assert server.get("/models").status_code == 200
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


LISTEN = {
    ("192.0.2.1", 0, ""): "choose an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all: mreg serve --host ADDRESS",
    ("models.invalid", 0, ""): "write an IP address of this machine: mreg serve --host ADDRESS",
    ("127.0.0.1", 8001, "taken"): "choose another port: mreg serve --port NEXT",
}  # fmt: skip


@pytest.mark.parametrize(("host", "port", "taken"), LISTEN)
def test_an_address_that_cannot_be_used_has_the_hint_for_its_cause(host: str, port: int, taken: str) -> None:
    from mreg.server.run import _listen

    with socket.socket() as other:
        if taken:
            other.bind((host, 0))
            other.listen()
            port = other.getsockname()[1]
        token = Token(name="a", role=Role.READER, digest=new_token("a").token.digest)
        settings = ServerSettings(host=host, port=port, tokens=(token,), hosts=("models.example",))
        with pytest.raises(mreg.Unavailable) as caught:
            _listen(settings, 5)
    assert caught.value.message.startswith(f"cannot listen on '{host}', port {port}: ")
    following = port + 1 if port < 65535 else 8000
    assert caught.value.hint == LISTEN[host, port if not taken else 8001, taken].replace("NEXT", str(following))
