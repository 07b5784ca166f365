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
from mreg.cli.completion import Word, complete_profile, option_words
from mreg.cli.invocation import FORMATS, Invocation, invocation_of
from mreg.cli.parameters import Command, as_typed
from mreg.cli.signals import INTERRUPTED, PIPE_CLOSED, TERMINATED, terminate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Entry = tuple[str, str, str]

HEADINGS: dict[str, dict[str, Entry]] = {
    "Everyday": {
        "push": ("push", "push", "Upload a file or folder as a new version."),
        "pull": ("pull", "pull", "Download the artifact of a version and verify it."),
        "files": ("files", "files", "List the files of a version."),
        "path": ("paths", "path", "Print the local path of a version, verified."),
        "list": ("models", "list_models", "List all models with their latest versions."),
        "show": ("show", "show", "Show a model with its versions, or one version."),
        "search": ("models", "search", "Find versions by metrics, tags and other fields."),
        "compare": ("compare", "compare", "Compare metrics, parameters and files of two versions."),
        "evaluate": ("evaluate", "evaluate", "Add metrics to a version after its push."),
        "register": ("models", "register", "Register a model before its first version."),
        "alias": ("edit", "alias", "Set or remove an alias of a version."),
        "tag": ("edit", "tag", "Set or remove tags of a model or a version."),
        "edit": ("edit", "edit", "Edit the metadata of a model or a version."),
        "rename": ("edit", "rename", "Rename a model."),
        "delete": ("edit", "delete", "Delete a version, or a model with all its versions."),
    },
    "Promotion": {
        "promote": ("stages", "promote", "Promote a version to the next stage or to a given one."),
        "rollback": ("stages", "rollback", "Restore the previous version of a stage."),
        "archive": ("stages", "archive", "Archive a version."),
        "approve": ("policies", "approve", "Approve a version for a stage or an alias."),
        "reject": ("policies", "reject", "Reject a version for a stage or an alias."),
        "approvals": ("policies", "approvals", "List pending approvals."),
        "policy": ("policies", "POLICY_COMMANDS", "Show, check and apply the policy of models."),
    },
    "Deployment": {
        "deploy": ("deploy", "deploy", "Run the hooks of a version again, or pending ones."),
        "deployments": ("deploy", "deployments", "List the deployments of a model."),
        "wait": ("wait", "wait", "Wait until a reference names another version."),
    },
    "Lineage and audit": {
        "history": ("history", "history", "Show the events of a model, a version or the registry."),
        "why": ("history", "why", "Explain why a version is in its stage."),
        "lineage": ("history", "lineage", "Show the parents, children and data of a version."),
        "audit": ("history", "AUDIT_COMMANDS", "Check the audit trail for tampering."),
    },
    "Maintenance": {
        "verify": ("upkeep", "verify", "Verify stored artifacts or a pulled copy by SHA-256."),
        "gc": ("upkeep", "collect", "List or remove blobs that no version needs."),
        "doctor": ("upkeep", "doctor", "Diagnose problems of the registry."),
        "backup": ("catalog", "backup", "Write a backup of the catalog."),
        "restore": ("catalog", "restore", "Restore the catalog from a backup."),
        "upgrade": ("catalog", "upgrade", "Upgrade the catalog of an older release."),
        "catalog": ("catalog", "CATALOG_COMMANDS", "Copy the catalog to another place."),
    },
    "Sharing": {
        "export": ("bundle", "export", "Export a version or a model as a bundle."),
        "import": ("bundle", "import_versions", "Import versions from a bundle, MLflow or Hugging Face."),
        "serve": ("serve", "serve", "Serve the registry over HTTP."),
        "token": ("tokens", "TOKEN_COMMANDS", "Create, list and revoke tokens of clients."),
    },
    "Configuration": {
        "init": ("profiles", "init", "Create a project file (mreg.yaml)."),
        "profile": ("profiles", "PROFILE_COMMANDS", "List, show, add, remove, check and select profiles."),
        "login": ("login", "login", "Check a token for a server, and save it."),
        "logout": ("login", "logout", "Remove the saved token of a server."),
        "whoami": ("login", "whoami", "Show the name and role of your token on the server."),
        "trust": ("trust", "trust", "Trust the project file of a folder."),
        "completion": ("completion", "completion", "Print the completion script for a shell."),
        "help": ("help", "show_help", "Show the help of a command or a topic."),
    },
}
"""The module, the name and the first line of help of each command, by the headings of the help.

The first lines are repeated from the docstrings, so that the list of commands does not import every module.
"""

COMMANDS = {name: entry for commands in HEADINGS.values() for name, entry in commands.items()}

ROOT_HELP = """Model registry without a server.

    Examples:
      mreg push model.pkl --name churn --accuracy 0.95
      mreg compare churn production latest
      mreg promote churn@3 --to production
      mreg pull churn@production
    """

GROUPS = {
    "policy": """Show, check and apply the policy of models.

    A policy has the rules that a version must pass to enter a stage or to receive an alias: gates on metrics,
    approvals, and the stage that it comes from. A model can have its own policy; the default policy applies to all
    other models.

    Examples:
      mreg policy check policy.yaml --model churn
      mreg policy apply policy.yaml --model churn
      mreg policy show --format plain > policy.yaml
    """,
    "audit": """Check the audit trail for tampering.

    Examples:
      mreg audit verify
    """,
    "catalog": """Copy the catalog to another place.

    Examples:
      mreg catalog copy --from-profile local --to-profile team
    """,
    "token": """Create, list and revoke tokens of clients.

    A token has a name, a role, and optionally the models that it is limited to and an expiry. Tokens are in the
    catalog, so every server of the registry accepts and refuses them at once. Each change is an event.

    Examples:
      mreg token create ci --role writer --models 'team-a/*' --expires 90d
      mreg token list
      mreg token revoke ci
    """,
    "profile": """List, show, add, remove, check and select profiles.

    A profile has the catalog, the artifact store and other settings of a registry. Profiles are in your profile file.

    Examples:
      mreg profile show
      mreg profile add team --artifacts s3://ml-models/registry --cache 20GB
      mreg profile use team
    """,
}
"""Help of the commands that have subcommands."""


class CommandGroup(TyperGroup):
    """A group whose commands are imported when they run."""

    headings: Mapping[str, Mapping[str, Entry]] = HEADINGS
    table: Mapping[str, Entry] = COMMANDS

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # noqa: ARG002
        return list(self.table)

    def get_params(self, ctx: typer.Context) -> list[Any]:  # type: ignore[override]
        return as_typed(super().get_params(ctx))

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]  # noqa: ARG002
        if cmd_name not in self.table:
            return None
        module, name, _ = self.table[cmd_name]
        function = getattr(import_module(f"mreg.cli.{module}"), name)
        if isinstance(function, dict):
            return subgroup(cmd_name, function)
        return build_command(cmd_name, function)

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        if args and args[0] not in self.table and not args[0].startswith("-"):
            from mreg.cli.suggestions import no_such_command

            raise no_such_command(ctx.command_path, args[0], self.table)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:  # Typer replaces it with an exit code, without the notes
            invocation_of(ctx).interrupt = error
            raise

    def shell_complete(self, ctx: typer.Context, incomplete: str) -> list[Any]:  # type: ignore[override]
        if incomplete.startswith("-"):
            return option_words(self, super().shell_complete(ctx, incomplete))
        return [Word(name, summary) for name, (_, _, summary) in self.table.items() if name.startswith(incomplete)]

    def get_help(self, ctx: typer.Context) -> str:  # type: ignore[override]
        from mreg.cli.pages import help_of

        return help_of(ctx)


def build_command(name: str, function: Any) -> Command:
    """Return the command of a function, with the shared options added."""
    command = _command(name, function, getattr(function, "command_class", Command))
    command.params.extend(shared_options())
    return command


def _command(name: str, function: Any, kind: type[Command] = Command) -> Command:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name, cls=kind, add_help_option=False)(function)
    return typer.main.get_command(app)  # type: ignore[return-value]


def subgroup(name: str, table: Mapping[str, Entry]) -> TyperGroup:
    """Return a command that has subcommands, such as ``profile``."""
    group = _group(name, GROUPS[name])
    group.headings = {"Commands": table}
    group.table = table
    group.params.extend(shared_options())
    return group


def _group(name: str, help: str) -> CommandGroup:
    return CommandGroup(name=name, help=help, no_args_is_help=True, rich_markup_mode=None, add_help_option=False)


def shared_options() -> tuple[Any, ...]:
    """Return the options that every command takes; they can stand before or after its name."""
    return _options()[1:]


@cache
def _options() -> tuple[Any, ...]:
    """Return the options of ``mreg``: ``--version``, and those that every command takes."""
    return tuple(_command("mreg", _declared).params)


def _keep(ctx: typer.Context, param: typer.CallbackParam, value: Any) -> None:
    if value is not None and value is not False:
        setattr(invocation_of(ctx), str(param.name), value)


def _kept(*declarations: str, group: str, **settings: Any) -> Any:
    """Return an option whose value is stored in the `Invocation`, under the name of the parameter."""
    return typer.Option(*declarations, callback=_keep, expose_value=False, rich_help_panel=group, **settings)


def _formats() -> list[str]:
    return list(FORMATS)


def _print_help(ctx: typer.Context, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from mreg.cli.pages import page_of, show

        show(page_of(ctx.command, ctx.command_path))
        raise typer.Exit


def _print_version(ctx: typer.Context, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from mreg import __version__

        streams.put(f"mreg {__version__}\n")
        raise typer.Exit


def _declared(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            "-V",
            help="Print the version and exit.",
            is_eager=True,
            expose_value=False,
            callback=_print_version,
        ),
    ] = False,
    help: Annotated[
        bool,
        typer.Option(
            "--help", "-h", help="Show this help and exit.", is_eager=True, expose_value=False, callback=_print_help
        ),
    ] = False,
    output_format: Annotated[
        str | None,
        _kept(
            "--format",
            group="Output",
            metavar="FORMAT",
            help="Output format: table, plain, json, csv or md (default: table on a terminal, else plain).",
            autocompletion=_formats,
        ),
    ] = None,
    as_json: Annotated[bool, _kept("--json", group="Output", help="Same as --format json.")] = False,
    quiet: Annotated[
        bool, _kept("--quiet", "-q", group="Output", help="Print only references and security notes.")
    ] = False,
    debug: Annotated[bool, _kept("--debug", group="Output", help="Show the traceback of an error.")] = False,
    profile: Annotated[
        str | None,
        _kept(
            "--profile",
            group="Connection",
            metavar="NAME",
            help="Profile of the registry. [env: MREG_PROFILE]",
            autocompletion=complete_profile,
        ),
    ] = None,
    config: Annotated[
        str | None,
        _kept("--config", group="Connection", metavar="FILE", help="Profile file. [env: MREG_CONFIG]"),
    ] = None,
    trust_project: Annotated[
        bool,
        _kept(
            "--trust-project",
            group="Connection",
            help="Use the store that mreg.yaml names, without mreg trust. [env: MREG_TRUST_PROJECT]",
        ),
    ] = False,
) -> None:
    """Declare the options of ``mreg``; only the parameters are used."""


def root_command() -> CommandGroup:
    """Return the command ``mreg``."""
    root = _group("mreg", ROOT_HELP)
    root.params.extend(_options())
    return root


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
            raise invocation.interrupt or KeyboardInterrupt
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
