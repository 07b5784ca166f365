"""How a user sets a variable, for hints."""

from __future__ import annotations

from mreg.domain.text import shell_word
from mreg.files import WINDOWS


def setting(name: str, value: str) -> str:
    """Return the command that sets a variable in the shell: for a POSIX shell and fish, on Windows for PowerShell."""
    if WINDOWS:
        return f'$env:{name} = "{value}"'
    return f"export {name}={shell_word(value)}"


def clearing(*names: str) -> str:
    """Return the command that unsets variables; see `setting`."""
    if WINDOWS:
        return "; ".join(f"$env:{name} = $null" for name in names)
    return f"unset {' '.join(names)}"
