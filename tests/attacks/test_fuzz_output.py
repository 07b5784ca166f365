"""Texts of all of Unicode through everything that prints: the output is text, and JSON keeps its value."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mreg import streams
from mreg.cli.graph import graph
from mreg.cli.output import Output
from mreg.cli.shells import quoted_for_bash, split
from mreg.cli.table import Rendering, Table, Toned
from mreg.domain.digest import Digest
from mreg.domain.model import ArtifactKind, ModelArtifact, ModelVersion, Source
from mreg.domain.names import ModelName
from mreg.domain.text import printable, printable_json
from mreg.results.lineage import Lineage
from tests.conftest import FULL
from tests.hostile import printable_only

EXAMPLES = 2_000 if FULL else 100

pytestmark = pytest.mark.campaign

CONTROLS = st.characters(categories=["Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"])
TEXTS = st.text(st.one_of(st.characters(), CONTROLS, st.sampled_from("=+-@'\"\\`$!<>|\n\r\t\x1b\x9b")), max_size=60)
CELLS = st.one_of(TEXTS, st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
VALUES = st.recursive(CELLS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4))


class Stream(io.TextIOWrapper):
    """Standard output or standard error, of an encoding."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="\n")

    def bytes(self) -> bytes:
        self.flush()
        found: bytes = self.buffer.getvalue()  # type: ignore[attr-defined]
        return found


@st.composite
def renderings(draw: st.DrawFn) -> Rendering:
    """Tables with texts everywhere that a rendering has one."""
    width = draw(st.integers(1, 4))
    row = st.tuples(*(CELLS | st.builds(Toned, CELLS, st.sampled_from(["good", "", "bad"])) for _ in range(width)))
    table = Table(
        title=draw(TEXTS),
        columns=tuple(draw(st.lists(TEXTS, min_size=width, max_size=width, unique=True))),
        rows=tuple(draw(st.lists(row, max_size=3))),
    )
    return Rendering(tables=(table,), flat=table, summary=draw(TEXTS), marker=draw(TEXTS))


@pytest.mark.parametrize("form", ["table", "plain", "csv", "md"])
@settings(max_examples=EXAMPLES)
@given(rendering=renderings())
def test_a_rendering_is_text_in_every_format(form: str, rendering: Rendering) -> None:
    with redirect_stdout(Stream()) as out:
        Output(form).rendering(rendering)
        Output(form).lines(rendering)
    assert printable_only(out.bytes(), allowed="\n\t" if form == "plain" else "\n")


@settings(max_examples=EXAMPLES)
@given(rendering=renderings())
def test_a_plain_line_has_the_cells_of_its_row(rendering: Rendering) -> None:
    with redirect_stdout(Stream()) as out:
        Output("plain").rendering(rendering)
    lines = out.bytes().decode().split("\n")
    assert len(lines) == len(rendering.flat.rows) + 2
    assert {line.count("\t") for line in lines[:-1]} == {len(rendering.flat.columns) - 1}


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
@settings(max_examples=EXAMPLES)
@given(value=VALUES)
@example(value=["\x7f\x9b\u202e\u2028\ufeff\U000e0041\udcff 🙂 Ж é"])
def test_json_is_printable_and_keeps_its_value(encoding: str, value: object) -> None:
    with redirect_stdout(Stream(encoding)) as out:
        streams.put_json(json.dumps(value, ensure_ascii=False, indent=2))
    text = out.bytes().decode(encoding)
    assert printable_only(text.encode())
    # Two lone surrogates that follow each other are one character in JSON.
    assert json.loads(text) == json.loads(json.dumps(value))
    assert printable_json(printable_json(text)) == text


@settings(max_examples=EXAMPLES)
@given(text=TEXTS)
def test_notes_questions_lines_and_errors_are_text(text: str) -> None:
    with redirect_stderr(Stream()) as err, redirect_stdout(Stream()) as out:
        Output("plain").warn(text)
        Output("plain").text(text)
        streams.say(text)
        streams.try_to_say(text, end="")
        streams.put(text)
        streams.put_lines([text])
        streams.screen().write(text)
    printed = out.bytes() + err.bytes()
    assert printable_only(streams._COLOURS.sub("", printed.decode()).encode(), allowed="\n\t")
    assert printable_only(printable(text).encode(), allowed="")


def version_of(text: str) -> ModelVersion:
    """A version whose every free text is this one."""
    now = datetime(2026, 11, 26, tzinfo=UTC)
    texts = {text: text}
    artifact = ModelArtifact(
        kind=ArtifactKind.FILE,
        name=text,
        path=text,
        size_bytes=1,
        digest=Digest.sha256("a" * 64),
        file_count=1,
        format=text,
    )
    source = Source(git_commit=text, git_branch=text, git_remote=text, run_url=text, environment=texts)
    return ModelVersion(
        model_name=ModelName("m"),
        version=1,
        description=text,
        tags=texts,
        parameters=texts,
        metrics={text: 1.0},
        aliases=(text,),
        artifact=artifact,
        run_id=text,
        experiment_id=text,
        data=texts,
        source=source,
        created_at=now,
        updated_at=now,
        created_by=text,
    )


@pytest.mark.parametrize("form", ["table", "plain", "csv", "md", "json"])
@settings(max_examples=EXAMPLES)
@given(text=TEXTS.filter(bool))
def test_a_version_and_its_lineage_are_text_in_every_format(form: str, text: str) -> None:
    version = version_of(text)
    with redirect_stdout(Stream()) as out:
        for quiet in (False, True):
            Output(form, quiet=quiet).result(version)
            Output(form, quiet=quiet).result((version, version))
        for kind in ("mermaid", "dot"):
            Output(form).text(graph(Lineage(version=version, parents=(), children=()), kind))
    assert printable_only(out.bytes(), allowed="\n\t" if form == "plain" else "\n")


WORDS = st.text(
    st.one_of(
        st.characters(exclude_categories=["C", "Z"]).filter(str.isprintable),
        st.sampled_from("'\"\\`$!<>|#~*?[]{}()&; "),
    )
)


@pytest.mark.parametrize("quote", ["", "'", '"'])
@settings(max_examples=EXAMPLES // 10)
@given(texts=st.lists(WORDS, min_size=20, max_size=50))
def test_words_quoted_for_bash_are_read_as_they_were(quote: str, texts: list[str]) -> None:
    program = shutil.which("bash")
    if program is None:
        pytest.skip("bash is not installed")
    words = [f"x{quote}{quoted_for_bash(text, quote)}{quote}" for text in texts]
    code = f"printf '%s\\0' {' '.join(words)}"
    done = subprocess.run([program, "--norc", "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == [f"x{text}" for text in texts]


@pytest.mark.parametrize("quote", ["", "'", '"'])
@settings(max_examples=EXAMPLES)
@given(text=WORDS)
def test_a_word_quoted_for_bash_is_split_as_it_was(quote: str, text: str) -> None:
    line = f"mreg show x{quote}{quoted_for_bash(text, quote)}"
    assert split(line) == (["mreg", "show", f"x{text}"], quote)


@settings(max_examples=EXAMPLES)
@given(line=st.text(st.sampled_from(" \t\n'\"\\$`!abé"), max_size=30), fish=st.booleans())
def test_any_line_can_be_split(line: str, fish: bool) -> None:
    words, quote = split(line, fish=fish)
    assert words
    assert quote in ("", "'", '"', "\\")


def test_a_document_of_ten_thousand_versions_keeps_its_value() -> None:
    values = [{"name": f"модель {place}", "tag": "\x9b", "plain": "x" * 100} for place in range(10_000)]
    document = printable_json(json.dumps(values, ensure_ascii=False))
    assert document.count("\\u009b") == 10_000
    assert json.loads(document) == values
