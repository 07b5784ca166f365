"""The reason for which a client of another registry did not reach its server."""

from __future__ import annotations

import socket
from collections.abc import Iterator


def connection_failure(error: BaseException) -> str:
    """Return the system's reason why no connection was made or it was lost; empty if that is not the cause.

    Clients wrap it several times: as cause, as context, in the arguments, or as the reason of urllib3.
    """
    for found in _chain(error):
        if isinstance(found, ConnectionError | TimeoutError | socket.gaierror) and found.strerror:
            return str(found.strerror)
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        found = waiting.pop(0)
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        waiting += [found.__cause__, found.__context__, getattr(found, "reason", None), *found.args]
