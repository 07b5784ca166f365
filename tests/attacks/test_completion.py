"""Names that another person stored, completed in real shells: what is inserted is text, and nothing runs."""

from __future__ import annotations

import os
import pty
import select
import shutil
import sqlite3
import string
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pytest

from mreg.cli.completion import _offered
from mreg.cli.shells import SHELLS
from tests.conftest import FULL, Mreg
from tests.hostile import untouched

FOLDER = Path(__file__).parent.parent.parent / "completions"
CATALOG = "store/catalog.db"
SECONDS = 20.0
PRINTABLE = " " + "".join(sorted(set(string.printable) - set(string.whitespace) - {"="}))
"""What a metric's name may hold: every printable character of ASCII but ``=``."""

ALL_TEXTS = (
    "$(touch${IFS}PWNED)",
    "`touch${IFS}PWNED`",
    "${IFS}$HOME$((1+1))",
    "x;touch PWNED;",
    "x&touch PWNED&",
    "x|touch PWNED",
    "x>PWNED",
    "<(touch PWNED)",
    "'single' \"double\"",
    "'$(touch PWNED)'",
    '"$(touch PWNED)"',
    "back\\slash \\$(touch PWNED)\\",
    "!! !$ !touch ^a^b",
    "# comment",
    "* ? [a-z] {a,b} **/*(e:'touch PWNED':)",
    "~ ~root ls",
    "a:b:c@d",
    "%1 +x -rf --force",
    "  two  spaces",
    "ünï 模型 ﷽ 🙂",
    PRINTABLE,
    *(PRINTABLE[place : place + 8] for place in range(0, len(PRINTABLE), 8)),
)
"""Texts that can be completed; each ends a name that begins uniquely."""

CONTROLS = (
    "\n",
    "\r",
    "\t",
    "\x00",
    "\x1b[2J",
    "\x1b]52;c;cHduZWQ=\x07",
    "\x7f",
    "\x9b2J",
    "\u202e",
    "\u2028",
    "\u200b",
)
"""Texts of which one is enough: the name that holds it is not offered."""


@pytest.fixture(autouse=True)
def _a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkdir("store")
    monkeypatch.setenv("MREG_CATALOG", os.path.abspath(CATALOG))
    monkeypatch.setenv("MREG_ARTIFACTS", os.path.abspath("store/artifacts"))


pytestmark = pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")


def begins(place: int) -> str:
    """A beginning that no other name has."""
    return f"k{place:02d}"


class Shell:
    """An interactive shell on a terminal, in which ``mreg`` completes as always and otherwise notes its words."""

    def __init__(self, shell: str) -> None:
        program = shutil.which(shell)
        if program is None:
            pytest.skip(f"{shell} is not installed")
        self.noted = Path("words").resolve()
        tools = Path("tools").resolve()
        tools.mkdir()
        (tools / "mreg").write_text(
            f"#!{sys.executable}\nimport os, sys\n"
            "if '_MREG_COMPLETE' in os.environ:\n"
            f"    os.execv({sys.executable!r}, [{sys.executable!r}, '-m', 'mreg', *sys.argv[1:]])\n"
            f"with open({str(self.noted)!r}, 'a', errors='surrogateescape') as stream:\n"
            "    stream.write(repr(sys.argv[1:]) + '\\n')\n"
        )
        (tools / "mreg").chmod(0o755)
        self.count = 0
        self.screen = b""
        source = f"source {FOLDER}/mreg.{shell}"
        words = {
            "bash": ["--norc", "--noprofile", "-i"],
            "zsh": ["-f", "-i"],
            "fish": ["--no-config", "-i", "-C", source],
        }[shell]
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            os.environ.update(
                PS1="> ", TERM="dumb", COLUMNS="200", LC_ALL="C.UTF-8", PATH=f"{tools}{os.pathsep}{os.environ['PATH']}"
            )
            os.execv(program, [program, *words])
        if shell != "fish":
            setup = "autoload -Uz compinit && compinit -u -D; " if shell == "zsh" else ""
            os.write(self.terminal, f"{setup}{source}\n".encode())
        self.enter("mreg ready")

    def enter(self, keys: str) -> list[str]:
        """Type keys and Enter; the words that reach mreg."""
        os.write(self.terminal, f"{keys}\r".encode())
        self.count += 1
        deadline = time.monotonic() + SECONDS
        while len(lines := self.noted.read_text().splitlines() if self.noted.exists() else []) < self.count:
            if time.monotonic() > deadline:
                raise AssertionError(f"{keys!r} runs nothing: {self.screen.decode(errors='replace')[-2000:]}")
            if select.select([self.terminal], [], [], 0.02)[0]:
                self.screen += os.read(self.terminal, 65536)
        words: list[str] = eval(lines[-1])
        return words

    def close(self) -> None:
        os.close(self.terminal)
        os.waitpid(self.child, 0)


def stored(process: Mreg, *statements: tuple[str, str]) -> None:
    """A catalog with a model of one version, changed by statements of one parameter each."""
    Path("store/model.pkl").write_bytes(b"x")
    done = process("push", "store/model.pkl", "-n", "m", "--metric", "base=1")
    assert done.code == 0, done.err
    change(*statements)


def change(*statements: tuple[str, str]) -> None:
    connection = sqlite3.connect(CATALOG)
    for sql, value in statements:
        connection.execute(sql, (value,))
    connection.commit()
    connection.close()


METRIC = "insert into metrics select version_id, model_id, ?, 1, '1' from versions"


@pytest.fixture
def opened(shell: str) -> Iterator[Shell]:
    """A shell in which no key that a test types makes or changes a file."""
    found = Shell(shell)
    with untouched(".", but=("words", "store")):
        yield found
        found.close()


TEXTS = tuple(begins(place) + text for place, text in enumerate(ALL_TEXTS))
FEW = TEXTS if FULL else (*TEXTS[:3], *TEXTS[9:11], *TEXTS[15:17], begins(len(TEXTS)) + PRINTABLE)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_completed_metric_is_text_whatever_its_name(shell: str, process: Mreg, opened: Shell) -> None:
    stored(process, *((METRIC, name) for name in FEW))
    for name in FEW:
        assert opened.enter(f"mreg show m --plot {name[:3]}\t") == ["show", "m", "--plot", name]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_completed_metric_is_text_also_behind_an_open_quote(
    shell: str, quote: str, process: Mreg, opened: Shell
) -> None:
    names = TEXTS if FULL else FEW[-5:]
    stored(process, *((METRIC, name) for name in names))
    for name in names:
        left_open = quote if shell == "fish" and name[-1] in "/=@:.,-" else ""  # fish expects that more follows
        assert opened.enter(f"mreg show m --plot {quote}{name[:3]}\t{left_open}") == ["show", "m", "--plot", name]


@pytest.mark.parametrize("shell", SHELLS)
def test_what_several_names_have_in_common_is_text(shell: str, process: Mreg, opened: Shell) -> None:
    stored(process, *((METRIC, name) for name in ("k$(touch PWNED)", "k$((1))", "k(x", "j`id`", "j'", 'j"')))
    for name in ("j", "k"):
        assert opened.enter(f"mreg show m --plot {name}\t") == ["show", "m", "--plot", name]
    assert opened.enter("mreg show m --plot k\\$\t") == ["show", "m", "--plot", "k$("]


ALIAS = "insert into aliases select model_id, ?, version_id from versions"
RUN = "k$(touch${IFS}PWNED)`touch PWNED`;touch PWNED"
MODEL = "update models set name = ?"
SOURCES = (
    ((ALIAS, METRIC), "mreg show m@k\t"),
    ((ALIAS, METRIC), "mreg show m k\t"),
    ((ALIAS, METRIC), "mreg alias m --remove k\t"),
    ((ALIAS, METRIC), "mreg search --sort metrics.k\t"),
    ((ALIAS, METRIC), "mreg search --sort -metrics.k\t"),
    ((ALIAS, METRIC), "mreg show m --plot=k\t"),
    ((MODEL,), "mreg show k\t"),
    ((MODEL,), "mreg policy show --model k\t"),
)
"""Where words that complete are stored, and what is typed; the word itself may be refused when it is read."""


@pytest.mark.parametrize("shell", SHELLS)
def test_a_name_from_any_source_is_completed_as_text_or_not_at_all(shell: str, process: Mreg, opened: Shell) -> None:
    stored(process)
    for columns, lines in groupby(SOURCES, key=lambda source: source[0]):
        change(*((column, RUN) for column in columns))
        for _, keys in lines:
            *before, last = keys.removesuffix("\t").split()[1:]
            assert opened.enter(keys) in ([*before, last], [*before, last[:-1] + RUN]), keys


@pytest.mark.parametrize("shell", SHELLS)
def test_the_name_of_a_file_is_completed_as_text(shell: str, opened: Shell) -> None:
    os.mkdir("store/files")
    for name in FEW[:4]:
        if "/" not in name:
            Path("store/files", name).write_bytes(b"x")
            assert opened.enter(f"mreg push store/files/{name[:3]}\t") == ["push", f"store/files/{name}"]


def asked(shell: str, words: Sequence[str], process: Mreg, **variables: str) -> str:
    done = process(*words, env={**os.environ, "_MREG_COMPLETE": shell, **variables})
    assert (done.code, done.err) == (0, "")
    return done.out


@pytest.mark.parametrize("shell", SHELLS)
def test_a_name_with_a_leading_dash_is_not_offered(shell: str, process: Mreg) -> None:
    stored(process, (METRIC, "kept"), (METRIC, "--profile"), (METRIC, "-q"))
    words = ["mreg show m --plot "] if shell == "bash" else ["show", "m", "--plot", ""]
    assert asked(shell, words, process).splitlines() == ["base", "kept"]


def test_a_name_with_a_control_character_is_not_offered(process: Mreg) -> None:
    stored(process)
    for control in CONTROLS:
        change(("delete from metrics where name <> ?", "base"), (METRIC, f"k{control}"))
        assert asked("fish", ["show", "m", "--plot", ""], process) == ""


def test_a_word_that_is_not_text_is_not_offered_whatever_its_source() -> None:
    assert _offered("kept", "k")
    assert not any(_offered(f"k{control}", "k") for control in CONTROLS)


def test_scripts_of_earlier_releases_get_only_words_that_need_no_quotes(process: Mreg) -> None:
    stored(process, *((METRIC, name) for name in ("k$(id)", "k`id`", "k d", "k\\", "k~", "kept")))
    out = asked("complete_bash", [], process, COMP_WORDS="mreg show m --plot k", COMP_CWORD="4")
    assert out.split() == ["kept"]


@pytest.mark.parametrize("shell", ["source_bash", "complete_zsh", "complete_fish", "", "nonsense"])
def test_no_other_script_gets_words(shell: str, process: Mreg) -> None:
    assert asked(shell, ["show", "m", ""], process, _TYPER_COMPLETE_ARGS="mreg show ") == ""
