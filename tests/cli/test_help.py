"""The help of every command and topic, and the suggestions for unknown commands and options."""

from __future__ import annotations

import inspect
import os
import pty
import re
import select
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import takewhile
from pathlib import Path

import pytest

from mreg.cli import app
from mreg.cli.help import find_page, walk
from mreg.cli.invocation import Invocation
from mreg.cli.topics import TOPICS
from mreg.results.profiles import KEYS
from tests.conftest import ROOT, Mreg

HEADINGS = [
    "Everyday", "Promotion", "Deployment", "Lineage and audit", "Maintenance", "Sharing", "Configuration",
]  # fmt: skip


def commands() -> Iterator[tuple[tuple[str, ...], tuple[str, str, str]]]:
    """Every command and subcommand: its words, and its entry in the table."""
    for name, entry in app.COMMANDS.items():
        yield (name,), entry
        found = getattr(import_module(f"mreg.cli.{entry[0]}"), entry[1])
        if isinstance(found, dict):
            yield from (((name, word), inner) for word, inner in found.items())


ALL = dict(commands())
GROUPS = {words[0] for words in ALL if len(words) == 2}
IDS = [" ".join(words) for words in ALL]


def sections(text: str) -> list[str]:
    """The headings of a help text, in order."""
    return re.findall(r"^([A-Z][A-Za-z0-9 ]*):$", text, re.MULTILINE)


@pytest.mark.parametrize(("words", "entry"), ALL.items(), ids=IDS)
def test_the_table_has_the_first_line_of_each_docstring(words: tuple[str, ...], entry: tuple[str, str, str]) -> None:
    module, name, summary = entry
    found = getattr(import_module(f"mreg.cli.{module}"), name)
    assert isinstance(found, dict) or (inspect.getdoc(found) or "").splitlines()[0] == summary


@pytest.mark.parametrize(("words", "entry"), ALL.items(), ids=IDS)
def test_a_first_line_is_one_short_imperative_sentence(words: tuple[str, ...], entry: tuple[str, str, str]) -> None:
    summary = entry[2]
    assert len(summary) <= 60
    assert re.fullmatch(r"[A-Z][a-z]+,? [^.…;:]*(\(mreg\.yaml\)|\(\.mreg\))?\.", summary), summary
    assert not re.match(r"\w+s\b", summary), f"{summary}: not an imperative"


@pytest.mark.parametrize(
    "words", [(), *((group,) for group in sorted(GROUPS))], ids=lambda words: " ".join(("mreg", *words))
)
def test_the_list_of_commands_is_whole_at_80_columns(words: tuple[str, ...], command: Mreg) -> None:
    text = command(*words, "--help").out
    for names, (_, _, summary) in ALL.items():
        if names[:-1] == words:
            assert re.search(rf"^  {names[-1]} +{re.escape(summary)}$", text, re.MULTILINE), names
    assert "..." not in text
    assert "…" not in text


@pytest.mark.parametrize("words", [(), *ALL], ids=["mreg", *IDS])
def test_a_help_text_fits_into_80_columns_and_has_examples_before_options(
    words: tuple[str, ...], command: Mreg
) -> None:
    done = command(*words, "--help")
    assert (done.code, done.err) == (0, "")
    assert max(map(len, done.out.splitlines())) <= 80
    assert done.out.isascii(), "a terminal may have another encoding"
    found = sections(done.out)
    assert found[0] == "Examples"
    assert found.index("Options") > 0
    assert f"Usage: {' '.join(('mreg', *words))} " in done.out


@pytest.mark.parametrize("words", [(), *ALL], ids=["mreg", *IDS])
def test_h_and_the_help_command_show_the_same(words: tuple[str, ...], command: Mreg) -> None:
    whole = command(*words, "--help")
    assert command(*words, "-h") == whole
    assert command("help", *words) == whole


@pytest.mark.parametrize("words", [(), *ALL], ids=["mreg", *IDS])
def test_the_examples_are_command_lines_that_mreg_accepts(words: tuple[str, ...]) -> None:
    page = find_page(app.root_command(), list(words))
    lines = "\n".join(page.examples).replace("\\\n", "").splitlines()
    assert lines
    for line in lines:
        first, *typed = takewhile(lambda word: word not in (">", ">>", "|"), shlex.split(line))
        assert first == "mreg"
        command, rest = walk(app.root_command(), typed)
        assert " ".join(["mreg", *typed]).startswith(page.name), line
        command.make_context(page.name, rest, obj=Invocation()).close()


@pytest.mark.parametrize("words", ALL, ids=IDS)
def test_every_argument_and_option_is_described(words: tuple[str, ...]) -> None:
    page = find_page(app.root_command(), list(words))
    assert [term for section in page.sections for term, text in section.rows if not text] == []


def test_the_commands_are_grouped_under_headings(command: Mreg) -> None:
    found = sections(command("--help").out)
    assert found == ["Examples", *HEADINGS, "Topics", "Options", "Output", "Connection"]
    assert list(app.HEADINGS) == HEADINGS


def test_the_options_of_push_are_grouped(command: Mreg) -> None:
    found = sections(command("push", "--help").out)
    assert found == ["Examples", "Arguments", "Options", "Metrics", "Metadata", "Files of a folder", "Output",
                     "Connection"]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("gc", "(default: 24h)"),
        ("serve", "(default: 127.0.0.1)"),
        ("approve", "(default: Production)"),
        ("push", "Model name (default: inferred from the path)."),
        ("push", "Tag (repeatable)."),
        ("catalog copy", "(required)"),
    ],
)
def test_defaults_and_obligations_are_stated(words: str, text: str, command: Mreg) -> None:
    assert text in re.sub(r"\s+", " ", command(*words.split(), "--help").out)


@pytest.mark.parametrize(("columns", "widest"), [("40", 40), ("60", 60), ("100", 100), ("400", 120)])
def test_the_width_follows_the_terminal(
    columns: str, widest: int, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lines = command("push", "--help").out.splitlines()
    prose = [line for line in lines if not line.startswith("  mreg ")]  # an example is never broken
    assert widest * 0.8 < max(map(len, prose)) <= widest


def test_help_imports_no_module_of_a_command() -> None:
    code = (
        "import sys\nfrom mreg.cli.app import run\nrun(['--help'])\n"
        "print(*(name for name in sys.modules if name.startswith('mreg.')), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert not loaded & {f"mreg.cli.{module}" for (module, _, _) in app.COMMANDS.values() if module != "completion"}


# Topics


def test_help_alone_names_commands_and_topics(command: Mreg) -> None:
    text = command("help").out
    for topic in TOPICS:
        assert f"mreg help {topic}" in text


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_is_plain_text_of_80_columns(topic: str, command: Mreg) -> None:
    done = command("help", topic)
    assert (done.code, done.err) == (0, "")
    assert max(map(len, done.out.splitlines())) <= 80
    assert done.out.isascii()


def variables() -> set[str]:
    """Every MREG_ variable that the code of mreg mentions or composes."""
    texts = [path.read_text() for path in (ROOT / "mreg").rglob("*.py") if path.name != "topics.py"]
    named = set(re.findall(r"\b_?MREG_[A-Z][A-Z_]*[A-Z]\b", "\n".join(texts)))
    return named | {f"MREG_{key.upper()}" for key in KEYS}


def test_every_variable_is_explained_with_its_default(command: Mreg) -> None:
    text = command("help", "environment").out
    assert {"MREG_CATALOG", "MREG_SERVER_TOKENS", "MREG_STAGE", "MREG_AWS_PROFILE"} <= variables()
    explained = dict(re.findall(r"^  (_?MREG_[A-Z_]+)((?:\s+\S.*\n(?:   .*\n)*))", text, re.MULTILINE))
    assert variables() - set(explained) == set()
    assert set(explained) - variables() == set(), "no code reads these"
    settings = text.partition("Settings:")[2].partition("\n\n")[0]
    for name in re.findall(r"^  (MREG_\w+)", settings, re.MULTILINE):
        assert "(default:" in " ".join(explained[name].split()), name


def test_the_examples_of_the_topics_are_valid(command: Mreg) -> None:
    from mreg.domain.names import VersionRef
    from mreg.domain.parsing import parse

    references = re.findall(r"^  (\S+@\S+|\S+/\S+)  ", command("help", "references").out, re.MULTILINE)
    assert len(references) > 8
    for reference in references:
        VersionRef.parse(reference)
    expressions = re.findall(r'mreg search "([^"]+)"', command("help", "expressions").out)
    assert len(expressions) > 3
    for expression in expressions:
        parse(expression)


def test_every_exit_code_is_explained(command: Mreg) -> None:
    from mreg.cli.failures import EXIT_CODES
    from mreg.cli.signals import INTERRUPTED, PIPE_CLOSED, TERMINATED

    listed = {int(code) for code in re.findall(r"^  (\d+) ", command("help", "exit-codes").out, re.MULTILINE)}
    assert listed == {0, *(code for _, code in EXIT_CODES), INTERRUPTED, PIPE_CLOSED, TERMINATED}


# Suggestions


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("log", "history"), ("rm", "delete"), ("remove", "delete"), ("diff", "compare"), ("info", "show"),
        ("status", "list"), ("upload", "push"), ("add", "push"), ("download", "pull"), ("get", "pull"),
        ("config", "profile"), ("signin", "login"), ("version", "--version"), ("ls", "list"),
        ("mv", "rename"), ("prune", "gc"), ("undo", "rollback"), ("fsck", "verify"), ("load", "import"),
        ("LOG", "history"), ("shw", "show"), ("promot", "promote"),
        ("profile ls", "profile list"), ("profile current", "profile show"), ("profile shw", "profile show"),
        ("policy set", "policy apply"), ("policy rm", "policy remove"), ("audit check", "audit verify"),
        ("catalog mv", "catalog copy"), ("help log", "history"), ("help reference", "help references"),
        ("help policy set", "policy apply"),
    ],
)  # fmt: skip
def test_an_unknown_command_is_answered_with_the_one_that_was_meant(typed: str, meant: str, command: Mreg) -> None:
    done = command(*typed.split())
    assert done.code == 2
    assert done.err.splitlines()[1] == f"  did you mean mreg {meant}?"


def test_every_suggestion_exists(command: Mreg) -> None:
    from mreg.cli.suggestions import COMMANDS

    for path, words in COMMANDS.items():
        for typed, meant in words.items():
            done = command(*meant.split(), "--help")
            assert done.code == 0, meant
            assert command(*path.split()[1:], typed).err.endswith(f"did you mean mreg {meant}?\n"), typed


def test_without_a_suggestion_the_list_is_named(command: Mreg) -> None:
    assert command("xyzzy").err == "error: there is no command 'xyzzy'\n  mreg --help lists the commands\n"
    assert command("policy", "xyzzy").err.endswith("\n  mreg policy --help lists the commands\n")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("promote m@1 --message x", "--reason"), ("promote m@1 --stage production", "--to"),
        ("push model.pkl --to staging", "--stage"), ("promote m@1 --dry-run", "--plan"),
        ("approve m@1 --reason x", "--comment"), ("list --top 3", "--limit"), ("gc --confirm", "--yes"),
        ("list --output json", "--format"), ("export m --dest x", "--output"), ("list --lmit 3", "--limit"),
        ("search --order-by name", "--sort"), ("init --name m", "--model"), ("--versoin", "--version"), ("-v", "--version"),
        ("delete m@1 --simulate", "--dry-run"), ("profile list --output json", "--format"),
    ],
)  # fmt: skip
def test_an_unknown_option_is_answered_with_the_one_that_was_meant(typed: str, meant: str, command: Mreg) -> None:
    done = command(*typed.split())
    assert done.code == 2
    assert re.match(rf"  did you mean {meant}\?", done.err.splitlines()[1]), done.err


# On a terminal


def on_a_terminal(*words: str, **environment: str) -> str:
    """What a command writes to a terminal of 80 columns."""
    main, side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mreg", *words], stdin=side, stdout=side, stderr=side,
        env={**os.environ, "COLUMNS": "80", **environment},
    )  # fmt: skip
    os.close(side)
    text = b""
    while select.select([main], [], [], 30)[0]:
        try:
            read = os.read(main, 65536)
        except OSError:
            break
        if not read:
            break
        text += read
    process.wait()
    os.close(main)
    return text.decode().replace("\r\n", "\n")


def test_headings_are_bold_on_a_terminal_only(command: Mreg) -> None:
    plain = command("push", "--help").out
    bold = on_a_terminal("push", "--help")
    assert "\x1b[1mMetrics:\x1b[0m\n" in bold
    assert re.sub(r"\x1b\[[01]m", "", bold) == plain
    assert "\x1b" not in plain
    assert on_a_terminal("push", "-h", NO_COLOR="1") == plain
    assert on_a_terminal("help", "push", TERM="dumb") == plain


def test_a_missing_command_is_answered_with_the_help_on_standard_error(command: Mreg) -> None:
    for words in ((), ("policy",)):
        done = command(*words)
        assert (done.code, done.out) == (2, "")
        assert done.err == command(*words, "--help").out


def test_the_descriptions_of_options_end_with_a_full_stop() -> None:
    texts = [*Path(ROOT / "mreg" / "cli").glob("*.py")]
    for path in texts:
        for parts in re.findall(r'\bhelp=((?:\s*"[^"]+")+)', path.read_text()):
            text = "".join(re.findall(r'"([^"]+)"', parts))
            assert text.endswith((".", "]")), (path.name, text)
