"""The facts about a CI run, from the documented variables of each platform, and the branch of a detached checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.model import Source
from mreg.registry.capture import begin_capture
from mreg.registry.ci_runs import PLATFORMS, checkout_of, platform_of, run_of
from mreg.registry.git import valid_ref

COMMIT = "0123456789abcdef" * 2 + "01234567"
GITHUB = {"GITHUB_ACTIONS": "true", "GITHUB_SHA": COMMIT}
GITLAB = {"GITLAB_CI": "true", "CI_COMMIT_SHA": COMMIT}
AZURE = {"TF_BUILD": "True", "BUILD_SOURCEVERSION": COMMIT}
JENKINS = {"JENKINS_URL": "https://j/", "GIT_COMMIT": COMMIT}
BUILDKITE = {"BUILDKITE": "true", "BUILDKITE_COMMIT": COMMIT}
WOODPECKER = {"CI": "woodpecker", "CI_COMMIT_SHA": COMMIT}
DRONE = {"CI": "true", "DRONE": "true", "DRONE_COMMIT_SHA": COMMIT}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (
            {"GITHUB_RUN_ID": "7", "GITHUB_SERVER_URL": "https://g", "GITHUB_REPOSITORY": "a/b"},
            ("github:7", "https://g/a/b/actions/runs/7"),
        ),
        ({"GITHUB_RUN_ID": "7"}, ("github:7", "")),
        ({"CI_PIPELINE_ID": "8", "CI_PIPELINE_URL": "https://l/8"}, ("gitlab:8", "https://l/8")),
        ({"BUILD_TAG": "jenkins-x-9", "BUILD_URL": "https://j/9"}, ("jenkins:jenkins-x-9", "https://j/9")),
        ({"BUILD_TAG": "x", "BUILD_URL": "https://u:p@j/9?x"}, ("jenkins:x", "https://j/9")),
        (
            {
                "TF_BUILD": "True", "BUILD_BUILDID": "10", "SYSTEM_TEAMPROJECTID": "4c9a",
                "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI": "https://u:p@dev.azure.com/org/",
            },
            ("azure:10", "https://dev.azure.com/org/4c9a/_build/results?buildId=10"),
        ),
        ({"TF_BUILD": "True", "BUILD_BUILDID": "10"}, ("azure:10", "")),
        (
            {"BUILDKITE": "true", "BUILDKITE_BUILD_ID": "b", "BUILDKITE_BUILD_URL": "https://k/b"},
            ("buildkite:b", "https://k/b"),
        ),
        ({"CIRCLE_WORKFLOW_ID": "w", "CIRCLE_BUILD_URL": "https://c/w"}, ("circleci:w", "https://c/w")),
        (
            {"BITBUCKET_BUILD_NUMBER": "11", "BITBUCKET_GIT_HTTP_ORIGIN": "https://b/t/r"},
            ("bitbucket:11", "https://b/t/r/pipelines/results/11"),
        ),
        ({"TEAMCITY_VERSION": "2025", "BUILD_NUMBER": "12", "BUILD_URL": "https://t/12"}, ("teamcity:12", "https://t/12")),
        (
            {"CI": "woodpecker", "CI_PIPELINE_NUMBER": "13", "CI_PIPELINE_URL": "https://w/13"},
            ("woodpecker:13", "https://w/13"),
        ),
        ({"DRONE": "true", "DRONE_BUILD_NUMBER": "14", "DRONE_BUILD_LINK": "https://d/14"}, ("drone:14", "https://d/14")),
        ({"CI": "true"}, ("", "")),
        ({}, ("", "")),
    ],
)  # fmt: skip
def test_the_run_of_a_ci_job_is_recorded(variables: dict[str, str], expected: tuple[str, str]) -> None:
    assert run_of(variables) == expected


@pytest.mark.parametrize(
    ("variables", "branch"),
    [
        ({**GITHUB, "GITHUB_REF": "refs/heads/team/x", "GITHUB_HEAD_REF": ""}, "team/x"),
        ({**GITHUB, "GITHUB_REF": "refs/pull/7/merge", "GITHUB_HEAD_REF": "fix"}, "fix"),
        ({**GITHUB, "GITHUB_REF": "refs/tags/v1", "GITHUB_REF_NAME": "v1"}, ""),
        ({**GITLAB, "CI_COMMIT_BRANCH": "main", "CI_COMMIT_REF_NAME": "main"}, "main"),
        ({**GITLAB, "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "fix", "CI_COMMIT_REF_NAME": "fix"}, "fix"),
        ({**GITLAB, "CI_COMMIT_TAG": "v1", "CI_COMMIT_REF_NAME": "v1"}, ""),
        ({**AZURE, "BUILD_SOURCEBRANCH": "refs/heads/a/b", "BUILD_SOURCEBRANCHNAME": "b"}, "a/b"),
        ({**AZURE, "SYSTEM_PULLREQUEST_SOURCEBRANCH": "refs/heads/fix", "BUILD_SOURCEBRANCH": "refs/pull/1/merge"}, "fix"),
        ({**AZURE, "BUILD_SOURCEBRANCH": "refs/pull/1/merge"}, ""),
        ({**AZURE, "BUILD_SOURCEBRANCH": "refs/tags/v1"}, ""),
        ({**JENKINS, "BRANCH_NAME": "PR-7", "CHANGE_BRANCH": "fix"}, "fix"),
        ({**JENKINS, "GIT_BRANCH": "origin/main"}, "main"),
        ({**JENKINS, "GIT_BRANCH": "detached"}, ""),
        ({**JENKINS, "BRANCH_NAME": "v1", "TAG_NAME": "v1", "GIT_BRANCH": "v1"}, ""),
        ({**BUILDKITE, "BUILDKITE_BRANCH": "main", "BUILDKITE_TAG": ""}, "main"),
        ({**BUILDKITE, "BUILDKITE_BRANCH": "v1", "BUILDKITE_TAG": "v1"}, ""),
        ({"CIRCLECI": "true", "CIRCLE_SHA1": COMMIT, "CIRCLE_BRANCH": "main"}, "main"),
        ({"BITBUCKET_BUILD_NUMBER": "1", "BITBUCKET_COMMIT": COMMIT, "BITBUCKET_BRANCH": "main"}, "main"),
        ({**WOODPECKER, "CI_COMMIT_SOURCE_BRANCH": "fix", "CI_COMMIT_BRANCH": "main"}, "fix"),
        ({**WOODPECKER, "CI_COMMIT_BRANCH": "main"}, "main"),
        ({**DRONE, "DRONE_SOURCE_BRANCH": "fix", "DRONE_BRANCH": "main"}, "fix"),
        ({**GITHUB, "GITHUB_HEAD_REF": "a\nb", "GITHUB_REF": "refs/heads/..\x1b[2J"}, ""),
    ],
)  # fmt: skip
def test_the_commit_and_branch_of_a_run_are_those_of_its_variables(variables: dict[str, str], branch: str) -> None:
    assert checkout_of(variables) == (COMMIT, branch)


@pytest.mark.parametrize("commit", ["", "HEAD", "0123456", COMMIT.upper(), COMMIT + "0", COMMIT[:-1] + "\n"])
def test_a_variable_that_is_not_a_full_commit_is_ignored(commit: str) -> None:
    assert checkout_of({**BUILDKITE, "BUILDKITE_COMMIT": commit}) == ("", "")


@given(st.dictionaries(st.sampled_from([name for each in PLATFORMS for name in each.branches]), st.text()))
def test_a_branch_of_any_variables_is_a_valid_name(variables: dict[str, str]) -> None:
    for marker in (GITHUB, GITLAB, AZURE, JENKINS, BUILDKITE, WOODPECKER, DRONE):
        branch = checkout_of({**variables, **marker})[1]
        assert not branch or valid_ref(f"refs/heads/{branch}")


def test_a_platform_is_known_by_its_own_variables_alone() -> None:
    assert platform_of({"CI": "true"}) is None
    keys = [platform.key for platform in PLATFORMS]
    assert len(set(keys)) == len(keys)
    for platform in PLATFORMS:
        for word in platform.known_by:
            name, _, value = word.partition("=")
            assert platform_of({"CI": "true", name: value or "x"}) is platform


def git(*words: str) -> str:
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout.strip()


def pushed(variables: dict[str, str]) -> Source:
    with begin_capture("model.pkl", variables) as capture:
        return capture.result()[0]


def test_a_detached_checkout_has_the_branch_of_the_run_and_git_wins_otherwise() -> None:
    git("init", "-b", "main")
    assert (pushed({**GITHUB, "GITHUB_HEAD_REF": "fix"}).git_branch) == "main"
    git("commit", "--allow-empty", "-m", "first")
    head = git("rev-parse", "HEAD")
    variables = {**GITHUB, "GITHUB_HEAD_REF": "fix", "GITHUB_REF": "refs/heads/other"}
    source = pushed(variables)
    assert (source.git_commit, source.git_branch) == (head, "main")
    git("checkout", "--detach")
    source = pushed(variables)
    assert (source.git_commit, source.git_branch) == (head, "fix")
    assert pushed({"CI": "true"}).git_branch == ""


def test_a_checkout_whose_commit_git_keeps_elsewhere_has_the_commit_of_the_run() -> None:
    git("init", "-b", "main")
    Path(".git/HEAD").write_text("ref: refs/heads/.invalid\n")  # as git writes it for the format reftable
    assert pushed({}).git_commit == ""
    source = pushed({**GITHUB, "GITHUB_HEAD_REF": "fix"})
    assert (source.git_commit, source.git_branch) == (COMMIT, "fix")


def test_a_folder_without_a_repository_has_no_commit_of_the_run() -> None:
    source = pushed({**GITHUB, "GITHUB_HEAD_REF": "fix", "GITHUB_RUN_ID": "7"})
    assert (source.git_commit, source.git_branch) == ("", "")
