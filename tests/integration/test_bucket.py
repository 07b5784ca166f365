"""Commands on a registry whose artifacts are in a bucket: the same as on a folder, and what is a bucket's own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from mreg.registry import gc
from tests.conftest import EVERY_PROVIDER, ROOT, Mreg, local_registry
from tests.faults.test_kill import check
from tests.forking import forked_mreg
from tests.proxy import SLOW_DOWN, Proxy
from tests.servers import BUCKET, READER, Place

SECRETS = ("secret-of-", "AKIA")


def write(name: str, size: int = 1000) -> bytes:
    data = os.urandom(size)
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(data)
    return data


def test_a_whole_life_in_a_bucket(bucket: Place, command: Mreg) -> None:
    first, second = write("a.bin"), write("b.bin", 20 << 20)
    assert command("push", "a.bin", "-n", "m", "--accuracy", "0.9", "--stage", "production").code == 0
    assert command("push", "b.bin", "-n", "m", "--accuracy", "0.95").code == 0
    shown = json.loads(command("show", "m@1", "--json").out)
    assert shown["artifact"]["path"] == f"{bucket.url}/{bucket.keys('blobs/')[0]}" or len(bucket.keys("blobs/")) == 2
    assert command("promote", "m@2", "--to", "production").code == 0
    assert command("rollback", "m").code == 0
    assert command("pull", "m@production", "out").code == 0
    assert Path("out").read_bytes() == first
    assert command("pull", "m@2", "big").code == 0
    assert Path("big").read_bytes() == second
    assert command("push", "b.bin", "-n", "other").code == 0
    assert len(bucket.keys("blobs/")) == 2
    assert bucket.uploads() == []


@EVERY_PROVIDER
def test_a_folder_of_large_and_small_files_comes_back_as_it_was(bucket: Place, command: Mreg) -> None:
    contents = {
        f"folder/{number}.bin": write(f"folder/{number}.bin", size)
        for number, size in enumerate([1, 10, 100_000, 5 << 20, (8 << 20) - 1, 8 << 20, (8 << 20) + 1, 17 << 20, 0])
    }
    Path("folder/1.bin").chmod(0o755)
    assert command("push", "folder", "-n", "m").code == 0
    assert command("pull", "m", "back").code == 0
    for name, data in contents.items():
        assert Path(name.replace("folder", "back")).read_bytes() == data
    assert os.access("back/1.bin", os.X_OK)
    assert not os.access("back/2.bin", os.X_OK)
    done = command("pull", "m", "back")
    assert (done.code, "already there" in done.out) == (0, True)


def test_a_file_goes_to_standard_output_after_it_was_verified(bucket: Place, process: Mreg) -> None:
    data = write("a.bin", 9 << 20)
    assert process("push", "a.bin", "-n", "m").code == 0
    done = subprocess.run([forked_mreg(), "pull", "m", "--stdout"], capture_output=True, check=True)
    assert done.stdout == data


@EVERY_PROVIDER
def test_many_push_at_once_and_get_consecutive_numbers(bucket: Place) -> None:
    running = []
    for number in range(8):
        write(f"{number}.bin", 10_000)
        words = [str(forked_mreg()), "push", f"{number % 4}.bin", "-n", "m", "-q"]
        running.append(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    numbers = sorted(int(one.communicate(timeout=120)[0].strip().partition("@")[2]) for one in running)
    assert numbers == list(range(1, 9))
    with local_registry() as registry:
        assert len(check(registry)) == 8
    assert len(bucket.keys("blobs/")) == 4


@EVERY_PROVIDER
def test_the_same_large_file_pushed_twice_at_once_is_one_blob(bucket: Place) -> None:
    data = write("big.bin", 40 << 20)
    words = [str(forked_mreg()), "push", "big.bin", "-n", "m", "-q"]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    ended = [one.communicate(timeout=120) for one in running]
    assert sorted(out for out, _ in ended) == ["m@1\n", "m@2\n", "m@3\n"], ended
    (key,) = bucket.keys("blobs/")
    assert bucket.read(key) == data
    assert bucket.uploads() == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_push_ends_at_once_and_is_resumed(
    number: signal.Signals, code: int, proxy: Proxy, bucket: Place, process: Mreg
) -> None:
    data = write("big.bin", 64 << 20)
    proxy.cut_up_after = 30 << 20
    running = subprocess.Popen(
        [sys.executable, "-m", "mreg", "push", "big.bin", "-n", "m"], stderr=subprocess.PIPE, text=True
    )
    while proxy.up < 20 << 20:
        time.sleep(0.01)
    proxy.stop()  # nothing answers any more, which must not keep it
    time.sleep(0.3)
    running.send_signal(number)
    assert running.wait(30) == code  # a store that does not answer is waited for longer than that
    assert running.stderr is not None
    assert "nothing was left half done" in running.stderr.read()
    running.stderr.close()
    proxy.start()
    done = process("push", "big.bin", "-n", "m")
    assert done.code == 0
    assert bucket.read(bucket.keys("blobs/")[0]) == data


def xml(code: str, extra: str = "") -> str:
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>said the store</Message>{extra}</Error>'


ANSWERS = [
    ("403 Forbidden", "application/xml", xml("AccessDenied"), "permission denied (AccessDenied); the store says: said the store", "the documentation lists"),
    ("403 Forbidden", "application/xml", xml("InvalidAccessKeyId"), "unknown access key", "credentials"),
    ("403 Forbidden", "application/xml", xml("RequestTimeTooSkewed"), "the clock of this machine is wrong", "set this machine's clock"),
    ("400 Bad Request", "application/xml", xml("ExpiredToken"), "the session token has expired", "log in again"),
    ("400 Bad Request", "application/xml", xml("AuthorizationHeaderMalformed", "<Region>eu-west-9</Region>"), "is in another region, in eu-west-9", "region: eu-west-9"),
    ("404 Not Found", "application/xml", xml("NoSuchBucket"), "the bucket does not exist (NoSuchBucket)", "create the bucket"),
    ("501 Not Implemented", "application/xml", xml("NotImplemented"), "the store does not support the request", "profile check"),
    ("418 Teapot", "application/xml", xml("Strange"), "refused the request (Strange); the store says: said the store", "profile check"),
    ("500 Oops", "application/xml", xml("InternalError"), "", ""),
    ("502 Bad Gateway", "text/html", "<html>down</html>", "failed (HTTP 502)", "try again later"),
    ("403 Forbidden", "text/html", "<html>log in</html>", "", ""),
    ("200 OK", "text/html", "<html>log in to the wifi</html>", "is not from an S3 store", "and the proxy: HTTPS_PROXY"),
    (*SLOW_DOWN, "asks for fewer requests", "try again later"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "kind", "body", "words", "hint", "size"),
    [(*answer, 1000) for answer in ANSWERS] + [(*answer, 9 << 20) for answer in (ANSWERS[0], *ANSWERS[8:])],
    ids=lambda value: str(value)[:60],
)
def test_a_refusal_is_told_in_words_and_changes_nothing(
    status: str, kind: str, body: str, words: str, hint: str, size: int, proxy: Proxy, command: Mreg, impatient: None
) -> None:
    write("a.bin", size)
    proxy.answer = lambda _line: (status, kind, body)
    done = command("push", "a.bin", "-n", "m")
    assert done.code == 8, done.err
    assert words in done.err
    assert hint in done.err
    assert len(done.err.splitlines()) <= 4
    assert "Traceback" not in done.err
    assert not any(secret in done.err for secret in SECRETS)
    proxy.heal()
    assert command("show", "m").code == 4
    assert command("push", "a.bin", "-n", "m").code == 0


def _refuse_from(number: int, requests: Iterator[int], _line: str) -> tuple[str, str, str] | None:
    """Refuse the request of this number and every later one."""
    return ("403 Forbidden", "application/xml", xml("AccessDenied")) if next(requests) >= number else None


def test_each_call_refused_in_turn_changes_nothing(proxy: Proxy, command: Mreg, impatient: None) -> None:
    """403 on the first, second, third ... request of a push and of a pull."""
    write("a.bin", 9 << 20)
    for number in range(1, 20):
        proxy.answer = partial(_refuse_from, number, count(1))
        done = command("push", "a.bin", "-n", "m")
        proxy.heal()
        if done.code == 0:
            break
        assert (done.code, command("show", "m").code) == (8, 4)
    assert 3 < number < 19
    proxy.answer = lambda _line: ("403 Forbidden", "application/xml", xml("AccessDenied"))
    assert command("pull", "m", "out").code == 8
    assert not Path("out").exists()


def test_who_may_only_read_reads(bucket: Place, command: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write("a.bin")
    assert command("push", "a.bin", "-n", "m").code == 0
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", READER[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", READER[1])
    assert command("pull", "m", "out").code == 0
    assert Path("out").read_bytes() == data
    write("b.bin")
    done = command("push", "b.bin", "-n", "m")
    assert (done.code, done.err.splitlines()[0]) == (
        8,
        f"error: cannot use {bucket.url}: permission denied (AccessDenied); the store says: Access Denied",
    )
    done = command("profile", "check")
    assert done.code == 8
    outcomes = [tuple(line.split("\t")[0:3:2]) for line in done.out.splitlines()[1:]]
    assert ("write a probe", "failed") in outcomes
    assert [name for name, outcome in outcomes if outcome != "works"] == ["write a probe"]


CREDENTIALS = [
    ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "wrong secret key (SignatureDoesNotMatch)"),
    ({"AWS_ACCESS_KEY_ID": "AKIAWRONG"}, "unknown access key (InvalidAccessKeyId)"),
    ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no credentials found"),
]


@pytest.mark.parametrize(("variables", "words"), CREDENTIALS, ids=[words for _, words in CREDENTIALS])
def test_what_is_wrong_with_credentials_or_bucket_is_told(
    variables: dict[str, str], words: str, bucket: Place, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    write("a.bin")
    done = command("push", "a.bin", "-n", "m")
    assert done.code == 8
    assert words in done.err
    if "no credentials" in words:
        assert "set one of: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile of aws_profile" in done.err
    assert not any(secret in done.err + done.out for secret in ("secret-of", "wrong\n", "AKIAWRONG"))
    assert command("show", "m").code == 4


def test_wrong_addresses_are_told(
    bucket: Place, command: Mreg, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    write("a.bin")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    for endpoint, words in (
        (nobody, f"cannot reach {nobody}: Connection refused"),
        ("http://no-such-host.invalid", "cannot reach http://no-such-host.invalid: "),
        (bucket.endpoint.replace("http://", "https://"), "does not support TLS: "),
    ):
        monkeypatch.setenv("MREG_ENDPOINT_URL", endpoint)
        done = command("push", "a.bin", "-n", "m")
        assert (done.code, words in done.err) == (8, True), done.err
    monkeypatch.setenv("MREG_ENDPOINT_URL", bucket.endpoint)
    monkeypatch.setenv("MREG_AWS_PROFILE", "nobody")
    done = command("push", "a.bin", "-n", "m")
    assert (done.code, done.err.splitlines()[0]) == (2, "error: AWS profile 'nobody' not found")


def test_a_black_hole_is_not_waited_for_for_ever(
    bucket: Place, command: Mreg, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    from mreg.stores import client as client_module

    monkeypatch.setattr(client_module, "READ_SECONDS", 1)
    write("a.bin")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MREG_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        done = command("push", "a.bin", "-n", "m")
    assert done.code == 8
    assert f"error: {os.environ['MREG_ENDPOINT_URL']} does not respond" in done.err


def test_the_guide_to_s3_lists_the_calls_that_are_made(proxy: Proxy, command: Mreg) -> None:
    write("small.bin")
    write("large.bin", 20 << 20)
    write("folder/a", 10)
    assert command("profile", "check").code == 0
    for words in (
        ["push", "small.bin", "-n", "m"], ["push", "large.bin", "-n", "m"], ["push", "folder", "-n", "m"],
        ["push", "large.bin", "-n", "m"], ["pull", "m@2", "out"], ["pull", "m@3", "out-folder"],
    ):  # fmt: skip
        assert command(*words).code == 0
    made = {permission_of(line) for line in proxy.requests}
    policy = re.search(r"```json\n(\{\s*\"Version\".*?)```", (ROOT / "docs/how-to/s3.md").read_text(), re.DOTALL)
    assert policy is not None
    allowed = {
        action.removeprefix("s3:") for statement in json.loads(policy[1])["Statement"] for action in statement["Action"]
    }
    assert made <= allowed, "the policy of the guide lacks a call"
    assert allowed - made <= {"AbortMultipartUpload"}, "the policy of the guide allows a call that is never made"


def permission_of(line: str) -> str:
    """The IAM permission that a request needs: the service authorization reference of Amazon S3."""
    method, path, _ = line.split(" ")
    path, _, query = path.partition("?")
    of_bucket = path.strip("/") == BUCKET
    if of_bucket:
        return "ListBucketMultipartUploads" if query.startswith("uploads") else "ListBucket"
    if method in ("GET", "HEAD"):
        return "ListMultipartUploadParts" if "uploadId" in query else "GetObject"
    if method == "DELETE":
        return "AbortMultipartUpload" if "uploadId" in query else "DeleteObject"
    return "PutObject"


@pytest.mark.parametrize("words", [["list"], ["show", "m"], ["promote", "m@1", "--to", "staging"], ["tag", "m@1", "a=b"], ["history", "m"], ["profile", "show"]])  # fmt: skip
def test_commands_that_do_not_touch_the_bucket_do_not_import_its_client(
    words: list[str], bucket: Place, command: Mreg
) -> None:
    write("a.bin")
    assert command("push", "a.bin", "-n", "m").code == 0
    code = (
        "import sys\nfrom mreg.cli.app import run\n"
        f"code = run({words!r})\n"
        "found = [m for m in ('boto3', 'botocore', 'urllib3', 'mreg.stores') if m in sys.modules]\n"
        "sys.exit(str(found) if found or code else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_profile_is_added_shown_and_checked(place: Place, command: Mreg) -> None:
    done = command(
        "profile", "add", "team", "--artifacts", place.url, "--endpoint-url", place.endpoint, "--cache", "1GB"
    )
    assert done.code == 0
    home = os.environ["HOME"]
    assert command("profile", "use", "team").code == 0
    assert "team\tyes" in command("profile", "list").out
    shown = command("profile", "show").out
    assert f"artifacts\t{place.url}\t" in shown
    assert f"catalog\t{place.url}/catalog.db\tnext to the artifacts\n" in shown
    done = command("profile", "check")
    assert done.code == 0
    assert [tuple(line.split("\t")[0:3:2]) for line in done.out.splitlines()[1:]] == [
        ("read the catalog", "works"),
        ("write to the catalog", "works"),
        ("catalog latency", "works"),
        ("list", "works"),
        ("write a probe", "works"),
        ("check uploads (by the store: SHA-256 sum)", "works"),
        ("read it back", "works"),
        ("refuse to overwrite", "works"),
        ("send a large file in parts", "works"),
        ("take direct uploads", "works"),
        ("remove the probe", "works"),
        ("store latency", "works"),
        ("store throughput", "works"),
    ]
    assert place.keys() == []
    text = Path(home, ".config/mreg/config.yaml").read_text()
    assert "secret" not in text


def test_a_check_says_what_a_store_lacks(proxy: Proxy, command: Mreg) -> None:
    refusal = ("501 Not Implemented", "application/xml", xml("NotImplemented"))
    proxy.answer = lambda _line: refusal if b"if-none-match:" in proxy.head.lower() else None
    done = command("profile", "check", "--json")
    assert done.code == 0, done.err
    (lacking,) = [one for one in json.loads(done.out) if one["lacks"]]
    assert lacking["name"] == "refuse to overwrite"
    assert "does not support If-None-Match" in lacking["lacks"]
    assert "\tnote\t" in command("profile", "check").out
    write("large.bin", 20 << 20)
    for _ in range(2):
        assert command("push", "large.bin", "-n", "m").code == 0
    assert command("pull", "m", "out").code == 0


def test_what_a_killed_push_left_is_collected_after_its_grace(
    bucket: Place, proxy: Proxy, command: Mreg, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("big.bin", 20 << 20)
    proxy.cut_up_after = 15 << 20
    proxy.cut_for_good = True
    assert command("push", "big.bin", "-n", "m").code == 8
    proxy.heal()
    empty = "kind\tname\tbytes\tmodified\tremoved\n"
    assert command("gc", "--grace", "0s").out == empty  # within an hour its push may live
    monkeypatch.setattr(gc, "PUSH_LIVES", timedelta(0))
    assert command("gc").out == empty
    done = command("gc", "--grace", "0s")
    assert len(done.out.splitlines()) == 2
    assert "nothing was removed; to remove it: mreg gc" in done.err
    assert len(bucket.uploads()) == 1
    assert command("gc", "--grace", "0s", "--remove").code == 2
    assert len(bucket.uploads()) == 1
    assert command("gc", "--grace", "0s", "--remove", "--yes").code == 0
    assert bucket.uploads() == []
    assert command("gc", "--grace", "soon").code == 2
