"""Metrics and parameters in the files of training tools: the right values come out, and the same from every side."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mreg
from mreg.documents.metrics import Measured, metrics_of, read_metrics
from mreg.documents.parameters import parameters_of, read_parameters
from mreg.domain.metrics import QUALITY, Direction, direction
from mreg.errors import BadInput, MregError
from tests.conftest import Mreg

CASES = Path(__file__).parent / "cases"


def written(name: str, text: str) -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def test_a_classification_report_of_scikit_learn() -> None:
    metrics = read_metrics(CASES / "sklearn_classification_report.json").metrics
    assert len(metrics) == 13
    assert metrics["accuracy"] == 0.951048951048951
    assert metrics["macro avg.f1-score"] == 0.9459298871063577
    assert metrics["malignant.recall"] == 0.8679245283018868


def test_metrics_of_dvclive() -> None:
    assert read_metrics(CASES / "dvclive_metrics.json").metrics == {
        "train.acc": 0.9, "train.loss": 0.2, "eval.acc": 0.88, "eval.loss": 0.3, "step": 10,
    }  # fmt: skip


def test_results_of_the_trainer() -> None:
    measured = read_metrics(CASES / "hf_all_results.json")
    assert measured.metrics == json.loads((CASES / "hf_all_results.json").read_text())
    assert len(measured.metrics) == 12
    assert measured.notes == ()


def test_the_state_of_the_trainer_gives_the_last_value_of_each_key() -> None:
    path = CASES / "hf_trainer_state.json"
    measured = read_metrics(path)
    assert measured.metrics == {
        "best_metric": 0.912, "epoch": 3, "global_step": 1500, "max_steps": 1500, "num_train_epochs": 3,
        "eval_accuracy": 0.912, "eval_loss": 0.2345, "step": 1500,
    }  # fmt: skip
    (note,) = measured.notes
    assert note.endswith("skipped values that are not finite numbers: best_model_checkpoint, is_local_process_zero")


def test_a_csv_file_of_lightning_gives_the_last_value_of_each_column() -> None:
    assert read_metrics(CASES / "lightning_metrics.csv") == metrics_of(
        {"epoch": 2, "step": 149, "train_loss": 0.4, "val_acc": 0.91, "val_loss": 0.31}
    )


def test_a_report_of_pytest_benchmark_gives_the_statistics_of_each_test() -> None:
    measured = read_metrics(CASES / "pytest_benchmark.json")
    assert measured.metrics["test_x.mean"] == 5.8980010379953827e-08
    assert {"test_x.median", "test_x.stddev", "test_x.min", "test_x.max", "test_x.ops"} <= set(measured.metrics)
    assert all(name.startswith("test_x.") for name in measured.metrics)
    directions = {name: direction(name) for name in measured.metrics}
    times = {f"test_x.{word}" for word in ("mean", "median", "min", "max", "total", "q1", "q3")}
    assert {name for name in times if name in directions and directions[name] is not Direction.LOWER} == set()
    assert directions["test_x.ops"] is Direction.HIGHER
    assert directions["test_x.stddev"] is None
    assert directions["test_x.rounds"] is None


def test_values_that_are_no_metrics_are_skipped_and_named(command: Mreg, model_file: Path) -> None:
    done = command("push", str(model_file), "--name", "m", "--metrics-file", str(CASES / "mixed_values.json"))
    assert done.code == 0
    (warning,) = [line for line in done.err.splitlines() if "skipped" in line]
    assert warning.endswith("skipped values that are not finite numbers: name, loss, big, flag, cm")
    assert any(line.endswith("read quoted numbers as numbers: accuracy") for line in done.err.splitlines())
    with mreg.open_registry() as registry:
        assert registry.version("m").metrics == {"accuracy": 0.93}
    assert command("push", str(model_file), "--name", "m", "--metric", "loss=nan").code == 2


def test_parameters_of_hydra() -> None:
    assert read_parameters(CASES / "hydra_config.yaml") == {
        "model.name": "bert", "model.hidden": "768", "model.layers": "[1,2,3]", "optim.lr": "3e-4",
        "optim.betas": "[0.9,0.999]", "optim.weight_decay": "0.01", "data": "${oc.env:DATA}", "seed": "null",
        "trainer.epochs": "3", "trainer.amp": "true",
    }  # fmt: skip


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[a-z_]{1,5}", fullmatch=True), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
MAPPINGS = st.dictionaries(st.from_regex(r"[a-z_]{1,5}", fullmatch=True), VALUES, max_size=5)


@given(MAPPINGS)
def test_python_values_give_the_metrics_and_parameters_of_the_same_file(values: dict[str, object]) -> None:
    path = written("values.json", json.dumps(values))
    try:
        from_file = read_metrics(path)
    except MregError as error:
        with pytest.raises(type(error)):
            metrics_of(values)
    else:
        assert metrics_of(values).metrics == from_file.metrics
    try:
        parameters = read_parameters(written("values.json", json.dumps(values, allow_nan=False)))
    except (MregError, ValueError):  # JSON has no NaN
        return
    assert parameters_of(values) == parameters


def test_every_side_stores_the_same(command: Mreg, model_file: Path) -> None:
    text = '{"optim": {"lr": 0.001, "nesterov": true}, "seed": null, "layers": [1, 2]}'
    written("p.json", text)
    assert command("push", str(model_file), "--name", "m", "--params-file", "p.json").code == 0
    with mreg.open_registry() as registry:
        registry.push(model_file, name="m", parameters=json.loads(text))
        first, second = registry.version("m@1"), registry.version("m@2")
        assert first.parameters == second.parameters == {
            "optim.lr": "0.001", "optim.nesterov": "true", "seed": "null", "layers": "[1,2]",
        }  # fmt: skip
        assert [row for row in registry.compare("m@1", "m@2").changes if row.group == "parameters"] == []


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("1e-3", "0.001", True), ("3e-4", "0.0003", True), ("10", "10.0", True), ("+1", "1", True), ("-0.0", "0", True),
        ("True", "true", True), ("None", "null", True), ("1", "2", False), ("1", "true", False), ("1e-3", "1e-4", False),
        ("abc", "ABC", False), ("0.1", "0.1000000000000000055511151231257827", False), ("1" * 50, "1" * 49 + "1.0", False),
        ("nan", "NaN", False), ("1e99999999999999999999", "2e99999999999999999999", False), ("1e999999999", "10e999999998", True), ("", "null", False),
    ],
)  # fmt: skip
def test_equal_parameters_compare_as_equal(
    first: str, second: str, same: bool, registry: mreg.Registry, model_file: Path
) -> None:
    for text in (first, second):
        registry.push(model_file, name="m", parameters={"p": text})
    changes = [(row.first, row.second) for row in registry.compare("m@1", "m@2").changes if row.group == "parameters"]
    assert changes == ([] if same else [(first, second)])


def test_a_push_from_python_skips_and_flattens_with_a_warning(registry: mreg.Registry, model_file: Path) -> None:
    with pytest.warns(UserWarning, match="not finite numbers: eval.note, loss"):
        version = registry.push(
            model_file, name="m", metrics={"eval": {"acc": 0.9, "note": "x"}, "loss": float("nan"), "F1 Score": 0.8}
        )
    assert version.metrics == {"eval.acc": 0.9, "f1_score": 0.8}


@pytest.mark.parametrize("name", ["f1-score", "F1 Score", "f1_score", "F1-SCORE"])
def test_a_well_known_metric_has_one_name(name: str, command: Mreg, model_file: Path) -> None:
    assert command("push", str(model_file), "--name", "m", "--metric", f"{name}=0.5").code == 0
    written("m.json", json.dumps({name: 0.5}))
    assert command("push", str(model_file), "--name", "m", "--metrics-file", "m.json").code == 0
    with mreg.open_registry() as registry:
        assert registry.version("m@1").metrics == registry.version("m@2").metrics == {"f1_score": 0.5}
    assert command("push", str(model_file), "--name", "m", "--metric", f"{name}=1", "--f1-score", "1").code == 2


def test_prefixes_of_metrics_files(command: Mreg, model_file: Path) -> None:
    for name in ("a", "b"):
        written(f"{name}.json", '{"loss": 0.5}')
    files = ("--metrics-file", "a.json", "--metrics-file", "b.json")
    push = ("push", str(model_file), "--name", "m")
    assert command(*push, *files, "--metrics-prefix", "train.", "--metrics-prefix", "val.").code == 0
    assert command(*push, "--metrics-file", "a.json", "--metrics-prefix", "val.").code == 0
    with mreg.open_registry() as registry:
        assert registry.version("m@1").metrics == {"train.loss": 0.5, "val.loss": 0.5}
        assert registry.version("m@2").metrics == {"val.loss": 0.5}
    for words in (
        (*files, "--metrics-prefix", "v."),
        (*files, *["--metrics-prefix", "v."] * 3),
        ("--metrics-prefix", "v."),
    ):
        assert command(*push, *words).code == 2


def test_a_metric_is_split_at_the_last_equals_sign(command: Mreg, model_file: Path) -> None:
    done = command("push", str(model_file), "--name", "m", "--metric", "a=b=0.5")
    assert (done.code, "'a=b'" in done.err) == (2, True)  # a name cannot have the sign, and the message shows all of it


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("base: &b {lr: 1, n: 2}\nmodel: {<<: *b, n: 3}\n", {"base.lr": "1", "base.n": "2", "model.n": "3", "model.lr": "1"}),
        ("a: &x [1, 2]\nb: *x\n", {"a": "[1,2]", "b": "[1,2]"}),
        ("a: &x 5\nb: *x\n", {"a": "5", "b": "5"}),
        ("a: &a {p: 1}\nb: &b {p: 2, q: 2}\nc:\n  <<: [*a, *b]\n", {"a.p": "1", "b.p": "2", "b.q": "2", "c.p": "1", "c.q": "2"}),
        ("a: {<<: {p: 1}}\n", {"a.p": "1"}),
        ("a: &x 1\nb: &x 2\nc: *x\n", {"a": "1", "b": "2", "c": "2"}),
        ("'<<': 1\n", {"<<": "1"}),
    ],
)  # fmt: skip
def test_anchors_in_parameter_files_are_expanded(text: str, parameters: dict[str, str]) -> None:
    assert read_parameters(written("p.yaml", text)) == parameters


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "more than 25,000 keys and values"),
        (BOMB.replace("[x", "{k: [x", 1).replace("x]", "x]}", 1), "more than 25,000 keys and values"),
        ("a: &a [*a]\n", "the alias '*a' has no anchor before it"),
        ("a: *b\n", "the alias '*b' has no anchor before it"),
        ("a: &a {b: {c: *a}}\n", "the alias '*a' has no anchor before it"),
        ("a: {<<: 1}\n", "a merge key needs a mapping"),
        ("a: {<<: {b: 1}, <<: {c: 1}}\n", "duplicate key '<<'"),
        ("a: &x 1\n*x : 2\n", "a key must be a string"),
        (
            "".join(f"a{n}: &a{n} {{x: *a{n - 1}}}\n" if n else "a0: &a0 {x: 1}\n" for n in range(400)),
            "keys and values",
        ),
    ],
)
def test_bad_anchors_are_rejected_with_their_line(text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_parameters(written("p.yaml", text))
    assert message in caught.value.message
    assert "line" in caught.value.message


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.csv", "a,a\n1,2\n", "'m.csv', line 1: duplicate column 'a'"),
        ("m.csv", "a,b\n1,2,3\n", "'m.csv', line 2: expected at most 2 values, got 3"),
        ("m.csv", 'a\n"1\n', "invalid CSV"),
        ("m.csv", "a=b\n1\n", "'m.csv', line 2: invalid metric name 'a=b'"),
        ("m.csv", ",".join(f"c{n}" for n in range(100_000)) + "\n", "'m.csv', line 1: too many columns: 100,000; the limit is 1,000"),
        ("m.csv", "a\n" + "x" * 200_000 + "\n", "invalid CSV"),
        ("m.json", json.dumps({f"m{n}": 1 for n in range(1_001)}), "too many metrics: 1001; the limit is 1000"),
        ("m.json", '{"a.b": 1, "a": {"b": 2}}', "duplicate metric 'a.b'"),
        ("m.json", '{"a": {"b=c": 1}}', "'m.json': invalid metric name 'a.b=c'"),
        ("m.json", '{"f1-score": 1, "f1_score": 2}', "duplicate metric 'f1_score'"),
        ("m.json", "[1]", "metrics must be a mapping"),
    ],
)  # fmt: skip
def test_bad_metrics_files_are_rejected(name: str, text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_metrics(written(name, text))
    assert message in caught.value.message


def test_a_large_csv_file_is_read_and_a_larger_one_rejected() -> None:
    rows = "".join(f"{step},0.{step:06d}\n" for step in range(200_000))
    assert read_metrics(written("m.csv", "step,loss\n" + rows)).metrics == {"step": 199_999, "loss": 0.199999}
    with open("huge.csv", "wb") as stream:
        stream.truncate(1 << 30)
    with pytest.raises(BadInput, match="larger than 16 MiB"):
        read_metrics("huge.csv")


@pytest.mark.parametrize(("name", "text"), [("m.json", "{}"), ("m.yaml", ""), ("m.csv", ""), ("m.csv", "loss\n")])
def test_a_file_without_any_value_is_accepted_with_a_note(name: str, text: str) -> None:
    measured = read_metrics(written(name, text))
    assert measured == Measured({}, (f"'{name}' has no metrics",))
    assert metrics_of({}) == Measured({})


@pytest.mark.parametrize("ending", ["yaml", "yml", "txt", "YAML", ""])
def test_a_file_with_another_ending_is_read_as_yaml(ending: str) -> None:
    assert read_metrics(written(f"m.{ending}", "eval:\n  acc: 0.5\n")).metrics == {"eval.acc": 0.5}
    assert read_metrics(written(f"m.{ending}", '{"eval": {"acc": 0.5}}')).metrics == {"eval.acc": 0.5}


@pytest.mark.parametrize("text", ["acc\tloss\n1\t2\n", '{"acc": 1}\n{"acc": 2}\n', "[eval]\nacc = 1\n", "acc=1\n"])
def test_tab_separated_values_json_lines_and_toml_are_rejected(text: str) -> None:
    with pytest.raises(BadInput, match=r"m\.log"):
        read_metrics(written("m.log", text))


def test_a_metric_of_two_files_is_rejected(command: Mreg, model_file: Path) -> None:
    written("a.json", '{"acc": 0.9, "f1-score": 1}')
    written("b.json", '{"acc": 0.9}')
    push = ("push", str(model_file), "--name", "m", "--metrics-file", "a.json")
    done = command(*push, "--metrics-file", "b.json")
    assert (done.code, done.err.splitlines()[0]) == (2, "error: the metric 'acc' is given twice")
    assert command(*push, "--metric", "acc=1").code == 2
    assert command(*push, "--f1-score", "1").code == 2


def test_nan_at_the_end_of_a_column_is_not_hidden_by_an_earlier_value() -> None:
    measured = read_metrics(written("m.csv", "loss,acc\n0.5,0.9\nnan,\n"))
    assert measured.metrics == {"acc": 0.9}
    assert "loss" in measured.notes[0]


def test_the_index_column_of_pandas_is_left_out() -> None:
    assert read_metrics(written("m.csv", "\ufeff,acc\r\n0,0.5\r\n1,0.75\r\n")).metrics == {"acc": 0.75}
    assert os.stat("m.csv").st_size > 0


def test_the_reference_lists_the_quality_metrics_in_their_order() -> None:
    page = " ".join((Path(__file__).parents[1] / "docs/reference/metrics.md").read_text().split())
    assert f"comes last): {', '.join(QUALITY)}, 3. the only metric" in page


def test_a_well_known_metric_is_found_by_each_spelling(command: Mreg, model_file: Path) -> None:
    for value in (0.5, 0.6):
        assert command("push", str(model_file), "--name", "m", "--f1-score", str(value)).code == 0
    assert command("search", "metrics.f1-score > 0.55", "-q").out == "m@2\n"
    assert command("search", "f1-score > 0.55 and metrics.'F1 Score' < 1", "-q").out == "m@2\n"
    assert command("edit", "m", "--primary-metric", "F1-Score", "--direction", "f1-score=lower").err == ""
    model = json.loads(command("show", "m", "--json").out)
    assert (model["primary_metric"], model["directions"]) == ("f1_score", {"f1_score": "lower"})
    compared = command("compare", "m", "1", "2", "--metric", "F1 score", "--fail-on-regression", "f1-score", "--json")
    assert (compared.code, [metric["name"] for metric in json.loads(compared.out)["metrics"]]) == (3, ["f1_score"])
    Path("policy.yaml").write_text("Staging:\n  gates: [f1-score >= production.f1-score - 0.05]\n")
    assert command("promote", "m@1", "--to", "production").code == command("policy", "apply", "policy.yaml").code == 0
    assert command("promote", "m@2", "--to", "staging").code == 0
