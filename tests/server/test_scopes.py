"""Roles and model patterns on every route of the OpenAPI document and of the page: no route lets a token do more.

A route that is not in `ROUTES` or `PAGES` fails a test here: add it with the role that it needs and a request that the
server would accept from an administrator.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

import mreg
from mreg.registry.local import LocalRegistry
from mreg.registry.tokens import new_token
from mreg.results.tokens import Role
from mreg.server.app import build_app
from mreg.server.settings import ServerSettings
from mreg.server.ui import router as page_router
from mreg.wire.protocol import MEDIA_TYPE
from tests.scoped import ABSENT, HIDDEN, INSIDE, SCOPE, Template, World, copied_world
from tests.server.conftest import Served

READER, WRITER, APPROVER, ADMIN = Role
ZERO = f"sha256:{'0' * 64}"
BLOB = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"""The digest of ``abc``."""
RULES = {"Production": {"gates": ["accuracy > 0.1"]}}


@dataclass(frozen=True)
class Asked:
    """A request that an administrator may make.

    Attributes:
        role: Lowest role that may make it; None if no token is needed.
        whole: Whether it concerns all models, so that a limited token may not make it.
        lists: Whether a limited token gets what is within its pattern.
    """

    role: Role | None = READER
    query: str = ""
    json: Any = None
    options: dict[str, Any] = field(default_factory=dict)
    whole: bool = False
    lists: bool = False


def _file(name: str, content: bytes) -> dict[str, Any]:
    return {"files": {name: ("m.pkl", content)}}


VERSION = "/models/{model}/versions/{version}"
ROUTES: dict[tuple[str, str], Asked] = {
    ("POST", "/models"): Asked(WRITER, json={"name": "{model}"}),
    ("GET", "/models"): Asked(lists=True),
    ("GET", "/models/{model}"): Asked(),
    ("PATCH", "/models/{model}"): Asked(WRITER, json={"description": "x"}),
    ("DELETE", "/models/{model}"): Asked(ADMIN, "force=true"),
    ("POST", "/models/{model}/rename"): Asked(ADMIN, json={"name": "team-a/renamed"}),
    ("PATCH", "/models/{model}/tags"): Asked(WRITER, json={"set": {"a": "b"}}),
    ("PUT", "/models/{model}/tags/{key}"): Asked(WRITER, json={"value": "x"}),
    ("DELETE", "/models/{model}/tags/{key}"): Asked(WRITER),
    ("PUT", "/models/{model}/aliases/{alias}"): Asked(WRITER, json={"version": "1"}),
    ("DELETE", "/models/{model}/aliases/{alias}"): Asked(WRITER),
    ("GET", "/models/{model}/production"): Asked(),
    ("GET", "/models/{model}/compare"): Asked(query="version_a=1&version_b=1"),
    ("POST", "/models/{model}/rollback"): Asked(WRITER, json={"stage": "Staging", "to": "1"}),
    ("GET", "/models/{model}/history"): Asked(),
    ("GET", "/models/{model}/stages"): Asked(query="at=2100-01-01"),
    ("GET", "/models/{model}/deployments"): Asked(),
    ("POST", "/models/{model}/versions"): Asked(WRITER, options=_file("model_file", b"abc")),
    ("GET", VERSION): Asked(),
    ("PATCH", VERSION): Asked(WRITER, json={"description": "x"}),
    ("DELETE", VERSION): Asked(ADMIN, "force=true"),
    ("POST", VERSION + "/evaluations"): Asked(WRITER, json={"metrics": {"auc": 0.5}}),
    ("PATCH", VERSION + "/tags"): Asked(WRITER, json={"set": {"a": "b"}}),
    ("PUT", VERSION + "/tags/{key}"): Asked(WRITER, json={"value": "x"}),
    ("DELETE", VERSION + "/tags/{key}"): Asked(WRITER),
    ("GET", VERSION + "/artifact"): Asked(),
    ("GET", VERSION + "/files"): Asked(),
    ("GET", VERSION + "/files/{path}"): Asked(),
    ("GET", VERSION + "/history"): Asked(),
    ("GET", VERSION + "/lineage"): Asked(),
    ("GET", VERSION + "/at"): Asked(query="at=2100-01-01"),
    ("GET", VERSION + "/why"): Asked(),
    ("POST", "/models/{model}/blobs/missing"): Asked(WRITER, json={"blobs": [{"digest": BLOB, "size": 3}]}),
    ("PUT", "/models/{model}/blobs/{digest}"): Asked(WRITER, options={"data": b"abc"}),
    ("GET", "/models/{model}/blobs/{digest}"): Asked(WRITER),
    ("PATCH", "/models/{model}/blobs/{digest}"): Asked(
        WRITER, options={"data": b"abc", "headers": {"Upload-Offset": "0", "Upload-Length": "3"}}
    ),
    ("POST", "/models/{model}/blobs/{digest}/direct"): Asked(WRITER, json={"size": 3}),
    ("POST", "/models/{model}/blobs/{digest}/direct/finish"): Asked(WRITER, json={"size": 3}),
    ("POST", "/models/{model}/uploads/{upload}"): Asked(WRITER, json={"size": 3}),
    ("GET", "/models/{model}/uploads/{upload}"): Asked(WRITER),
    ("PATCH", "/models/{model}/uploads/{upload}"): Asked(
        WRITER, options={"data": b"abc", "headers": {"Upload-Offset": "0", "Upload-Length": "3"}}
    ),
    ("POST", "/models/{model}/uploads/{upload}/finish"): Asked(WRITER, json={"digest": BLOB, "size": 3}),
    ("POST", "/models/{model}/blobs"): Asked(WRITER, options={"data": f"{BLOB[7:]} 3\n\nabc".encode()}),
    ("GET", VERSION + "/blobs"): Asked(query=f"digests={BLOB[7:]}"),
    ("GET", VERSION + "/blobs/{digest}"): Asked(),
    ("POST", VERSION + "/transition"): Asked(WRITER, json={"stage": "Staging"}),
    ("GET", VERSION + "/plan"): Asked(),
    ("POST", VERSION + "/approve"): Asked(APPROVER, json={"stage": "Production"}),
    ("POST", VERSION + "/reject"): Asked(APPROVER, json={"stage": "Production", "reason": "bad"}),
    ("DELETE", VERSION + "/decision"): Asked(APPROVER),
    ("GET", "/approvals"): Asked(lists=True),
    ("POST", VERSION + "/deploy"): Asked(WRITER),
    ("POST", "/deploy"): Asked(WRITER, whole=True),
    ("GET", "/policy"): Asked(lists=True),
    ("PUT", "/policy"): Asked(ADMIN, json=RULES, whole=True),
    ("DELETE", "/policy"): Asked(ADMIN, whole=True),
    ("POST", "/policy/check"): Asked(WRITER, json=RULES, lists=True),
    ("GET", "/models/{model}/policy"): Asked(),
    ("PUT", "/models/{model}/policy"): Asked(ADMIN, json=RULES),
    ("DELETE", "/models/{model}/policy"): Asked(ADMIN),
    ("POST", "/models/{model}/policy/check"): Asked(WRITER, json=RULES),
    ("GET", "/version"): Asked(lists=True),
    ("GET", "/whoami"): Asked(lists=True),
    ("GET", "/tokens"): Asked(ADMIN, lists=True),
    ("POST", "/tokens"): Asked(ADMIN, json={"name": "new", "role": "admin"}, whole=True),
    ("DELETE", "/tokens/{name}"): Asked(ADMIN, lists=True),
    ("GET", "/search"): Asked(lists=True),
    ("GET", "/compare"): Asked(query="version_a={model}@1&version_b=team-a/churn@1"),
    ("GET", "/completions"): Asked(lists=True),
    ("GET", "/metric-names"): Asked(lists=True),
    ("GET", "/history"): Asked(query="limit=1000", lists=True),
    ("GET", "/audit"): Asked(whole=True),
    ("GET", "/models/{model}/export"): Asked(),
    ("GET", VERSION + "/export"): Asked(),
    ("GET", "/backup"): Asked(ADMIN, whole=True),
    ("GET", "/prepared/{file}"): Asked(),
    ("POST", "/import"): Asked(WRITER, "name={model}", options={"data": b"@bundle"}),
    ("POST", "/verify"): Asked(WRITER, whole=True),
    ("POST", "/models/{model}/verify"): Asked(WRITER),
    ("POST", VERSION + "/verify"): Asked(WRITER),
    ("POST", "/gc"): Asked(ADMIN, json={"remove": True, "grace_seconds": 0}, whole=True),
    ("GET", "/doctor"): Asked(ADMIN, whole=True),
    ("GET", "/check"): Asked(ADMIN, whole=True),
    ("GET", "/healthz"): Asked(None, lists=True),
    ("GET", "/readyz"): Asked(None, lists=True),
    ("GET", "/metrics"): Asked(whole=True),
    ("GET", "/api/whoami-v2"): Asked(lists=True),
    ("GET", "/api/models/{repo}/revision/{revision}"): Asked(),
    ("GET", "/api/models/{repo}/tree/{revision}"): Asked(),
    ("GET", "/api/models/{repo}/tree/{revision}/{path}"): Asked(),
    ("GET", "/api/models/{repo}"): Asked(),
    ("GET", "/{repo}/resolve/{revision}/{path}"): Asked(),
}
PAGES: dict[str, Asked] = {
    "/ui": Asked(lists=True),
    "/ui/": Asked(lists=True),
    "/ui/models/{model}": Asked(),
    VERSION.replace("/models", "/ui/models", 1): Asked(),
    VERSION.replace("/models", "/ui/models", 1) + "/artifact": Asked(),
    VERSION.replace("/models", "/ui/models", 1) + "/files/{path:path}": Asked(),
    "/ui/models/{model}/compare": Asked(query="version_a=1&version_b=1"),
    "/ui/models/{model}/history": Asked(),
    "/ui/history": Asked(lists=True),
    "/ui/static/{name}": Asked(lists=True),
    "/ui/{path:path}": Asked(lists=True),
}
EVERY = {**ROUTES, **{("GET", path): asked for path, asked in PAGES.items()}}
CROSSED: list[tuple[str, str, Asked]] = [
    ("GET", "/compare", Asked(query="version_a=team-a/churn@1&version_b={model}@1")),
    ("GET", "/compare", Asked(query="version_a={model}")),
    ("GET", "/models/team-a%2Fchurn/compare", Asked(query="version_a=1&version_b={model}@1")),
    ("GET", "/models/team-a%2Fchurn/compare", Asked(query="version_a={model}@1&version_b=1")),
    ("GET", "/ui/models/team-a%2Fchurn/compare", Asked(query="version_a=1&version_b={model}@latest")),
    ("PATCH", "/models/team-a%2Fchurn/versions/1", Asked(json={"parent": "{model}@1"})),
    ("PATCH", "/models/team-a%2Fchurn/versions/1", Asked(json={"parent": "models:/{model}/1"})),
    ("PUT", "/models/team-a%2Fchurn/aliases/champion", Asked(json={"version": "{model}@1"})),
    ("POST", "/models/team-a%2Fmoved/rollback", Asked(json={"to": "{model}@1"})),
    ("POST", "/models/team-a%2Fchurn/rename", Asked(json={"name": "{model}"})),
    ("POST", "/models/team-a%2Fchurn/versions", Asked(options={**_file("model_file", b"x"), "data": {"parent": "{model}@1"}})),
    (
        "POST",
        "/models/team-a%2Fchurn/versions",
        Asked(json={"artifact": {"kind": "file", "name": "m", "digest": BLOB}, "parent": "{model}@1"}),
    ),
    ("POST", "/models/{model}/versions", Asked(json={"artifact": {"kind": "file", "name": "m", "digest": BLOB}})),
    ("POST", "/models/{model}/versions", Asked(options={"data": b"", "headers": {"Content-Type": "application/x-tar"}})),
    ("GET", "/search", Asked(query="q=name = '{model}'")),
    ("GET", "/completions", Asked(query="prefix={model}@")),
    ("GET", "/completions", Asked(query="prefix={model}")),
    ("GET", "/ui", Asked(query="q=name = '{model}'")),
]  # fmt: skip
"""Requests that name a model elsewhere than in the path."""

SPELLINGS = (
    "/models/{quoted}", "/models/{plain}", "/models/{twice}", "/models/{lower}", "/models/{quoted}/", "//models/{quoted}",
    "/models//{quoted}", "/models/./{quoted}", "/models/team-a%2Fchurn/../{quoted}", "/MODELS/{quoted}", "/models/{dots}",
    "/models/{quoted};a=b", "/models;a=b/{quoted}", "/models/{quoted}%00", "/models/{quoted}%20", "/models/{upper}",
    "/models/{quoted}?model=team-a%2Fchurn", "/models/{quoted}/versions/1", "/models/{quoted}/versions/1;id=1",
    "/models/{quoted}/versions/1;id=1;digest=" + ZERO, "/models/team-a%2Fchurn/versions/1;id=1",
    "/models/team-a%2Fchurn/versions/1;id={id};digest={digest}", "/models/team-a%2Fchurn@1/versions/{id}",
    "/models/{quoted}/versions/%31", "/models/{quoted}%2F1", "/models/{quoted}%401", "/api/models/{plain}",
    "/api/models/{quoted}", "/api/models/{plain}/", "/api/models/team-a/../{plain}", "/{plain}/resolve/main/model.pkl",
    "/{quoted}/resolve/main/model.pkl", "/{quoted}/resolve/{digest}/model.pkl", "/ui/models/{plain}", "/ui//models/{quoted}",
    "/ui/models/{quoted}/versions/1", "/ui/../models/{quoted}", "/ui/%2e%2e/models/{quoted}", "/ui/static/..%2F{quoted}",
)  # fmt: skip
"""Ways to write a path, with which other servers were led to what a caller may not see."""


@dataclass
class Site:
    """A server with a client for each token."""

    world: World
    served: Served
    secrets: dict[str, str]
    bundle: bytes

    def ask(self, who: str, method: str, path: str, asked: Asked, model: str, **headers: str) -> requests.Response:
        """Send a request of a table for a model; an upload is read anew each time."""
        options = dict(asked.options)
        data = options.get("data")
        if data == b"@bundle":
            options["data"] = self.bundle
        elif isinstance(data, dict):
            options["data"] = {name: value.replace("{model}", model) for name, value in data.items()}
        if asked.json is not None:
            options["json"] = json.loads(json.dumps(asked.json).replace("{model}", model))
        sent = {**headers, **options.pop("headers", {})}
        if who:
            sent["Authorization"] = f"Bearer {self.secrets[who]}"
        query = quote(asked.query.replace("{model}", model), safe="=&")
        where = filled(path, model) + (f"?{query}" if query else "")
        return self.served.ask(method, where, headers=sent, **options)


def filled(path: str, model: str) -> str:
    """Return the path of a route with values for its parameters."""
    values = {
        "model": quote(model, safe=""),
        "repo": model,
        "version": "1",
        "revision": "1",
        "key": "a",
        "alias": "zz-alias",
        "digest": BLOB,
        "upload": "0" * 32,
        "path": "model.pkl",
        "path:path": "model.pkl",
        "file": "none",
        "name": "style.css",
    }
    return re.sub(r"\{([a-z:]+)\}", lambda match: values[match[1]], path)


@pytest.fixture
def site(template: Template, registry: LocalRegistry, in_process: Callable[..., Served]) -> Iterator[Site]:
    world = copied_world(template, registry)
    made = {role.name.lower(): new_token(role.name.lower(), role) for role in Role}
    made["limited"] = new_token("limited", ADMIN, SCOPE.patterns)
    registry.create_token("zz-hidden-token", role="admin")
    registry.create_token("zz-hidden-other", role="reader", models=["zz-hidden/*"])
    registry.create_token("team-token", role="reader", models=["team-a/churn"])
    tokens = tuple(new.token for new in made.values())
    bundle = registry.export("team-a/churn@2", "b.mreg").destination.read_bytes()
    site = Site(
        world,
        in_process(ServerSettings(tokens=tokens)),
        {name: token.secret for name, token in made.items()},
        bundle,
    )
    yield site
    site.served.session.close()
    registry.verify_audit()


def _state(registry: LocalRegistry) -> object:
    return registry.history(limit=1)[0].seq, registry.policy()


def test_the_tables_have_every_route() -> None:
    with mreg.open_registry() as registry:
        assert isinstance(registry, LocalRegistry)
        document = build_app(registry, ServerSettings()).openapi()
    routes = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert set(ROUTES) == routes
    assert set(PAGES) == {getattr(route, "path", "") for route in page_router.routes}


def test_no_route_works_for_a_lower_role_or_without_a_token(site: Site) -> None:
    before = _state(site.world.whole)
    for (method, path), asked in EVERY.items():
        methods = (method, "HEAD") if method == "GET" else (method,)
        for each in methods:
            answer = site.ask("", each, path, asked, INSIDE[0])
            assert answer.status_code == (401 if asked.role is not None else answer.status_code), (each, path)
            assert asked.role is not None or answer.status_code in (200, 503), (each, path)
            for role in Role:
                if asked.role is not None and role < asked.role:
                    answer = site.ask(role.name.lower(), each, path, asked, INSIDE[0])
                    assert answer.status_code == 403, (each, path, role, answer.text)
                    if each != "HEAD":
                        assert answer.json()["code"] == "role_too_low", (each, path, role)
                        assert answer.json()["detail"].endswith(f"this needs role {asked.role}") or method != "GET"
    assert _state(site.world.whole) == before
    assert len(site.world.whole.tokens()) == 3


def test_no_header_changes_the_method_or_the_path_of_a_request(site: Site) -> None:
    before = _state(site.world.whole)
    tricks: list[dict[str, str]] = [
        *({name: "DELETE"} for name in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method")),
        *({name: "/models/team-a%2Fchurn"} for name in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri")),
        {"X-Forwarded-Prefix": "/models"},
    ]
    for headers in tricks:
        for query in ("", "_method=DELETE&force=true"):
            asked = Asked(query=query)
            assert site.ask("reader", "GET", "/models/{model}", asked, INSIDE[0], **headers).status_code == 200
            assert site.ask("reader", "POST", "/models/{model}", asked, INSIDE[0], **headers).status_code == 403
            assert site.ask("limited", "GET", "/models/{model}", asked, HIDDEN, **headers).status_code == 404
            for method in ("FOO", "TRACE", "OPTIONS", "PROPFIND"):
                assert site.ask("writer", method, "/models/{model}", asked, INSIDE[0], **headers).status_code in (
                    *(400, 403, 405),
                )
    assert _state(site.world.whole) == before


LONG = re.compile(r"/(verify|gc|doctor|check|export|backup|import|finish)$")


def _accepted(path: str) -> list[dict[str, str]]:
    """Return the headers of the clients that get different forms of an answer."""
    events = [{"Accept": "text/event-stream"}] if LONG.search(path) else []
    return [{}, {"Accept": MEDIA_TYPE}, *events]


def shown(answer: requests.Response, model: str) -> tuple[object, ...]:
    """Return an answer with a mark for the name of the model, in each way to write it."""
    skipped = ("date", "x-request-id", "content-length")
    headers = sorted((name.lower(), value) for name, value in answer.headers.items() if name.lower() not in skipped)
    text = json.dumps([headers, answer.text])
    for spelling in {model, quote(model, safe=""), quote(quote(model, safe=""), safe=""), model.replace("/", "&#x2F;")}:
        text = text.replace(spelling, "MODEL")
    return answer.status_code, text


def test_every_route_answers_for_a_hidden_model_as_for_none(site: Site) -> None:
    before = _state(site.world.whole)
    table = [(method, path, asked) for (method, path), asked in EVERY.items()] + CROSSED
    for method, path, asked in table:
        if asked.whole or asked.lists:
            continue
        for headers in _accepted(path):
            for each in (method, "HEAD") if method == "GET" and not headers else (method,):
                one = site.ask("limited", each, path, asked, HIDDEN, **headers)
                other = site.ask("limited", each, path, asked, ABSENT, **headers)
                assert shown(one, HIDDEN) == shown(other, ABSENT), (each, path, asked)
                assert not site.world.leaks(shown(one, HIDDEN)[1].replace(HIDDEN, "")), (each, path)  # type: ignore[attr-defined]
                allowed = (404, 403, 400, 200) if each == "HEAD" or "event" in str(headers) else (404, 403, 400)
                if (method, path, asked) not in CROSSED:
                    assert one.status_code in allowed, (each, path, one.text)
    assert _state(site.world.whole) == before


def test_requests_for_the_whole_server_need_a_token_for_all_models(site: Site) -> None:
    before = _state(site.world.whole)
    for (method, path), asked in EVERY.items():
        if asked.whole:
            answer = site.ask("limited", method, path, asked, HIDDEN)
            assert answer.status_code == 403, (method, path, answer.text)
            assert answer.json()["code"] == "outside_scope"
            assert re.fullmatch(
                r"cannot .*: you(r own token is|( are)) limited to .*team-a/\*.*", answer.json()["detail"]
            )
    assert _state(site.world.whole) == before


def test_no_answer_shows_a_hidden_model(site: Site) -> None:
    seen = 0
    for (method, path), asked in sorted(
        EVERY.items(), key=lambda entry: (entry[0][0] != "GET", entry[0][0] == "DELETE")
    ):
        for headers in _accepted(path):
            for model in INSIDE[: 1 if headers else None]:
                answer = site.ask("limited", method, path, asked, model, **headers)
                what = json.dumps([sorted(answer.headers.items()), answer.content.decode("latin-1")])
                assert not site.world.leaks(what), (method, path, model, headers, what)
                # The requests of the table are complete, and no route fails.
                assert answer.status_code not in (422, 500), (method, path, answer.text)
                seen += answer.ok
                if asked.lists or asked.whole:
                    break
    assert seen > 100


def test_lists_show_all_that_is_within_the_pattern(site: Site) -> None:
    def names(path: str) -> list[Any]:
        return [one.get("name") or one.get("model_name") or one.get("model") for one in _json(site, path)]

    assert names("/models") == ["team-a/moved", "team-a/fraud", "team-a/churn"]
    assert sorted(names("/search")) == ["team-a/churn"] * 3 + ["team-a/fraud"] * 2 + ["team-a/moved"]
    assert set(names("/history?limit=1000")) == {*INSIDE, "team-a/deleted"}
    assert set(names("/models/team-a%2Fdeleted/history")) == {"team-a/deleted"}
    linked = site.ask("limited", "GET", "/models", Asked(query="limit=2"), "")
    assert linked.headers["Link"] == '</models?limit=2&offset=2>; rel="next"'
    assert "Link" not in site.ask("limited", "GET", "/models", Asked(query="limit=3"), "").headers


def _json(site: Site, path: str) -> Any:
    answer = site.served.get(path, headers=_as_limited(site))
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_no_spelling_of_a_path_reaches_a_hidden_model(site: Site) -> None:
    secret = site.world.whole.version(f"{HIDDEN}@1")
    for spelling in SPELLINGS:
        for method in ("GET", "HEAD"):
            path = spelling.format(
                plain=HIDDEN,
                quoted=quote(HIDDEN, safe=""),
                twice=quote(quote(HIDDEN, safe=""), safe=""),
                lower=quote(HIDDEN, safe="").replace("%2F", "%2f"),
                upper=quote(HIDDEN.upper(), safe=""),
                dots=f"team-a%2F..%2F{quote(HIDDEN, safe='')}",
                id=secret.version_id,
                digest=quote(str(secret.artifact.digest), safe=":"),
            )
            headers = _as_limited(site)
            answer = site.served.ask(method, path, headers=headers)
            assert answer.status_code in (400, 404, 405) or "team-a%2Fchurn/versions" in path, (path, answer.text)
            asked = (HIDDEN, HIDDEN.upper(), quote(HIDDEN, safe=""), secret.artifact.digest.value)
            text = answer.text
            for part in asked:
                text = text.replace(part, "")
            assert not site.world.leaks(text), (path, answer.text)


def test_a_guessed_digest_says_nothing_about_the_bytes_of_a_hidden_model(site: Site) -> None:
    digest = str(site.world.whole.version(f"{HIDDEN}@1").artifact.digest)
    size = site.world.whole.version(f"{HIDDEN}@1").artifact.size_bytes
    body = {"blobs": [{"digest": digest, "size": size}, {"digest": ZERO, "size": size}]}
    answer = site.ask("limited", "POST", "/models/{model}/blobs/missing", Asked(json=body), "team-a/churn")
    assert [one["digest"] for one in answer.json()] == [digest, ZERO]
    new = {"artifact": {"kind": "file", "name": "m", "digest": digest}}
    answer = site.ask("limited", "POST", "/models/{model}/versions", Asked(json=new), "team-a/churn")
    assert (answer.status_code, answer.json()["code"]) == (409, "blobs_missing")
    whole = site.ask("admin", "POST", "/models/{model}/blobs/missing", Asked(json=body), "team-a/churn")
    assert [one["digest"] for one in whole.json()] == [ZERO]
    for path in ("/models/team-a%2Fchurn/versions/{}", "/models/team-a%2Fchurn/versions/1/blobs/{}"):
        found = site.served.get(path.format(digest), headers=_as_limited(site))
        assert found.status_code == 404


def test_tokens_of_other_models_are_not_shown_or_changed(site: Site) -> None:
    assert [token["name"] for token in _json(site, "/tokens")] == ["team-token"]
    for name, other in (("zz-hidden-token", "zz-absent-token"), ("zz-hidden-other", "zz-absent-other")):
        answers = [site.served.ask("DELETE", f"/tokens/{one}", headers=_as_limited(site)) for one in (name, other)]
        assert shown(answers[0], name) == shown(answers[1], other)
        assert answers[0].status_code == 404
    for models in ([], ["*"], ["team-*"], ["zz-hidden/*"], ["team-a/*", "team-b/*"]):
        body = {"name": "wider", "role": "reader", "models": models}
        assert site.ask("limited", "POST", "/tokens", Asked(json=body), "").status_code == 403
    body = {"name": "limited/narrower", "role": "admin", "models": ["team-a/churn"]}
    assert site.ask("limited", "POST", "/tokens", Asked(json=body), "").status_code == 200
    assert len(site.world.whole.tokens()) == 4


def _as_limited(site: Site) -> dict[str, str]:
    return {"Authorization": f"Bearer {site.secrets['limited']}"}


def test_a_name_outside_the_pattern_cannot_be_taken(site: Site) -> None:
    for name in ("team-b/new", HIDDEN, "team-a", "Team-a/new"):
        answer = site.ask("limited", "POST", "/models", Asked(json={"name": name}), "")
        assert answer.status_code == 403
        assert answer.json()["detail"] == f"cannot register {name}: you are limited to the models team-a/*"
        assert answer.json()["details"] == {"models": ["team-a/*"]}
    assert site.ask("limited", "POST", "/models", Asked(json={"name": "team-a/new"}), "").status_code == 200


def test_an_upload_to_a_hidden_model_is_refused_before_its_body(site: Site) -> None:
    body = io.BytesIO(b"x" * 100_000)
    for name in (HIDDEN, ABSENT):
        body.seek(0)
        answer = site.ask(
            "limited", "POST", "/models/{model}/versions", Asked(options={"files": {"model_file": ("m", body)}}), name
        )
        assert (answer.status_code, answer.json()["detail"]) == (404, f"model '{name}' not found")
    assert not any(Path(str(site.world.whole.profile.artifacts)).glob("tmp/*"))
