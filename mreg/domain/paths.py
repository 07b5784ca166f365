"""Rules for file names: the name of an artifact, and paths in a folder artifact."""

from __future__ import annotations

import re

from mreg.domain.text import folded_text, quoted
from mreg.errors import BadInput

PATH_LIMIT = 4_096
PART_LIMIT = 255
"""Maximum bytes of a path, and of each part of it."""

_PLAIN = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_. -]*/)*[A-Za-z0-9_][A-Za-z0-9_. -]*")
"""Paths that are valid without further checks, as most are."""

_DEVICES = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])(?:\.|$)", re.IGNORECASE)

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{1,30})://")

_REFUSED = frozenset('<>:"|?*')
"""Characters that Windows does not allow in names, besides those that `check_path` refuses."""


def check_path(path: str) -> str:
    """Return the path if it is valid in a folder artifact on every platform.

    Raises:
        BadInput: The path could lead out of the folder, cannot be written everywhere, or has a control character.
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
            f"invalid file name {quoted(path)} in an artifact",
            hint="rename the file; a path cannot have control characters, backslashes, empty parts, '.' or '..'",
        )
    encoded = path.encode()
    if len(encoded) > PATH_LIMIT or any(len(part.encode()) > PART_LIMIT for part in parts):
        raise BadInput(
            f"the file name {quoted(path)} is too long", hint=f"shorten the path to less than {PATH_LIMIT} bytes"
        )
    return path


def refuse_url(text: str, hint: str) -> None:
    """Refuse a URL where the user must name a path: it would be the name of a folder, such as ``s3:``.

    Raises:
        BadInput: The text is a URL; the message does not repeat it, since it can have a password.
    """
    scheme = _URL.match(text)
    if scheme:
        raise BadInput(f"expected a path, got a URL of the scheme {scheme[1]}", hint=hint)


def check_artifact_name(name: str) -> str:
    """Return the name if it is valid for an artifact: a valid path of one part.

    Raises:
        BadInput: The name has more than one part or is not a valid path.
    """
    if "/" in check_path(name):
        raise BadInput(f"invalid artifact name {quoted(name)}: it is a path")
    return name


def is_project_file(name: str) -> bool:
    """Return whether a file system that folds case and Unicode can treat a name as ``mreg.yaml``, the project file."""
    import unicodedata

    kept = "".join(char for char in unicodedata.normalize("NFKC", name) if unicodedata.category(char) != "Cf")
    return folded_text(kept).rstrip(". ").partition(":")[0].rstrip(". ") == "mreg.yaml"


def reserved_on_windows(path: str) -> bool:
    """Return whether Windows refuses a path or opens something else: a device, a stream, a name cut at the end."""
    return any(_DEVICES.match(part) or set(part) & _REFUSED or part.endswith((".", " ")) for part in path.split("/"))
