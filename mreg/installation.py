"""How mreg was installed: the command that adds an extra or installs a newer release."""

from __future__ import annotations

import os
import sys

TOOLS = {"uv-receipt.toml": "uv", "pipx_metadata.json": "pipx"}
"""The file that an installer of tools leaves in the environment that it makes."""


def _tool() -> str:
    found = (tool for file, tool in TOOLS.items() if os.path.exists(os.path.join(sys.prefix, file)))
    return next(found, "pip")


def extra_command(extra: str) -> str:
    """Return the command that installs an extra, such as ``server``, next to this mreg."""
    requirement = f"'mreg[{extra}]'"
    return {
        # `uv tool install` and `pipx install` would need the source of this mreg, which can be a folder.
        "uv": f"uv pip install --python {_word(sys.prefix)} {requirement}",
        "pipx": f"pipx runpip {_word(os.path.basename(sys.prefix))} install {requirement}",
    }.get(_tool(), f"pip install {requirement}")


def upgrade_command() -> str:
    """Return the command that installs a newer release of mreg."""
    return {
        "uv": f"uv tool upgrade {_word(os.path.basename(sys.prefix))}",
        "pipx": f"pipx upgrade {_word(os.path.basename(sys.prefix))}",
    }.get(_tool(), "pip install --upgrade mreg")


def _word(text: str) -> str:
    from shlex import quote

    return quote(text)
