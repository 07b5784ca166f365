"""The table of CI platforms, and the facts about the current run from their documented variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mreg.registry.git import valid_ref, without_secrets

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """A CI platform, with the variables that describe a run.

    Attributes:
        key: Prefix of run ids.
        title: Name for people.
        known_by: The run is one of this platform if one of these variables is set; with ``=``, if it has this value.
        run: Variable of the id of the run.
        page: Template of the URL of the run.
        branches: Variables of the branch, the source branch of a pull request first.
        tag: Variable of the tag. A branch variable with the same value names the tag.
        commit: Variable of the commit.
        actor: Variable of the user.
    """

    key: str
    title: str
    known_by: tuple[str, ...]
    run: str
    page: str = ""
    branches: tuple[str, ...] = ()
    tag: str = ""
    commit: str = ""
    actor: str = ""


PLATFORMS = (
    Platform(  # Forgejo and Gitea Actions set the same variables
        key="github",
        title="GitHub Actions",
        known_by=("GITHUB_ACTIONS", "GITHUB_RUN_ID", "GITHUB_OUTPUT"),
        run="GITHUB_RUN_ID",
        page="{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}",
        branches=("GITHUB_HEAD_REF", "GITHUB_REF"),
        commit="GITHUB_SHA",
        actor="GITHUB_ACTOR",
    ),
    Platform(
        key="gitlab",
        title="GitLab CI/CD",
        known_by=("GITLAB_CI", "CI_PIPELINE_ID"),
        run="CI_PIPELINE_ID",
        page="{CI_PIPELINE_URL}",
        branches=("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_BRANCH", "CI_COMMIT_REF_NAME"),
        tag="CI_COMMIT_TAG",
        commit="CI_COMMIT_SHA",
        actor="GITLAB_USER_LOGIN",
    ),
    Platform(
        key="azure",
        title="Azure Pipelines",
        known_by=("TF_BUILD",),
        run="BUILD_BUILDID",
        page="{SYSTEM_TEAMFOUNDATIONCOLLECTIONURI}{SYSTEM_TEAMPROJECTID}/_build/results?buildId={BUILD_BUILDID}",
        branches=("SYSTEM_PULLREQUEST_SOURCEBRANCH", "BUILD_SOURCEBRANCH"),
        commit="BUILD_SOURCEVERSION",
        actor="BUILD_REQUESTEDFOR",
    ),
    Platform(
        key="buildkite",
        title="Buildkite",
        known_by=("BUILDKITE", "BUILDKITE_BUILD_ID"),
        run="BUILDKITE_BUILD_ID",
        page="{BUILDKITE_BUILD_URL}",
        branches=("BUILDKITE_BRANCH",),
        tag="BUILDKITE_TAG",
        commit="BUILDKITE_COMMIT",
        actor="BUILDKITE_BUILD_CREATOR",
    ),
    Platform(
        key="circleci",
        title="CircleCI",
        known_by=("CIRCLECI", "CIRCLE_WORKFLOW_ID"),
        run="CIRCLE_WORKFLOW_ID",
        page="{CIRCLE_BUILD_URL}",
        branches=("CIRCLE_BRANCH",),
        commit="CIRCLE_SHA1",
        actor="CIRCLE_USERNAME",
    ),
    Platform(
        key="bitbucket",
        title="Bitbucket Pipelines",
        known_by=("BITBUCKET_PIPELINE_UUID", "BITBUCKET_BUILD_NUMBER"),
        run="BITBUCKET_BUILD_NUMBER",
        page="{BITBUCKET_GIT_HTTP_ORIGIN}/pipelines/results/{BITBUCKET_BUILD_NUMBER}",
        branches=("BITBUCKET_BRANCH",),
        tag="BITBUCKET_TAG",
        commit="BITBUCKET_COMMIT",
    ),
    Platform(
        key="teamcity",
        title="TeamCity",
        known_by=("TEAMCITY_VERSION",),
        run="BUILD_NUMBER",
        page="{BUILD_URL}",
        commit="BUILD_VCS_NUMBER",
    ),
    Platform(
        key="woodpecker",
        title="Woodpecker CI",
        known_by=("CI=woodpecker",),
        run="CI_PIPELINE_NUMBER",
        page="{CI_PIPELINE_URL}",
        branches=("CI_COMMIT_SOURCE_BRANCH", "CI_COMMIT_BRANCH"),
        tag="CI_COMMIT_TAG",
        commit="CI_COMMIT_SHA",
    ),
    Platform(
        key="drone",
        title="Drone CI",
        known_by=("DRONE",),
        run="DRONE_BUILD_NUMBER",
        page="{DRONE_BUILD_LINK}",
        branches=("DRONE_SOURCE_BRANCH", "DRONE_BRANCH"),
        tag="DRONE_TAG",
        commit="DRONE_COMMIT_SHA",
    ),
    Platform(
        key="jenkins",
        title="Jenkins",
        known_by=("JENKINS_URL", "BUILD_TAG"),
        run="BUILD_TAG",
        page="{BUILD_URL}",
        branches=("CHANGE_BRANCH", "BRANCH_NAME", "GIT_LOCAL_BRANCH", "GIT_BRANCH"),
        tag="TAG_NAME",
        commit="GIT_COMMIT",
        actor="BUILD_USER_ID",
    ),
)
"""The known platforms; the first that a run's variables fit is the platform of the run."""

ACTORS = tuple(platform.actor for platform in PLATFORMS if platform.actor)
"""The variables of users, of every platform."""


def platform_of(environ: Mapping[str, str]) -> Platform | None:
    """Return the CI platform that the process runs on, or None."""
    return next((platform for platform in PLATFORMS if _fits(platform, environ)), None)


def _fits(platform: Platform, environ: Mapping[str, str]) -> bool:
    for word in platform.known_by:
        name, _, value = word.partition("=")
        if environ.get(name) and (not value or environ[name] == value):
            return True
    return False


def run_of(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the id and URL of the current CI run, empty outside a known platform."""
    platform = platform_of(environ)
    if platform is None or not environ.get(platform.run):
        return "", ""
    names = re.findall(r"{(\w+)}", platform.page)
    address, question, query = platform.page.partition("?")
    page = ""
    if names and all(environ.get(name) for name in names):
        values = {name: environ[name] for name in names}
        page = without_secrets(address.format_map(values)) + question + query.format_map(values)
    return f"{platform.key}:{environ[platform.run]}", page


def checkout_of(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the commit and branch that the CI run was started for; empty if it names none, such as for a tag."""
    platform = platform_of(environ)
    if platform is None:
        return "", ""
    commit = environ.get(platform.commit, "")
    return commit if _COMMIT.fullmatch(commit) else "", _branch(platform, environ)


def _branch(platform: Platform, environ: Mapping[str, str]) -> str:
    tag = environ.get(platform.tag, "")
    for name in platform.branches:
        branch = environ.get(name, "").removeprefix("refs/heads/")
        if name == "GIT_BRANCH":  # Jenkins: origin/main, or detached
            branch = branch.removeprefix("origin/").replace("detached", "")
        if branch and branch != tag and not branch.startswith("refs/") and valid_ref(f"refs/heads/{branch}"):
            return branch
    return ""
