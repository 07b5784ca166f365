"""Every command as it is typed: what it prints in each format, and how it exits."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from pathlib import Path

import pytest

from mreg.cli import app
from tests.conftest import Done, Mreg


@pytest.fixture(scope="module")
def told(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home and the working folder after the commands of the story, made once: each test has a copy."""
    folder = tmp_path_factory.mktemp("story")
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("home", "here"):
            (folder / name).mkdir()
        monkeypatch.setenv("HOME", str(folder / "home"))
        monkeypatch.setenv("MREG_USER", "tester")
        monkeypatch.chdir(folder / "here")
        path = Path("model.pkl")
        path.write_bytes(b"\x80\x04K\x01.")
        pushed = ["push", "model.pkl", "-n", "classifier"]
        assert app.run([*pushed, "--accuracy", "0.91", "--latency-ms", "12", "--param", "lr=0.1"]) == 0
        path.write_bytes(b"\x80\x04K\x02.")
        more = ["--metric", "auc=0.99", "--tag", "team=fraud", "--alias", "champ", "--parent", "classifier@1"]
        assert app.run([*pushed, "--accuracy", "0.95", "--latency-ms", "20", "--param", "lr=0.2", *more]) == 0
        assert app.run(["promote", "classifier", "1", "--to", "production"]) == 0
        assert app.run(["register", "ranker", "--description", "ranks"]) == 0
        assert app.run(["export", "classifier"]) == 0
    return folder


@pytest.fixture
def story(command: Mreg, told: Path) -> Mreg:
    """Two versions of classifier, the first in Production, and an empty model."""
    shutil.copytree(told / "home", os.environ["HOME"], dirs_exist_ok=True)
    shutil.copytree(told / "here", ".", dirs_exist_ok=True)
    return command


def rows(done: Done) -> list[list[str]]:
    return [line.split("\t") for line in done.out.splitlines()]


def unmeasured(fields: dict[str, object]) -> dict[str, object]:
    """The fields of an object without those that a check measures anew each time."""
    return {name: value for name, value in fields.items() if not name.endswith(("_seconds", "_per_second"))}


READING = [
    ["list"], ["show", "classifier"], ["show", "classifier@1"], ["show", "classifier", "2"], ["search"],
    ["search", "metrics.accuracy > 0.9"], ["compare", "classifier", "1", "2"], ["compare", "classifier"],
    ["history", "classifier"], ["history", "classifier@2"], ["history", "classifier", "--at", "2099-01-01"],
    ["lineage", "classifier@2"], ["trust", "--list"], ["profile", "list"], ["profile", "show"], ["profile", "check"],
    ["delete", "classifier@2", "--force", "--dry-run"], ["export", "--inspect", "classifier.mreg"],
]  # fmt: skip


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_a_reading_command_speaks_every_format(story: Mreg, words: list[str]) -> None:
    parsed = json.loads(story(*words, "--json").out, object_hook=unmeasured)
    assert parsed == json.loads(story("--format", "json", *words).out, object_hook=unmeasured)
    plain = story(*words)
    assert plain.code == 0
    table = rows(plain)
    assert len({len(row) for row in table}) == 1
    assert "\x1b" not in plain.out
    assert next(csv.reader(io.StringIO(story(*words, "--format", "csv").out))) == table[0]
    drawn = story(*words, "--format", "table")
    assert drawn.code == 0
    assert drawn.out
    assert "\x1b" not in drawn.out
    assert story(*words, "--format", "md").code == 0
    assert all(" " not in line for line in story(*words, "-q").out.splitlines() if words[0] != "profile")


CHANGING = [
    ["register", "new"], ["push", "model.pkl", "-n", "classifier"], ["pull", "classifier@1", "out.pkl"],
    ["promote", "classifier@2"], ["archive", "classifier@1", "--yes"], ["alias", "classifier@1", "old"],
    ["alias", "classifier", "--remove", "champ"], ["tag", "classifier@1", "a=b"], ["tag", "classifier", "a=b"],
    ["edit", "classifier", "--description", "x"], ["edit", "classifier", "2", "--run-id", "r"],
    ["rename", "classifier", "clf"], ["delete", "classifier@2", "--force", "--yes"],
    ["rollback", "classifier", "--to", "classifier@1"], ["alias", "classifier", "1", "old"], ["init"], ["profile", "use", "local"],
    ["evaluate", "classifier@1", "--metric", "auc=0.97"], ["evaluate", "classifier", "2", "--metric", "auc=0.99"],
    ["profile", "add", "here", "--catalog", "c.db"], ["export", "classifier@1"], ["import", "classifier.mreg", "-n", "copy"],
    ["token", "create", "ci"], ["token", "create", "ci", "--line"], ["token", "revoke", "old"], ["trust"], ["trust", "--remove"],
]  # fmt: skip


@pytest.mark.parametrize("form", ["plain", "json", "csv", "md", "table", "quiet"])
@pytest.mark.parametrize("words", CHANGING, ids=" ".join)
def test_a_changing_command_speaks_every_format(story: Mreg, words: list[str], form: str) -> None:
    if words[0] == "trust":
        Path("mreg.yaml").write_text("artifacts: s3://models/x\n")
        story("trust")
    if words[:2] == ["token", "revoke"]:
        story("token", "create", words[2])
    done = story(*words, *(["-q"] if form == "quiet" else ["--format", form]))
    assert done.code == 0, done.err
    assert done.out
    if form == "json":
        json.loads(done.out)


def test_the_version_is_told(story: Mreg) -> None:
    import mreg

    assert story("--version") == Done(0, f"mreg {mreg.__version__}\n", "")


def test_a_plain_list_is_tab_separated_and_whole(story: Mreg) -> None:
    (header, first, second) = rows(story("list"))
    assert header == [
        "model",
        "latest",
        "metric",
        "latest value",
        "staging",
        "production",
        "production value",
        "versions",
        "updated",
    ]
    assert {first[0], second[0]} == {"classifier", "ranker"}
    line = first if first[0] == "classifier" else second
    assert line[1:8] == ["2", "accuracy", "0.95", "", "1", "0.91", "2"]


def test_an_empty_list_is_empty_and_no_error(command: Mreg) -> None:
    assert command("list", "--json") == Done(0, "[]\n", "")
    assert command("search", "version > 1", "--json") == Done(0, "[]\n", "")
    assert command("list", "-q") == Done(0, "", "")
    assert command("list").code == 0


def test_compare_shows_delta_percent_and_verdict(story: Mreg) -> None:
    table = rows(story("compare", "classifier", "1", "2"))
    assert table[0] == ["group", "name", "classifier@1", "classifier@2", "delta", "percent", "verdict"]
    found = {row[1]: row[2:] for row in table if row[0] == "metrics"}
    assert found["accuracy"] == ["0.91", "0.95", "0.04", "4.395604395604396", "better"]
    assert found["latency_ms"] == ["12", "20", "8", "66.66666666666667", "worse"]
    assert found["auc"] == ["", "0.99", "", "", "missing"]
    assert ["parameters", "lr", "0.1", "0.2", "", "", "differs"] in table


def test_compare_json_has_the_keys_of_the_http_api(story: Mreg) -> None:
    parsed = json.loads(story("compare", "classifier", "1", "2", "--json").out)
    assert parsed["metric_diff"] == {"accuracy": 0.04, "auc": None, "latency_ms": 8}
    for side, number in (("version_a", 1), ("version_b", 2)):
        assert parsed[side]["version"] == number
        assert set(parsed[side]) >= {"metrics", "parameters"}


def test_compare_markdown_begins_with_a_marker(story: Mreg) -> None:
    text = story("compare", "classifier", "1", "2", "--format", "md").out
    assert text.startswith(
        "<!-- mreg compare classifier classifier -->\n### classifier&#64;1 against classifier&#64;2\n"
    )
    assert "| accuracy | 0.91 | 0.95 | +0.04 | +4.40 % | better |" in text


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        ([], 0),
        (["--fail-on-regression"], 3),
        (["--fail-on-regression", "accuracy"], 0),
        (["--fail-on-regression", "accuracy:0.01"], 0),
        (["--fail-on-regression", "latency_ms"], 3),
        (["--fail-on-regression", "latency_ms:7"], 3),
        (["--fail-on-regression", "latency_ms:8"], 0),
        (["--fail-on-regression", "latency_ms:66%"], 3),
        (["--fail-on-regression", "latency_ms:67%"], 0),
        (["--fail-on-regression", "auc"], 3),
        (["--fail-on-regression", "acuracy"], 2),
        (["--fail-on-regression", "accuracy:x"], 2),
        (["--fail-on-regression=accuracy"], 0),
    ],
    ids=str,
)
def test_compare_exits_3_on_a_regression_alone(story: Mreg, flags: list[str], code: int) -> None:
    done = story("compare", "classifier", "1", "2", *flags)
    assert done.code == code
    if code == 3:
        assert done.out  # the comparison is shown all the same
        assert "error: classifier@2 is a regression of classifier@1" in done.err


@pytest.mark.parametrize(
    ("words", "sides"),
    [
        (["classifier", "1", "2"], ("classifier@1", "classifier@2")),
        (["classifier", "production", "latest"], ("classifier@1", "classifier@2")),
        (["classifier@2", "classifier@1"], ("classifier@2", "classifier@1")),
        (["classifier"], ("classifier@1", "classifier@2")),
        (["classifier", "2"], ("classifier@1", "classifier@2")),
        (["classifier@2"], ("classifier@1", "classifier@2")),
        (["classifier/2"], ("classifier@1", "classifier@2")),
        (["classifier@2", "1"], ("classifier@2", "classifier@1")),
        (["classifier@champ", "@1"], ("classifier@2", "classifier@1")),
    ],
)
def test_compare_understands_every_way_to_name_two_versions(
    story: Mreg, words: list[str], sides: tuple[str, str]
) -> None:
    assert tuple(story("compare", *words, "-q").out.split()) == sides


def test_ci_writes_outputs_and_a_summary(story: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.setenv(name, str(Path(name).resolve()))
    assert story("compare", "classifier", "--ci", "--fail-on-regression", "latency_ms").code == 3
    assert Path("GITHUB_OUTPUT").read_text() == (
        "reference_a=classifier@1\nreference_b=classifier@2\nregression=true\nregressed=latency_ms\n"
    )
    assert Path("GITHUB_STEP_SUMMARY").read_text().startswith("<!-- mreg compare")
    assert story("push", "model.pkl", "-n", "classifier", "--ci").code == 0
    assert "reference=classifier@3\n" in Path("GITHUB_OUTPUT").read_text()


# Usage errors


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["shw"], 2, "error: there is no command 'shw'\n  did you mean mreg show?\n"),
        (["push", "x", "--auc", "0.97"], 2, "error: there is no option '--auc'\n  for a metric write --metric auc=0.97\n"),
        (["push", "x", "--acuracy", "0.97"], 2, "error: there is no option '--acuracy'\n  did you mean --accuracy, or the metric --metric acuracy=0.97?\n"),
        (["push", "x", "--nmae", "y"], 2, "error: there is no option '--nmae'\n  did you mean --name? mreg push --help shows all\n"),
        (["show"], 2, "error: mreg show: no model is given, and there is no default model\n  name the model: NAME@3\n  or set a default: export MREG_MODEL=NAME, or model: NAME in mreg.yaml\n"),
        (["list", "--format", "xml"], 2, "error: there is no output format 'xml'\n  use table, plain, json, csv, md\n"),
        (["list", "--limit", "0"], 2, None),
        (["list", "--limit", "x"], 2, None),
        (["show", "a@@1"], 2, None),
        (["show", "nobody"], 4, "error: model 'nobody' not found\n  list the models: mreg list\n"),
        (["show", "classifier@9"], 4, "error: classifier has no version 9\n  list the versions: mreg show classifier\n"),
        (["promote", "classifier@1", "--to", "prod"], 2, "error: invalid stage 'prod'\n  did you mean Production?\n"),
        (["promote", "classifier@1"], 2, "error: confirmation required: archive classifier@1 and take it out of Production?\n  not a terminal: add --yes to confirm\n"),
        (["delete", "classifier@2"], 1, "error: classifier@2 has the alias champ\n  mreg alias classifier --remove champ, or delete with --force\n"),
        (["delete", "classifier@2", "--force"], 2, "error: confirmation required: delete classifier@2, in use (classifier@2: champ), for good?\n  not a terminal: add --yes to confirm\n"),
        (["delete", "classifier", "--yes"], 1, "error: classifier@1 is in Production\n  mreg archive classifier@1, or delete with --force\n"),
        (["archive", "classifier"], 2, "error: expected a version, got the model classifier\n  name a version: classifier@3, classifier@latest or classifier@staging\n"),
        (["approve", "classifier"], 2, "error: expected a version, got the model classifier\n  name a version: classifier@3, classifier@latest or classifier@staging\n"),
        (["reject", "classifier", "--reason", "slow"], 2, "error: expected a version, got the model classifier\n  name a version: classifier@3, classifier@latest or classifier@staging\n"),
        (["push", "model.pkl", "-n", "c", "--metric", "auc"], 2, "error: invalid metric 'auc': expected name=value\n  write it as --metric name=value\n"),
        (["push", "model.pkl", "-n", "c", "--metric", "accuracy=1", "--accuracy", "1"], 2, "error: the metric 'accuracy' is given twice\n  give it once: by flag or in a file\n"),
        (["push", "model.pkl", "-n", "c", "--accuracy", "nan"], 2, "error: invalid value of the metric 'accuracy': 'nan'\n  use a finite decimal number: --metric accuracy=0.95\n"),
        (["push", "nowhere.pkl"], 4, "error: 'nowhere.pkl' does not exist\n  check the path\n"),
        (["push", "model.pkl/x"], 4, "error: 'model.pkl/x' does not exist\n  check the path\n"),
        (["import", "model.pkl/x"], 4, "error: 'model.pkl/x' does not exist\n  check the path\n"),
        (["restore", "model.pkl/x"], 4, "error: file not found: 'model.pkl/x'\n"),
        (["policy", "apply", "model.pkl/x"], 4, "error: the policy file 'model.pkl/x' does not exist\n  check the path\n"),
        (["export", "classifier", "-o", "-", "--force"], 2, "error: a bundle is not written to standard output\n  name a file: -o FILE\n"),
        (["verify", "--all", "classifier", "--sample", "5%"], 2, "error: --all and a reference exclude each other\n  give one of them\n"),
        (["pull", "classifier", "3"], 4, "error: classifier has no version 3\n  list the versions: mreg show classifier\n"),
        (["pull", "classifier@1", "model.pkl/where"], 2, None),
        (["pull", "classifier@1", "--stdout", "x"], 2, None),
        (["register", "classifier"], 7, "error: model 'classifier' already exists\n  show it: mreg show classifier; change it: mreg edit classifier\n"),
        (["register", "a@3"], 2, "error: 'a@3' names a version, and this needs a model\n  write a\n"),
        (["rename", "classifier", "ranker"], 7, None),
        (["alias", "classifier@1", "latest"], 2, None),
        (["alias", "classifier@1"], 2, None),
        (["tag", "classifier"], 2, None),
        (["tag", "a=b"], 2, None),
        (["edit", "classifier"], 2, "error: nothing to change is given\n  mreg edit --help lists what can be changed\n"),
        (["search", "accuracy > x"], 2, "error: metrics.accuracy is a number and cannot be compared with 'x', at character 12 of the expression\n  accuracy > x\n             ^\n"),
        (["evaluate", "classifier@1"], 2, "error: no metrics to add\n  mreg evaluate classifier@1 --metric accuracy=0.95\n"),
        (["evaluate", "classifier@1", "--metric", "accuracy=0.95"], 7, "error: classifier@1 already has accuracy 0.91\n  to replace it, add --replace and --reason \"...\"\n"),
        (["evaluate", "classifier@1", "--metric", "accuracy=0.95", "--replace"], 2, "error: to replace a metric, a reason is required\n  add --reason \"...\"\n"),
        (["evaluate", "classifier@1", "--metric", "auc=nan"], 2, "error: invalid value of the metric 'auc': 'nan'\n  use a finite decimal number: --metric auc=0.95\n"),
        (["evaluate", "classifier@1", "--metric", "auc=1", "--metric", "auc=1"], 2, None),
        (["evaluate", "classifier@1", "--metrics-file", "nowhere.json"], 4, None),
        (["evaluate", "classifier@1", "--metric", "auc=1", "--dataset", "a\nb"], 2, None),
        (["evaluate", "classifier@9", "--metric", "auc=1"], 4, None),
        (["evaluate", "classifier", "--metric", "auc=1"], 2, "error: expected a version, got the model classifier\n  name a version: classifier@3, classifier@latest or classifier@staging\n"),
        (["search", "--sort", "'x'"], 2, None),
        (["compare", "classifier", "1", "2", "3"], 2, None),
        (["history", "classifier", "--at", "yesterday"], 2, None),
        (["history", "classifier@1", "--at", "2026-01-01"], 2, None),
        (["show", "classifier@1", "--plot", "accuracy"], 2, None),
        (["show", "classifier", "--plot", "acuracy"], 4, None),
        (["show", "classifier", "--plot-file", "x.pdf"], 2, None),
        (["list", "--profile", "nobody"], 4, "error: profile 'nobody' not found\n  use one of: local\n"),
        (["list", "--config", "nowhere.yaml"], 4, None),
        (["completion", "tcsh"], 2, None),
        (["profile", "shw"], 2, "error: there is no command 'shw'\n  did you mean mreg profile show?\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_a_mistake_has_its_exit_code_and_its_next_step(
    story: Mreg, words: list[str], code: int, message: str | None
) -> None:
    before = story("history", "classifier", "--json").out + story("list", "--json").out
    done = story(*words)
    assert (done.code, done.out) == (code, "")
    lines = [line for line in done.err.splitlines() if not line.startswith("model ")]
    assert lines[0].startswith("error: ")
    if message is not None:
        assert "\n".join(lines) + "\n" == message.replace("mreg show?\n", "mreg show?\n")
    assert story("history", "classifier", "--json").out + story("list", "--json").out == before


@pytest.mark.parametrize(
    "words",
    [
        ["archive"],
        ["archive", "--yes"],
        ["approve"],
        ["approve", "--to", "staging"],
        ["reject", "--reason", "slow"],
        ["reject", "--reason", "slow", "--yes"],
        ["reject", "--withdraw"],
        ["evaluate"],
        ["evaluate", "--metric", "auc=1"],
    ],
    ids=" ".join,
)
def test_a_command_that_needs_a_version_refuses_a_name_with_a_slash(story: Mreg, words: list[str]) -> None:
    story("push", "model.pkl", "--name", "team/churn", "--stage", "production")
    before = story("history", "--json").out
    done = story(words[0], "team/churn", *words[1:])
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "error: expected a version, got the model team/churn\n"
        "  name a version: team/churn@3, team/churn@latest or team/churn@staging\n"
    )
    assert story("history", "--json").out == before


@pytest.mark.parametrize("words", [["show", "nobody"], ["push", "--nope"], ["shw"], ["list", "--format", "xml"]])
def test_with_json_an_error_is_an_object(command: Mreg, words: list[str]) -> None:
    done = command(*words, "--json")
    parsed = json.loads(done.err)
    assert set(parsed) >= {"code", "message", "hint"}
    assert done.out == ""


def test_an_unknown_failure_says_how_to_see_its_traceback(command: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    from mreg.registry import query

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(query, "models", fail)
    done = command("list")
    assert (done.code, done.err) == (
        1,
        "error: unexpected ZeroDivisionError: boom\n  add --debug to see the traceback, and report it as a bug of mreg\n",
    )
    assert "Traceback" in command("list", "--debug").err


@pytest.mark.parametrize("words", [[], ["push"], ["profile"], ["profile", "add"]])
def test_help_shows_examples(command: Mreg, words: list[str]) -> None:
    done = command(*words, "--help")
    assert done.code == 0
    assert "Examples:" in done.out


# Hostile texts


HOSTILE = "\x1b[31m[bold]x[/bold]\x1b]8;;http://evil\x07\r\n| a | <script> `x` @all =1+1\u202e"


@pytest.mark.parametrize("form", ["plain", "table", "md", "csv"])
def test_nothing_stored_is_obeyed(command: Mreg, form: str) -> None:
    Path("model.pkl").write_bytes(b"x")
    done = command(
        "push", "model.pkl", "-n", "m", "--description", HOSTILE, "--tag", f"t={HOSTILE}", "--param", f"p={HOSTILE}",
        "--metric", "[red]a|b[/red]<b>=1", "--format", form,
    )  # fmt: skip
    assert done.code == 0, done.err
    Path("model.pkl").write_bytes(b"y")
    command("push", "model.pkl", "-n", "m", "--param", "p==1+1")
    command("edit", "m", "--description", HOSTILE)
    command("promote", "m@1", "--reason", HOSTILE)
    command("export", "m")
    for words in (
        ["show", "m"], ["show", "m@1"], ["compare", "m", "1", "2"], ["history", "m"], ["search"], ["list"],
        ["export", "--inspect", "m.mreg"],
    ):  # fmt: skip
        done = command(*words, "--format", form)
        assert done.code == 0, done.err
        for char in "\x1b\r\x07\u202e":
            assert char not in done.out + done.err
        if form == "md":
            assert "<script>" not in done.out
            assert "<b>" not in done.out
            assert "@all" not in done.out
        if form == "csv":
            for row in csv.reader(io.StringIO(done.out)):
                assert not any(cell.startswith(("=", "+", "@")) for cell in row)


def test_data_survives_a_terminal_that_can_not_show_it(interpreter: Mreg) -> None:
    Path("model.pkl").write_bytes(b"x")
    environment = {**os.environ, "LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    for form in ("plain", "table", "md"):
        done = interpreter("push", "model.pkl", "-n", "m", "--tag", "größe=ü", "--format", form, env=environment)
        assert done.code == 0, done.err
        done = interpreter("show", "m@1", "--format", form, env=environment)
        assert done.code == 0, done.err
        assert "gr\\xf6\\xdfe" in done.out.replace("\\\\", "\\") or form == "md"


# What a push takes


def test_push_reads_metrics_and_parameters_from_files(command: Mreg) -> None:
    Path("m.json").write_text('{"accuracy": 0.5, "n": 9007199254740993}')
    Path("m.yaml").write_text("auc: 0.9\nloss: 1e-3\n")
    Path("p.yaml").write_text("model:\n  depth: 3\n  name: no\nlist: [1, a]\nflag: true\n")
    Path("model.pkl").write_bytes(b"x")
    done = command("push", "model.pkl", "-n", "m", "--metrics-file", "m.json", "--metrics-file", "m.yaml",
                   "--params-file", "p.yaml", "--param", "x=1", "--json")  # fmt: skip
    parsed = json.loads(done.out)
    assert parsed["metrics"] == {"accuracy": 0.5, "auc": 0.9, "loss": 0.001, "n": 9007199254740993}
    assert parsed["parameters"] == {"flag": "true", "list": '[1,"a"]', "model.depth": "3", "model.name": "no", "x": "1"}


def test_evaluate_reads_metrics_like_push_and_prints_the_state(story: Mreg) -> None:
    Path("eval.json").write_text('{"auc": 0.97, "best": true, "per_class": {"spam": 0.5}}')
    words = [
        "evaluate",
        "classifier@1",
        "--metrics-file",
        "eval.json",
        "--metrics-prefix",
        "test.",
        "--dataset",
        "holdout",
    ]
    done = story(*words, "--metric", "f1=1", "--format", "table")
    assert done.out == "classifier@1: f1 1 (new), test.auc 0.97 (new), test.per_class.spam 0.5 (new)\n"
    assert "'eval.json': skipped values that are not finite numbers: best" in done.err
    assert story(*words, "--format", "table").out == "classifier@1: no changes\n"
    shown = json.loads(story("show", "classifier@1", "--json").out)
    assert shown["metrics"] == {
        "accuracy": 0.91, "f1": 1, "latency_ms": 12, "test.auc": 0.97, "test.per_class.spam": 0.5,
    }  # fmt: skip
    event = rows(story("history", "classifier@1"))[1]
    assert event[3:] == [
        "version.evaluated", "classifier@1", "f1=1, test.auc=0.97, test.per_class.spam=0.5, on holdout",
    ]  # fmt: skip


def test_evaluate_says_that_approvals_are_void(story: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("policy.yaml").write_text("Production: {approvals: 2}\n")
    assert story("policy", "apply", "policy.yaml").code == 0
    for person in ("ada", "bob"):
        monkeypatch.setenv("MREG_USER", person)
        assert story("approve", "classifier@2").code == 0
    replace = ["evaluate", "classifier@2", "--replace", "--reason", "wrong split", "--format", "table"]
    done = story(*replace, "--metric", "accuracy=0.97", "--metric", "f1=0.5")
    assert done.out == (
        "classifier@2: accuracy 0.97 (was 0.95), f1 0.5 (new); approvals of ada and bob for Production are void, "
        "because metrics were replaced\n"
    )
    assert story("promote", "classifier@2", "--yes").code == 0
    done = story("promote", "classifier@2", "--to", "production", "--yes")
    assert (done.code, done.err.splitlines()[0]) == (5, "error: classifier@2 has 0 of 2 approvals for Production")
    assert story("approve", "classifier@2").code == 0
    done = story(*replace, "--metric", "accuracy=0.98")
    assert "; the approval of bob for Production is void, because metrics were replaced\n" in done.out
    assert rows(story("history", "classifier@2"))[1][5] == (
        "accuracy=0.98 (was 0.97), approval of bob for Production is void: wrong split"
    )
    assert rows(story("evaluate", "classifier@2", "--metric", "x=1"))[1] == ["classifier@2", "x=1", "", "", ""]


def test_stdout_gives_the_bytes_alone(process: Mreg) -> None:
    Path("model.pkl").write_bytes(b"\x00\x01data")
    process("push", "model.pkl", "-n", "m")
    done = process("pull", "m", "--stdout")
    assert (done.code, done.out) == (0, "\x00\x01data")


def test_a_file_goes_into_a_folder_under_its_own_name(command: Mreg) -> None:
    Path("model.pkl").write_bytes(b"x")
    command("push", "model.pkl", "-n", "m")
    Path("out").mkdir()
    assert command("pull", "m@1", "out").code == 0
    assert Path("out/model.pkl").read_bytes() == b"x"
    Path("out/model.pkl").write_bytes(b"old")
    assert command("pull", "m@1", "out").code == 7
    assert command("pull", "m@1", "out", "--force").code == 0
    assert Path("out/model.pkl").read_bytes() == b"x"


def test_a_trend_is_drawn_and_written(story: Mreg) -> None:
    done = story("show", "classifier", "--plot", "accuracy")
    assert (done.code, "accuracy of classifier" in done.out) == (0, True)
    for ending, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("html", b"<!doctype html>")):
        done = story("show", "classifier", "--plot-file", f"x.{ending}")
        assert done.code == 0, done.err
        assert Path(f"x.{ending}").read_bytes().startswith(start)
    assert sorted(path.name for path in Path().glob("x.*")) == ["x.html", "x.png", "x.svg"]


def test_quiet_says_nothing_but_references(story: Mreg) -> None:
    Path("x.pkl").write_bytes(b"y")
    assert story("push", "x.pkl", "-q") == Done(0, "x@1\n", "")
    assert story("promote", "classifier@champ", "-q") == Done(0, "classifier@2\n", "")


def test_mreg_alone_shows_its_help(command: Mreg) -> None:
    for words in ((), ("profile",)):
        done = command(*words)
        assert done.code == 2
        assert "\n\nUsage: mreg" in done.err
        assert "\n  show  " in done.err


def test_a_rollback_goes_nowhere_new(story: Mreg) -> None:
    done = story("rollback", "classifier", "--to", "classifier@2")
    assert (done.code, done.err) == (
        1,
        "error: cannot roll back to classifier@2: it was never in Production of classifier\n"
        "  mreg promote classifier@2 --to Production\n",
    )


def test_a_folder_that_is_named_as_one_is_created(story: Mreg) -> None:
    for place in ("deployed/", "more/deployed/"):
        assert story("pull", "classifier@1", place).code == 0
        assert Path(place, "model.pkl").is_file()


def test_a_version_against_itself_is_told(story: Mreg) -> None:
    assert "nothing to compare: both references are classifier@1" in story("compare", "classifier@1").err


def test_an_empty_table_has_the_columns_of_a_full_one(command: Mreg) -> None:
    empty = command("list", "--format", "csv").out, command("search", "--format", "csv").out
    Path("model.pkl").write_bytes(b"x")
    command("push", "model.pkl", "-n", "m")
    full = command("list", "--format", "csv").out, command("search", "--format", "csv").out
    assert empty == (full[0].splitlines()[0] + "\n", full[1].splitlines()[0] + "\n")


def test_a_metric_that_no_version_has_is_told(story: Mreg) -> None:
    done = story("search", "metrics.acuracy > 0.5 or tag.team = nobody")
    assert "no version has the metric acuracy; did you mean accuracy?" in done.err


def test_a_store_of_a_project_stays_out_of_git(command: Mreg) -> None:
    command("init", "--local")
    assert Path(".mreg/.gitignore").read_text() == "*\n"


def test_a_profile_is_shown_as_it_is_and_what_overrides_it_is_told(command: Mreg) -> None:
    command("init", "--local")
    catalog = os.path.abspath("c.db")
    done = command("profile", "add", "nas", "--catalog", catalog, "--json")
    assert json.loads(done.out)["catalog"] == catalog
    done = command("profile", "use", "nas")
    assert "mreg.yaml has its own word: catalog, artifacts" in done.err
    assert "so they override the profile: MREG_USER" in done.err


def test_a_missing_path_is_an_error_before_the_model_is_inferred(command: Mreg) -> None:
    done = command("push", "nothing")
    assert (done.code, done.err) == (4, "error: 'nothing' does not exist\n  check the path\n")


def test_edit_names_the_command_that_adds_metrics(command: Mreg) -> None:
    done = command("edit", "classifier@1", "--metric", "accuracy=0.9")
    assert (done.code, done.err) == (
        2,
        "error: there is no option '--metric'\n  metrics are added by mreg evaluate REF --metric NAME=NUMBER\n",
    )


def test_a_sentence_about_a_version_says_in_no_stage(command: Mreg, model_file: Path) -> None:
    command("push", str(model_file), "-n", "churn")
    done = command("promote", "churn@1", "--to", "none", "--format", "table")
    assert done.out == "churn@1 was in no stage already\n"
    assert "no version of churn is in Production" in command("show", "churn@production").err
    command("promote", "churn@1")
    assert "error: no version of churn is in no stage\n" in command("show", "churn@none").err


def test_doctor_has_a_message_in_each_row(command: Mreg, model_file: Path) -> None:
    command("push", str(model_file), "-n", "churn")
    rows = [line.split("\t") for line in command("doctor").out.splitlines()[1:]]
    assert len(rows) >= 10
    assert all(row[3] for row in rows), rows


def test_rejected_versions_are_listed_apart_from_pending_approvals(command: Mreg, model_file: Path) -> None:
    Path("policy.yaml").write_text("Production: {approvals: 1, from: Staging}")
    for number in (1, 2):
        command("push", str(model_file), "-n", "churn", "--param", f"n={number}")
    command("policy", "apply", "policy.yaml", "--model", "churn")
    command("promote", "churn@1", "--keep-existing")
    command("promote", "churn@2", "--keep-existing")
    command("reject", "churn@2", "--reason", "biased")
    lines = [" ".join(line.split()) for line in command("approvals", "--format", "table").out.splitlines()]
    assert lines[0] == "waiting for approval"
    apart = lines.index("rejected (blocked until the rejection is withdrawn)")
    assert any(line.startswith("churn@1 ") for line in lines[:apart])
    assert not any(line.startswith("churn@1 ") for line in lines[apart:])
    assert any(" blocks biased" in line for line in lines[apart:])


def test_a_plan_calls_the_changes_planned(command: Mreg, model_file: Path) -> None:
    for _ in range(2):
        command("push", str(model_file), "-n", "churn")
    command("promote", "churn@1", "--to", "staging")
    assert "archive churn@1\tplanned\tit is in Staging" in command("promote", "churn@2", "--plan").out


def test_a_plot_is_ascii_where_the_encoding_has_no_lines(
    command: Mreg, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for accuracy in ("0.5", "0.9"):
        command("push", str(model_file), "-n", "churn", "--accuracy", accuracy, "--param", f"a={accuracy}")
    assert "┤" in command("show", "churn", "--plot", "accuracy").out
    monkeypatch.setattr("mreg.streams.can_show", lambda _name, text: text.isascii())
    out = command("show", "churn", "--plot", "accuracy").out
    assert out.isascii()
    assert "?" not in out
    assert "****" in out
