"""The project file: ``mreg.yaml`` in the working folder or above it, possibly from another person's repository.

Its values can neither name a path outside its folder nor run anything. `mreg.profile.trust` decides whether a bucket
that it names is used.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass

from mreg.domain.text import quoted
from mreg.errors import BadInput, BadProfile, NotFound, Unavailable
from mreg.files import open_file, user_text
from mreg.profile.place import location, pair_locations
from mreg.profile.reading import Values, mapping, origin_of, text_of, unknown_key
from mreg.profile.server_url import is_database
from mreg.results.profiles import KEYS, PROJECT_FILE

SIZE_LIMIT = 64 << 10
"""Maximum size of a project file in bytes."""

PROJECT_KEYS = ("profile", "model", "server", "catalog", "artifacts")
"""Keys that a project file can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFile:
    """A project file that was found, before it is parsed.

    Attributes:
        path: Path of the file in the working folder or a folder above it.
        folder: The folder of the file, without symbolic links.
        doubt: Why the file is not used without the user's permission; empty if it is used.
        remedy: How to have the file used.
        data: Its bytes, at most one more than `SIZE_LIMIT`; None if it cannot be read or is not a regular file.
    """

    path: str
    folder: str
    doubt: str = ""
    remedy: str = ""
    data: bytes | None = b""

    @property
    def note(self) -> str:
        """The notice that the file is ignored, with the reason."""
        return f"{self.path} is ignored: {self.doubt}; to use it: {self.remedy}"


def find_project(variables: Mapping[str, str], folder: str | None = None) -> ProjectFile | None:
    """Find the project file in the working folder or the nearest folder above it.

    A doubtful file is returned, too: no file above it is used instead.

    Args:
        folder: Search only this folder.

    Raises:
        Unavailable: The file cannot be read.
    """
    try:
        place = os.getcwd() if folder is None else os.path.realpath(folder)
    except OSError:
        return None  # the working folder was deleted
    while True:
        path = os.path.join(place, PROJECT_FILE)
        if os.path.lexists(path):
            return _opened(path, variables)
        parent = os.path.dirname(place)
        if parent == place or folder is not None:
            return None
        place = parent


def _opened(path: str, variables: Mapping[str, str]) -> ProjectFile:
    folder = os.path.realpath(os.path.dirname(path))
    irregular = ProjectFile(
        path=path, folder=folder, doubt="it is not a regular file", remedy="replace it with a file", data=None
    )
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            return irregular
        doubt, remedy = _doubt(status, folder, variables)
        try:
            descriptor = open_file(path, follow=False)
        except PermissionError:
            if doubt:
                return ProjectFile(path=path, folder=folder, doubt=doubt, remedy=remedy, data=None)
            raise
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(descriptor)  # the path can name another file by now
            if not stat.S_ISREG(status.st_mode):
                return irregular
            doubt, remedy = _doubt(status, folder, variables)
            return ProjectFile(path=path, folder=folder, doubt=doubt, remedy=remedy, data=stream.read(SIZE_LIMIT + 1))
    except OSError as error:
        raise Unavailable(f"cannot read the project file {quoted(path, 200)}: {error.strerror}") from error


def _doubt(status: os.stat_result, folder: str, variables: Mapping[str, str]) -> tuple[str, str]:
    """Return why another user could have written the file, and the remedy; see CVE-2022-24765 of git.

    Files of root are trusted, and under sudo those of the user who called sudo.
    """
    if not hasattr(os, "geteuid"):
        return "", ""
    trusted = {0, os.geteuid()}
    sudo_uid = variables.get("SUDO_UID", "")
    if os.geteuid() == 0 and re.fullmatch(r"[0-9]{1,10}", sudo_uid):
        trusted.add(int(sudo_uid))
    around = os.stat(folder)
    if all(found.st_uid in trusted and not found.st_mode & stat.S_IWOTH for found in (status, around)):
        return "", ""
    import shlex

    trust = f"mreg trust {shlex.quote(folder)}"
    for what, found in (("it", status), (folder, around)):
        if found.st_uid not in trusted:
            return f"{what} belongs to {user_text(found.st_uid)}", trust
    for what, found in ((folder, around), ("it", status)):
        if found.st_mode & stat.S_IWOTH:
            target = folder if found is around else f"{folder}/{PROJECT_FILE}"
            return f"every user can write to {what}", f"chmod o-w {shlex.quote(target)}, or {trust}"
    return "", ""


def project_values(project: ProjectFile) -> Values:
    """Return the values of a project file, with both catalog and artifacts if it names one of them.

    Raises:
        BadProfile: The file is damaged, or has a key that only the user's own profile file can have.
    """
    from mreg.documents import document_in

    file, folder = project.path, os.path.dirname(project.path)
    try:
        root = document_in(project.data or b"", file, what="project file", limit=SIZE_LIMIT)
    except BadInput as error:
        raise BadProfile(error.message, hint=error.hint or "mreg init --help") from error
    values: Values = {}
    for key, node in mapping(root, file, "a project file").items():
        origin = origin_of(file, node)
        if key in ("hooks", "token_command", "profiles", "default", *KEYS) and key not in PROJECT_KEYS:
            raise BadProfile(
                f"{origin}: {key} is not allowed in a project file, which can come from another user",
                hint="set it in your profile file; to find the file: mreg profile list",
            )
        if key not in PROJECT_KEYS:
            raise unknown_key(key, PROJECT_KEYS, file, node)
        text = text_of(key, node, file)
        if "${" in text:
            raise BadProfile(
                f"{origin}: environment variables are not expanded in a project file", hint="write the value itself"
            )
        if key in ("catalog", "artifacts") and "://" not in text:
            _check_inside(key, text, folder, origin)
        if key == "catalog" and is_database(text):
            # The operator of that server would receive the user's password.
            raise BadProfile(
                f"{origin}: a project file cannot name a database server",
                hint="set it in your profile file: mreg profile add",
            )
        values[key] = (location(key, text, folder, origin), origin)
    _pair(values, folder)
    return values


def _pair(values: Values, folder: str) -> None:
    """Complete the store from the project file alone.

    With a project's catalog and the user's artifacts, `mreg gc` would treat every artifact of the user as garbage.
    """
    given = set(values)
    pair_locations(values)
    for key in ("catalog", "artifacts"):
        if key in values and key not in given and "://" not in values[key][0]:
            _check_inside(key, os.path.relpath(values[key][0], folder), folder, values[key][1])


def _check_inside(key: str, text: str, folder: str, origin: str) -> None:
    inside = not os.path.isabs(text) and not text.startswith("~") and ".." not in re.split(r"[/\\]", text)
    root = os.path.realpath(folder)
    if inside:
        place = os.path.realpath(os.path.join(folder, text))
        inside = place.startswith(root.rstrip(os.sep) + os.sep)
    if not inside:
        raise BadProfile(
            f"{origin}: the {key} of a project file must be below {folder}",
            hint="set another place in your profile file, and select that profile here: profile: NAME",
        )


def required_project(variables: Mapping[str, str], folder: str | None) -> ProjectFile:
    """Return the project file that applies in the working folder, or the one in a folder, for commands that need it.

    Raises:
        NotFound: No project file was found.
        BadProfile: The file is not a regular file, or cannot be read.
    """
    project = find_project(variables, folder)
    if project is None:
        where = "in this folder or above" if folder is None else f"in {quoted(folder, 200)}"
        raise NotFound(f"no {PROJECT_FILE} {where}", hint="create one: mreg init", kind="file")
    if project.data is None:
        raise BadProfile(f"{quoted(project.path, 200)} is not used: {project.doubt}", hint=project.remedy)
    return project
