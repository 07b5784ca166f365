"""The page at /ui: every view of the registry, whatever is stored in it, and nothing from outside."""

from __future__ import annotations

import math
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import uvicorn

from mreg.domain.model import ModelVersion
from mreg.domain.policy import parse_policy
from mreg.registry.local import LocalRegistry
from mreg.server.app import build_app
from mreg.server.settings import ServerSettings
from mreg.server.ui.links import Links, external_link
from mreg.server.ui.trend import trend

HOSTILE = "\x1b[31mred\x1b]8;;http://evil.example\x07 \u202egnp.exe \"><script>alert(1)</script> ' <img src=x onerror=alert(1)> {{ 7*7 }} &amp;"
HOSTILE_KEY = "\"><script>alert(1)</script> ' onload {{7*7}}"


class Found(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str, attribute: str) -> list[str]:
        return [attrs[attribute] or "" for name, attrs in self.tags if name == tag and attribute in attrs]


class Clock:
    """A time that goes on by itself."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 12, 8, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(hours=7, minutes=13)
        return self.now


def furnish(registry: LocalRegistry, folder: Path) -> None:
    """Fill a registry as some months of a team's work do."""
    clock = Clock()

    def by(person: str) -> LocalRegistry:
        return type(registry)(replace(registry._session, now=clock, actor=lambda: person))

    def push(person: str, name: str, number: int, **said: Any) -> ModelVersion:
        file = folder / f"{name.rpartition('/')[2]}.onnx"
        file.write_bytes(f"{name} {number}".encode() * (900 + 37 * number))
        return by(person).push(file, name=name, format="onnx", **said)

    ada, sam = by("ada"), by("sam")
    ada.register("speech/wake-word", description="Listens for two words on a watch; must fit into 300 kB.")
    for number in range(1, 8):
        push(
            "sam", "speech/wake-word", number, metrics={"wer": round(0.21 * 0.93**number, 4), "latency_ms": 31 - number}
        )
    sam.promote("speech/wake-word@4", "Production")
    sam.promote("speech/wake-word@7", "Staging")
    ada.register(
        "search/ranker", description="Orders what the search has found.", primary_metric="ndcg", tags={"team": "search"}
    )
    for number in range(1, 13):
        ndcg = round(0.61 + 0.02 * math.log(number) - 0.004 * (number % 3), 4)
        push(
            "lin",
            "search/ranker",
            number,
            metrics={"ndcg": ndcg, "latency_ms": 18 + number % 4},
            parent=f"search/ranker@{number - 1}" if number > 1 else None,
        )
    ada.promote("search/ranker@11", "Production")
    image = folder / "image-tagger"
    (image / "tokenizer").mkdir(parents=True)
    for name, text in (
        ("config.json", '{"layers": 12}'),
        ("model.safetensors", "x" * 4000),
        ("tokenizer/vocab.txt", "a b"),
    ):
        (image / name).write_text(text)
    by("lin").push(
        image, name="image-tagger", metrics={"f1_score": 0.871, "map": 0.64}, description="First whole folder."
    )
    ada.register(
        "fraud-detector",
        description="Scores card payments from 0 to 1 before they are accepted.\nBlocks above 0.92; reviewed each quarter.",
        tags={"team": "payments", "tier": "critical", "card": "docs/fraud-card"},
        primary_metric="auc",
        directions={"alerts_per_day": "lower"},
    )
    ada.apply_policy(
        parse_policy({"Production": {"gates": ["auc >= 0.9", "latency_ms <= 40"], "approvals": 1}}), "fraud-detector"
    )
    for number in range(1, 25):
        auc = round(0.955 - 0.11 * math.exp(-number / 7) - 0.006 * (number % 4 == 2) + 0.002 * (number % 3), 4)
        push("ada" if number % 3 else "sam", "fraud-detector", number,
             metrics={"auc": auc, "accuracy": round(auc - 0.021, 4), "recall": round(0.71 + number / 120, 4),
                      "latency_ms": 22 + (number * 3) % 13, "alerts_per_day": 410 - 9 * number, "log_loss": round(0.4 - auc / 4, 4)},
             parameters={"learning_rate": f"{0.3 / number:.3g}", "max_depth": str(4 + number // 6), "trees": str(200 + 25 * number)},
             parent=f"fraud-detector@{number - 1 if number not in (9, 17) else number - 3}" if number > 1 else None,
             data={"train": f"s3://lake/payments/2026-0{1 + number // 6}", "holdout": "https://data.example/holdout-7"},
             run_id=f"run-{4100 + number}", experiment_id="fraud-2026")  # fmt: skip
    for number, stage in ((12, "Staging"), (18, "Staging"), (22, "Staging")):
        ada.promote(f"fraud-detector@{number}", stage)
        if number != 22:
            by("risk-office").approve(f"fraud-detector@{number}", comment="checked on the holdout of the quarter")
            sam.promote(f"fraud-detector@{number}", "Production", reason="recall up, same latency")
    by("risk-office").approve("fraud-detector@22", comment="fine")
    ada.set_alias("fraud-detector@18", "champion")
    ada.set_alias("fraud-detector@24", "challenger")
    ada.register("fraud-detector-lite", description="Distilled for terminals without a network.", primary_metric="auc")
    push("lin", "fraud-detector-lite", 1, metrics={"auc": 0.921, "latency_ms": 3}, parent="fraud-detector@18")


class Client:
    """Asks a server for addresses as they are written."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()

    def get(self, address: str, **options: Any) -> requests.Response:
        return self.session.get(self.url + address, timeout=60, allow_redirects=False, **options)


@contextmanager
def served(registry: LocalRegistry, settings: ServerSettings | None = None) -> Iterator[Client]:
    """The registry's application on a port of its own, in this process."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(build_app(registry, settings or ServerSettings()), lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        client = Client(f"http://127.0.0.1:{listening.getsockname()[1]}")
        try:
            yield client
        finally:
            client.session.close()
            server.should_exit = True
            thread.join()


@pytest.fixture
def client(registry: LocalRegistry) -> Iterator[Client]:
    with served(registry) as found:
        yield found


def crawled(client: Client, *starts: str, **options: Any) -> dict[str, str]:
    """Every page below /ui that links lead to, by its address; asks for every other link of this server too."""
    pages: dict[str, str] = {}
    prefix = starts[0].partition("/ui")[0]
    pending, seen = [*starts], {*starts}
    while pending:
        address = pending.pop()
        answer = client.get(address, **options)
        assert answer.status_code == 200, (address, answer.text[:2000])
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        pages[address] = answer.text
        found = Found(answer.text)
        for one in found.all("a", "href") + found.all("link", "href") + found.all("form", "action"):
            assert one.startswith((f"{prefix}/", "http://", "https://", "#")), (address, one)
            if (
                one.startswith("/") and not one.endswith("/compare") and one not in seen
            ):  # a compare form needs its fields
                seen.add(one)
                pending.append(one)
    return pages


def test_every_link_of_every_page_leads_somewhere(client: Client, registry: LocalRegistry, tmp_path: Path) -> None:
    furnish(registry, tmp_path)
    registry.delete("search/ranker@3")
    registry.rename("image-tagger", "vision/tagger")
    registry.push(tmp_path / "ranker.onnx", name="short-lived")
    registry.delete("short-lived")
    pages = crawled(client, "/ui")
    for address in (
        "/ui/history",
        "/ui/models/fraud-detector",
        "/ui/models/speech%2Fwake-word/versions/4",
        "/ui/models/vision%2Ftagger/versions/1",
        "/ui/models/search%2Franker/history",
        "/ui/models/fraud-detector/compare?version_a=18&version_b=24",
    ):
        assert address in pages
    assert "deleted" in pages["/ui/models/search%2Franker/versions/4"]
    for address, text in pages.items():
        found = Found(text)
        assert [tag for tag, _ in found.tags].count("h1") == 1, address
        assert not {"script", "style", "iframe", "object", "embed", "base"} & {tag for tag, _ in found.tags}, address
        assert not [attrs for _, attrs in found.tags if any(name == "style" or name.startswith("on") for name in attrs)]
        ids = [attrs["id"] for _, attrs in found.tags if "id" in attrs]
        assert len(ids) == len(set(ids)), address
        for tag, attrs in found.tags:
            for name in ("src", "href", "action", "data", "poster"):
                if name in attrs and tag != "a":
                    assert (attrs[name] or "").startswith(("/ui/", "/ui")), (address, tag, attrs)


def test_what_a_page_says_is_what_the_registry_has(client: Client, registry: LocalRegistry, tmp_path: Path) -> None:
    furnish(registry, tmp_path)
    listed = client.get("/ui").text
    assert listed.index("fraud-detector-lite") < listed.index("search/ranker") < listed.index("speech/wake-word")
    auc = registry.version("fraud-detector@24").metrics["auc"]
    for said in ("Version 24", "Version 18", "Scores card payments", "▲</span> better", f"{auc} <span"):
        assert said in listed
    shown = client.get("/ui/models/fraud-detector").text
    assert "Trend of auc" in shown
    assert 'aria-label="Production: version 18"' in shown
    assert "Higher is better; the best is" in shown
    assert "Trend of latency_ms" in client.get("/ui/models/fraud-detector?metric=latency_ms").text
    assert "Lower is better" in client.get("/ui/models/fraud-detector?metric=latency_ms").text
    version = client.get("/ui/models/fraud-detector/versions/champion").text
    for said in (
        "version 18", registry.version("fraud-detector@18").artifact.digest.value, "recall up, same latency",
        "risk-office", "auc &gt;= 0.9", "passed", "fraud-detector@17", "fraud-detector-lite@1", "s3://lake/payments",
        "/ui/models/fraud-detector/versions/18/artifact", "learning_rate", 'href="https://data.example/holdout-7"',
    ):  # fmt: skip
        assert said in version, said
    compared = client.get("/ui/models/fraud-detector/compare?version_a=production&version_b=24").text
    for said in (
        "fraud-detector@18",
        "fraud-detector@24",
        "better",
        "max_depth",
        "fraud-detector@production is fraud-detector@18",
    ):
        assert said in compared
    found = client.get("/ui?q=metrics.auc%20%3E%200.94&sort=-metrics.auc").text
    assert [int(one) for one in re.findall(r">fraud-detector@(\d+)</a>", found)] == [
        one.version for one in registry.search("metrics.auc > 0.94", sort="-metrics.auc")
    ]
    assert (
        "no version has the metric acuracy; did you mean accuracy?"
        in client.get("/ui?q=metrics.acuracy%20%3E%200").text
    )


def test_stored_text_is_shown_and_never_obeyed(client: Client, registry: LocalRegistry, tmp_path: Path) -> None:
    file = tmp_path / "a\"><b>'{{7*7}}.bin"
    file.write_bytes(b"1")
    registry.register("m", description=HOSTILE, tags={HOSTILE_KEY: HOSTILE})
    addresses = ("javascript:alert(1)", "JaVaScRiPt:alert(1)//http://x", "data:text/html,<script>alert(1)</script>",
                 "http://ok.example/\"><script>alert(1)</script>", "//evil.example/x", "file:///etc/passwd")  # fmt: skip
    for number in range(3):
        registry.push(
            file,
            name="m",
            description=HOSTILE,
            metrics={HOSTILE_KEY: 0.1 * number, "accuracy": 1},
            parameters={HOSTILE_KEY: HOSTILE + str(number)},
            tags={HOSTILE_KEY: HOSTILE},
            data={f"{HOSTILE_KEY}{place}": address for place, address in enumerate(addresses)},
            run_id=HOSTILE_KEY,
            parent=f"m@{number}" if number else None,
        )
    registry.promote("m@1", "Production", reason=HOSTILE)
    registry.approve("m@2", comment=HOSTILE)
    registry.promote("m@2", "Production", reason=HOSTILE)
    pages = crawled(client, "/ui", "/ui/models/m/compare?version_a=1&version_b=2")
    pages |= {
        address: client.get(address).text
        for address in (
            f"/ui?q={HOSTILE_KEY.replace('{', '%7B')}",
            "/ui?sort=%3Cscript%3E",
            "/ui/%3Cscript%3Ealert(1)",
            "/ui/models/m?metric=%22%3E%3Cscript%3E",
        )
    }
    for address, text in pages.items():
        tags = Found(text).tags
        assert not {"script", "img", "b"} & ({tag for tag, _ in tags} - {"b"}), address
        assert not [attrs for _, attrs in tags if any(name.startswith("on") for name in attrs)], address
        assert "\x1b" not in text and "\u202e" not in text, address
        assert "49" not in re.sub(r"[0-9]{3,}|[0-9]+[.:/-]", "", "".join(re.findall(r"\{\{.{0,9}", text)))
        for one in Found(text).all("a", "href"):
            assert one.startswith(("/", "#", "http://", "https://")), one
            assert not one.startswith("//"), one
    version = pages["/ui/models/m/versions/2"]
    assert r"\x1b[31mred" in version
    assert r"\u202egnp.exe" in version
    assert "&lt;script&gt;alert(1)" in version
    assert "javascript:alert(1)" in version
    assert "{{ 7*7 }}" in version


@pytest.mark.parametrize(
    ("address", "followed"),
    [
        ("https://git.example/team/repo", True),
        ("http://127.0.0.1:5000/#/run/1", True),
        ("git@git.example:team/repo.git", False),
        ("javascript:alert(1)", False),
        ("java\tscript:alert(1)", False),
        ("data:text/html,x", False),
        ("//evil.example", False),
        ("https:", False),
        ("https://[", False),
        ("s3://bucket/key", False),
        ("", False),
    ],
)
def test_only_web_addresses_are_followed(address: str, followed: bool) -> None:
    assert external_link(address) == (address if followed else "")


def test_a_part_of_an_address_stays_one_part() -> None:
    links = Links()
    assert links.page("models", "team/a b") == "/ui/models/team%2Fa%20b"
    path = links.api("models", "m", "versions", 3, "files", "a/../b?c#d%")
    assert path == "/models/m/versions/3/files/a%2F..%2Fb%3Fc%23d%25"
    assert links.page(q="a = 'b' & c", sort="", offset=None) == "/ui?q=a+%3D+%27b%27+%26+c"
    assert Links("/mreg").page() == "/mreg/ui"


ERRORS = (
    ("/ui/models/clasifier", 404, "did you mean classifier?"),
    ("/ui/models/classifier/versions/9", 404, "classifier has no version 9"),
    ("/ui/models/classifier/versions/a@b", 400, "invalid selector"),
    ("/ui/models/classifier/versions/nobody", 404, "classifier has no alias"),
    ("/ui/models/..%2Fx", 400, "invalid model name"),
    ("/ui/models/%ff", 400, "the path is not valid UTF-8"),
    ("/ui/models/team%252Fclassifier", 400, "invalid model name"),
    ("/ui/models/classifier/history/", 404, "path not found"),
    ("/ui/models/nobody/history", 404, "not found"),
    ("/ui/models/classifier/compare", 422, "version_a"),
    ("/ui/models/classifier/compare?version_a=1&version_b=", 400, "invalid selector"),
    ("/ui/models/classifier/compare?version_a=1&version_b=7", 404, "classifier has no version 7"),
    ("/ui?q=metrics.accuracy%20%3E%3E%201", 400, "^"),
    ("/ui?q=stage%20%3D%20Nowhere", 400, "Nowhere"),
    ("/ui?sort=metrics", 400, "needs a key"),
    ("/ui?limit=0", 422, "query.limit"),
    ("/ui?offset=-1", 422, "query.offset"),
    ("/ui?limit=1001", 422, "query.limit"),
    ("/ui/nowhere", 404, "path not found"),
    ("/ui/models", 404, "path not found"),
    ("/ui/static/nothing.css", 404, "path not found"),
    ("/ui/static/..%2F__init__.py", 404, "path not found"),
    ("/ui/models/team/classifier", 404, "path not found"),
)


def test_an_error_is_a_page_with_its_status_message_and_hint(
    client: Client, registry: LocalRegistry, model_file: Path
) -> None:
    registry.push(model_file, name="classifier", metrics={"accuracy": 1})
    for address, status, said in ERRORS:
        answer = client.get(address)
        assert answer.status_code == status, address
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert said in answer.text, address
        assert "<h1>" in answer.text
        assert "style-src 'self'" in answer.headers["content-security-policy"]


def test_errors_elsewhere_stay_problems(client: Client) -> None:
    for address in ("/models/nobody", "/uix", "/nowhere"):
        assert client.get(address).headers["content-type"] == "application/problem+json"
    assert client.session.post(f"{client.url}/ui").status_code == 405
    assert client.get("/ui/").headers["location"] == "/ui"


def test_a_deleted_model_keeps_its_page_of_events(client: Client, registry: LocalRegistry) -> None:
    registry.register("gone")
    registry.delete("gone")
    page = client.get("/ui/models/gone/history")
    assert page.status_code == 200
    assert "deleted" in page.text
    assert not [link for link in Found(page.text).all("a", "href") if link.startswith("/ui/models/gone")]
    assert client.get("/ui/models/gone").status_code == 404


def test_an_empty_registry_says_how_to_begin(client: Client, registry: LocalRegistry) -> None:
    assert "mreg push model.pkl" in client.get("/ui").text
    assert "No events yet" in client.get("/ui/history").text
    registry.register("empty")
    assert "mreg push PATH --name empty" in client.get("/ui/models/empty").text
    assert "none" in client.get("/ui").text


def test_a_version_is_shown_also_where_its_bytes_are_lost(
    client: Client, registry: LocalRegistry, tmp_path: Path
) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "a").write_text("1")
    first = registry.push(folder, name="net", metrics={"accuracy": 0.5})
    (folder / "a").write_text("2")
    registry.push(folder, name="net", metrics={"accuracy": 0.6})
    for number in (1, 2):
        registry.promote(f"net@{number}", "Production")
    os.remove(urlsplit(first.artifact.path).path)
    answer = client.get("/ui/models/net/versions/1")
    assert answer.status_code == 200
    assert first.artifact.digest.value in answer.text
    assert "missing" in answer.text
    assert client.get("/ui/models/net/versions/2").status_code == 200


def test_a_page_is_of_bounded_size_however_much_there_is(
    client: Client, registry: LocalRegistry, model_file: Path, tmp_path: Path
) -> None:
    many = {f"layer_{number:04}/weight_norm": number / 7 for number in range(1_000)}
    registry.push(
        model_file, name="big", metrics=many, parameters=dict.fromkeys(many, "x" * 5000), tags=dict.fromkeys(many, "y")
    )
    for number in range(260):
        registry.push(model_file, name="big", metrics={"accuracy": number}, parent=f"big@{1 + number // 3}")
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(300):
        (folder / f"{number}.txt").write_text(str(number))
    registry.push(folder, name="many")
    text = client.get("/ui/models/big").text
    assert len(text) < 400_000
    assert text.count("<tr") == 1 + 50 + 1 + 200
    assert "newest 200 of 261 versions" in text
    assert "1 to 50 of 261 versions" in text
    seen = re.findall(r"/versions/(\d+)\">Version", text.partition('id="versions"')[2])
    address: str | None = "/ui/models/big"
    pages = 0
    while address:
        following = client.get(address).text
        seen += re.findall(r'rowheader"><a href="/ui/models/big/versions/(\d+)', following)
        address = next((attrs["href"] for tag, attrs in Found(following).tags if attrs.get("rel") == "next"), None)
        pages += 1
    assert pages == 6
    assert {int(one) for one in seen} == set(range(1, 262))
    first = client.get("/ui/models/big/versions/1").text
    assert len(first) < 1_600_000
    assert "5,000 characters" in first
    assert first.count("<rect") <= 110
    assert "more items are not shown" in first
    assert "Showing the newest 100 events" in client.get("/ui/models/big/history").text
    assert "Showing the first 200 of 300 files" in client.get("/ui/models/many/versions/1").text
    assert len(client.get("/ui/models/big/compare?version_a=1&version_b=2").text) < 1_000_000


@pytest.mark.parametrize(
    "values",
    [
        [0.5],
        [0.5, 0.5],
        [1, 2, 3],
        [-1.7e308, 1.7e308],
        [5e-324, 1e-323],
        [1e16, 1e16 + 2],
        [0.1, 0.1 + 1e-16],
        [2**70, -(2**70)],
        [0, -0.0],
        [1e-300, 1e300],
        [0.99999991, 0.99999993],
    ],
    ids=str,
)
def test_every_value_has_its_place_on_the_chart(registry: LocalRegistry, model_file: Path, values: list[float]) -> None:
    version = registry.push(model_file, name="m")
    versions = [replace(version, version=place + 1, metrics={"x": value}) for place, value in enumerate(values)]
    drawn = trend(registry.model("m"), reversed(versions), "x")
    assert [point.value for point in drawn.points] == values
    assert all(0 <= point.x <= 100 and 0 <= point.y <= 100 for point in drawn.points)
    assert 1 <= len(drawn.lines) <= 8
    assert len({line.label for line in drawn.lines}) == len(drawn.lines)
    assert [line.y for line in drawn.lines] == sorted(line.y for line in drawn.lines)
    higher = [a.y >= b.y for a in drawn.points for b in drawn.points if a.value <= b.value]
    assert all(higher)


def test_assets_are_in_the_package_name_no_host_and_may_be_kept(client: Client) -> None:
    style, icon = Found(client.get("/ui").text).all("link", "href")[::-1]
    assert style.startswith("/ui/static/style.css?v=")
    for address in (style, icon):
        answer = client.get(address)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
        assert not re.search(rb"url\(|@import|//[a-z]", answer.content.replace(b"http://www.w3.org/2000/svg", b""))
    assert client.get("/ui/static/style.css").headers["cache-control"] == "no-cache"
    for file in files("mreg.server.ui").joinpath("templates").iterdir():
        assert not re.search(r"(?<!')https?://|\|\s*safe|autoescape|<script|style=|\son[a-z]+=", file.read_text()), file


def test_what_is_downloaded_from_a_page_is_bytes_and_never_a_page(
    client: Client, registry: LocalRegistry, tmp_path: Path
) -> None:
    folder = tmp_path / "site"
    (folder / "a b").mkdir(parents=True)
    (folder / "a b" / "index.html").write_bytes(b"<script>alert(1)</script>")
    registry.push(folder, name="team/site")
    registry.push(folder / "a b" / "index.html", name="team/site")
    found = [
        one for one in Found(client.get("/ui/models/team%2Fsite/versions/1").text).all("a", "href") if "/files/" in one
    ]
    assert found == ["/ui/models/team%2Fsite/versions/1/files/a%20b%2Findex.html"]
    for address in (*found, "/ui/models/team%2Fsite/versions/2/artifact"):
        answer = client.get(address)
        assert answer.content == b"<script>alert(1)</script>"
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.get("/ui/models/team%2Fsite/versions/1/files/nothing").status_code == 404
    assert client.get("/ui/models/team%2Fsite/versions/1/artifact").status_code == 409


def test_the_page_follows_the_rules_of_the_server(registry: LocalRegistry, tmp_path: Path) -> None:
    furnish(registry, tmp_path)
    with served(registry) as client:
        assert client.get("/ui", headers={"Host": "evil.example"}).status_code == 421
    from mreg.registry.tokens import new_token
    from mreg.results.tokens import Role

    made = new_token("reader", Role.READER)
    settings = ServerSettings(tokens=(made.token,))
    with served(registry, settings) as client:
        refused = client.get("/ui")
        assert refused.status_code == 401
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["www-authenticate"].startswith("Basic ")
        answer = client.get("/ui", auth=("any", made.secret))
        assert answer.status_code == 200
        assert "user <b>reader</b>" in answer.text
        # A browser has the token for what is below /ui, and for nothing else.
        for text in crawled(client, "/ui", auth=("any", made.secret)).values():
            assert all(one.startswith("/ui") for one in Found(text).all("a", "href") if one.startswith("/"))
        assert client.get("/ui/static/style.css").status_code == 401
