"""A URL where a path is expected is never the name of a new file or folder, and its password is not shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import Mreg

URLS = ("s3://bucket/models/", "postgres://u:s3cret@host/db", "https://u:s3cret@host/x.pkl", "GS://b", "file:///tmp/x")


@pytest.mark.parametrize("url", URLS)
def test_a_url_is_not_a_path(command: Mreg, url: str) -> None:
    Path("m.pkl").write_bytes(b"x")
    assert command("push", "m.pkl", "--name", "m").code == 0
    before = sorted(os.listdir())
    scheme = url.partition(":")[0]
    for words in (
        ("pull", "m@1", url), ("pull", "m", "1", url), ("pull", "m@1", url, "--dry-run"), ("backup", url),
        ("restore", url, "--yes"), ("export", "m@1", "--output", url), ("import", url), ("import", url, "--aliases"), ("push", url, "--name", "m"),
        ("push", url, "--name", "m", "--dry-run"), ("push", url),
    ):  # fmt: skip
        done = command(*words)
        assert (done.code, done.out) == (2, ""), words
        assert f"expected a path, got a URL of the scheme {scheme}" in done.err, words
        assert "s3cret" not in done.err, words
    assert sorted(os.listdir()) == before


def test_a_file_whose_path_looks_like_a_url_can_be_named_as_a_path(command: Mreg) -> None:
    Path("a:").mkdir()
    Path("a:/m.pkl").write_bytes(b"x")
    assert command("push", "./a://m.pkl", "--name", "m").code == 0
    assert command("pull", "m@1", "./b://m.pkl").code == 0
    assert Path("b:/m.pkl").read_bytes() == b"x"
