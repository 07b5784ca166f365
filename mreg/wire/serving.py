"""What a server alone gives as JSON-ready dicts; see `mreg.wire`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mreg.results.tokens import NewToken
    from mreg.results.transfers import StoredFile

Wire = dict[str, Any]


def stored_file(file: StoredFile) -> Wire:
    """A file of a version."""
    return {
        "path": file.path,
        "size_bytes": file.size_bytes,
        "checksum": str(file.digest),
        "executable": file.executable,
    }


def new_token(made: NewToken) -> Wire:
    """A token that was just made."""
    return {
        "name": made.token.name,
        "role": str(made.token.role),
        "line": made.token.line,
        "secret": made.secret,
    }
