"""Commands on a real object store whose answers are damaged at random: nothing is lost, and every failure is told."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import EVERY_STORE, FULL, Mreg
from tests.forger import Answer, Forger, Request, refusal
from tests.hostile import DOCUMENTED, printable_only
from tests.servers import Place

SEEDS = 150 if FULL else 5
PER_TEST = 5

COMMANDS = (
    "push b.bin -n m", "push large.bin -n m", "push folder -n m", "pull m@1 out", "list", "promote m 1 --to production",
    "gc --remove --yes --grace 0s", "verify", "backup backup.db", "profile check", "doctor", "edit m --description x",
)  # fmt: skip

TEXTS = (
    b"", b"abc", b"-1", b"9" * 5000, b"\x1b[2J", b"../../x", b"99999-01-01T00:00:00Z", b"0001-01-01T00:00:00",
    b"\xff\xfe", b"&#10;x", b"&#0;", b"true", b"NaN",
)  # fmt: skip

REFUSALS = (
    (500, "InternalError"), (503, "SlowDown"), (400, "RequestTimeTooSkewed"), (403, "RequestTimeTooSkewed"),
    (412, "PreconditionFailed"), (409, "ConditionalRequestConflict"), (404, "NoSuchKey"), (404, "NoSuchBucket"),
    (404, "NoSuchUpload"), (403, "AccessDenied"), (400, "BadDigest"), (400, "InvalidPart"), (416, "InvalidRange"),
    (304, "NotModified"), (501, "NotImplemented"), (405, "MethodNotAllowed"), (400, ""), (404, ""),
    (429, "TooManyRequests"), (400, "RequestTimeout"), (200, "InternalError"),
)  # fmt: skip

HEADERS = (
    ("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked"), ("ETag", '"0"'), ("x-amz-version-id", "abc"),
    ("x-amz-delete-marker", "true"), ("Content-Range", "bytes 7-8/9"), ("x-amz-checksum-sha256", "AAAA"),
    ("Retry-After", "99999"), ("Date", "yesterday"), ("Date", "Thu, 26 Nov 2026 00:00:00 -0000"),
)  # fmt: skip


def damaged(rng: random.Random, answer: Answer, elsewhere: str) -> tuple[str, Answer]:
    """An answer with one fault, and what the fault is."""
    body = answer.body
    place = rng.randrange(len(body)) if body else 0
    elements = list(re.finditer(rb"<(\w+)>([^<]*)</\1>", body[:200_000])) if b"<" in body[:100] else []
    how = rng.choice(("element", "text", "cut", "broken", "bit", "length", "header", "refusal", "redirect", "status",
                      "page", "lost", "more"))  # fmt: skip
    if how in ("element", "text") and elements:
        found = rng.choice(elements)
        if how == "element":
            return f"no {found[1]!r}", replace(answer, body=body[: found.start()] + body[found.end() :])
        text = rng.choice(TEXTS)
        return f"{found[1]!r} is {text[:9]!r}", replace(
            answer, body=body[: found.start(2)] + text + body[found.end(2) :]
        )
    if how == "cut":
        return "cut", replace(answer, body=body[:place])
    if how == "broken":
        return "broken", replace(answer, body=body[:place], length=str(len(body) + 1), broken=rng.random() < 0.5)
    if how == "bit" and body:
        changed = bytes([body[place] ^ (1 << rng.randrange(8))])
        return "a bit", replace(answer, body=body[:place] + changed + body[place + 1 :])
    if how == "length":
        length = rng.choice(("abc", "-5", "999999999999", "0", "1", ""))
        return f"length {length!r}", replace(answer, length=length)
    if how == "header" and answer.headers:
        name, value = rng.choice(answer.headers)
        wrong = rng.choice((None, "", "abc", "\x1b[2J", f"{value}x", value[::-1], "-1", "\xff", '"', "9" * 5000))
        return f"header {name} {wrong!r:.20}", answer.with_header(name, wrong)
    if how == "redirect":
        headers = (("Location", f"{elsewhere}/x"), ("x-amz-bucket-region", rng.choice(("eu-west-1", "", "../x"))))
        status = rng.choice((301, 302, 303, 307, 308))
        return f"redirect {status}", replace(refusal(status, rng.choice(("PermanentRedirect", ""))), headers=headers)
    if how == "status":
        status = rng.choice((200, 204, 206, 304, 199, 299, 600, 999))
        return f"only {status}", Answer(status=status)
    if how == "page":
        return how, Answer(headers=(("Content-Type", "text/html"),), body=b"<html><title>Log in</title></html>")
    if how == "lost":
        return how, Answer(length="1000", broken=True)
    if how == "more":
        name, value = rng.choice(HEADERS)
        return f"{name}: {value}", answer.with_header(name, value)
    status, code = rng.choice(REFUSALS)
    return f"{status} {code}", refusal(status, code)


@pytest.fixture
def forger(bucket: Place, monkeypatch: pytest.MonkeyPatch, impatient: None) -> Iterator[Forger]:
    from mreg.catalog import object_database as catalogs
    from mreg.stores import client as stores

    monkeypatch.setattr(catalogs, "SECONDS", 3.0)
    monkeypatch.setattr(stores, "READ_SECONDS", 5)
    forger = Forger(bucket.server.port)
    monkeypatch.setenv("MREG_CATALOG", f"{bucket.url}/catalog.db")
    monkeypatch.setenv("MREG_ENDPOINT_URL", forger.endpoint)
    yield forger
    forger.stop()


@EVERY_STORE
@pytest.mark.parametrize("first", range(0, SEEDS, PER_TEST))
def test_damaged_answers_lose_nothing_and_are_told(
    first: int, forger: Forger, bucket: Place, command: Mreg, tmp_path: Path
) -> None:
    elsewhere = Forger(1, before=lambda _: Answer())
    data = {"a.bin": os.urandom(1000), "b.bin": os.urandom(2000), "large.bin": os.urandom(5 << 20)}
    for name, content in data.items():
        Path(name).write_bytes(content)
    Path("folder").mkdir()
    for name in "xy":
        Path("folder", name).write_bytes(os.urandom(100))
    assert command("push", "a.bin", "-n", "m").code == 0
    version, of_version = 1, {1: "a.bin"}
    for seed in range(first, first + PER_TEST):
        rng = random.Random(seed)
        words = rng.choice(COMMANDS)
        target, often, faults = rng.randrange(10), rng.random() < 0.3, list[tuple[str, str]]()

        def after(
            request: Request,
            answer: Answer,
            rng: random.Random = rng,
            target: int = target,
            often: bool = often,
            faults: list[tuple[str, str]] = faults,
        ) -> Answer:
            count = len(forger.seen) - 1
            if count != target and not (often and count > target):
                return answer
            fault, changed = damaged(rng, answer, elsewhere.endpoint)
            faults.append((request.line, fault))
            return changed

        forger.heal()
        forger.after = after
        done = command(*words.split())
        shown = (seed, words, done, faults)
        assert done.code in DOCUMENTED, shown
        assert "report it as a bug" not in done.err, shown
        assert printable_only((done.out + done.err).encode(), allowed="\n\t"), shown
        # obstore follows a redirect of a GET, without the signature; the answer is refused, and no bytes are sent there.
        assert all(sent.method == "GET" and not sent.body for sent in elsewhere.seen), shown
        assert not any(name == "authorization" for sent in elsewhere.seen for name, _ in sent.headers), shown
        forger.heal()
        if words.startswith("pull"):
            assert os.path.lexists("out") == (done.code == 0), shown
            assert done.code or Path("out").read_bytes() == data["a.bin"], shown
            Path("out").unlink(missing_ok=True)
        if words.startswith("push"):
            made = command("show", f"m@{version + 1}").code == 0
            assert made or done.code, shown
            assert not made or done.code == 0 or "it is unknown" in done.err, shown
            if made:
                version += 1
                of_version[version] = words.split()[1]
        checked = command("verify")
        assert checked.code == 0, (shown, checked)
    for number, name in of_version.items():
        assert command("pull", f"m@{number}", tmp_path / str(number)).code == 0
        assert name == "folder" or (tmp_path / str(number)).read_bytes() == data[name]
    elsewhere.stop()
