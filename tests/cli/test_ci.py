"""What ``--ci`` hands to each platform, read back by the rules of the platform."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import mreg
from mreg.cli import app
from mreg.cli.ci import METRICS_FILE, SINKS, SUMMARY_BYTES, Content, _azure_value, _dotenv, _property, _teamcity_value
from mreg.domain.text import printable
from mreg.registry.ci_runs import PLATFORMS

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs one command line in this process."""

    def run_words(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = app.run(words)
        out, err = capfd.readouterr()
        return code, out, err

    return run_words


@pytest.fixture(autouse=True)
def _model(monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkdir("store")
    monkeypatch.setenv("MREG_CATALOG", os.path.abspath("store/catalog.db"))
    monkeypatch.setenv("MREG_ARTIFACTS", os.path.abspath("store/artifacts"))
    Path("model.pkl").write_bytes(b"x")
    os.mkdir("job")
    with mreg.open_registry() as registry:
        registry.register("others")


def push(run: Run, *words: str) -> tuple[int, str, str]:
    return run("push", "model.pkl", "-n", "m", "--ci", "--accuracy", "0.9", *words)


def dotenv(text: str) -> dict[str, str]:
    """Read a dotenv report as GitLab does: ``app/services/ci/parse_dotenv_artifact_service.rb``."""
    assert len(text.encode()) < 5 * 1024
    pairs = [re.findall(r"^(.*?)=(.*)$", line)[-1] for line in text.splitlines()]
    assert len(pairs) <= 20
    return {key.strip(): value.strip() for key, value in pairs}


def properties(text: str) -> dict[str, str]:
    """Read the escapes of a Java properties file that mreg writes."""
    found = {}
    for line in text.encode("latin-1").decode("latin-1").splitlines():
        key, _, value = line.partition("=")
        units = re.sub(r"\\u([0-9a-f]{4})|\\(.)", lambda each: chr(int(each[1], 16)) if each[1] else each[2], value)
        found[key] = units.encode("utf-16", "surrogatepass").decode("utf-16")
    return found


def vso(text: str) -> list[tuple[str, str]]:
    """Read log commands as the Azure agent does: ``Command.TryParse``."""
    found = []
    for line in text.splitlines():
        start = line.find("##vso[")
        end = line.find("]", start)
        if start >= 0 and end >= 0:
            data = line[end + 1 :]
            for code, char in (("%3B", ";"), ("%0D", "\r"), ("%0A", "\n"), ("%5D", "]"), ("%AZP25", "%")):
                data = data.replace(code, char)
            found.append((line[start + 6 : end], data))
    return found


def shell(script: str, **variables: str) -> str:
    done = subprocess.run(
        ["bash", "-euc", script], capture_output=True, text=True, check=True, env={**os.environ, **variables}
    )
    return done.stdout


def test_each_known_platform_has_a_place() -> None:
    assert SINKS.keys() == {platform.key for platform in PLATFORMS}


def test_without_a_platform_a_warning_says_that_nothing_is_written(run: Run) -> None:
    code, out, err = push(run, "-q")
    assert (code, out) == (0, "m@1\n")
    assert err == "--ci: nothing is written, because no CI platform is recognized\n"
    assert run("compare", "m@1", "m@1", "--ci", "-q")[0] == 0


def test_github_gets_outputs_and_a_summary(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", os.path.abspath("output"))
    code, _, err = push(run, "-q")
    assert (code, err) == (0, "--ci: summary not written for GitHub Actions: GITHUB_STEP_SUMMARY is not set\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", os.path.abspath("summary"))
    assert push(run, "-q")[0] == 0
    outputs = dict(line.split("=", 1) for line in Path("output").read_text().splitlines())
    assert outputs.keys() == {"reference", "model", "version", "checksum"}
    assert (outputs["reference"], outputs["model"], outputs["version"]) == ("m@2", "m", "2")
    assert "### m&#64;2" in Path("summary").read_text()


def test_a_file_whose_folder_is_missing_is_a_warning_and_one_that_is_not_writable_an_error(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", os.path.abspath("gone/output"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", os.path.abspath("job"))
    code, _, err = push(run, "-q")
    assert code == 8
    assert err == (
        f"--ci: outputs not written for GitHub Actions: the folder of GITHUB_OUTPUT does not exist: "
        f"{os.path.abspath('gone')}\nerror: cannot write {os.path.abspath('job')}: it is a folder\n"
    )
    assert run("show", "m")[0] == 4


def test_gitlab_gets_a_dotenv_report_and_metrics(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("CI_PROJECT_DIR", os.path.abspath("job"))
    Path("job/mreg-ci.env").write_text("OTHER=1\n\n")
    hash_sign = "a#b'c\"d\\e"
    assert push(run, "-q", "--metric", f"{hash_sign}=1e-3", "--metric", "loss=0.25")[::2] == (0, "")
    assert push(run, "-q", "--metric", "loss=0.5")[::2] == (0, "")
    assert run("push", "model.pkl", "-n", "other", "--metric", "loss=-0.5", "--ci", "-q")[0] == 0
    assert run("compare", "m", "1", "2", "--ci", "--fail-on-regression", "loss")[0] == 3
    found = dotenv(Path("job/mreg-ci.env").read_text())
    assert found | {"MREG_PUSHED_CHECKSUM": ""} == {
        "OTHER": "1", "MREG_PUSHED_REFERENCE": "other@1", "MREG_PUSHED_MODEL": "other", "MREG_PUSHED_VERSION": "1",
        "MREG_PUSHED_CHECKSUM": "", "MREG_COMPARED_REFERENCE_A": "m@1", "MREG_COMPARED_REFERENCE_B": "m@2",
        "MREG_COMPARED_REGRESSION": "true", "MREG_COMPARED_REGRESSED": "loss",
    }  # fmt: skip
    text = Path("job", METRICS_FILE).read_text()
    assert text == (
        '# TYPE mreg_metric gauge\nmreg_metric{model="m",metric="accuracy"} 0.9\n'
        'mreg_metric{model="m",metric="loss"} 0.5\n'
        'mreg_metric{model="other",metric="loss"} -0.5\n# EOF\n'
    )
    assert sorted(os.listdir("job")) == sorted(["mreg-ci.env", METRICS_FILE])


@given(st.dictionaries(st.text(min_size=1, max_size=20), st.floats(allow_nan=False, allow_infinity=False), max_size=5))
def test_any_metrics_are_openmetrics_text_that_gitlab_parses(metrics: dict[str, float]) -> None:
    from mreg.cli.ci import _metric_lines

    content = Content(scope="PUSHED", outputs={}, title="", summary="", model="m", metrics=metrics)
    lines = _metric_lines(['mreg_metric{model="other",metric="x"} 1'], content)
    if not metrics:
        return
    families = list(text_string_to_metric_families("".join(f"{line}\n" for line in lines)))  # type: ignore[no-untyped-call]
    samples = [sample for family in families for sample in family.samples]
    names = dict.fromkeys(printable(name).replace("#", "_") for name in metrics)
    assert [sample.labels["metric"] for sample in samples] == ["x", *names]
    for line in lines[1:-1]:  # ee/lib/gitlab/ci/parsers/metrics/generic.rb splits each line as words of a shell
        assert len(shlex.split(re.sub(r"#.*$", "", line))) >= 2


def test_a_link_in_the_folder_of_the_job_is_not_followed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("CI_PROJECT_DIR", os.path.abspath("job"))
    Path("profile").write_text("mine\n")
    for make in (
        lambda path: path.symlink_to("../profile"),
        lambda path: path.symlink_to("gone"),
        lambda path: path.mkdir(),
        os.mkfifo,
        lambda path: path.write_bytes(bytes(2 << 20)),
    ):
        place = Path("job/mreg-ci.env")
        make(place)
        code, _, err = push(run, "-q")
        assert (code, "it is not a readable regular file of at most 1 MiB" in err) == (8, True)
        place.rmdir() if place.is_dir() and not place.is_symlink() else place.unlink()
    assert Path("profile").read_text() == "mine\n"
    assert run("show", "m")[0] == 4
    assert os.listdir("job") == []


def test_azure_gets_variables_and_a_summary_without_a_change_of_the_result(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_BUILD", "True")
    code, out, err = push(run, "-q")
    assert (code, out) == (0, "m@1\n")
    assert "summary not written for Azure Pipelines: AGENT_TEMPDIRECTORY does not name a folder" in err
    monkeypatch.setenv("AGENT_TEMPDIRECTORY", os.path.abspath("job"))
    code, out, err = push(run, "-q")
    commands = dict(vso(err))
    assert (code, out, len(commands)) == (0, "m@2\n", 5)
    assert commands["task.setvariable variable=reference;isOutput=true"] == "m@2"
    assert "### m&#64;2" in Path(commands["task.uploadsummary"]).read_text()


def test_buildkite_gets_meta_data_and_an_annotation(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDKITE", "true")
    monkeypatch.setenv("PATH", f"job:{os.environ['PATH']}")
    Path("job/buildkite-agent").write_text(
        '#!/bin/sh\n{ for word; do echo "[$word]"; done; cat; echo; } >> "$CALLS"\n[ "$2" != "$FAILS" ] || { echo no access >&2; exit 1; }\n'
    )
    os.chmod("job/buildkite-agent", 0o755)
    monkeypatch.setenv("CALLS", os.path.abspath("calls"))
    monkeypatch.setenv("FAILS", "none")
    code, _, err = push(run, "-q")
    assert (code, "buildkite-agent is not in a folder of PATH" in err, Path("calls").exists()) == (0, True, False)
    monkeypatch.setenv("PATH", f"{os.path.abspath('job')}:{os.environ['PATH']}")
    assert push(run, "-q")[::2] == (0, "")
    calls = Path("calls").read_text()
    assert calls.startswith("[meta-data]\n[set]\n[MREG_PUSHED_REFERENCE]\nm@2\n[meta-data]\n")
    assert "[annotate]\n[--style=info]\n[--context=mreg push m@2]\n### m&#64;2\n" in calls
    assert run("compare", "m", "1", "2", "--ci", "-q")[0] == 0
    assert "MREG_COMPARED_REGRESSED" not in Path("calls").read_text()  # the agent rejects an empty value
    monkeypatch.setenv("FAILS", "set")
    code, _, err = push(run, "-q")
    assert (code, err) == (8, "error: buildkite-agent meta-data failed: exit code 1: no access\n")


@pytest.mark.parametrize(
    ("marker", "variable", "read"),
    [
        ("CIRCLECI", "BASH_ENV", '. "$BASH_ENV"; echo "$MREG_PUSHED_REFERENCE $MREG_PUSHED_VERSION"'),
        ("BITBUCKET_BUILD_NUMBER", "BITBUCKET_PIPELINES_VARIABLES_PATH", '. "$FILE"; echo "$MREG_PUSHED_REFERENCE 1"'),
    ],
)
def test_circleci_and_bitbucket_get_variables_in_their_file(
    marker: str, variable: str, read: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(marker, "true")
    assert f"{variable} is not set" in push(run, "-q")[2]
    monkeypatch.setenv(variable, os.path.abspath("variables"))
    Path("variables").write_text("OTHER=1\n")
    assert push(run, "-q")[::2] == (0, "")
    assert shell(read, FILE=os.path.abspath("variables")).startswith("m@2 ")
    assert Path("variables").read_text().startswith("OTHER=1\n")


@pytest.mark.parametrize(
    ("marker", "folder"), [({"CI": "woodpecker"}, "CI_WORKSPACE"), ({"DRONE": "true"}, "DRONE_WORKSPACE")]
)
def test_woodpecker_and_drone_get_a_file_for_the_shell(
    marker: dict[str, str], folder: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in marker.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(folder, os.path.abspath("job"))
    assert push(run, "-q")[::2] == (0, "")
    assert shell(". job/mreg-ci.env; echo $MREG_PUSHED_REFERENCE") == "m@1\n"


def test_jenkins_gets_java_properties(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JENKINS_URL", "https://j/")
    monkeypatch.setenv("WORKSPACE", os.path.abspath("job"))
    assert push(run, "-q", "--metric", "größe\\n🙂=1")[::2] == (0, "")
    assert push(run, "-q", "--metric", "größe\\n🙂=2")[::2] == (0, "")
    assert run("edit", "m", "--direction", "größe\\n🙂=lower")[0] == 0
    assert run("compare", "m", "1", "2", "--ci", "--fail-on-regression", "größe\\n🙂")[0] == 3
    found = properties(Path("job/mreg-ci.properties").read_text())
    assert (found["MREG_PUSHED_REFERENCE"], found["MREG_COMPARED_REGRESSED"]) == ("m@2", "größe\\n🙂")


def test_teamcity_gets_service_messages_after_a_result_for_people(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAMCITY_VERSION", "2025.11")
    code, out, err = push(run)
    assert (code, err) == (0, "")
    assert "##teamcity[setParameter name='mreg.pushed.reference' value='m@1']\n" in out
    assert out.endswith("##teamcity[buildStatisticValue key='m.accuracy' value='0.9000']\n")
    for words in (["-q"], ["--json"], ["--format", "csv"]):
        _, out, err = push(run, *words)
        assert "##teamcity" not in out
        assert err.splitlines()[0] == (
            "--ci: parameters and statistics not written for TeamCity: standard output has the result in a format for "
            "programs"
        )


HOSTILE = st.text(st.characters(codec="utf-8") | st.sampled_from(list("\n\r=:#[]|'\"%;$`\\,<")), max_size=60)


@given(HOSTILE)
def test_any_value_comes_back_as_one_printable_line(text: str) -> None:
    line = printable(text)
    assert vso(f"##vso[task.setvariable variable=x]{_azure_value(text)}") == [("task.setvariable variable=x", line)]
    assert properties(f"x={_property(line)}\n") == {"x": line}
    assert dotenv(f"x={_dotenv(line)}\n") == {"x": line.replace("$", "_").strip()}
    escaped = _teamcity_value(text)
    assert escaped.isascii()
    assert re.fullmatch(r"(?:[^|'\[\]\r\n]|\|['|\[\]]|\|0x[0-9a-f]{4})*", escaped)


def test_a_long_list_of_metrics_fits_a_dotenv_report() -> None:
    value = _dotenv(",".join(f"metric{number}" for number in range(1_000)))
    assert len(value) <= 1_010
    assert value.endswith(",...")


def test_a_summary_is_cut_after_a_line() -> None:
    content = Content(scope="PUSHED", outputs={}, title="", summary="é" * 70 + "\n" + "line é\n" * 200_000)
    summary = content.limited_summary()
    assert len(summary.encode()) <= SUMMARY_BYTES + 100
    assert summary.endswith("line é\n\nThe rest is left out.\n")


def test_a_pipe_without_a_reader_is_an_error_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo("pipe")
    monkeypatch.setenv("GITHUB_OUTPUT", os.path.abspath("pipe"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", os.path.abspath("summary.md"))
    code, out, err = push(run)
    assert (code, "m@1" in out) == (8, True)
    assert f"cannot write {os.path.abspath('pipe')}: " in err
