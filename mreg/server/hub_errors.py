"""Errors as clients of the Hugging Face Hub read them: from headers."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.responses import Response

CODES = {"model": "RepoNotFound", "version": "RevisionNotFound", "file": "EntryNotFound"}
"""The error code of the Hub for each kind of object that was not found."""

HUB_PATH = re.compile(r"/api/.*|/[^/]+/.*resolve/.*")
"""Paths of the Hub's routes."""

WRONG_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105
"""The text by which the client tells an unknown token from a missing model."""

MISSING_TOKEN = "missing token"  # noqa: S105
"""The text of the error for a request without a token."""

MESSAGE_LIMIT = 500
"""Maximum length of the message in a header."""


def add_error_headers(response: Response, kind: str = "") -> None:
    """Add the headers from which the client makes its exception and its message.

    The Hub answers a request without a token as if the model did not exist; the client then tells its user to sign in.

    Args:
        response: A problem document.
        kind: Kind of the object that was not found, if any.
    """
    problem = json.loads(bytes(response.body))
    code, text = CODES.get(kind), "; ".join(filter(None, (problem["detail"], problem["hint"])))
    if problem["code"] == "no_token":
        if problem["detail"] == MISSING_TOKEN:
            code, text = CODES["model"], f"{MISSING_TOKEN}; set HF_TOKEN to a token of this server"
        else:
            text = WRONG_TOKEN
    if code:
        response.headers["X-Error-Code"] = code
    response.headers["X-Error-Message"] = text.encode("ascii", "backslashreplace").decode()[:MESSAGE_LIMIT]
