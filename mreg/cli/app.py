"""The program ``mreg``: its commands, and the conversion of errors to exit codes.

The module of a command is imported when the command runs, so that ``mreg show`` does not load the code of ``push``.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from mreg import streams
from mreg.cli.completion import complete_profile
from mreg.cli.invocation import FORMATS, Invocation, invocation_of
from mreg.cli.parameters import Command, as_typed
from mreg.cli.signals import INTERRUPTED, PIPE_CLOSED, TERMINATED, terminate

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "register": ("models", "register"),
    "push": ("push", "push"),
    "pull": ("pull", "pull"),
    "list": ("models", "list_models"),
    "show": ("show", "show"),
    "search": ("models", "search"),
    "compare": ("compare", "compare"),
    "promote": ("stages", "promote"),
    "archive": ("stages", "archive"),
    "rollback": ("stages", "rollback"),
    "approve": ("policies", "approve"),
    "reject": ("policies", "reject"),
    "approvals": ("policies", "approvals"),
    "policy": ("policies", "POLICY_COMMANDS"),
    "deploy": ("deploy", "deploy"),
    "deployments": ("deploy", "deployments"),
    "history": ("history", "history"),
    "why": ("history", "why"),
    "audit": ("history", "AUDIT_COMMANDS"),
    "lineage": ("history", "lineage"),
    "alias": ("edit", "alias"),
    "tag": ("edit", "tag"),
    "edit": ("edit", "edit"),
    "rename": ("edit", "rename"),
    "delete": ("edit", "delete"),
    "verify": ("upkeep", "verify"),
    "gc": ("upkeep", "collect"),
    "doctor": ("upkeep", "doctor"),
    "backup": ("catalog", "backup"),
    "restore": ("catalog", "restore"),
    "upgrade": ("catalog", "upgrade"),
    "catalog": ("catalog", "CATALOG_COMMANDS"),
    "export": ("bundle", "export"),
    "import": ("bundle", "import_bundle"),
    "serve": ("serve", "serve"),
    "token": ("serve", "token"),
    "profile": ("profiles", "PROFILE_COMMANDS"),
    "init": ("profiles", "init"),
    "trust": ("trust", "trust"),
    "completion": ("completion", "completion"),
}
"""The module and the name of each command, in the order of the help."""


class CommandGroup(TyperGroup):
    """A group whose commands are imported when they run."""

    table: dict[str, tuple[str, str]] = COMMANDS

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # noqa: ARG002
        return list(self.table)

    def get_params(self, ctx: typer.Context) -> list[Any]:  # type: ignore[override]
        return as_typed(super().get_params(ctx))

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]  # noqa: ARG002
        if cmd_name not in self.table:
            return None
        module, name = self.table[cmd_name]
        function = getattr(import_module(f"mreg.cli.{module}"), name)
        if isinstance(function, dict):
            return subgroup(cmd_name, function)
        return build_command(cmd_name, function)

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        if args and args[0] not in self.table and not args[0].startswith("-"):
            from mreg.cli.failures import no_such_command

            raise no_such_command(args[0], list(self.table))
        return super().resolve_command(ctx, args)


def build_command(name: str, function: Any) -> Command:
    """Return the command of a function, with the shared options added."""
    command = _command(name, function, getattr(function, "command_class", Command))
    command.params.extend(shared_options())
    return command


def _command(name: str, function: Any, kind: type[Command] = Command) -> Command:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name, cls=kind)(function)
    return typer.main.get_command(app)  # type: ignore[return-value]


def subgroup(name: str, table: dict[str, tuple[str, str]]) -> TyperGroup:
    """Return a command that has subcommands, such as ``profile``."""
    group = CommandGroup(name=name, help=HELP_OF_GROUPS[name], no_args_is_help=True, rich_markup_mode=None)
    group.table = table
    group.params.extend(shared_options())
    return group


HELP_OF_GROUPS = {
    "catalog": "The catalog as a whole: to another place.",
    "audit": "Whether the audit trail is what was written.",
    "policy": "What a version must have before it enters a stage.",
    "profile": "Where models are kept, and from where each value came.",
}


@cache
def shared_options() -> tuple[Any, ...]:
    """Return the options that every command takes; they can stand before or after its name."""
    return tuple(_command("shared", _shared).params)


def _keep(ctx: typer.Context, param: typer.CallbackParam, value: Any) -> None:
    if value is not None and value is not False:
        setattr(invocation_of(ctx), str(param.name), value)


def _kept(*declarations: str, **settings: Any) -> Any:
    """Return an option whose value is stored in the `Invocation`, under the name of the parameter."""
    return typer.Option(*declarations, callback=_keep, expose_value=False, **settings)


def _formats() -> list[str]:
    return list(FORMATS)


def _shared(
    output_format: Annotated[
        str | None,
        _kept("--format", metavar="FORMAT", help="table, plain, json, csv or md.", autocompletion=_formats),
    ] = None,
    as_json: Annotated[bool, _kept("--json", help="Same as --format json.")] = False,
    quiet: Annotated[bool, _kept("--quiet", "-q", help="Print only references and security notes.")] = False,
    profile: Annotated[
        str | None,
        _kept(
            "--profile",
            metavar="NAME",
            help="Use this profile. [env: MREG_PROFILE]",
            autocompletion=complete_profile,
        ),
    ] = None,
    config: Annotated[
        str | None, _kept("--config", metavar="FILE", help="Read profiles from this file. [env: MREG_CONFIG]")
    ] = None,
    trust_project: Annotated[
        bool,
        _kept(
            "--trust-project",
            help="Use the store that mreg.yaml names, without mreg trust. [env: MREG_TRUST_PROJECT]",
        ),
    ] = False,
    debug: Annotated[bool, _kept("--debug", help="Show the traceback of an unknown failure.")] = False,
) -> None:
    """Declare the shared options; only the parameters are used."""


def _print_version(ctx: typer.Context, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from mreg import __version__

        streams.put(f"mreg {__version__}\n")
        raise typer.Exit


def _version(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", help="Print the version.", is_eager=True, expose_value=False, callback=_print_version
        ),
    ] = False,
) -> None:
    """Declare the option ``--version``; only the parameter is used."""


def root_command() -> CommandGroup:
    """Return the command ``mreg``."""
    return CommandGroup(
        name="mreg",
        help="A model registry without a server: versions, metrics, stages and verified bytes.",
        epilog="Examples:\n\n\b\n  mreg push model.pkl --accuracy 0.95\n  mreg promote classifier 3\n"
        "  mreg compare classifier 1 2\n  mreg pull classifier@production",
        params=[*_command("version", _version).params, *shared_options()],
        no_args_is_help=True,
        rich_markup_mode=None,
    )


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code. Every error is caught and reported here."""
    import signal

    invocation = Invocation.of_words(arguments)
    previous = {signal.SIGTERM: signal.signal(signal.SIGTERM, terminate)}
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # a background job of a shell ignores Ctrl-C
        previous[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if "_MREG_COMPLETE" in os.environ:
            from mreg.cli.completion import answer

            answer(os.environ["_MREG_COMPLETE"], arguments, invocation)
            return 0
        code = root_command().main(list(arguments), prog_name="mreg", standalone_mode=False, obj=invocation)
        streams.flush()
        if code == INTERRUPTED:  # Typer has caught the interrupt and printed nothing
            raise KeyboardInterrupt
        invocation.check_deployments()
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        return PIPE_CLOSED
    except BaseException as error:  # noqa: BLE001  every error becomes a message and an exit code
        from mreg.cli.failures import report

        return report(error, invocation)
    finally:
        invocation.close()
        for number, handler in previous.items():
            signal.signal(number, handler)


def main() -> NoReturn:
    """Run the command line of this process and exit with its exit code."""
    code = run(sys.argv[1:])
    if code in (INTERRUPTED, TERMINATED):
        os._exit(code)  # sys.exit would wait for threads, and a thread can wait for the network
    try:
        streams.flush()
    except OSError:
        # Broken pipe or full disk. The interpreter flushes again at exit and must not fail then.
        from mreg.files import open_file

        os.dup2(open_file(os.devnull, os.O_WRONLY), 1)
        code = code or PIPE_CLOSED
    sys.exit(code)
