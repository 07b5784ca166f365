"""The strict reader: what people hand in is read exactly, or refused with its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.documents import SIZE_LIMIT, read_document
from mreg.documents.metrics import read_metrics
from mreg.documents.parameters import read_parameters
from mreg.errors import BadInput, MregError, NotFound


def written(name: str, text: str | bytes) -> Path:
    path = Path(name)
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return path


BAD: dict[str, list[tuple[str | bytes, str | None]]] = {
    "m.yaml": [
        ("a: 1\na: 2\n", "'m.yaml', line 2: duplicate key 'a'"),
        ("a: &x 1\nb: *x\n", "'m.yaml', line 1: anchors and aliases are not allowed"),
        (
            "a: !!python/object:os.system 1\n",
            "'m.yaml', line 1: the tag 'tag:yaml.org,2002:python/object:os.system' is not allowed",
        ),
        ("a:\n\t- 1\n", "'m.yaml', line 2: invalid YAML: found character '\\t' that cannot start any token"),
        ("a: {<<: {b: 1}}\n", "'m.yaml', line 1: merge keys are not allowed"),
        ("[a]: 1\n", "'m.yaml', line 1: a key must be a string"),
        (b"a: \xff\n", "'m.yaml', line 1: not UTF-8"),
        ("[" * 100, "'m.yaml', line 1: nested deeper than 30"),
        ("a: 1\n--- \nb: 1\n", None),
        ("\x00", None),
        ("a: {", None),
        (b"x" * (SIZE_LIMIT + 1), "the metrics file 'm.yaml' is larger than 512 KiB"),
    ],
    "m.json": [
        ('{"a": 1, "a": 2}', "'m.json': duplicate key 'a'"),
        ('{"a": NaN}', "'m.json': invalid JSON number NaN"),
        ('{"a": -Infinity}', "'m.json': invalid JSON number -Infinity"),
        ('{"a": 1,\n}', None),
        ("", None),
        ("[" * 100_000, "'m.json': nested too deeply"),
        ('{"a": ' + "[" * 50 + "]" * 50 + "}", "'m.json': nested deeper than 30"),
    ],
}


@pytest.mark.parametrize(("name", "text", "message"), [(name, *case) for name, cases in BAD.items() for case in cases], ids=range(sum(map(len, BAD.values()))))  # fmt: skip
def test_an_invalid_document_is_rejected_with_its_place(name: str, text: str | bytes, message: str | None) -> None:
    with pytest.raises(BadInput) as caught:
        read_document(written(name, text), what="metrics file")
    assert caught.value.message.isprintable()
    if message is not None:
        assert caught.value.message == message


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    for path, error in (
        (tmp_path, BadInput),
        (tmp_path / "fifo", BadInput),
        (Path("/dev/zero"), BadInput),
        (tmp_path / "none", NotFound),
        (tmp_path / "loop", MregError),
    ):
        with pytest.raises(error):
            read_document(path)


def test_numbers_come_as_they_are_written() -> None:
    assert read_metrics(written("m.yaml", "a: 0.95\nb: -1\nc: 1e-300\nd: 9007199254740993\n# end\n")).metrics == {
        "a": 0.95,
        "b": -1,
        "c": 1e-300,
        "d": 9007199254740993,
    }
    assert read_metrics(written("m.json", '\ufeff{"a": 0.95, "d": 9007199254740993}')).metrics == {
        "a": 0.95,
        "d": 2**53 + 1,
    }


def test_yaml_1_1_traps_are_texts() -> None:
    text = "country: no\nswitch: on\ntime: 1:30\noctal: 010\nnothing: ~\nempty:\ndate: 2026-03-01\n"
    assert read_parameters(written("p.yaml", text)) == {
        "country": "no", "switch": "on", "time": "1:30", "octal": "010", "nothing": "null", "empty": "null", "date": "2026-03-01",
    }  # fmt: skip


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_bad_input(data: bytes) -> None:
    for name in ("any.yaml", "any.json"):
        try:
            read_document(written(name, data))
        except BadInput as error:
            assert error.message.isprintable()
