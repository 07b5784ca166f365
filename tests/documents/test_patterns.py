"""Patterns of .mregignore, --include and --exclude: the meaning that git gives them, in bounded time."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from mreg.documents import patterns
from mreg.documents.patterns import FILE_LIMIT, Patterns, Rule, read_rules
from mreg.errors import BadInput

PATHS = [
    "a", "a.txt", "b/a.txt", "b/c/a.txt", "x/y/z/a", "a/b", "a/x/b", "a/x/y/b", "a/b1/c", "a/bx/b/c", "build/x.o",
    "sub/build/x.o", "buildx", ".git/config", "x/.git/config", "a-b-c", "abc", "a b ", "[x]", "{x}", "x+y", "x.y", "!a",
    "#a", "äa/öb.txt", "logs/2024/a.log", "logs/keep.log", "foo/foo", "a/b/a/b/c",
]  # fmt: skip
PATTERNS = [
    "a", "*.txt", "/a.txt", "b/", "b/*", "b/**", "**/a.txt", "a/**/b", "a/**/b*/**/c", "build/", "/build/", "*a*",
    "a*b*c", "[ab]", "[!a]", "a[!x]b", "?", "a?b", "*", "**", "**/", "*/", "/*", "a\\ b\\ ", "\\[x\\]", "[[]x]", "{x}",
    "x+y", "x.y", "\\!a", "\\#a", "äa", "*.log", "foo/", "a/*/b", "**/b/**", "a/**", "***", "a//b",
]  # fmt: skip


def test_without_patterns_everything_is_selected() -> None:
    chosen = Patterns()
    assert not chosen
    assert chosen.selects("a/b.txt")
    assert chosen.selects("a/")


@pytest.mark.parametrize("path, selected", [("w.bin", True), ("a/w.bin", True), ("w.txt", False), ("bin/", False)])
def test_include_patterns_select_only_what_matches(path: str, selected: bool) -> None:
    assert Patterns(["*.bin"]).selects(path) is selected


def test_an_exclude_pattern_wins_over_an_include_pattern() -> None:
    chosen = Patterns(["*.json"], ["tmp/", "secret.json"])
    assert [path for path in ("a.json", "tmp/a.json", "x/secret.json", "b.txt") if chosen.selects(path)] == ["a.json"]


def test_the_last_exclude_pattern_that_matches_decides() -> None:
    chosen = Patterns(exclude=["*.log", "!keep.log"])
    assert [path for path in ("a.log", "keep.log", "x/keep.log") if chosen.selects(path)] == ["keep.log", "x/keep.log"]


def test_a_pattern_with_a_slash_at_the_end_matches_folders_only() -> None:
    chosen = Patterns(exclude=["build/"])
    assert [path for path in ("build", "build/", "build/x", "a/build/x") if chosen.selects(path)] == ["build"]


def test_the_rule_that_leaves_out_a_path_is_returned() -> None:
    rule = Rule("*.log", "'.mregignore', line 3")
    assert Patterns(exclude=["x", rule]).left_out_by("logs/a.log") == rule
    assert Patterns(exclude=["x", rule]).left_out_by("logs/a.txt") is None


def test_patterns_mean_what_they_mean_in_git(tmp_path: Path) -> None:
    folders = {f"p{number}": pattern for number, pattern in enumerate(PATTERNS)}
    for name, pattern in folders.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / ".gitignore").write_text(f"{pattern}\n")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True, env=environment)
    asked = [f"{name}/{path}" for name in folders for path in PATHS if ".git/" not in path]
    answer = subprocess.run(
        ["git", "-C", str(tmp_path), "check-ignore", "--no-index", "-z", "--stdin"],
        input="\0".join(asked).encode(),
        capture_output=True,
        env=environment,
    )
    ignored = set(filter(None, answer.stdout.decode().split("\0")))
    chosen = {name: Patterns(exclude=[pattern]) for name, pattern in folders.items()}
    ours = {path for path in asked if not chosen[path.partition("/")[0]].selects(path.partition("/")[2])}
    assert ours == ignored


@given(
    pattern=st.text("ab*?/[]!.^-\\", min_size=1, max_size=10),
    path=st.lists(st.text("ab.-", min_size=1, max_size=4), min_size=1, max_size=5).map("/".join),
    folder=st.booleans(),
)
def test_a_rewritten_pattern_matches_as_pathspec_does(pattern: str, path: str, folder: bool) -> None:
    path = f"{path}/" if folder else path
    lines = ["*", f"!{pattern}", pattern] if pattern.startswith("*") else [pattern]
    try:
        ours = Patterns(exclude=lines)
    except BadInput:
        return
    if "[" in pattern:  # in pathspec [!a] and [.-a] match a slash, in git they do not
        return
    assert (not ours.selects(path)) is GitIgnoreSpec.from_lines(lines).match_file(path)


@given(pattern=st.text(max_size=20), path=st.text(min_size=1, max_size=20))
def test_any_text_is_a_pattern_or_is_refused(pattern: str, path: str) -> None:
    try:
        chosen = Patterns([pattern], [pattern])
    except BadInput as error:
        assert error.message.startswith(("--include: ", "--exclude: "))
    else:
        chosen.selects(path)


@pytest.mark.parametrize(
    "pattern, path",
    [
        ("*a" * 400 + "b", "a" * 255),
        ("?*" * 400 + "b", "a" * 255),
        ("**/a" * 200 + "/b", "/".join(["a"] * 2000)),
        ("/a" + "/**/a*" * 100 + "/b", "/".join(["aa"] * 1000)),
        ("**/" + "*a*" * 200 + "b", "/".join(["a" * 255] * 15)),
        ("*/" * 300 + "b", "/".join(["a"] * 2000)),
        ("[a]*" * 200 + "b", "a" * 255),
        ("*" * 999, "a" * 255),
        ("**/**/" * 150 + "b", "/".join(["a"] * 2000)),
    ],
    ids=range(9),
)
def test_no_pattern_needs_exponential_time(pattern: str, path: str) -> None:
    Patterns([pattern[:1000]], [pattern[:1000]]).selects(path)  # otherwise longer than the timeout of the test


def test_patterns_that_take_too_long_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "START_SECONDS", -1.0)
    with pytest.raises(BadInput) as caught:
        Patterns(exclude=["*.log"]).selects("a")
    assert caught.value.message == "the patterns take too long: 0 s for 1 path"
    assert caught.value.hint == "use fewer or shorter patterns than '*.log' (--exclude)"


@pytest.mark.parametrize(
    "pattern, message",
    [
        ("", "--exclude: the pattern '' matches no file"),
        (" ", "--exclude: the pattern ' ' matches no file"),
        ("#x", "--exclude: the pattern '#x' matches no file"),
        ("/", "--exclude: the pattern '/' matches no file"),
        ("[a", "--exclude: the pattern '[a' matches no file"),
        ("a\\", "--exclude: invalid pattern 'a\\'"),
        ("[z-a]", "--exclude: invalid pattern '[z-a]'"),
        ("!", "--exclude: invalid pattern '!'"),
        ("x" * 1001, f"--exclude: the pattern '{'x' * 60}...{'x' * 17}' has 1,001 characters; the limit is 1,000"),
    ],
)
def test_a_pattern_that_cannot_match_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        Patterns(exclude=[pattern])
    assert caught.value.message == message


def test_an_include_pattern_cannot_be_negated() -> None:
    with pytest.raises(BadInput) as caught:
        Patterns(["!a b"])
    assert caught.value.message == "--include: '!a b' excludes files"
    assert caught.value.hint == "--exclude 'a b'"


def test_there_is_a_limit_of_patterns() -> None:
    with pytest.raises(BadInput) as caught:
        Patterns(exclude=["a"] * 1001)
    assert caught.value.message == "1,001 patterns; the limit is 1,000"


def test_a_file_of_patterns_has_comments_and_empty_lines(tmp_path: Path) -> None:
    file = tmp_path / ".mregignore"
    file.write_bytes("\ufeff# logs\r\n*.log\r\n\r\n \n\\#x\n!keep.log".encode())
    place = f"'{file}', line"
    assert read_rules(str(file)) == (
        Rule("*.log", f"{place} 2"), Rule("\\#x", f"{place} 5"), Rule("!keep.log", f"{place} 6")
    )  # fmt: skip


def test_a_missing_file_of_patterns_has_none(tmp_path: Path) -> None:
    assert read_rules(str(tmp_path / ".mregignore")) == ()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda path: path.write_bytes(b"a\n\xff"), "'{}', line 2: not UTF-8"),
        (lambda path: path.write_bytes(b"a\n" * FILE_LIMIT), "the pattern file '{}' is larger than 64 KiB"),
        (lambda path: path.mkdir(), "the pattern file '{}' is not a regular file"),
        (lambda path: os.mkfifo(path), "the pattern file '{}' is not a regular file"),
        (lambda path: path.symlink_to("/etc/passwd"), "the pattern file '{}' is a symbolic link, which is not followed here"),
        (lambda path: path.symlink_to(path.name), "the pattern file '{}' is a symbolic link, which is not followed here"),
    ],
    ids=["not UTF-8", "huge", "a folder", "a pipe", "a link", "a link to itself"],
)  # fmt: skip
def test_a_hostile_file_of_patterns_is_refused(tmp_path: Path, make: object, message: str) -> None:
    path = tmp_path / ".mregignore"
    make(path)  # type: ignore[operator]
    with pytest.raises(BadInput) as caught:
        read_rules(str(path))
    assert caught.value.message == message.format(path)
