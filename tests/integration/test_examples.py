"""The examples run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mreg
from tests.forking import forked_mreg
from tests.places import catalogs_of
from tests.servers import Place

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples"
BIN = Path(sys.executable).parent


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The first folder of the PATH: mreg, whose processes are forked, and the other programs of the environment."""
    folder = tmp_path / "environment/bin"
    folder.mkdir(parents=True)
    (folder / "mreg").symlink_to(forked_mreg())
    for name in ("python", "weed"):
        (folder / name).write_text(f'#!/bin/sh\nexec "{BIN / name}" "$@"\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture
def copied(tmp_path: Path, programs: Path) -> Path:
    """The quickstart in a copy of the examples beside an environment that has mreg."""
    shutil.copytree(EXAMPLES, tmp_path / "copy" / "examples")
    (tmp_path / "copy" / ".venv").symlink_to(programs.parent)
    return tmp_path / "copy/examples/quickstart.sh"


def shell(script: str, **variables: str) -> str:
    done = subprocess.run(
        ["sh", "-euc", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
        timeout=250,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_quickstart_runs_the_main_job_in_a_copy(tmp_path: Path) -> None:
    for name in ("examples", "mreg", "pyproject.toml", "README.md", "LICENSE"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    # What is tested here is the script; installing by pip into an empty environment would need the network.
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    out = shell(f"sh {tmp_path}/examples/quickstart.sh")
    assert "$ mreg rollback digits --reason too slow in the shop" in out
    assert out.endswith("Done. The registry of this run was temporary and is removed.\n")
    assert not list(Path(os.environ["HOME"]).rglob("catalog.db"))


def test_the_quickstart_runs_on_a_bucket_too(place: Place, tmp_path: Path, copied: Path) -> None:
    profiles = tmp_path / "profiles.yaml"
    profiles.write_text(
        f"profiles:\n  s3:\n    catalog: catalog.db\n    artifacts: {place.url}\n    endpoint_url: {place.endpoint}\n"
    )
    out = shell(f"sh {copied}", MREG_QUICKSTART_PROFILE="s3", MREG_CONFIG=str(profiles))
    assert "$ mreg rollback digits --reason too slow in the shop" in out
    assert len(place.keys("blobs/")) == 2


@pytest.mark.parametrize("kind", ["bucket", "postgresql", "redis"])
def test_the_quickstart_runs_unchanged_on_a_shared_catalog(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, copied: Path
) -> None:
    catalog = catalogs_of(kind, request, monkeypatch, tmp_path)()
    profiles = tmp_path / "profiles.yaml"
    profiles.write_text(f"profiles:\n  team:\n    catalog: {catalog}\n    artifacts: {tmp_path}/artifacts\n")
    out = shell(f"sh {copied}", MREG_QUICKSTART_PROFILE="team", MREG_CONFIG=str(profiles))
    assert "$ mreg rollback digits --reason too slow in the shop" in out
    with mreg.open_registry("team", config=profiles) as registry:
        assert registry.verify_audit().events > 6


def test_two_people_share_a_bucket(programs: Path) -> None:
    out = shell(f"sh {EXAMPLES}/shared-bucket.sh", MREG_EXAMPLE_BIN=str(programs))
    assert "grace$ mreg compare digits 1 2" in out
    assert out.endswith("Done. The server is stopped and all data is removed.\n")


def test_a_teams_road_to_production() -> None:
    out = shell(f"sh {EXAMPLES}/approval-flow.sh 2>&1")
    for words in (
        "has 0 of 1 approvals for Production",
        "was rejected for Production by risk: slow on the oldest phones",
    ):
        assert words in out
    assert out.endswith("Done. The registry of this run was temporary and is removed.\n")


def test_a_ci_job_and_two_users_share_a_server() -> None:
    out = shell(f"sh {EXAMPLES}/team-server.sh 2>&1")
    for words in (
        "you are limited to the models",
        "ci has role writer; this needs role approver",
        "has 0 of 1 approvals for Production",
        "the token 'ci' was revoked",
    ):
        assert words in out
    assert "mreg_" not in out, "secrets are not shown"
    assert out.endswith("Done. The server is stopped and all data is removed.\n")
    assert not list(Path(os.environ["HOME"]).rglob("logins.json"))


def test_a_promotion_deploys_a_service_and_a_broken_model_is_rolled_back() -> None:
    out = shell(f"sh {EXAMPLES}/deploy-hook/run.sh 2>&1")
    answers = [json.loads(line) for line in out.splitlines() if line.startswith('{"digit"')]
    assert answers == [{"digit": 0, "model": f"digits@{version}"} for version in (1, 2, 2)]
    assert "the hook deploy failed for digits@3 in Production: exit code 1, digits@3 did not start" in out
    assert "rolled back: digits@2 is in Production again" in out


def test_a_model_is_trained_and_pushed() -> None:
    out = shell(f'"{sys.executable}" {EXAMPLES}/train_and_push.py; "{sys.executable}" {EXAMPLES}/train_and_push.py')
    assert "tumours@1 is in Production" in out
    assert "accuracy" in out
    assert "tumours@1 stays in Production" in out
    with mreg.open_registry() as registry:
        version = registry.version("tumours@1")
        assert version.metrics["accuracy"] > 0.9
        assert version.artifact.format == "pickle"
        assert "scikit-learn" in version.source.environment


OUTPUTS = {
    "github-actions.yml": 'sed -n "s/^reference=//p" "$GITHUB_OUTPUT" | head -n 1',
    "azure-pipelines.yml": 'sed -n "s/^##vso.task.setvariable variable=reference;isOutput=true.//p" commands',
    "Jenkinsfile": 'sed -n "s/^MREG_PUSHED_REFERENCE=//p" mreg-ci.properties',
}
"""How the test reads the output that the platform hands to the next step."""

AGENT = """#!/bin/sh
case "$1 $2" in
  "meta-data set") cat > "$TMPDIR/$3" ;;
  "meta-data get") cat "$TMPDIR/$3" ;;
  annotate*) cat >> "$TMPDIR/annotations" ;;
esac
"""


def ci_lines(file: str) -> list[str]:
    """The lines of a CI file that call mreg or read its outputs, comments cut."""
    lines = re.findall(
        r"^\s*(?:- )?(?:run: |script: |sh ')?((?:if mreg|REF=|mkdir|mreg) ?.+)$",
        (EXAMPLES / file).read_text(),
        re.MULTILINE,
    )
    found = [line.split("  #")[0].removesuffix("'").replace("$$", "$") for line in lines]
    if file == "azure-pipelines.yml":
        found[0] += " 2> commands"
    return [found[0], f"REF=$({OUTPUTS[file]})", *found[1:]] if file in OUTPUTS else found


@pytest.mark.parametrize(
    ("file", "variables"),
    [
        ("github-actions.yml", {"GITHUB_REF_NAME": "main", "GITHUB_RUN_ID": "77"}),
        ("gitlab-ci.yml", {"GITLAB_CI": "true", "CI_COMMIT_REF_NAME": "main", "CI_PIPELINE_ID": "77"}),
        ("azure-pipelines.yml", {"TF_BUILD": "True", "BUILD_SOURCEBRANCHNAME": "main", "BUILD_BUILDID": "77"}),
        (
            "buildkite.yml",
            {
                "BUILDKITE": "true",
                "BUILDKITE_BRANCH": "main",
                "BUILDKITE_BUILD_ID": "77",
                "BUILDKITE_BUILD_NUMBER": "7",
            },
        ),
        ("Jenkinsfile", {"JENKINS_URL": "https://j", "BRANCH_NAME": "main", "BUILD_TAG": "77"}),
    ],
)
def test_the_lines_of_a_ci_job_work(file: str, variables: dict[str, str], tmp_path: Path) -> None:
    lines = ci_lines(file)
    assert len(lines) >= 4
    agent = tmp_path / "bin/buildkite-agent"
    agent.parent.mkdir()
    agent.write_text(AGENT)
    agent.chmod(0o755)
    variables = {**variables, "AGENT_TEMPDIRECTORY": str(tmp_path), "PATH": f"{agent.parent}:{os.environ['PATH']}"}
    if file.startswith("github"):
        variables |= {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    # GitLab sets the variables of the dotenv report in later jobs.
    lines = [line.replace("$MREG_PUSHED_REFERENCE", "$REF") for line in lines]
    shutil.copy(EXAMPLES / "models/logistic/model.joblib", "model.pkl")
    shutil.copy(EXAMPLES / "models/logistic/metrics.json", "metrics.json")
    first = [line for line in lines if "--format md" not in line]  # a comparison for people needs something to compare
    shell("\n".join(first), **variables)
    (tmp_path / "output").unlink(missing_ok=True)
    shutil.copy(EXAMPLES / "models/svm/model.joblib", "model.pkl")
    shutil.copy(EXAMPLES / "models/svm/metrics.json", "metrics.json")
    shell("\n".join(lines), **variables)
    with mreg.open_registry() as registry:
        version = registry.version("classifier@production")
        assert version.version == 2
        assert version.tags == {"branch": "main"}
        assert version.run_id.partition(":")[2] == "77"
    if file.startswith("gitlab"):
        assert Path("deployed/model.pkl").read_bytes() == Path("model.pkl").read_bytes()
        assert 'mreg_metric{model="classifier",metric="accuracy"}' in Path("mreg-ci-metrics.txt").read_text()
        assert "MREG_COMPARED_REGRESSION=false\n" in Path("mreg-ci.env").read_text()
    elif file.startswith("github"):
        assert "reference=classifier@2\n" in (tmp_path / "output").read_text()
    elif file.startswith("buildkite"):
        assert "classifier&#64;1 against classifier&#64;2" in Path(os.environ["TMPDIR"], "annotations").read_text()


def test_the_review_shows_what_compare_prints() -> None:
    for name in ("logistic", "svm"):
        folder = EXAMPLES / "models" / name
        shell(
            f"mreg push {folder}/model.joblib -n digits --metrics-file {folder}/metrics.json --params-file {folder}/params.json -q"
        )
    printed = shell("mreg compare digits 1 2 --format md")
    assert printed in (EXAMPLES / "review.md").read_text()


def test_the_benchmarks_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "startup", "catalog", "concurrency"],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "mreg show NAME@1 --json" in done.stdout
    assert "all 8 numbers once and consecutive, 0 times 'database is locked'" in done.stdout


def test_the_benchmark_of_the_remote_registry_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "remote"],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for figure in (
        "mreg show NAME@1 --json, server on this machine",
        "mreg push of 16 MiB" if shutil.which("curl") else "curl is not on the PATH: a large file is not measured",
        "mreg pull of 20 files of 4 KiB, server",
        "push again of 20 files of 4 KiB: requests",
    ):
        assert figure in done.stdout
