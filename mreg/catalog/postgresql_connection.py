"""A connection to PostgreSQL that is not waited for without end."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Any

import psycopg
from psycopg import errors

from mreg.waiting import Watch

STATEMENT_SECONDS = 60
"""After which the server itself ends a statement."""

SILENCE_SECONDS = STATEMENT_SECONDS + 10
"""How long an answer is waited for: a server that is there ends a statement itself before that."""

LONG_SILENCE_SECONDS = 1800
"""The same where many rows are sent by one statement, which the server is told not to end."""


class Watched(psycopg.Connection[dict[str, Any]]):
    """A connection whose server may fall silent: then waiting for it fails, and the connection is closed.

    Attributes:
        watch: Looks after each wait; None where nobody does.
        seconds: How long one may last.
    """

    watch: Watch | None = None
    seconds: float = SILENCE_SECONDS

    def wait(self, *words: Any, **named: Any) -> Any:
        """As psycopg's, with an end.

        Raises:
            errors.ConnectionTimeout: The server is silent.
        """
        if self.watch is None:
            return super().wait(*words, **named)
        with self.watch.over(self.seconds, self._hang_up) as call:
            try:
                return super().wait(*words, **named)
            except psycopg.OperationalError as error:
                if call.ended:
                    raise errors.ConnectionTimeout(f"it has been silent for {self.seconds:g} s") from error
                raise

    def _hang_up(self) -> None:
        # What waits finds that the connection has ended; nothing of libpq is touched from this thread.
        with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self.pgconn.socket)) as line:
            line.shutdown(socket.SHUT_RDWR)
