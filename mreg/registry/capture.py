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
from mreg.registry.git import find_repository, head, remote, without_secrets
from mreg.registry.git_changes import DirtyCheck
from mreg.registry.git_config import user_settings
from mreg.registry.small_file import read_small_text

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
    """Looks for the surroundings of a push while its bytes are stored; a context manager that ends the search.

    Attributes:
        notes: What a person should know of facts that are missing.
    """

    def __init__(self, folder: str, environ: Mapping[str, str]) -> None:
        self.notes: list[str] = []
        self._environ = environ
        self._repository = find_repository(folder, self.notes.append)
        self._commit, self._branch = head(self._repository) if self._repository else ("", "")
        self._dirty = DirtyCheck(self._repository, self._commit, environ) if self._repository else None

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        if self._dirty:
            self._dirty.close()

    def result(self) -> tuple[Source, str]:
        """Return the source of the version and the id of the CI run (empty outside CI)."""
        run_id, run_url = ci_run(self._environ)
        dirty = self._dirty.result() if self._dirty else None
        if self._dirty and self._dirty.note:
            self.notes.append(self._dirty.note)
        return (
            Source(
                git_commit=self._commit,
                git_branch=_line(self._branch),
                git_remote=_line(remote(self._repository)) if self._repository else "",
                git_dirty=dirty,
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
    text = read_small_text(os.path.join(folder, "pyvenv.cfg"))
    match = re.search(r"^version(?:_info)?[ \t]*=[ \t]*([0-9.]{1,20})", text, re.MULTILINE)
    return match[1] if match else ""


def actor(chosen: str, environ: Mapping[str, str] | None = None) -> str:
    """Return the user who acts: the profile's or MREG_USER, else of CI, of git, of the login, else ``unknown``.

    A repository's own git configuration is not asked: the folder that a command runs in would choose the name in the
    audit trail.

    Args:
        chosen: The user that MREG_USER or the profile names; empty: neither does.
    """
    variables = os.environ if environ is None else environ
    for candidate in (chosen, *(variables.get(name, "") for name in _CI_ACTORS)):
        if _line(candidate):
            return _line(candidate)
    return _git_user(variables) or _login(variables) or "unknown"


def _git_user(variables: Mapping[str, str]) -> str:
    name = variables.get("GIT_AUTHOR_NAME") or variables.get("GIT_COMMITTER_NAME")
    if not name:
        values = dict(user_settings(variables))
        name = values.get("user.name") or values.get("user.email")
    return _line(name or "")


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
