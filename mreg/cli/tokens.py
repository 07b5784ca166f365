"""Commands for the tokens of the server's clients: token create, list, revoke."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.completion import complete_role, complete_token
from mreg.cli.invocation import invocation_of
from mreg.cli.options import Yes
from mreg.errors import BadInput

TOKEN_COMMANDS = {
    "create": ("tokens", "create", "Create a token for a client of mreg serve."),
    "list": ("tokens", "list_tokens", "List the tokens of the catalog."),
    "revoke": ("tokens", "revoke", "Revoke a token of the catalog."),
}
"""The module, the name and the first line of help of each subcommand of ``mreg token``."""


def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the client: the user in the audit trail.")],
    role: Annotated[
        str,
        typer.Option(
            "--role",
            metavar="ROLE",
            help="Role: reader, writer, approver or admin; each includes the ones before it.",
            autocompletion=complete_role,
        ),
    ] = "reader",
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--models",
            metavar="PATTERN",
            help="Models that it can see and change, such as 'team-a/*,churn' (default: all).",
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires",
            metavar="TIME",
            help="Expiry: a period such as 90d or 12h, or a date (default: never).",
        ),
    ] = None,
    line: Annotated[
        bool, typer.Option("--line", help="Print a line for a token file, and store nothing in the catalog.")
    ] = False,
) -> None:
    """Create a token for a client of mreg serve.

    Save the secret when it is shown: the catalog has only its SHA-256. The server accepts the token from the next
    request on. -q prints only the secret. With --line, the catalog is not changed: the command prints a line for the
    file of mreg serve --token-file. With --line -q, only this line goes to standard output, and the secret goes to
    standard error.

    Examples:
      mreg token create ci --role writer --models 'team-a/*' --expires 90d
      mreg token create ada --role admin --expires 2027-01-31
      mreg token create ci --role writer --line -q >> tokens
    """
    from mreg.domain.scope import ModelScope
    from mreg.registry.tokens import new_token
    from mreg.results.tokens import Role

    run = invocation_of(ctx)
    patterns = tuple(pattern for word in models or () for pattern in ModelScope.parse(word).patterns)
    wanted, until = Role.parse(role), None if expires is None else _instant(expires)
    if expires is not None and until is None:
        from mreg.cli.times import instant

        try:
            until = instant(expires, run.output)
        except BadInput:
            until = expires  # the registry names every form
    if not line:
        run.output.result(run.registry.create_token(name, role=wanted, models=patterns, expires=until))
        return
    made = new_token(name, wanted, patterns, until)
    run.output.result(made)
    if run.output.quiet:
        run.output.warn(f"the token of {name} (not shown again): {made.secret}")


def _instant(expires: str) -> str | None:
    """Return a period unchanged; None for a time, which needs a zone."""
    return expires if expires[-1:] in ("s", "m", "h", "d") else None


def list_tokens(ctx: typer.Context) -> None:
    """List the tokens of the catalog.

    The list has expired tokens, but no revoked ones and none of a token file. The time of the last use can be up to an
    hour old.

    Examples:
      mreg token list
      mreg token list --json
    """
    run = invocation_of(ctx)
    from mreg.results.tokens import TokenInfo

    run.output.results(run.registry.tokens(), TokenInfo)


def revoke(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the token.", autocompletion=complete_token)],
    with_created: Annotated[
        bool, typer.Option("--with-created", help="Also revoke the tokens that its client created.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Revoke a token of the catalog.

    The server refuses the token from the next request on, and aborts running uploads and downloads that use it. A new
    token can have the same name. To revoke a token of a token file, remove its line. The command asks for
    confirmation if it uses this token itself.

    The tokens that its client created stay valid, and are named. With --with-created they are revoked, too, and those
    that they created, except the one that the command uses. The token itself can be revoked already.

    Examples:
      mreg token revoke ci
      mreg token revoke ada --with-created
      mreg token revoke ada --yes
    """
    from mreg.domain.password import SECRET
    from mreg.registry.remote import RemoteRegistry

    if SECRET.fullmatch(name):  # a server would log it
        raise BadInput("expected the name of a token, got its secret", hint="list the names: mreg token list")
    run = invocation_of(ctx)
    registry = run.registry
    if not yes and isinstance(registry, RemoteRegistry) and registry.whoami().name == name:
        run.output.confirm(f"revoke your own token {name} for {registry.profile.server}?", yes=yes)
    run.output.result(run.registry.revoke_token(name, with_created=with_created))
