"""Facts that a push records automatically: git commit, environment, CI run and actor.

They never make a push fail: a fact that cannot be determined stays empty.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from types import MappingProxyType

from mreg.domain.model import Source
from mreg.registry.ci_runs import ACTORS, checkout_of, run_of
from mreg.registry.environments import PROCESS, TrainingEnvironment, versions
from mreg.registry.git import find_repository, head, remote
from mreg.registry.git_changes import DirtyCheck
from mreg.registry.git_config import user_settings


class Capture:
    """Collects the facts of a push while its bytes are stored; a context manager that ends the search.

    Attributes:
        notes: Notes for the user about missing facts.
    """

    def __init__(self, folder: str, environ: Mapping[str, str], training: TrainingEnvironment) -> None:
        self.notes: list[str] = []
        self._environ = environ
        self._training = training
        self._repository = find_repository(folder, self.notes.append)
        self._commit, self._branch = head(self._repository) if self._repository else ("", "")
        self._dirty = DirtyCheck(self._repository, self._commit, environ) if self._repository else None
        if self._repository and not self._branch:  # CI checks out a commit, so HEAD is detached
            commit, self._branch = checkout_of(environ)
            self._commit = self._commit or commit

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        if self._dirty:
            self._dirty.close()

    def result(self) -> tuple[Source, str]:
        """Return the source of the version and the id of the CI run (empty outside CI)."""
        run_id, run_url = run_of(self._environ)
        dirty = self._dirty.result() if self._dirty else None
        if self._dirty and self._dirty.note:
            self.notes.append(self._dirty.note)
        return (
            Source(
                git_commit=self._commit,
                git_branch=_line(self._branch),
                git_remote=_line(remote(self._repository)) if self._repository else "",
                git_dirty=dirty,
                run_url=_line(run_url),
                environment=MappingProxyType(versions(self._training)),
            ),
            _line(run_id),
        )


def begin_capture(
    path: str | os.PathLike[str], environ: Mapping[str, str] | None = None, training: TrainingEnvironment = PROCESS
) -> Capture:
    """Begin to collect facts; the git repository is that of the working folder, otherwise that of the pushed path."""
    variables = os.environ if environ is None else environ
    here = "."
    with contextlib.suppress(OSError):
        here = os.getcwd()
    if find_repository(here) is None:
        here = os.path.dirname(os.path.realpath(path))
    return Capture(here, variables, training)


def actor(chosen: str, environ: Mapping[str, str] | None = None) -> str:
    """Return the actor: the chosen user, or the user of CI, of git or of the login, otherwise ``uid:1000``.

    The repository's own git configuration is not read: the folder that a command runs in would choose the name in the
    audit trail.

    Args:
        chosen: The user that MREG_USER or the profile names, empty if neither does.
    """
    variables = os.environ if environ is None else environ
    for candidate in (chosen, *(variables.get(name, "") for name in ACTORS)):
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
