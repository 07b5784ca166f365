"""References as they are typed: in one word or two, with the model or without it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from mreg.cli.invocation import Invocation
from mreg.cli.references import reference, reference_and_destination, two_references
from mreg.domain.names import ModelName
from mreg.errors import BadInput
from tests.conftest import Done, Mreg

WAYS = "  name the model: NAME@3\n  or set a default: export MREG_MODEL=NAME, or model: NAME in mreg.yaml\n"


@pytest.fixture
def churn(command: Mreg) -> Mreg:
    """Three versions of churn, the first two were in Production and the second still is; the third is the champion."""
    for number in (1, 2, 3):
        Path("model.pkl").write_bytes(b"\x80\x04K%c." % number)
        command("push", "model.pkl", "-n", "churn", "--accuracy", f"0.9{number}")
    command("promote", "churn@1", "--to", "production")
    command("promote", "churn@2", "--to", "production")
    command("alias", "churn@3", "champion")
    return command


@pytest.fixture
def default(churn: Mreg) -> Mreg:
    """The same, with the default model churn."""
    Path("mreg.yaml").write_text("model: churn\n")
    return churn


def answer(done: Done) -> object:
    """What a command did or refused, without what it found at its destination."""
    found = json.loads(done.out or done.err)
    assert done.code == 0 or "cannot run hooks for" in found["message"] or "no hook of" in found["message"], done.err
    return (
        {key: value for key, value in found.items() if key not in ("replaced", "unchanged")}
        if isinstance(found, dict)
        else found
    )


WITHOUT_THE_MODEL = [
    # (what leaves out the model, what it means)
    (["show"], ["show", "churn"]),
    (["show", "3"], ["show", "churn@3"]),
    (["show", "v3"], ["show", "churn@3"]),
    (["show", "@production"], ["show", "churn@production"]),
    (["show", "@champion"], ["show", "churn@champion"]),
    (["show", "~1"], ["show", "churn@latest~1"]),
    (["show", "@production~1"], ["show", "churn@production~1"]),
    (["compare", "1", "2"], ["compare", "churn@1", "churn@2"]),
    (["compare", "1", "production"], ["compare", "churn@1", "churn@production"]),
    (["compare", "@production", "@champion"], ["compare", "churn@production", "churn@champion"]),
    (["compare", "3"], ["compare", "churn@3"]),
    (["compare"], ["compare", "churn"]),
    (["why", "2"], ["why", "churn@2"]),
    (["lineage", "@latest"], ["lineage", "churn@latest"]),
    (["lineage"], ["lineage", "churn"]),
    (["history", "3"], ["history", "churn@3"]),
    (["verify", "@production"], ["verify", "churn@production"]),
    (["deployments"], ["deployments", "churn"]),
    (["export", "3", "--force"], ["export", "churn@3", "--force"]),
    (["pull", "@champion", "out.pkl", "--force"], ["pull", "churn@champion", "out.pkl", "--force"]),
    (["pull", "2", "--force"], ["pull", "churn@2", "--force"]),
    (["pull", "--force"], ["pull", "churn", "--force"]),
    (["promote", "3", "--plan"], ["promote", "churn@3", "--plan"]),
    (["deploy", "@production"], ["deploy", "churn@production"]),
]  # fmt: skip


@pytest.mark.parametrize(("short", "whole"), WITHOUT_THE_MODEL, ids=lambda words: " ".join(words))
def test_a_reference_without_a_model_means_the_default_model(default: Mreg, short: list[str], whole: list[str]) -> None:
    assert answer(default(*short, "--json")) == answer(default(*whole, "--json"))


CHANGES = [
    # (a change that leaves out the model, what it answers)
    (["promote", "3"], "churn@3 is in Staging (was None)\n"),
    (["promote", "@latest", "--to", "production"], "churn@3 is in Production (was None); churn@2 is archived\n"),
    (["archive", "3"], "churn@3 is in Archived (was None)\n"),
    (["rollback"], "churn@1 is in Production (was Archived); churn@2 is archived\n"),
    (["rollback", "--to", "1"], "churn@1 is in Production (was Archived); churn@2 is archived\n"),
    (["approve", "3"], "tester approved churn@3 for Production\n"),
    (["reject", "3", "--reason", "biased"], "tester rejected churn@3 for Production; it is in no stage\n"),
    (["alias", "2", "stable"], "stable -> churn@2 (new)\n"),
    (["alias", "@production", "stable"], "stable -> churn@2 (new)\n"),
    (["alias", "--remove", "champion"], "champion removed (was churn@3)\n"),
    (["tag", "3", "a=b"], "churn@3 a=b (new)\n"),
    (["tag", "a=b"], "churn a=b (new)\n"),
    (["edit", "3", "--run-id", "r"], "churn@3 run id=r (new)\n"),
    (["edit", "3", "--parent", "1"], "churn@3 parent=churn@1 (new)\n"),
    (["edit", "--description", "x"], "churn description=x (new)\n"),
    (["evaluate", "3", "--metric", "auc=0.5"], "churn@3: auc 0.5 (new)\n"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "answer"), CHANGES, ids=lambda value: " ".join(value) if type(value) is list else "")
def test_a_change_of_the_default_model_answers_with_the_whole_reference(
    default: Mreg, words: list[str], answer: str
) -> None:
    done = default(*words, "--format", "table")
    assert (done.code, done.out, done.err) == (0, answer, "")


def test_the_default_model_comes_from_a_variable_a_project_file_or_a_profile(
    churn: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("profiles.yaml").write_text("profiles: {local: {model: churn}}")
    assert churn("show", "3", "-q", "--config", "profiles.yaml").out == "churn@3\n"
    Path("mreg.yaml").write_text("model: churn")
    assert churn("show", "3", "-q").out == "churn@3\n"
    churn("rename", "churn", "other")
    monkeypatch.setenv("MREG_MODEL", "other")
    assert churn("show", "3", "-q").out == "other@3\n"


@pytest.mark.parametrize("words", [["history"], ["verify"], ["search"], ["policy", "show"]], ids=" ".join)
def test_a_command_over_the_registry_does_not_narrow_to_the_default_model(default: Mreg, words: list[str]) -> None:
    Path("model.pkl").write_bytes(b"other")
    default("push", "model.pkl", "-n", "ranker")
    done = default(*words, "--json")
    Path("mreg.yaml").unlink()
    strip = "seconds"
    assert [line for line in done.out.splitlines() if strip not in line] == [
        line for line in default(*words, "--json").out.splitlines() if strip not in line
    ]


@pytest.mark.parametrize("command_name", ["promote", "archive", "approve", "reject", "evaluate", "delete"])
def test_a_command_that_changes_a_version_needs_a_word(default: Mreg, command_name: str) -> None:
    done = default(command_name, "--reason", "x") if command_name == "reject" else default(command_name)
    assert done.code == 2
    assert "missing argument 'REF'" in done.err


def test_a_deletion_needs_the_name_of_the_model(default: Mreg) -> None:
    assert default("delete", "3", "--yes").err == (
        "error: mreg delete needs the name of the model: '3' is only a selector\n  mreg delete churn@3\n"
    )
    assert default("delete", "@champion", "--force", "--yes").code == 2
    assert default("delete", "churn", "1", "--yes").code == 0
    assert default("rename", "churn", "other").code == 0


def test_a_word_is_the_name_of_a_model(default: Mreg) -> None:
    done = default("show", "production")
    assert (done.code, done.err) == (
        4,
        "error: model 'production' not found\n  for a version, write NAME@production, or @production of the default model\n",
    )


def test_an_error_about_the_default_model_says_where_it_comes_from(
    default: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Path("mreg.yaml").resolve()
    project.write_text("# a comment\nmodel: chrun\n")
    assert default("show", "3").err == (
        f"error: model 'chrun' not found, the default model of {project}, line 2\n  did you mean churn?\n"
    )
    monkeypatch.setenv("MREG_MODEL", "elsewhere")
    assert json.loads(default("promote", "3", "--json").err)["message"] == (
        "model 'elsewhere' not found, the default model of MREG_MODEL"
    )
    assert default("show", "chrun").err == "error: model 'chrun' not found\n  did you mean churn?\n"


@pytest.mark.parametrize(
    "words", [["show"], ["pull"], ["compare"], ["rollback"], ["deployments"], ["export"], ["tag", "a=b"]]
)
def test_without_a_default_the_model_is_needed(churn: Mreg, words: list[str]) -> None:
    assert churn(*words).err == (f"error: mreg {words[0]}: no model is given, and there is no default model\n{WAYS}")


@pytest.mark.parametrize("word", ["@3", "@production", "~1"])
def test_without_a_default_a_selector_alone_is_refused(churn: Mreg, word: str) -> None:
    done = churn("promote", word)
    assert done.code == 2
    assert done.err == (
        f"error: invalid reference '{word}': it has no model name, and there is no default model\n{WAYS}"
    )


def test_without_a_default_a_number_is_the_name_of_a_model(churn: Mreg) -> None:
    assert (
        churn("show", "3").err
        == "error: model '3' not found\n  for a version, write NAME@3, or @3 of the default model\n"
    )
    churn("register", "3")
    assert churn("show", "3").code == 0


INVALID = ["a b", "a@3", "../x", "-rf", "a;b", "$(id)", "%2e%2e", "a" * 129, "[red]x[/red]", "a\u202eb", "/etc/passwd"]


@pytest.mark.parametrize("value", INVALID)
def test_an_invalid_default_model_is_refused_with_its_place(
    churn: Mreg, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Path("mreg.yaml").resolve()
    project.write_text(f"model: {json.dumps(value)}\n")
    done = churn("show", "3")
    assert done.code == 2
    assert done.err.startswith(f"error: {project}, line 1: ")
    assert "model" in done.err
    project.unlink()
    monkeypatch.setenv("MREG_MODEL", value)
    assert churn("show", "3").err.startswith("error: MREG_MODEL: ")


TWO_WORDS = [
    # (two words, the same in one)
    (["show", "churn", "3"], ["show", "churn@3"]),
    (["show", "churn", "@champion"], ["show", "churn@champion"]),
    (["show", "churn", "champion"], ["show", "churn@champion"]),
    (["show", "churn", "~1"], ["show", "churn@latest~1"]),
    (["pull", "churn", "3", "nine.pkl", "--force"], ["pull", "churn@3", "nine.pkl", "--force"]),
    (["pull", "churn", "champion", "nine.pkl", "--force"], ["pull", "churn@champion", "nine.pkl", "--force"]),
    (["pull", "churn", "2", "--force"], ["pull", "churn@2", "--force"]),
    (["pull", "churn", "@champion", "--force"], ["pull", "churn@champion", "--force"]),
    (["pull", "churn", "nine.pkl", "--force"], ["pull", "churn@latest", "nine.pkl", "--force"]),
    (["export", "churn", "3", "--force"], ["export", "churn@3", "--force"]),
    (["verify", "churn", "production"], ["verify", "churn@production"]),
    (["history", "churn", "2"], ["history", "churn@2"]),
    (["why", "churn", "production"], ["why", "churn@production"]),
    (["lineage", "churn", "3"], ["lineage", "churn@3"]),
    (["promote", "churn", "3", "--plan"], ["promote", "churn@3", "--plan"]),
    (["policy", "show", "churn"], ["policy", "show", "--model", "churn"]),
    (["deploy", "churn", "production"], ["deploy", "churn@production"]),
    (["delete", "churn", "1", "--dry-run"], ["delete", "churn@1", "--dry-run"]),
]  # fmt: skip


@pytest.mark.parametrize(("two", "one"), TWO_WORDS, ids=lambda words: " ".join(words))
def test_two_words_are_a_reference_wherever_a_reference_is_taken(churn: Mreg, two: list[str], one: list[str]) -> None:
    assert answer(churn(*two, "--json")) == answer(churn(*one, "--json"))


@pytest.mark.parametrize("to", ["1", "v1", "@1", "churn@1", "@production~1"])
def test_a_rollback_names_its_version_within_the_model(churn: Mreg, to: str) -> None:
    assert churn("rollback", "churn", "--to", to, "-q").out == "churn@1\n"


def test_a_word_that_is_a_selector_and_a_file_is_ambiguous(churn: Mreg) -> None:
    Path("production").mkdir()
    done = churn("pull", "churn", "production")
    assert (done.code, done.err) == (
        2,
        "error: 'production' is ambiguous: it can be a selector and the destination\n"
        "  for the version: mreg pull churn@production\n"
        "  for the destination: mreg pull churn ./production\n",
    )
    assert churn("pull", "churn", "champion").code == 2  # an alias, which no file has as its name
    assert churn("pull", "churn", "./champion").code == 0
    assert churn("pull", "churn", "champion", "--force").code == 0  # the file exists now


UNEXPECTED = [
    (["push", "a", "b"], "'b': mreg push takes PATH", "to name the model: mreg push a --name b"),
    (["push", "a", "b", "c"], "'b': mreg push takes PATH", "to name the model: --name b"),
    (["push", "m", "here"], "'here': mreg push takes PATH", "to name the model: mreg push here --name m"),
    (["import", "m", "here"], "'here': mreg import takes SOURCE", "to name the model: mreg import here --name m"),
    (["list", "x"], "'x': mreg list takes no arguments", "for one model: mreg show x"),
    (["policy", "show", "m", "extra"], "'extra': mreg policy show takes [NAME]", "one policy at a time: mreg policy show extra"),
    (["export", "m", "3", "file"], "'file': mreg export takes [REF]", "to name the file: mreg export m 3 --output file"),
    (["export", "m", "out.mreg"], "'out.mreg': mreg export takes [REF]", "to name the file: mreg export m --output out.mreg"),
    (["export", "o u.mreg", "a/m"], "'o u.mreg': mreg export takes [REF]", "to name the file: mreg export a/m --output 'o u.mreg'"),
    (["export", "m", "x/out", "-q"], "'x/out': mreg export takes [REF]", "to name the file: mreg export m -q --output x/out"),
    (["export", "m@3", "file"], "'file': 'm@3' names a version already", "to name the file: mreg export m@3 --output file"),
    (["promote", "m@3", "staging"], "'staging': 'm@3' names a version already", "to name the stage: mreg promote m@3 --to staging"),
    (["rollback", "m", "8"], "'8': mreg rollback takes [NAME]", "to name the version: mreg rollback m --to 8"),
    (["show", "m", "3", "4"], "'4': mreg show takes [REF]", ""),
    (["compare", "m@1", "2", "3"], "'3': mreg compare takes [A] [B]", ""),
    (["pull", "m@3", "a", "b"], "'b': mreg pull takes [REF] [DEST]", "to replace existing files: mreg pull m@3 a --force"),
    (["tag", "m", "3", "stable"], "'stable': mreg tag takes [REF] [KEY=VALUE]...", "to set a tag: mreg tag m 3 stable=VALUE"),
    (["audit", "verify", "x"], "'x': mreg audit verify takes no arguments", ""),
    (["doctor", "$(id)"], "'$(id)': mreg doctor takes no arguments", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message", "meant"), UNEXPECTED, ids=lambda value: " ".join(value) if type(value) is list else ""
)
def test_an_argument_too_many_is_answered_alike_in_all_commands(
    command: Mreg, words: list[str], message: str, meant: str
) -> None:
    Path("here").touch()
    done = command(*words)
    path = f"mreg {' '.join(words[:2])}" if words[0] in ("policy", "audit") else f"mreg {words[0]}"
    hint = f"  {meant}\n" if meant else ""
    assert (done.code, done.err) == (
        2,
        f"error: unexpected argument {message}\n{hint}  {path} --help shows how it is used\n",
    )
    assert json.loads(command(*words, "--json").err)["code"] == "usage"


@pytest.mark.parametrize("words", [["out", "churn@3"], ["./out", "churn"]], ids=" ".join)
def test_a_pull_names_the_order_of_its_arguments(churn: Mreg, words: list[str]) -> None:
    done = churn("pull", *words)
    assert done.code != 0
    assert done.err.endswith(f"\n  the version comes first: mreg pull {words[1]} {words[0]}\n")
    assert "comes first" not in churn("pull", "chrun", "out").err


def test_a_version_where_a_model_is_needed_is_named_with_the_command(churn: Mreg) -> None:
    assert churn("rollback", "churn@1").err == (
        "error: 'churn@1' names a version, and this needs a model\n  mreg rollback churn --to 1\n"
    )
    assert churn("deployments", "churn@1").err == (
        "error: 'churn@1' names a version, and this needs a model\n  mreg deployments churn\n"
    )


class _Default(Invocation):
    """An invocation with a default model and no registry."""

    def default_model(self) -> ModelName | None:
        return ModelName("churn")


WORDS = st.lists(st.text(max_size=8) | st.from_regex(r"[@~v]?[a-z0-9~:@/.]{0,12}", fullmatch=True), max_size=4)


@given(WORDS)
def test_any_words_are_references_or_bad_input(words: list[str]) -> None:
    from mreg.cli.app import root_command

    run = _Default()
    root = root_command()
    run.context = root.get_command(typer.Context(root), "show").make_context("show", [], resilient_parsing=True)
    for parse in (reference, two_references, lambda run, words: reference_and_destination(run, words[:1])):
        try:
            parse(run, words)
        except BadInput as error:
            assert error.message.isprintable()


def test_a_parent_without_its_model_is_a_version_of_the_model(churn: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        json.loads(churn("push", "model.pkl", "-n", "churn", "--parent", "2", "--json").out)["parent_version"]
        == "churn@2"
    )
    assert churn("push", "model.pkl", "--parent", "2").err == "error: '2' has no model name\n  write NAME@2\n"
    monkeypatch.setenv("MREG_MODEL", "churn")
    assert json.loads(churn("push", "model.pkl", "--parent", "@champion", "--json").out)["parent_version"] == "churn@3"


COMPLETIONS = [
    # (the words before, the incomplete word, some of what is offered)
    (["show"], "@c", {"@champion"}),
    (["show"], "@", {"@champion", "@production", "@latest", "@3"}),
    (["show"], "3", {"3"}),
    (["pull", "churn"], "", {"champion", "production", "3"}),
    (["verify", "churn"], "p", {"production"}),
    (["export", "churn"], "@ch", {"@champion"}),
    (["compare", "1"], "@p", {"@production"}),
    (["rollback", "--to"], "churn@1", {"churn@1"}),
    (["alias", "--remove"], "ch", {"champion"}),
    (["policy", "show"], "ch", {"churn"}),
    (["promote"], "chu", {"churn"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "incomplete", "some"), COMPLETIONS, ids=lambda value: "" if type(value) is set else str(value)
)
def test_selectors_of_the_default_model_complete(
    default: Mreg, before: list[str], incomplete: str, some: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_MREG_COMPLETE", "zsh")
    offered = {line.partition("\t")[0] for line in default(*before, incomplete).out.splitlines()}
    assert some <= offered
    assert all(word.startswith(incomplete) for word in offered)


def test_a_push_to_a_mistyped_name_says_so(churn: Mreg) -> None:
    Path("other.pkl").write_bytes(b"other")
    done = churn("push", "other.pkl", "-n", "chrun", "-q", "--format", "plain")
    assert done.out == "chrun@1\n"
    assert churn("push", "other.pkl", "-n", "chrn").err == "registered new model chrn (similar: churn, chrun)\n"
    assert churn("push", "other.pkl", "-n", "zzz").err == ""


@pytest.mark.parametrize("text", ["true", "TRUE", "1", '"yes"', "no"])
def test_a_profile_can_refuse_new_models(churn: Mreg, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [word for key in ("catalog", "artifacts") for word in (f"--{key}", f"other/{key}")]
    Path("other/artifacts").mkdir(parents=True)
    assert churn("profile", "add", "strict", *places, "--existing-only").code == 0
    config = Path(churn("profile", "show", "strict", "--json").out and os.environ["HOME"], ".config/mreg/config.yaml")
    assert 'existing_only: "true"' in config.read_text()
    config.write_text(config.read_text().replace('existing_only: "true"', f"existing_only: {text}"))
    done = churn("--profile", "strict", "push", "model.pkl", "-n", "new")
    assert done.code == (0 if text == "no" else 4)
    monkeypatch.setenv("MREG_EXISTING_ONLY", "maybe")
    assert churn("--profile", "strict", "list").code == 2
    monkeypatch.setenv("MREG_EXISTING_ONLY", "0")
    assert churn("--profile", "strict", "push", "model.pkl", "-n", "new").code == 0
    assert json.loads(churn("profile", "show", "strict", "--json").out)["existing_only"] is False


def test_a_push_to_existing_models_only_refuses_another_name(churn: Mreg) -> None:
    done = churn("push", "model.pkl", "-n", "chrun", "--existing")
    assert (done.code, done.err) == (
        4,
        "error: model 'chrun' not found\n  did you mean churn?\n  to register it: mreg register chrun\n",
    )
    assert churn("show", "chrun").code == 4
    churn("register", "chrun")
    assert churn("push", "model.pkl", "-n", "chrun", "--existing", "-q").out == "chrun@1\n"


def test_a_push_of_bytes_that_a_version_has_says_which(churn: Mreg) -> None:
    assert churn("push", "model.pkl", "-n", "churn").err == "same bytes as churn@3\n"
    assert churn("push", "model.pkl", "-n", "zzz").err == ""


def test_the_old_name_of_a_model_leads_to_the_new_one(churn: Mreg) -> None:
    assert churn("rename", "churn", "churn", "--format", "table").out == "churn (unchanged), 3 versions\n"
    churn("rename", "churn", "leavers")
    churn("rename", "leavers", "team/leavers")
    for old in ("churn", "leavers"):
        assert churn("show", old).err == f"error: model '{old}' not found\n  it was renamed to team/leavers\n"
    assert churn("push", "model.pkl", "-n", "churn", "--existing").err.endswith(
        "it was renamed to team/leavers\n  to register it: mreg register churn\n"
    )
    churn("delete", "team/leavers", "--force", "--yes")
    assert "renamed" not in churn("show", "churn").err


def test_the_destination_of_a_pull_is_no_option(churn: Mreg) -> None:
    assert churn("pull", "churn@3", "-o", "x").err.endswith("the destination is an argument: mreg pull REF DEST\n")
