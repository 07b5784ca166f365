"""Reports of errors: a message, a hint and an exit code for each."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from mreg import errors, streams
from mreg.cli.output import Cancelled
from mreg.cli.signals import INTERRUPTED, PIPE_CLOSED, TERMINATED, Terminated
from mreg.domain.password import without_secrets
from mreg.domain.text import COMMAND, printable, quoted

if TYPE_CHECKING:
    from mreg.cli.invocation import Invocation

UNCHANGED = 9
"""Exit code of ``pull --if-changed`` without a change, and of ``wait`` after its timeout."""

EXIT_CODES: tuple[tuple[type[errors.MregError], int], ...] = (
    (errors.BadInput, 2),
    (errors.GateFailed, 3),
    (errors.NotFound, 4),
    (errors.ApprovalMissing, 5),
    (errors.Corrupt, 6),
    (errors.AlreadyExists, 7),
    (errors.Conflict, 7),
    (errors.Unavailable, 8),
    (errors.Unchanged, UNCHANGED),
    (errors.NotAllowed, 1),
    (errors.DeploymentFailed, 1),
    (errors.MregError, 1),
)

USAGE_ERROR: type = typer.BadParameter.__bases__[0]
"""The class of all usage errors. Typer exports none of its subclasses but BadParameter, and itself only from 0.27.2."""

TYPER_ERRORS: Any = sys.modules[USAGE_ERROR.__module__]
"""The module with the other subclasses; its name depends on the release of Typer."""


def report(error: BaseException, invocation: Invocation) -> int:
    """Print an error with its hint to standard error, and return its exit code."""
    if isinstance(error, SystemExit):
        # Typer exits this way on a broken pipe.
        broken_pipe = isinstance(error.__context__, OSError) and error.__context__.errno == errno.EPIPE
        return PIPE_CLOSED if broken_pipe else (error.code if isinstance(error.code, int) else 1)
    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        streams.try_to_say("", end="\n" if streams.is_terminal("stderr") else "")  # ends the terminal's line with ^C
        _say(f"interrupted{_left(error)}", _notes(error), "interrupted", invocation)
        return INTERRUPTED
    if isinstance(error, Terminated):
        _say(f"terminated{_left(error)}", _notes(error), "terminated", invocation)
        return TERMINATED
    if invocation.debug:
        import traceback

        streams.try_to_say("".join(traceback.format_exception(error)), end="")
    if isinstance(error, errors.MregError):
        message = error.message + invocation.source_of_model(error)
        hint = "\n".join(filter(None, (error.hint, _variable_of(error, invocation))))
        _say(message, hint, error.code, invocation, error.details)
        return next(code for kind, code in EXIT_CODES if isinstance(error, kind))
    if isinstance(error, TYPER_ERRORS.NoArgsIsHelpError):
        streams.try_to_say(str(error))
        return 2
    if isinstance(error, USAGE_ERROR):
        message, hint = _usage(error, invocation.words)
        _say(message, hint, "usage", invocation)
        return 2
    return _unknown(error, invocation)


def _left(error: BaseException) -> str:
    """Return what an interrupted command left; empty if an operation of a server says it in a note."""
    from mreg.registry.remote_operations import STOPS

    said = any(note.startswith(STOPS) for note in getattr(error, "__notes__", ()))
    return "" if said else "; nothing was left half done"


def _notes(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", ()))


def _variable_of(error: errors.MregError, invocation: Invocation) -> str:
    """Return which variable names the place of an error (default: empty)."""
    profile = invocation.opened_profile
    if profile is None or not isinstance(error, (errors.Unavailable, errors.Corrupt)):
        return ""
    origins = profile.origins
    for key, other in (("artifacts", "catalog"), ("catalog", "artifacts")):
        place = str(getattr(profile, key)).partition("?")[0]
        origin = origins.get(other if origins.get(key, "").startswith("next to") else key, "")
        if origin.startswith("MREG_") and re.search(rf"{re.escape(place)}(?![\w.-])", error.message):
            named = {"catalog": "catalog", "artifacts": "artifact store"}[key]
            return f"the {named if origins.get(key) == origin else f'place of the {named}'} is set by {origin}"
    return ""


def _unknown(error: BaseException, invocation: Invocation) -> int:
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        return PIPE_CLOSED
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBADF):
        _say(f"the result can't be written: {error.strerror}", "", "output_failed", invocation)
        return 1
    if isinstance(error, OSError) and error.errno is not None:
        _say(*_refused_by_the_system(error), errors.Unavailable.code, invocation)
        return 8
    if isinstance(error, MemoryError):
        _say("there is not enough memory", "", "out_of_memory", invocation)
        return 1
    if isinstance(error, UnicodeEncodeError):
        message, hint = _unencodable(error)
        _say(message, hint, errors.BadInput.code, invocation)
        return 2
    hint = "" if invocation.debug else "add --debug to see the traceback, and report it as a bug of mreg"
    _say(f"unexpected {type(error).__name__}: {error}", hint, "unexpected", invocation)
    return 1


def _refused_by_the_system(error: OSError) -> tuple[str, str]:
    """Return message and hint for an error of the operating system for which mreg has no error of its own."""
    file = f" for {quoted(os.fspath(error.filename))}" if isinstance(error.filename, (str, os.PathLike)) else ""
    hint = "add --debug to see where"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        hint = "allow more open files: ulimit -n 1024"
    return f"the operating system refused a call{file}: {error.strerror or error}", hint


def _unencodable(error: UnicodeEncodeError) -> tuple[str, str]:
    """Return message and hint for a text that cannot be encoded in this locale, for example a file name."""
    encoding = sys.getfilesystemencoding()
    if error.encoding.lower().replace("-", "") == "utf8":  # from a file name or argument that cannot be decoded
        message = f"{quoted(error.object)} is not valid text: the locale's encoding is {encoding}"
    else:
        message = f"cannot encode {quoted(error.object)}: the locale's encoding is {encoding}"
    return message, "use names that are valid UTF-8" if encoding == "utf-8" else "export PYTHONUTF8=1"


def _say(message: str, hint: str, code: str, invocation: Invocation, details: dict[str, object] | None = None) -> None:
    # A token that was pasted instead of another argument is not repeated.
    message, hint = without_secrets(printable(message)), without_secrets(printable(hint, keep_newlines=True))
    if invocation.as_json or invocation.output_format == "json":
        import json

        document = {"code": code, "message": message, "hint": hint, **({"details": details} if details else {})}
        streams.try_to_say_json(without_secrets(json.dumps(document, default=str)))
        return
    # If standard error is closed or full, the exit code still reports the error.
    start = "" if code == Cancelled.code else "error: "
    lines = (streams.wrapped(line, commands=COMMAND, indent="  ") for line in hint.splitlines())
    streams.try_to_say("\n".join((streams.wrapped(f"{start}{message}"), *lines)))


def _usage(error: Any, words: Sequence[str]) -> tuple[str, str]:
    if isinstance(error, TYPER_ERRORS.NoSuchOption):
        return _unknown_option(error, error.option_name, words)
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    hint = f"{context.command_path} --help shows how it is used" if context is not None else "mreg --help"
    return message[:1].lower() + message[1:], hint


def _unknown_option(error: Any, option: str, typed: Sequence[str]) -> tuple[str, str]:
    from mreg.cli.suggestions import option_meant

    context = getattr(error, "ctx", None)
    known = [name for param in context.command.params for name in param.opts] if context is not None else []
    command = context.command_path if context is not None else "mreg"
    if command == "mreg edit" and option == "--metric":
        return "there is no option '--metric'", "metrics are added by mreg evaluate REF --metric NAME=NUMBER"
    near = option_meant(option, known)
    if "--metric" in known and option.startswith("--"):
        value = _value_after(option, typed)
        name = option.removeprefix("--").replace("-", "_")
        as_metric = f"--metric {printable(name)}={printable(value)}"
        if near and not _is_number(value):
            return f"there is no option {quoted(option)}", f"did you mean {near}? {command} --help shows all"
        if near:
            return f"there is no option {quoted(option)}", f"did you mean {near}, or the metric {as_metric}?"
        if _is_number(value) or not value:
            return (
                f"there is no option {quoted(option)}",
                f"for a metric write {as_metric if value else as_metric + '0.97'}",
            )
    hint = f"did you mean {near}?" if near else f"{command} --help shows the options"
    if command == "mreg pull" and option in ("-o", "--output", "--out", "--dest", "--destination"):
        hint = "the destination is an argument: mreg pull REF DEST"
    return f"there is no option {quoted(option)}", hint


def _value_after(option: str, words: Sequence[str]) -> str:
    for index, word in enumerate(words):
        if word == option:
            return words[index + 1] if index + 1 < len(words) else ""
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return ""


def _is_number(text: str) -> bool:
    from mreg.domain.metrics import parse_metric

    try:
        parse_metric("value", text)
    except errors.BadInput:
        return False
    return True
