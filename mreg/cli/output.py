"""Output of a command: result, notes, progress, confirmation prompts."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from mreg import streams
from mreg.domain.text import COMMAND, COMMAND_IN_TEXT, Caution, printable
from mreg.errors import BadInput

if TYPE_CHECKING:
    from mreg.cli.table import Rendering

Progress = Callable[[int, int], None]
R = TypeVar("R")


class Cancelled(BadInput):
    """The user did not confirm; reported without ``error:``."""

    code = "cancelled"


class Output:
    """Prints the result to standard output, and everything else to standard error.

    Args:
        chosen: The format (default: a table on a terminal, plain text elsewhere).
        quiet: Print only the references of results, and of notes only each `Caution`.
    """

    def __init__(self, chosen: str = "", *, quiet: bool = False) -> None:
        self.format = chosen or ("table" if streams.is_terminal("stdout") else "plain")
        self.quiet = quiet
        self._noted: set[str] = set()

    def result(self, value: object, rendering: Callable[[Any], Rendering] | None = None) -> None:
        """Print a result, or a tuple of results, in the chosen format.

        Args:
            rendering: Returns the tables of the result (default: those of its view). JSON and references do not use it.
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
        """Print a list of results of a type; an empty list has the columns of the type."""
        from mreg.cli.views import view_of

        self.result(values, view_of(kind).render_list)

    def rendering(self, rendering: Rendering) -> None:
        """Print tables, in a format other than JSON."""
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
        """Print the cells of a rendering with a single column, without the header."""
        streams.put_lines(str(row[0]) for row in rendering.flat.rows)

    def text(self, text: str) -> None:
        """Print a text unchanged, in every format."""
        streams.put(text)

    def note(self, text: str) -> None:
        """Write a note to standard error, the same text only once; if quiet, only a `Caution`."""
        if text not in self._noted and (not self.quiet or isinstance(text, Caution)):
            self._noted.add(text)
            self.warn(text)

    def warn(self, text: str) -> None:
        """Write a warning to standard error, with ``--quiet``, too."""
        streams.say(_wrapped_note(text))

    def steps(self, text: str, commands: Sequence[str]) -> None:
        """Write a note with commands to paste; nothing if quiet."""
        if not self.quiet:
            lines = (streams.wrapped(printable(command), commands=COMMAND, indent="  ") for command in commands)
            streams.say("\n".join((_wrapped_note(text), *lines)))

    def confirm(self, question: str, *, yes: bool, flag: str = "--yes") -> None:
        """Ask the user to confirm, unless ``yes`` is set.

        Raises:
            BadInput: Standard input or standard error is not a terminal.
            Cancelled: The answer is not yes.
        """
        if yes:
            return
        self.check_terminal(question, flag=flag)
        streams.say(f"{printable(question)} [y/N] ", end="")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise Cancelled("cancelled: nothing changed")

    def check_terminal(self, question: str, *, flag: str = "--yes") -> None:
        """Check that the user can answer a question.

        Raises:
            BadInput: Standard input or standard error is not a terminal.
        """
        if not (streams.is_terminal("stdin") and streams.is_terminal("stderr")):
            raise BadInput(f"confirmation required: {question}", hint=f"not a terminal: add {flag} to confirm")

    @contextmanager
    def progress(self, label: str, items: str = "", again: str = "") -> Iterator[Progress]:
        """Yield a callback for progress; it takes the bytes done and the bytes in total. See `ShownProgress`.

        Args:
            items: Plural noun of the items that are counted instead of bytes.
            again: Label of each further pass (default: the same).
        """
        from mreg.cli.progress import ShownProgress

        bar = ShownProgress(
            label, items, again, quiet=self.quiet, terminal=streams.is_terminal("stderr") and _has_cursor()
        )
        try:
            yield bar
        finally:
            bar.close()


def _wrapped_note(text: str) -> str:
    return streams.wrapped(printable(text), commands=COMMAND_IN_TEXT)


def _has_cursor() -> bool:
    return os.environ.get("TERM", "dumb") != "dumb"
