"""Pages of other origins in a browser on the machine of the server, and plain clients beside them."""

# ruff: noqa: F811  (fixtures are imported)
from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.server.conftest import Serve, Served, Tokens, serve, server, tokens  # noqa: F401

FOREIGN_REFERERS = [
    "http://evil.example/",
    "http://evil.example/{host}",
    "http://{host}.evil.example/",
    "http://{host}@evil.example/",
    "http://user@{host}/",
    "http://evil.example#{host}",
    "http://evil.example\\@{host}/",
    "https://127.0.0.1/",
    "http://localhost/",
    "//{host}x/",
    "null",
    "about:blank",
    "about:client",
    "file:///home/x.html",
    "data:text/html,x",
    "http://[",
    "http://[::1",
    "http://{host}\t.evil.example/",
    "{host}",
    "/",
    "",
    "\xff",
]


@pytest.mark.parametrize("with_tokens", [False, True])
def test_a_request_with_a_foreign_referer_is_refused(serve: Serve, tokens: Tokens, with_tokens: bool) -> None:
    words = ["--token-file", str(tokens.file)] if with_tokens else []
    server = serve(*words, secret=tokens.secrets["admin"] if with_tokens else "")
    host = f"127.0.0.1:{server.port}"
    for number, referer in enumerate(FOREIGN_REFERERS):
        headers = {"Referer": referer.format(host=host).encode("latin-1")}
        for more in ({}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": f"http://{host}"}):
            answer = server.ask("POST", "/models", json={"name": f"m{number}"}, headers={**headers, **more})
            assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin"), (referer, more)
        assert server.get("/models", headers=headers).status_code == 403, referer
        assert server.ask("DELETE", "/models/m", headers=headers).status_code == 403, referer
    own = {"Referer": f"http://{host}/ui?x=http://evil.example"}
    assert server.ask("POST", "/models", json={"name": "own"}, headers=own).status_code == 200
    assert [one["name"] for one in server.get("/models").json()] == ["own"]


def test_only_the_own_origin_or_a_person_may_be_the_site_of_a_request(server: Served) -> None:
    for site in ("cross-site", "same-site", "SAME-ORIGIN", "none ,", "", "other"):
        answer = server.ask("POST", "/models", json={"name": "m"}, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 403, site
    for site in ("same-origin", "none"):
        answer = server.ask("POST", "/models", json={"name": site}, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 200, site
    twice = (
        b"POST /models HTTP/1.1\r\nHost: localhost\r\nReferer: http://localhost/\r\nReferer: http://evil.example/\r\n"
    )
    assert server.raw(twice + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_a_link_on_another_page_leads_to_the_web_page_alone(server: Served) -> None:
    link = {"Referer": "http://wiki.example/"}
    visit = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    for headers in (link, {**link, **visit}, visit):
        assert server.get("/ui", headers=headers).status_code == 200
        assert server.get("/ui/models/classifier", headers=headers).status_code == 200
        assert server.get("/models", headers=headers).status_code == 403
        assert server.ask("POST", "/ui", headers=headers).status_code == 403
    for dest in ("iframe", "image", "script", "embed", "object", "empty"):
        embedded = {**link, **visit, "Sec-Fetch-Dest": dest}
        assert server.get("/ui", headers=embedded).status_code == 403, dest


def test_no_preflight_is_answered_and_nothing_is_allowed_to_other_origins(server: Served) -> None:
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "DELETE"}
    own = {"Origin": f"http://127.0.0.1:{server.port}", "Access-Control-Request-Method": "DELETE"}
    for headers in (asked, own, {}):
        for path in ("/models", "/models/classifier", "/ui", "/nowhere"):
            answer = server.ask("OPTIONS", path, headers=headers)
            assert answer.status_code >= 400, (path, headers)
            assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


def test_a_stored_page_is_a_download_and_never_a_page(server: Served) -> None:
    for name in ("x.html", "x.svg", "x.js", "x.pdf", "x.css", 'a"; filename="x.html', "x.html;y"):
        version = server.upload(b"<script>alert(1)</script><svg onload=alert(1)>" + name.encode(), name=name).json()
        for below in ("/models", "/ui/models"):
            for path in ("artifact",):
                headers = server.get(f"{below}/classifier/versions/{version['version']}/{path}").headers
                assert headers["content-type"] == "application/octet-stream", name
                assert headers["content-disposition"].startswith("attachment"), name
                assert headers["content-disposition"].count('"') == 2, name
                assert headers["x-content-type-options"] == "nosniff"
                assert headers["cross-origin-resource-policy"] == "same-origin"
                assert headers["x-frame-options"] == "DENY"
                assert "no-cache" in headers["cache-control"]
                assert "private" in headers["cache-control"]
                assert "set-cookie" not in headers


def test_reading_changes_nothing_and_sets_no_cookie(server: Served) -> None:
    server.upload(b"x")
    catalog = Path(os.environ["HOME"], ".local/share/mreg/catalog.db")

    def content() -> list[str]:
        with closing(sqlite3.connect(catalog)) as connection:
            return list(connection.iterdump())

    before = content()
    paths = [
        *(path for path, operations in server.get("/openapi.json").json()["paths"].items() if "get" in operations),
        *("/ui", "/ui/", "/ui/history", "/ui/models/{model}", "/ui/models/{model}/versions/{version}", "/openapi.json"),
    ]
    for path in paths:
        url = path.replace("{model}", "classifier").replace("{version}", "1").replace("{path}", "model.pkl")
        for method in ("GET", "HEAD"):
            answer = server.ask(method, url)
            assert answer.status_code < 500, url
            assert "set-cookie" not in answer.headers
        for override in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
            assert server.get(url, headers={override: "DELETE"}).status_code < 500
        assert server.get(f"{url}?_method=DELETE").status_code < 500
    assert content() == before
