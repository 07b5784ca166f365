"""The server below a prefix, and what it believes of the headers of a proxy."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.errors import BadInput
from mreg.registry.local import LocalRegistry
from mreg.server.connections import Connections, compute_limits
from mreg.server.proxy import TrustedProxies, parse_network, parse_prefix, place_request
from mreg.server.settings import ServerSettings
from tests.conftest import Mreg
from tests.server.conftest import Serve, Served
from tests.server.test_page import Client, crawled, furnish, served

LOCAL = TrustedProxies((parse_network("127.0.0.1"),))
PREFIX = {"X-Forwarded-Prefix": "/mreg"}
InProcess = Callable[..., Served]


class Stripping(Client):
    """A proxy that removes the prefix, and says which."""

    def get(self, address: str, **options: Any) -> Any:
        assert address.startswith("/mreg/"), address
        return super().get(address.removeprefix("/mreg"), headers=PREFIX, **options)


@pytest.mark.parametrize("stripping", [False, True])
def test_every_link_of_every_page_has_the_prefix(registry: LocalRegistry, tmp_path: Path, stripping: bool) -> None:
    furnish(registry, tmp_path)
    settings = ServerSettings(trusted_proxies=LOCAL) if stripping else ServerSettings(root_path="/mreg")
    with served(registry, settings) as client:
        pages = crawled(Stripping(client.url) if stripping else client, "/mreg/ui", "/mreg/ui?q=metrics.auc+%3E+0")
        redirected = client.get("/ui/", headers=PREFIX)
    assert redirected.headers["location"] == "/mreg/ui"
    assert {"/mreg/ui/models/speech%2Fwake-word", "/mreg/ui/history"} <= set(pages)
    assert len(pages) > 50


@pytest.mark.parametrize("path", ["/mreg/models", "/models"])
def test_links_of_the_api_have_the_prefix_whether_the_proxy_removes_it_or_not(
    registry: LocalRegistry, in_process: InProcess, path: str
) -> None:
    for name in ("a", "team/b", "c"):
        registry.register(name)
    server = in_process(ServerSettings(root_path="/mreg"))
    before = path.removesuffix("/models")
    assert server.get(f"{path}?limit=2").headers["link"] == '</mreg/models?limit=2&offset=2>; rel="next"'
    assert server.get(f"{before}/openapi.json").json()["servers"] == [{"url": "/mreg"}]
    assert server.get(f"{path}/team%2Fb").json()["name"] == "team/b"
    assert server.get(f"{before}/healthz").status_code == 200
    assert 'route="/models/{model}"' in server.get(f"{before}/metrics").text
    assert server.get(f"{before}/api/whoami-v2").status_code == 200
    lost = server.get(f"{before}/nothing/here").json()
    assert lost["hint"] == "GET /mreg/openapi.json lists the routes"
    refused = server.post(f"{before}/healthz")
    assert refused.headers["allow"] == "GET, HEAD"
    assert server.get(f"{path}?limit=x").json()["hint"] == "GET /mreg/openapi.json has the schema of the request"


def test_hints_have_the_prefix(registry: LocalRegistry, in_process: InProcess) -> None:
    registry.register("churn")
    server = in_process(ServerSettings(root_path="/mreg"))
    unknown = server.get("/mreg/models/churn/production")
    assert unknown.json()["hint"].startswith("POST /mreg/models/churn/versions")
    assert "/mreg/mreg" not in unknown.text
    assert "/mreg" not in in_process().get("/models/churn/production").text


@pytest.mark.parametrize(
    "path", ["/mreg", "/mreg/", "/mreg//ui", "/mregs/ui", "/MREG/ui", "/%6dreg/ui", "/mreg/mreg/ui"]
)
def test_a_path_that_is_not_below_the_prefix_is_not_found(
    registry: LocalRegistry, in_process: InProcess, path: str
) -> None:
    assert in_process(ServerSettings(root_path="/mreg")).get(path).status_code == 404


def test_a_prefix_does_not_open_what_a_token_closes(serve: Serve, command: Mreg) -> None:
    line = json.loads(command("token", "create", "ci", "--role", "reader", "--line", "--json").out)["line"]
    server = serve("--trusted-proxy", "127.0.0.1", MREG_SERVER_TOKENS=line)
    for path in ("/models", "/ui", "/metrics", "/healthz/../models", "/mreg/healthz/../models"):
        for headers in ({}, {"X-Forwarded-Prefix": "/healthz"}, {"X-Forwarded-Prefix": "/x/healthz"}, PREFIX):
            assert server.get(path, headers=headers).status_code in (400, 401), (path, headers)
    assert server.get("/healthz").status_code == 200
    assert "no tokens" not in server.log.read_text()


INVALID = (
    "mreg", "//evil.example", "/a//b", "/a/../b", "/./a", "/..", "/a b", "/a\tb", "/a%2fb", "/a?b", "/a#b", "/a;b",
    "/<script>", '/"', "/a\x1b[2J", "/é", "/a\\b", "https://evil.example", "/\\evil.example", "/" + "x" * 300, "/a,/b", "/a\n",
)  # fmt: skip


@pytest.mark.parametrize("text", INVALID)
def test_an_invalid_prefix_is_refused(text: str, command: Mreg) -> None:
    with pytest.raises(BadInput):
        parse_prefix(text)


def test_an_invalid_prefix_is_refused_when_the_server_starts(command: Mreg) -> None:
    done = command("serve", "--port", "0", "--root-path", "//evil.example")
    assert done.code == 2
    assert "invalid path prefix '//evil.example'" in done.err
    done = command("serve", "--port", "0", "--root-path", "/models")
    assert done.code == 2
    assert "routes of the server begin with it" in done.err
    done = command("serve", "--port", "0", "--trusted-proxy", "proxy.example")
    assert done.code == 2
    assert "invalid address of a proxy 'proxy.example'" in done.err


@given(st.text(alphabet=string.printable + "é\u202e", max_size=300))
def test_a_prefix_means_itself_in_links_and_headers(text: str) -> None:
    try:
        prefix = parse_prefix(text)
    except BadInput:
        return
    assert prefix in (text, text.removesuffix("/"))
    assert prefix == "" or (prefix.startswith("/") and not prefix.startswith("//") and not prefix.endswith("/"))
    assert not set(prefix) - set(string.ascii_letters + string.digits + "/._~-")


def test_an_invalid_prefix_of_a_proxy_is_a_problem(registry: LocalRegistry, in_process: InProcess) -> None:
    server = in_process(ServerSettings(trusted_proxies=LOCAL))
    for text in ("//evil.example", "/a/../b", "/models", "https://evil.example/", "/a, /b"):
        answer = server.get("/models", headers={"X-Forwarded-Prefix": text})
        assert answer.status_code == 400, text
        assert answer.json()["code"] == "bad_request"
        assert "x-forwarded-prefix" in answer.json()["detail"]
    twice = server.raw(
        b"GET /models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"X-Forwarded-Prefix: /a\r\nX-Forwarded-Prefix: /b\r\n\r\n"
    )
    assert b"header_twice" in twice


def test_the_headers_of_clients_are_not_believed(serve: Serve) -> None:
    server = serve("--json-log", "--root-path", "/mreg")
    assert f"{server.url}/mreg, the page is {server.url}/mreg/ui" in server.log.read_text()
    told = {"X-Forwarded-Prefix": "/evil", "X-Forwarded-For": "203.0.113.7", "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Proto": "https", "Forwarded": "for=203.0.113.7;host=evil.example"}  # fmt: skip
    answer = server.get("/ui", headers=told)
    assert "evil" not in answer.text
    assert server.line(path="/mreg/ui")["client"] == "127.0.0.1"


@pytest.mark.parametrize("fixed", ["", "/mreg"])
def test_a_fixed_prefix_is_not_changed_by_a_header(registry: LocalRegistry, in_process: InProcess, fixed: str) -> None:
    server = in_process(ServerSettings(root_path=fixed, trusted_proxies=LOCAL))
    for prefix in ("/other", "//evil.example"):
        assert server.get("/openapi.json", headers={"X-Forwarded-Prefix": prefix}).json().get("servers", []) == (
            [{"url": fixed}] if fixed else []
        )


def test_the_access_log_has_the_client_that_a_trusted_proxy_names(serve: Serve) -> None:
    server = serve("--json-log", "--trusted-proxy", "127.0.0.1", "--trusted-proxy", "10.0.0.0/8")
    server.get("/models", headers={"X-Forwarded-For": "198.51.100.1, 203.0.113.7, 10.1.2.3", **PREFIX})
    assert server.line(path="/mreg/models")["client"] == "203.0.113.7"
    assert "without a token, all clients of the proxy have full access" in server.log.read_text()


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("", "127.0.0.1"),
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:DB8::7", "2001:db8::7"),
        ("198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, 127.0.0.1,127.0.0.1", "203.0.113.7"),
        ("127.0.0.1", "127.0.0.1"),
        ("203.0.113.7, unknown", "127.0.0.1"),
        ("203.0.113.7, \x1b[2J, 127.0.0.1", "127.0.0.1"),
        ("203.0.113.7,", "127.0.0.1"),
    ],
)
def test_the_client_is_the_last_address_that_is_not_a_trusted_proxy(forwarded: str, client: str) -> None:
    assert LOCAL.client_of("127.0.0.1", forwarded) == client
    assert LOCAL.client_of("192.0.2.1", forwarded) == "192.0.2.1"


def test_a_mapped_address_is_the_proxy_itself() -> None:
    assert "::ffff:127.0.0.1" in LOCAL
    assert "::1" not in LOCAL
    assert "" not in LOCAL
    assert "127.0.0.1" not in TrustedProxies()


@given(
    st.text(alphabet="ab/.%2f", max_size=12),
    st.sampled_from([None, "", "/mreg", "/a", "/a/b"]),
    st.sampled_from(["", "/a", "/a/b", "x", "//a"]),
)
def test_the_path_always_begins_with_the_prefix(rest: str, root_path: str | None, forwarded: str) -> None:
    from starlette._utils import get_route_path

    from mreg.server.problems import Refused

    headers = [(b"x-forwarded-prefix", forwarded.encode())] if forwarded else []
    scope: dict[str, Any] = {"path": f"/{rest}", "headers": headers, "client": ("127.0.0.1", 1)}
    try:
        path = place_request(scope, root_path, LOCAL, ())
    except Refused:
        path = scope["path"][len(scope["root_path"]) :]
    assert scope["path"] == scope["root_path"] + path
    assert path.startswith("/")
    assert get_route_path(scope) == path


def test_a_proxy_has_no_limit_per_address() -> None:
    class One:
        def disconnect(self) -> None:
            raise AssertionError

    connections = Connections(compute_limits(1024, 100, 2), LOCAL)
    made = [One() for _ in range(50)]
    for one in made:
        assert connections.admit(one, "127.0.0.1")
        connections.busy(one)
    other = [One() for _ in range(2)]
    for one in other:
        assert connections.admit(one, "192.0.2.1")
        connections.busy(one)
    assert not connections.admit(One(), "192.0.2.1")


def test_a_page_behind_a_proxy_with_tls_has_its_own_origin(registry: LocalRegistry, in_process: InProcess) -> None:
    server = in_process(ServerSettings(root_path="/mreg", hosts=("models.example",)))
    own = {"Host": "models.example", "Origin": "https://models.example", "Sec-Fetch-Site": "same-origin"}
    assert server.post("/mreg/models", {"name": "m"}, headers=own).status_code == 200
    for foreign in ("https://evil.example", "https://models.example:8443", "null"):
        told = {"Host": "models.example", "Origin": foreign, "X-Forwarded-Host": foreign.removeprefix("https://")}
        assert server.post("/mreg/models", {"name": "m2"}, headers=told).status_code == 403
