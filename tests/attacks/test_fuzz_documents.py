"""Whatever a document holds, it is read or refused with a documented error, in bounded time and memory."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from mreg.documents import SIZE_LIMIT, YAML_LIMIT, read_policy
from mreg.documents.metrics import RULES, read_metrics
from mreg.documents.node import NODE_LIMIT
from mreg.documents.parameters import read_parameters
from mreg.errors import MregError
from mreg.profile.load import list_profiles, load_profile
from mreg.profile.trust import trust_folder
from tests.conftest import FULL
from tests.hostile import attack, bounded, environment, plant, printable_only, untouched

EXAMPLES = 6_000 if FULL else 400
PROCESSES = 60 if FULL else 6

ATOMS = [
    "a", "accuracy", "profile", "model", "catalog", "artifacts", "profiles", "default", "hooks", "local", "Production", "gates",
    "approvals", "command", "webhook", "stage", "1", "-1", "0.5", "1e999", "9" * 5000, "0x10", ".nan", ".inf", "NaN", "true",
    "no", "~", "null", "", "s3://b-b-b/x", "s3://", "postgresql://u:p@h/x", "../../x", "/etc/passwd", "~/.ssh", ".mreg/c.db",
    "${HOME}", "x" * 300, "x" * 6000, "\x00", "\x1b[2J", "\x9b", "\u202e", "\u2028", "\ud800", "\ufeff", "\t", "é", "<<", "=",
    "accuracy >= production.accuracy - 0.005", "accuracy >= 0.9", "((((((((", "?", "-", "&a", "*a", "!!python/object:os.system",
    "%YAML 1." + "9" * 5000, '"\\U00110000"', '"\\ud800"', "|", ">", "|9", "'", '"', "@", "`", "---", "...", "# x",
]  # fmt: skip
JOINTS = [
    ": ",
    ":",
    "\n",
    "\n  ",
    "\n    ",
    "\n- ",
    ", ",
    "[",
    "]",
    "{",
    "}",
    "- ",
    "? ",
    " ",
    "\r",
    "\r\n",
    "\x85",
    "\n\n",
]
SEEDS = [
    "model: classifier\nprofile: team\ncatalog: .mreg/catalog.db\nartifacts: .mreg/artifacts\n",
    "default: team\nprofiles:\n  team:\n    catalog: c.db\n    artifacts: s3://models/x\n    cache: 20GB\n",
    "profiles:\n  local:\n    hooks:\n      - name: d\n        stage: Production\n        command: [true, x]\n        timeout: 30s\n",
    "accuracy: 0.95\nloss: 1e-3\n",
    "lr: 0.1\nlayers: [1, 2, 3]\nopt: {name: adam, betas: [0.9, 0.99]}\n",
    "Production:\n  gates:\n    - accuracy >= 0.9\n  approvals: 2\n",
    '{"accuracy": 0.95, "loss": [1, {"a": null}], "b": {"c": "\\u0041"}}',
]


def value(rng: random.Random, depth: int = 0) -> object:
    """A random JSON value whose keys and texts are the ones that could matter."""
    kind = rng.random()
    if depth > 4 or kind < 0.5:
        return rng.choice([*ATOMS, 1, -0.0, 1e300, True, None, 10**30])
    if kind < 0.7:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(ATOMS): value(rng, depth + 1) for _ in range(rng.randrange(4))}


def document(rng: random.Random) -> bytes:
    """A random document: from pieces of the grammar, from a valid one by changes, or from a random value."""
    kind = rng.random()
    if kind < 0.3:
        text = "".join(rng.choice(ATOMS) + rng.choice(JOINTS) for _ in range(rng.randrange(1, 12)))
    elif kind < 0.5:
        text = json.dumps(value(rng), ensure_ascii=rng.random() < 0.5)
    else:
        text = rng.choice(SEEDS)
        for _ in range(rng.randrange(1, 4)):
            place = rng.randrange(len(text) + 1)
            cut = place + rng.choice([0, 0, 1, 5])
            text = text[:place] + rng.choice([*ATOMS, *JOINTS]) + text[cut:]
    data = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.1:
        data = rng.choice(
            [text.encode("utf-16", "surrogatepass"), data + b"\xff", b"\xef\xbb\xbf" + data, data[: len(data) // 2]]
        )
    return data


def profile_file(path: Path) -> None:
    load_profile(profile="local", config=path)
    list_profiles(config=path)


def project_file(path: Path) -> None:
    Path("mreg.yaml").write_bytes(path.read_bytes())
    try:
        load_profile()
        list_profiles()
        trust_folder()
        load_profile()
    finally:
        Path("mreg.yaml").unlink()


READERS: dict[str, Callable[[Path], object]] = {
    "metrics": read_metrics, "parameters": read_parameters, "policy": read_policy, "profile": profile_file, "project": project_file,
}  # fmt: skip


@pytest.mark.campaign
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("ending", ["yaml", "json"])
def test_any_document_is_read_or_refused(reader: str, ending: str) -> None:
    rng = random.Random(f"{reader} {ending}")
    path = Path(f"document.{ending}")
    outside = Path(os.environ["HOME"])
    plant(outside)
    with untouched(outside, but=(".local/share/mreg", ".local", ".config")):
        for number in range(EXAMPLES // len(READERS)):
            data = document(rng)
            path.write_bytes(data)
            with bounded((number, data)):
                try:
                    READERS[reader](path)
                except MregError as error:
                    # Printed, both are escaped; neither may be endless.
                    assert len(error.message) < 2000, (number, data)
                except Exception as error:
                    raise AssertionError(f"{reader}.{ending} number {number}: {error!r} on {data!r}") from error


@pytest.mark.campaign
def test_any_document_of_a_command_ends_in_time_and_touches_nothing(tmp_path: Path) -> None:
    rng = random.Random(20)
    plant(tmp_path / "around")
    here = tmp_path / "around/here"
    here.mkdir()
    (here / "model.pkl").write_bytes(b"x")
    commands = [
        ("project", "mreg.yaml", ["list"]),
        ("project", "mreg.yaml", ["push", "model.pkl"]),
        ("profile", "p.yaml", ["profile", "list", "--config", "p.yaml"]),
        ("policy", "q.yaml", ["policy", "apply", "q.yaml"]),
        ("metrics", "m.json", ["push", "model.pkl", "-n", "m", "--metrics-file", "m.json"]),
        ("parameters", "m.yaml", ["push", "model.pkl", "-n", "m", "--params-file", "m.yaml"]),
    ]
    with untouched(tmp_path / "around", but=("here",)):
        for number in range(PROCESSES):
            _, name, words = commands[number % len(commands)]
            (here / name).write_bytes(document(rng))
            done = attack(*words, cwd=here)
            assert printable_only(done.err), done
            (here / name).unlink()


def repeated(unit: str, size: int) -> str:
    return (unit * (size // len(unit) + 1))[:size]


LARGE: dict[str, Callable[[int], str]] = {
    "keys": lambda size: "".join(f"k{number}: 1\n" for number in range(size // 10)),
    "flow keys": lambda size: "{" + "".join(f"k{number}: 1, " for number in range(size // 12)) + "}",
    "question keys": lambda size: "".join(f"? k{number}\n" for number in range(size // 10)),
    "flow list": lambda size: "[" + repeated("1,", size - 2) + "]",
    "nested lists": lambda size: repeated("- - - - - - - - - -\n", size),
    "plain lines": lambda size: "a: " + repeated("b\n  ", size - 3),
    "plain spaces": lambda size: "a: " + repeated("x ", size - 3),
    "folded lines": lambda size: "a: >\n" + repeated(" x\n", size - 5),
    "quoted lines": lambda size: 'a: "' + repeated("x\n", size - 5) + '"',
    "comments": lambda size: repeated("#\n", size),
    "empty lines": lambda size: repeated("\n", size),
    "documents": lambda size: repeated("--- a\n", size),
    "one line": lambda size: "a: " + repeated("x", size - 3),
    "digits": lambda size: "a: " + repeated("9", size - 3),
    "open brackets": lambda size: repeated("[", size),
    "open braces": lambda size: repeated("{a: ", size),
    "dashes": lambda size: repeated("- ", size),
    "directives": lambda size: repeated("%A b\n", size),
    "same key": lambda size: repeated("a: 1\n", size),
}
LARGE_JSON: dict[str, Callable[[int], str]] = {
    "keys": lambda size: "{" + ",".join(f'"k{number}":1' for number in range(size // 12)) + "}",
    "same key at the end": lambda size: "{" + "".join(f'"k{n}":1,' for n in range(size // 13)) + '"k9":1,"k9":1}',
    "empty lists": lambda size: "[" + repeated("[],", size - 4) + "[]]",
    "empty objects": lambda size: "[" + repeated("{},", size - 4) + "{}]",
    "texts": lambda size: "[" + repeated('"abcd",', size - 7)[: (size - 7) // 7 * 7] + "1]",
    "numbers": lambda size: "[" + repeated("10,", size - 4)[: (size - 4) // 3 * 3] + "1]",
    "one text": lambda size: '{"a": "' + repeated("x", size - 9) + '"}',
    "digits": lambda size: '{"a": ' + repeated("9", size - 7) + "}",
    "open brackets": lambda size: repeated("[", size),
    "lists in lists": lambda size: repeated("[" * 20 + "1" + "]" * 20 + ",", size),
}


@pytest.mark.campaign
@pytest.mark.parametrize("shape", LARGE if FULL else random.Random(7).sample(sorted(LARGE), 3))
def test_the_largest_yaml_ends_in_time(shape: str) -> None:
    Path("m.yaml").write_text(LARGE[shape](YAML_LIMIT))
    Path("model.pkl").write_bytes(b"x")
    done = attack("push", "model.pkl", "-n", "m", "--params-file", "m.yaml")
    assert done.code in (0, 2), done


@pytest.mark.campaign
@pytest.mark.parametrize("shape", LARGE_JSON if FULL else random.Random(7).sample(sorted(LARGE_JSON), 3))
def test_the_largest_json_ends_in_time(shape: str) -> None:
    Path("m.json").write_text(LARGE_JSON[shape](SIZE_LIMIT))
    Path("model.pkl").write_bytes(b"x")
    done = attack("push", "model.pkl", "-n", "m", "--params-file", "m.json")
    assert done.code == 2, done


def test_a_file_of_300_000_keys_is_refused_in_time() -> None:
    text = "".join(f"k{number}: 1\n" for number in range(300_000))
    Path("mreg.yaml").write_text(text)
    assert b"is larger than 64 KiB" in attack("list").err
    Path("mreg.yaml").unlink()
    Path("m.yaml").write_text(text)
    Path("model.pkl").write_bytes(b"x")
    assert b"is larger than 512 KiB" in attack("push", "model.pkl", "--metrics-file", "m.yaml").err
    Path("m.yaml").write_text(text[: YAML_LIMIT - 100])
    assert (
        f"more than {NODE_LIMIT:,} keys and values".encode()
        in attack("push", "model.pkl", "--metrics-file", "m.yaml").err
    )
    Path("m.json").write_text(json.dumps({f"k{number}": 1 for number in range(280_000)}))
    assert (
        f"more than {RULES.nodes:,} keys and values".encode()
        in attack("push", "model.pkl", "--metrics-file", "m.json").err
    )


@pytest.mark.parametrize(
    "text", ['a: "\\U00110000"\n', "%YAML 1." + "9" * 5000 + "\n--- {}\n", "a: |99999\n x\n", "a: 1\n<<: 1\n"]
)
def test_what_python_itself_would_refuse_is_bad_input(text: str) -> None:
    Path("m.yaml").write_text(text)
    Path("model.pkl").write_bytes(b"x")
    assert attack("push", "model.pkl", "-n", "m", "--params-file", "m.yaml", env=environment()).code == 2
