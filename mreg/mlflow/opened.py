"""The registries that this process has open, one for each profile."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from typing import TYPE_CHECKING

from mreg.domain.text import Caution
from mreg.registry.open import open_registry

if TYPE_CHECKING:
    from mreg.registry.registry import Registry

_logger = logging.getLogger(__name__)
_lock = threading.Lock()
_open: dict[tuple[int, str | None], Registry] = {}
"""By process, because connections do not survive a fork, and by the name of the profile."""


def registry(profile: str | None) -> Registry:
    """Return the registry of a profile, opened once.

    The settings are read each time: after a change of a variable, of the working folder or of the profile, the new
    registry is used, and the one before is closed.

    Raises:
        BadProfile, NotFound: See `mreg.open_registry`.
    """
    found = open_registry(profile, notice=_notice)  # opens nothing before its first operation
    with _lock:
        known = _open.get((os.getpid(), profile))
        if known is not None and known.profile == found.profile:
            return known
        _open[os.getpid(), profile] = found
    if known is not None:
        known.close()
    return found


def _notice(text: str) -> None:
    _logger.log(logging.WARNING if isinstance(text, Caution) else logging.INFO, "%s", text)


@atexit.register
def close_all() -> None:
    """Close the registries of this process."""
    with _lock:
        for process, profile in list(_open):
            known = _open.pop((process, profile))
            if process == os.getpid():
                known.close()
