"""The reference of the HTTP API, from the OpenAPI document."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import mreg


def document() -> Any:
    """Return the OpenAPI document of a server without tokens."""
    from mreg.server.app import build_app
    from mreg.server.settings import ServerSettings

    with (
        tempfile.TemporaryDirectory() as folder,
        mreg.open_registry(catalog=os.path.join(folder, "catalog.db")) as opened,
    ):
        return build_app(opened, ServerSettings()).openapi()  # type: ignore[arg-type]


def pages() -> dict[str, str]:
    """Return the page of all routes."""
    return {"reference/http.md": "# HTTP API\n\n"}
