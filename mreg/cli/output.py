"""Where a command's result, notes, progress and questions go."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from mreg import streams
from mreg.domain.text import Caution, printable
from mreg.errors import BadInput

if TYPE_CHECKING:
    from mreg.cli.table import Rendering

Progress = Callable[[int, int], None]
R = TypeVar("R")


class Output:
    """A few verbs; the result goes to standard output and everything else to standard error.

    Args:
        chosen: The format that was asked for; empty: a table on a terminal, plain text elsewhere.
        quiet: Print references alone, and no notes but each `Caution`.
    """

    def __init__(self, chosen: str = "", *, quiet: bool = False) -> None:
        self.format = chosen or ("table" if streams.is_terminal("stdout") else "plain")
        self.quiet = quiet
        self._noted: set[str] = set()

    def result(self, value: object, rendering: Callable[[Any], Rendering] | None = None) -> None:
        """Print a result: one value or a tuple of them, in the chosen format.

        Args:
            rendering: How it is shown in place of the usual way; JSON and references stay what they are.
        """
        if self.quiet:
            from mreg.cli.views import references

            streams.put_lines(references(value))
        elif self.format == "json":
            from mreg.wire import encode, json_text

            streams.put_json(json_text(encode(value)))
        else:
            from mreg.cli.views import render

            self.rendering((rendering or render)(value))

    def results(self, values: Sequence[R], kind: type[R]) -> None:
        """Print a list of results of a type; an empty one has the columns of the type."""
        from mreg.cli.views import view_of

        self.result(values, view_of(kind).many)

    def rendering(self, rendering: Rendering) -> None:
        """Print something that is rendered already, in a format that is not JSON."""
        if self.format == "table":
            from mreg.cli.terminal import print_rendering

            print_rendering(rendering)
            return
        from mreg.cli.table import csv_text, markdown, plain_lines

        if self.format == "md":
            streams.put(markdown(rendering))
        elif self.format == "csv":
            streams.put(csv_text(rendering.flat))
        else:
            streams.put("".join(f"{line}\n" for line in plain_lines(rendering.flat)))

    def lines(self, rendering: Rendering) -> None:
        """Print the one column of a rendering as it is, without its name."""
        streams.put_lines(str(row[0]) for row in rendering.flat.rows)

    def text(self, text: str) -> None:
        """Print a text that is a format of its own."""
        streams.put(text)

    def note(self, text: str) -> None:
        """Write a note to standard error, the same text only once; if quiet, only a `Caution`."""
        if text not in self._noted and (not self.quiet or isinstance(text, Caution)):
            self._noted.add(text)
            self.warn(text)

    def warn(self, text: str) -> None:
        """Say something that a person should not miss, also when quiet."""
        streams.say(printable(text))

    def confirm(self, question: str, *, yes: bool, flag: str = "--yes") -> None:
        """Return if the answer is yes; asks on a terminal alone.

        Raises:
            BadInput: Nobody is there to be asked, or the answer was no.
        """
        if yes:
            return
        if not (streams.is_terminal("stdin") and streams.is_terminal("stderr")):
            raise BadInput(f"confirmation required: {question}", hint=f"not a terminal: add {flag} to confirm")
        streams.say(f"{printable(question)} [y/N] ", end="")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise BadInput("not confirmed; nothing was changed", hint=f"answer y, or add {flag}")

    @contextmanager
    def progress(self, label: str) -> Iterator[Progress]:
        """Something to tell how many bytes of how many are done; a bar appears for work of over a second."""
        from mreg.cli.progress import ByteProgress

        bar = ByteProgress(label, quiet=self.quiet, terminal=streams.is_terminal("stderr") and _can_move())
        try:
            yield bar.moved
        finally:
            bar.close()


def _can_move() -> bool:
    return os.environ.get("TERM", "dumb") != "dumb"
