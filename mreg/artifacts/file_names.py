"""File names against the encoding that this process has for them."""

from __future__ import annotations

import os
import sys

from mreg.domain.text import quoted
from mreg.errors import BadInput


def check_encodable(path: str, way_out: str = "export PYTHONUTF8=1") -> None:
    """Return if a file of this path can be made under the locale of this process.

    Raises:
        BadInput: The encoding of the locale lacks a character of the path.
    """
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise BadInput(
            f"cannot write {quoted(path, 200)}: the locale's encoding of file names is {sys.getfilesystemencoding()}",
            hint=way_out,
        ) from None
