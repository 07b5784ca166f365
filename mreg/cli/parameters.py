"""Parameters of the commands: flags and texts, whose values are not converted.

From 0.29 Typer converts each value with pydantic, whose import takes longer than most commands. Flags and texts need no
conversion, so each parameter gets a converter that returns its value unchanged. From 0.29 Typer also shows the Python
type of an argument in the help, as in ``REF <list[str]>``; this is switched off. Other releases of Typer ignore the
attributes that are set here.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand


class Command(TyperCommand):
    """A command whose values are not converted."""

    allow_extra_args = True  # for a better error than Typer's

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Parse the words after the command.

        Raises:
            UnexpectedArgument: There are more arguments than the command takes.
        """
        rest = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            from mreg.cli.suggestions import unexpected_argument

            raise unexpected_argument(ctx, rest)
        return rest

    def get_params(self, ctx: typer.Context) -> list[Any]:  # type: ignore[override]
        """Return the parameters, with the option ``--help``."""
        return as_typed(super().get_params(ctx))

    def shell_complete(self, ctx: typer.Context, incomplete: str) -> list[Any]:  # type: ignore[override]
        """Return the options that continue a word, with their descriptions."""
        from mreg.cli.completion import option_words

        return option_words(self, super().shell_complete(ctx, incomplete))

    def get_help(self, ctx: typer.Context) -> str:  # type: ignore[override]
        """Return the help as plain text."""
        from mreg.cli.pages import help_of

        return help_of(ctx)


def as_typed(parameters: list[Any]) -> list[Any]:
    """Return the parameters, changed so that Typer does not convert their values."""
    for parameter in parameters:
        parameter.get_runtime_param = _AsTyped
        if parameter.param_type_name == "argument":
            parameter.display_type_rich = _no_type
    return parameters


class _AsTyped:
    """A converter with the interface of Typer's converters."""

    def coerce(self, value: Any, param: Any, ctx: typer.Context) -> Any:  # noqa: ARG002
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        return value


def _no_type(ctx: typer.Context) -> None:  # noqa: ARG001
    return None
