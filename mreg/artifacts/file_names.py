"""File names and the encoding of the locale."""

from __future__ import annotations

import os
import sys

from mreg.domain.text import quoted
from mreg.errors import BadInput


def check_encodable(path: str, way_out: str = "export PYTHONUTF8=1") -> None:
    """Check that the locale of this process can encode a path.

    Raises:
        BadInput: The encoding lacks a character of the path.
    """
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise BadInput(
            f"cannot write {quoted(path, 200)}: the locale's encoding of file names is {sys.getfilesystemencoding()}",
            hint=way_out,
        ) from None
