"""Names of files: the artifact's own and those inside a folder, checked by one rule wherever they come from."""

from __future__ import annotations

import re

from mreg.domain.text import quoted
from mreg.errors import BadInput

PATH_LIMIT = 4_096
PART_LIMIT = 255
"""Bytes of a path and of each part of it."""

_PLAIN = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_. -]*/)*[A-Za-z0-9_][A-Za-z0-9_. -]*")
"""Paths that need no closer look; most are such."""

_DEVICES = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])(?:\.|$)", re.IGNORECASE)

_REFUSED = frozenset('<>:"|?*')
"""Characters that Windows refuses in names, besides the slash, backslash and control characters (see `check_path`)."""


def check_path(path: str) -> str:
    """The path itself, if a folder artifact may hold it on every platform that mreg serves.

    Raises:
        BadInput: It could leave the folder, can't be written everywhere, or holds a control character.
    """
    if len(path) <= PART_LIMIT and _PLAIN.fullmatch(path):
        return path
    parts = path.split("/")
    good = (
        path.isprintable()
        and "\\" not in path
        and not any(part in ("", ".", "..") for part in parts)
        and not (len(path) > 1 and path[1] == ":" and path[0].isascii() and path[0].isalpha())
    )
    if any("\ud800" <= char <= "\udfff" for char in path):
        raise BadInput(
            f"the file name {quoted(path)} is not valid UTF-8",
            hint="rename the file; if its name is valid UTF-8 and the locale is not: export PYTHONUTF8=1",
        )
    if not good:
        raise BadInput(
            f"the file name {quoted(path)} can't be kept in an artifact",
            hint="rename the file: no control characters, backslashes, empty parts, '.' or '..'",
        )
    encoded = path.encode()
    if len(encoded) > PATH_LIMIT or any(len(part.encode()) > PART_LIMIT for part in parts):
        raise BadInput(f"the file name {quoted(path)} is too long", hint=f"keep paths under {PATH_LIMIT} bytes")
    return path


def check_artifact_name(name: str) -> str:
    """The name itself, if an artifact may have it: a path of one part.

    Raises:
        BadInput: It is a path, or a name that can't be kept.
    """
    if "/" in check_path(name):
        raise BadInput(f"the artifact's name {quoted(name)} is a path")
    return name


def is_project_file(name: str) -> bool:
    """Whether a disk can take a name for that of the project file, ``mreg.yaml``; disks fold case and Unicode."""
    import unicodedata

    kept = "".join(char for char in unicodedata.normalize("NFKC", name) if unicodedata.category(char) != "Cf")
    return unicodedata.normalize("NFKC", kept.casefold()).rstrip(". ").partition(":")[0].rstrip(". ") == "mreg.yaml"


def reserved_on_windows(path: str) -> bool:
    """Whether Windows refuses this path or opens something else by it: a device, a file's stream, a trimmed name."""
    return any(_DEVICES.match(part) or set(part) & _REFUSED or part.endswith((".", " ")) for part in path.split("/"))
