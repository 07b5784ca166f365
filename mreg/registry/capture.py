"""What a push notes of its surroundings: code, environment, CI run, and who is acting.

Nothing here fails a push: what can't be found out is left empty.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Mapping
from types import MappingProxyType

from mreg.domain.model import Source
from mreg.registry.git import DirtyCheck, find_repository, head, read_text, remote, settings, without_secrets

FRAMEWORKS = frozenset(
    "accelerate catboost diffusers fastai flax gluonts jax joblib keras lightgbm mlflow numpy onnx onnxruntime pandas "
    "peft prophet pytorch-lightning lightning safetensors scikit-learn scipy sentence-transformers skops spacy "
    "statsmodels tensorflow timm tokenizers torch torchvision transformers vllm xgboost".split()
)
"""Packages whose version a model may depend on, by normalised name."""

_CI = (
    ("GITHUB_RUN_ID", "github:{GITHUB_RUN_ID}", "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}"),
    ("CI_PIPELINE_ID", "gitlab:{CI_PIPELINE_ID}", "{CI_PIPELINE_URL}"),
    ("BUILDKITE_BUILD_ID", "buildkite:{BUILDKITE_BUILD_ID}", "{BUILDKITE_BUILD_URL}"),
    ("CIRCLE_WORKFLOW_ID", "circleci:{CIRCLE_WORKFLOW_ID}", "{CIRCLE_BUILD_URL}"),
    ("BUILD_TAG", "jenkins:{BUILD_TAG}", "{BUILD_URL}"),
)
"""A variable by which a CI system is known, the run's id and the run's page, in the variables that it documents."""

_CI_ACTORS = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILDKITE_BUILD_CREATOR", "CIRCLE_USERNAME", "BUILD_USER_ID")


class Capture:
    """The surroundings of a push, found out while its bytes are moved; a context manager that stops looking."""

    def __init__(self, folder: str, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._repository = find_repository(folder)
        self._dirty = DirtyCheck(self._repository) if self._repository else None

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        if self._dirty:
            self._dirty.close()

    def result(self) -> tuple[Source, str]:
        """From where the version comes, and the CI run's id (empty outside CI)."""
        run_id, run_url = ci_run(self._environ)
        commit, branch = head(self._repository) if self._repository else ("", "")
        dirty = self._dirty.result() if self._dirty else None
        return (
            Source(
                git_commit=commit,
                git_branch=_line(branch),
                git_remote=_line(remote(self._repository)) if self._repository else "",
                git_dirty=dirty if commit else None,
                run_url=run_url,
                environment=MappingProxyType(environment(self._environ)),
            ),
            run_id,
        )


def begin_capture(path: str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> Capture:
    """Begin to find out: the repository is that of the working folder, else that of what is pushed."""
    variables = os.environ if environ is None else environ
    here = "."
    with contextlib.suppress(OSError):
        here = os.getcwd()
    if find_repository(here) is None:
        here = os.path.dirname(os.path.realpath(path))
    return Capture(here, variables)


def ci_run(environ: Mapping[str, str]) -> tuple[str, str]:
    """Id and page of the CI run that this is in; empty where it is in none that is known."""
    for known_by, run_id, url in _CI:
        if environ.get(known_by):
            names = re.findall(r"{(\w+)}", url)
            page = url.format_map({name: environ.get(name, "") for name in names})
            whole = all(environ.get(name) for name in names)
            return _line(run_id.format_map({known_by: environ[known_by]})), _line(
                without_secrets(page)
            ) if whole else ""
    return "", ""


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Versions of Python and of known frameworks, from the folders that installers leave; nothing is imported.

    Where mreg itself is installed apart (pipx) and a virtual environment is active, it is that one's packages that
    count, since the model was made with them.
    """
    active = environ.get("VIRTUAL_ENV") or environ.get("CONDA_PREFIX") or ""
    folders = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    version = ".".join(str(part) for part in sys.version_info[:3])
    if active and os.path.realpath(active) != os.path.realpath(sys.prefix):
        libraries = os.path.join(active, "lib")
        with contextlib.suppress(OSError):
            found = sorted(name for name in os.listdir(libraries) if re.fullmatch(r"python3\.\d+", name))
            if found:
                folders = [os.path.join(libraries, found[-1], "site-packages")]
                version = _venv_python(active) or found[-1].removeprefix("python")
    versions = {
        "python": version,
        "platform": f"{sys.platform}-{os.uname().machine}" if hasattr(os, "uname") else sys.platform,
    }
    for folder in folders:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                match = re.fullmatch(r"(.+?)-([0-9][^-]*)\.(?:dist|egg)-info", entry.name)
                if match:
                    name = match[1].lower().replace("_", "-").replace(".", "-")
                    if name in FRAMEWORKS:
                        versions.setdefault(name, _line(match[2]))
    return dict(sorted(versions.items()))


def _venv_python(folder: str) -> str:
    match = re.search(
        r"^version(?:_info)?\s*=\s*([0-9.]+)", read_text(os.path.join(folder, "pyvenv.cfg")), re.MULTILINE
    )
    return match[1] if match else ""


def actor(chosen: str, environ: Mapping[str, str] | None = None) -> str:
    """Who is acting: the profile's or MREG_USER's word, the CI system's, git's user, the login name, else ``unknown``.

    Args:
        chosen: What the profile says, MREG_USER before it; empty: nothing.
    """
    variables = os.environ if environ is None else environ
    for candidate in (chosen, *(variables.get(name, "") for name in _CI_ACTORS)):
        if _line(candidate):
            return _line(candidate)
    return _git_user(variables) or _login(variables) or "unknown"


def _git_user(variables: Mapping[str, str]) -> str:
    name = variables.get("GIT_AUTHOR_NAME") or variables.get("GIT_COMMITTER_NAME")
    if name:
        return _line(name)
    home = variables.get("HOME", "")
    config = variables.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    places = [os.path.join(config, "git", "config"), os.path.join(home, ".gitconfig")] if home else []
    with contextlib.suppress(OSError):
        repository = find_repository(os.getcwd())
        if repository:
            places.append(os.path.join(repository.common, "config"))
    found = ""
    for place in places:
        values = settings(place)
        found = values.get("user.name") or values.get("user.email") or found
    return _line(found)


def _login(variables: Mapping[str, str]) -> str:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        if _line(variables.get(name, "")):
            return _line(variables[name])
    with contextlib.suppress(ImportError, KeyError, OSError):
        import pwd

        return _line(pwd.getpwuid(os.getuid()).pw_name)
    return ""


def _line(text: str) -> str:
    """The text as one printable line of at most 250 characters."""
    return "".join(char for char in text if char.isprintable()).strip()[:250]
