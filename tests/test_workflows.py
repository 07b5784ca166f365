"""The files for GitHub and pre-commit are valid, state each version once, and run what tests/run.sh runs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from mreg import __version__
from tests.conftest import ROOT

BIN = Path(sys.executable).parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
SCHEMAS = {
    "github-workflows": [*WORKFLOWS, ROOT / "examples/github-actions.yml"],
    "github-actions": [ROOT / "examples/action/action.yml"],
    "github-issue-forms": sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml")),
    "github-issue-config": [ROOT / ".github/ISSUE_TEMPLATE/config.yml"],
    "dependabot": [ROOT / ".github/dependabot.yml"],
    "gitlab-ci": [ROOT / "examples/gitlab-ci.yml"],
    "azure-pipelines": [ROOT / "examples/azure-pipelines.yml"],
    "buildkite": [ROOT / "examples/buildkite.yml"],
    "compose-spec": [ROOT / "examples/compose.yaml", ROOT / "examples/compose-redis.yaml"],
}
"""The schemas that check-jsonschema carries, and the files that must conform to them."""


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)


def workflow(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text())
    return content


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_file_conforms_to_its_schema(schema: str) -> None:
    assert SCHEMAS[schema]
    # A pattern of the schema of Azure Pipelines is not valid in the Unicode mode of ECMAScript, which is the default.
    options = ["--builtin-schema", f"vendor.{schema}", "--regex-variant", "nonunicode"]
    done = run(BIN / "check-jsonschema", *options, *SCHEMAS[schema])
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_no_weakness_in_workflows_and_actions() -> None:
    files = [ROOT / ".github", ROOT / "examples/action", ROOT / "examples/github-actions.yml"]
    done = run(BIN / "zizmor", "--offline", "--strict-collection", "--min-severity", "medium", *files)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_action_is_pinned_to_one_commit() -> None:
    pins: dict[str, str] = {}
    for file in SCHEMAS["github-workflows"] + SCHEMAS["github-actions"]:
        for line in re.findall(r"uses: (.*)", file.read_text()):
            if line.startswith("./"):
                continue
            match = re.fullmatch(r"([\w-]+/[\w-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)", line)
            assert match, f"{file.name}: {line}"
            assert pins.setdefault(match[1], match[2]) == match[2], match[1]


def test_linux_is_tested_on_each_python_that_the_package_declares() -> None:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    declared = re.findall(r"Python :: (3\.\d+)", "\n".join(classifiers))
    matrix = workflow("ci")["jobs"]["linux"]["strategy"]["matrix"]["include"]
    assert [entry["python"] for entry in matrix] == declared
    assert all(entry["image"].startswith(f"python:{entry['python']}-") for entry in matrix)


def test_scripts_and_folders_that_the_workflows_run_exist() -> None:
    for file in WORKFLOWS:
        for path in re.findall(r"(?<=[ ])(?:docs|examples|tests)/[\w./-]*\w", file.read_text()):
            assert (ROOT / path).exists(), f"{file.name}: {path}"


def test_pre_commit_runs_the_checks_of_the_test_script() -> None:
    config = ROOT / ".pre-commit-config.yaml"
    done = run(BIN / "pre-commit", "validate-config", config)
    assert done.returncode == 0, done.stdout + done.stderr
    hooks = [hook for repo in yaml.safe_load(config.read_text())["repos"] for hook in repo["hooks"]]
    assert {hook["language"] for hook in hooks} == {"system"}
    entries = [hook["entry"].replace(" --force-exclude", "") for hook in hooks]
    checks = re.findall(r"^(\.venv/bin/(?:ruff|mypy).*?)(?: \.)?$", (ROOT / "tests/run.sh").read_text(), re.MULTILINE)
    assert len(checks) == 3
    assert [check for check in checks if check not in entries] == []


@pytest.mark.parametrize(
    ("tag", "heading", "error"),
    [
        (f"v{__version__}", f"## {__version__} (2026-12-01)", ""),
        ("v99.0.0", f"## {__version__} (2026-12-01)", f"the tag is v99.0.0, but mreg/__init__.py has version {__version__}"),
        (f"v{__version__}", f"## {__version__} (unreleased)", f"CHANGELOG.md has no dated section for {__version__}"),
    ],
)  # fmt: skip
def test_a_release_needs_the_tag_of_its_version_and_a_dated_section(
    tag: str, heading: str, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (step,) = [step for step in workflow("release")["jobs"]["version"]["steps"] if "run" in step]
    Path("mreg").symlink_to(ROOT / "mreg")
    Path("CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n")
    monkeypatch.setenv("GITHUB_REF_NAME", tag)
    done = run("bash", "-eo", "pipefail", "-c", step["run"])
    assert (done.returncode, done.stdout.strip()) == ((1, f"::error::{error}") if error else (0, ""))
