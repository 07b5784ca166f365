"""Facts that a push records automatically: git commit, environment, CI run and actor.

They never make a push fail: a fact that cannot be determined stays empty.
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
"""Packages whose version is recorded, by normalised name."""

_CI = (
    ("GITHUB_RUN_ID", "github:{GITHUB_RUN_ID}", "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}"),
    ("CI_PIPELINE_ID", "gitlab:{CI_PIPELINE_ID}", "{CI_PIPELINE_URL}"),
    ("BUILDKITE_BUILD_ID", "buildkite:{BUILDKITE_BUILD_ID}", "{BUILDKITE_BUILD_URL}"),
    ("CIRCLE_WORKFLOW_ID", "circleci:{CIRCLE_WORKFLOW_ID}", "{CIRCLE_BUILD_URL}"),
    ("BUILD_TAG", "jenkins:{BUILD_TAG}", "{BUILD_URL}"),
)
"""For each CI system: the variable that identifies it, the run id and the URL of the run, from documented variables."""

_CI_ACTORS = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILDKITE_BUILD_CREATOR", "CIRCLE_USERNAME", "BUILD_USER_ID")


class Capture:
    """Collects the facts of a push while its bytes are stored; a context manager that ends the search.

    Attributes:
        notes: Notes for the user about missing facts.
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
    """Begin to collect facts; the git repository is that of the working folder, otherwise that of the pushed path."""
    variables = os.environ if environ is None else environ
    here = "."
    with contextlib.suppress(OSError):
        here = os.getcwd()
    if find_repository(here) is None:
        here = os.path.dirname(os.path.realpath(path))
    return Capture(here, variables)


def ci_run(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the id and URL of the current CI run, empty outside a known CI system."""
    for known_by, run_id, url in _CI:
        if environ.get(known_by):
            names = re.findall(r"{(\w+)}", url)
            page = url.format_map({name: environ.get(name, "") for name in names})
            complete = all(environ.get(name) for name in names)
            return _line(run_id.format_map({known_by: environ[known_by]})), _line(
                without_secrets(page)
            ) if complete else ""
    return "", ""


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the versions of Python and of known frameworks, read from their metadata folders; nothing is imported.

    If mreg is installed separately (pipx) and a virtual environment is active, the versions are those of that
    environment, which the model was probably made with.
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
    """Return the actor: the chosen user, or the user of CI, of git or of the login, otherwise ``uid:1000``.

    The repository's own git configuration is not read: the folder that a command runs in would choose the name in the
    audit trail.

    Args:
        chosen: The user that MREG_USER or the profile names, empty if neither does.
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
    return f"uid:{os.getuid()}" if hasattr(os, "getuid") else ""  # in a container, a user can have no name


def _line(text: str) -> str:
    """Return the text as one printable line of at most 250 characters."""
    return "".join(char for char in text if char.isprintable()).strip()[:250]
