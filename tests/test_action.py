"""The GitHub Action in examples/action: its shell steps run here as GitHub runs them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import mreg
from tests.conftest import FULL, ROOT

FOLDER = ROOT / "examples/action"
ACTION = yaml.safe_load((FOLDER / "action.yml").read_text())
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
EXPRESSION = re.compile(r"\$\{\{ (?:inputs\.(?P<input>[\w-]+)|steps\.(?P<step>\w+)\.outputs\.(?P<output>\w+)) \}\}")
MODELS = ROOT / "examples/models"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of one run of the action."""

    code: int
    log: str
    outputs: dict[str, str]
    summary: str


def run_action(**inputs: str) -> Result:
    """Run the steps of the action up to the first one that fails; ``_`` in the names of inputs stands for ``-``."""
    values = {name: declared.get("default", "") for name, declared in ACTION["inputs"].items()}
    given = {name.replace("_", "-"): value for name, value in inputs.items()}
    assert given.keys() <= values.keys()
    values |= given
    runner = Path(os.environ["TMPDIR"], "runner")
    runner.mkdir(exist_ok=True)
    (runner / "path").write_text("")
    (runner / "summary").write_text("")
    written: dict[str, dict[str, str]] = {}

    def evaluated(text: str) -> str:
        value = EXPRESSION.sub(
            lambda m: values[m["input"]] if m["input"] else written.get(m["step"], {}).get(m["output"], ""), text
        )
        assert text.count("${{") == len(EXPRESSION.findall(text)), text
        return value

    code, log = 0, ""
    for number, step in enumerate(STEPS):
        if step["name"] == "Install mreg" and not FULL:
            continue  # downloads from the package index; mreg of the tests is on the PATH
        if step.get("if") == "inputs.compare-with != ''" and not values["compare-with"]:
            continue
        script = runner / f"{number}.sh"
        script.write_text(step["run"])
        output = runner / f"output-{number}"
        output.write_text("")
        path = [*(runner / "path").read_text().split(), str(Path(sys.executable).parent), os.environ["PATH"]]
        environment = os.environ | {
            "PATH": os.pathsep.join(path),
            "GITHUB_ACTION_PATH": str(FOLDER),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_PATH": str(runner / "path"),
            "GITHUB_STEP_SUMMARY": str(runner / "summary"),
            "RUNNER_TEMP": str(runner),
            **{name: evaluated(text) for name, text in step["env"].items()},
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=200,
        )  # fmt: skip
        code, log = done.returncode, log + done.stdout + done.stderr
        if "id" in step:
            written[step["id"]] = dict(line.split("=", 1) for line in output.read_text().splitlines())
        if code:
            break
    outputs = {name: evaluated(declared["value"]) for name, declared in ACTION["outputs"].items()}
    return Result(code=code, log=log, outputs=outputs, summary=(runner / "summary").read_text())


def take(kind: str) -> None:
    """Copy the model of a training and its metrics to the working folder."""
    shutil.copy(MODELS / kind / "model.joblib", "model.joblib")
    shutil.copy(MODELS / kind / "metrics.json", "metrics.json")


def test_the_action_pushes_and_compares_with_production() -> None:
    take("logistic")
    first = run_action(path="model.joblib", name="digits", metrics_file="metrics.json", tags="team=vision\n\nrun=a b\n")
    assert first.code == 0, first.log
    assert first.outputs["reference"] == "digits@1"
    assert (first.outputs["compared"], first.outputs["regression"], first.outputs["comparison"]) == ("false", "", "")
    with mreg.open_registry() as registry:
        assert registry.version("digits@1").tags == {"team": "vision", "run": "a b"}
        registry.promote("digits@1", to="Production")

    take("svm")
    second = run_action(
        path="model.joblib", name="digits", metrics_file="metrics.json", metrics="loss=0.5\nauc=0.9", params="C=5",
        parent="digits@1", alias="candidate", fail_on_regression="accuracy:0.01\nf1_score",
    )  # fmt: skip
    assert second.code == 0, second.log
    assert second.outputs | {"checksum": "", "comparison": ""} == {
        "reference": "digits@2", "model": "digits", "version": "2", "checksum": "", "compared": "true",
        "comparison": "", "regression": "false", "regressed": "",
    }  # fmt: skip
    assert "digits&#64;1 against digits&#64;2" in second.summary
    assert "| accuracy |" in Path(second.outputs["comparison"]).read_text()
    with mreg.open_registry() as registry:
        version = registry.version("digits@candidate")
        assert (version.version, version.metrics["loss"], version.metrics["auc"]) == (2, 0.5, 0.9)
        assert version.parameters == {"C": "5"}
        assert str(version.parent) == "digits@1"


def test_a_regression_fails_the_step_and_is_an_output() -> None:
    take("svm")
    assert run_action(path="model.joblib", name="digits", metrics_file="metrics.json", compare_with="").code == 0
    take("logistic")
    for rule, regressed in (("accuracy", "accuracy"), ("*", "accuracy,f1_score,precision,recall")):
        result = run_action(
            path="model.joblib", name="digits", metrics_file="metrics.json", compare_with="digits@1",
            fail_on_regression=rule,
        )  # fmt: skip
        assert result.code == 3, result.log
        assert (result.outputs["regression"], result.outputs["regressed"]) == ("true", regressed)
        assert Path(result.outputs["comparison"]).exists()


HOSTILE = (
    "$(touch owned) `touch owned` \"; touch owned; \" '; touch owned; '",
    "--help",
    "a\n--json\n*\nb=$(touch owned)",
)


@pytest.mark.parametrize("name", [name for name in ACTION["inputs"] if name != "extras"])
def test_an_input_is_never_run_as_code(name: str) -> None:
    Path("model.pkl").write_bytes(b"\x80\x04K\x01.")
    for text in HOSTILE:
        compared = "latest" if name == "fail-on-regression" else ""
        result = run_action(
            **{"path": "model.pkl", "name": "m", "compare_with": compared, name.replace("-", "_"): text}
        )
        assert [*Path().rglob("owned"), *Path(os.environ["TMPDIR"]).rglob("owned")] == [], text
        assert result.code in (0, 2, 3, 4), (text, result.log)
        assert "Usage:" not in result.log, (text, result.log)


def test_a_file_whose_name_looks_like_code_is_pushed_under_that_name() -> None:
    path = "$(touch owned) --json.pkl"
    Path(path).write_bytes(b"\x80\x04K\x01.")
    assert run_action(path=path, name="digits", compare_with="").code == 0
    assert os.listdir() == [path]
    with mreg.open_registry() as registry:
        assert registry.version("digits@1").artifact.name == path


def test_no_script_of_the_action_has_an_expression() -> None:
    assert [step["name"] for step in STEPS if "${{" in step["run"]] == []
