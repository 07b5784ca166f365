"""Suggestions for unknown commands and options: by meaning, then by spelling."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from mreg.domain.text import nearest, quoted, shell_word
from mreg.errors import BadInput

COMMANDS = {
    "mreg": {
        word: meant
        for meant, words in {
            "push": "add upload save commit put store publish",
            "pull": "get download fetch checkout clone",
            "list": "ls models status",
            "path": "locate where-is cache location",
            "wait": "watch poll follow",
            "files": "contents content manifest ls-files",
            "show": "info view describe inspect cat",
            "search": "find query grep filter select",
            "compare": "diff cmp difference",
            "evaluate": "eval score measure metrics",
            "register": "create new",
            "alias": "label point unalias",
            "tag": "tags untag",
            "edit": "set update modify annotate",
            "rename": "mv move",
            "delete": "rm remove del drop destroy erase",
            "promote": "stage transition release",
            "rollback": "undo revert",
            "archive": "retire deprecate",
            "approve": "accept",
            "reject": "decline deny veto",
            "approvals": "pending reviews review",
            "policy": "rules gates gate policies",
            "deploy": "run trigger hook hooks",
            "deployments": "jobs runs",
            "history": "log events activity changes blame reflog",
            "why": "explain reason",
            "lineage": "graph tree parents ancestors provenance",
            "verify": "check fsck checksum validate",
            "gc": "clean cleanup prune vacuum",
            "doctor": "diagnose health",
            "backup": "dump snapshot",
            "upgrade": "migrate",
            "export": "bundle pack",
            "import": "load unpack",
            "serve": "server ui web start http",
            "token": "tokens",
            "login": "auth signin authenticate",
            "logout": "signout",
            "init": "setup",
            "profile": "config configure profiles context remote settings",
            "profile show": "where",
            "whoami": "user me",
            "trust": "allow",
            "completion": "completions autocomplete",
            "help": "man docs",
            "--version": "version",
        }.items()
        for word in words.split()
    },
    "mreg policy": {
        "get": "policy show", "cat": "policy show", "list": "policy show", "set": "policy apply", "add": "policy apply",
        "test": "policy check", "validate": "policy check", "diff": "policy check", "rm": "policy remove",
        "delete": "policy remove",
    },
    "mreg profile": {
        "ls": "profile list", "get": "profile show", "current": "profile show", "info": "profile show",
        "whoami": "whoami", "switch": "profile use", "default": "profile use", "select": "profile use",
        "new": "profile add", "create": "profile add", "set": "profile add", "test": "profile check",
        "doctor": "profile check",
    },
    "mreg token": {
        "add": "token create", "new": "token create", "make": "token create", "ls": "token list", "show": "token list",
        "rm": "token revoke", "remove": "token revoke", "delete": "token revoke", "del": "token revoke",
    },
    "mreg audit": {"check": "audit verify", "log": "history", "show": "history", "list": "history"},
    "mreg catalog": {"cp": "catalog copy", "mv": "catalog copy", "move": "catalog copy", "migrate": "catalog copy",
                     "clone": "catalog copy", "upgrade": "upgrade", "backup": "backup", "restore": "restore"},
}  # fmt: skip
"""What people type for a command, with the command: names from git, package managers and other registries."""

EXTRA_ARGUMENTS = {
    "mreg push": "to name the model: --name {}",
    "mreg list": "for one model: mreg show {}",
    "mreg search": "quote the expression as one argument",
    "mreg promote": "to name the stage: --to {}",
    "mreg approve": "to name the stage or alias: --to {}",
    "mreg reject": "to name the stage or alias: --to {}",
    "mreg rollback": "to name the version: --to {}",
    "mreg tag": "to set a tag: {}=VALUE",
    "mreg edit": "to change the description: --description {}",
    "mreg pull": "to replace existing files: --force",
    "mreg path": "one file of a folder: mreg path REF FILE",
    "mreg wait": "to name the version that you have: --changed-from {}",
    "mreg export": "to name the file: --output {}",
    "mreg import": "to name the model: --name {}",
    "mreg register": "to describe the model: --description {}",
    "mreg approvals": "for one model: mreg show {}",
    "mreg policy show": "one policy at a time: mreg policy show {}",
    "mreg policy apply": "to name the model: --model {}",
    "mreg policy check": "to name the model: --model {}",
    "mreg policy remove": "to name the model: --model {}",
}
"""What an additional argument of a command is probably meant for, with a command or with the words to use instead."""

OPTIONS = (
    "reason comment message msg note description why",
    "to stage target",
    "plan dry-run check simulate preview noop",
    "yes confirm assume-yes no-input force non-interactive",
    "format output-format as output",
    "output out file dest destination o",
    "limit max top count number head n",
    "sort sort-by order order-by",
    "remove delete unset rm",
    "name model",
    "debug verbose trace traceback v",
    "fail-on-regression fail strict exit-code",
    "at as-of when time date",
    "graph dot mermaid",
)
"""Options of the same meaning in a line, without their dashes."""


def no_such_command(path: str, word: str, known: Iterable[str], *, topics: Iterable[str] = ()) -> BadInput:
    """Return the usage error for an unknown command.

    Args:
        path: The command line before the word: ``mreg``, or ``mreg profile``.
        known: Commands that exist there.
        topics: Topics of ``mreg help``, if that was the command.
    """
    meant = COMMANDS.get(path, {}).get(word.lower(), "")
    if not meant:
        near = nearest(word, [*topics, *known], 1)
        prefix = path.removeprefix("mreg").lstrip()
        meant = " ".join(filter(None, [prefix, *near])) if near else ""
        meant = f"help {meant}" if near and near[0] in set(topics) else meant
    hint = f"did you mean mreg {meant}?" if meant else f"{path} --help lists the commands"
    if path == "mreg token" and not meant:  # its form before it had commands
        hint = f"create a token: mreg token create {shell_word(word)}; {hint}"
    return BadInput(f"there is no command {quoted(word)}", hint=hint)


class UnexpectedArgument(BadInput):
    """The command line has more arguments than the command takes."""

    code = "usage"


PATH_FIRST = ("mreg push", "mreg import")
"""Commands whose only argument is a path; an additional argument is probably the name of the model."""


def unexpected_argument(context: Any, words: Sequence[str], why: str = "") -> UnexpectedArgument:
    """Return the usage error for additional arguments of a command.

    Args:
        words: The additional arguments.
        why: Why the command takes no more, if that depends on the other arguments.
    """
    from mreg.cli.pages import argument_term

    path, command, word = context.command_path, context.command, words[0]
    taken = [param for param in command.params if param.param_type_name == "argument"]
    takes = " ".join(map(argument_term, taken)) or "no arguments"
    extra = word
    if path in PATH_FIRST and os.path.lexists(word) and not os.path.lexists(context.params[taken[0].name]):
        extra = context.params[taken[0].name]
    meant = EXTRA_ARGUMENTS.get(path, "").format(shell_word(extra))
    purpose, colon, text = meant.partition(": ")
    if colon and len(words) == 1 and not text.startswith("mreg "):
        meant = f"{purpose}: {_with_text(context, extra, text) or text}"
    return UnexpectedArgument(
        f"unexpected argument {quoted(word)}: {why or f'{path} takes {takes}'}",
        hint="\n".join(filter(None, [meant, f"{path} --help shows how it is used"])),
    )


def _with_text(context: Any, word: str, text: str) -> str:
    """Return the typed command line with a word replaced by a text; empty if the word was not typed."""
    from mreg.cli.invocation import invocation_of

    typed = invocation_of(context).words
    if word not in typed:
        return ""
    last = len(typed) - 1 - list(reversed(typed)).index(word)
    kept = [shell_word(other) for place, other in enumerate(typed) if place != last]
    return " ".join(["mreg", *kept, text])


def option_meant(option: str, known: Collection[str]) -> str:
    """Return the known option of the same meaning or a similar spelling; empty if there is none."""
    word = option.lstrip("-").lower()
    if option == "-v" and "--version" in known:
        return "--version"
    for line in OPTIONS:
        words = line.split()
        if word in words:
            same = next((other for other in words if f"--{other}" in known and other != word), "")
            if same:
                return f"--{same}"
    # Without the dashes, which make short words look alike.
    near = nearest(word, [name.removeprefix("--") for name in known if name.startswith("--")], 1)
    return f"--{near[0]}" if near else ""
