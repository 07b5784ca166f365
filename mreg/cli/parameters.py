"""Parameters of the commands: each is a flag or text, and is taken as it is typed.

From 0.29 Typer converts each value with pydantic, whose import takes longer than most commands. Flags and text need no
conversion, so each parameter gets a converter that returns its value. Those releases also show the Python type of an
argument in the help, as in ``REF <list[str]>``; here they do not. Releases of Typer that work in another way ignore the
attributes that are set for this.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand


class Command(TyperCommand):
    """A command whose values are taken as they are typed."""

    def get_params(self, ctx: typer.Context) -> list[Any]:  # type: ignore[override]
        """Return all parameters, with the option ``--help``."""
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
    """Return the parameters; Typer does not convert their values any more."""
    for one in parameters:
        one.get_runtime_param = _AsTyped
        if one.param_type_name == "argument":
            one.display_type_rich = _no_type
    return parameters


class _AsTyped:
    """A converter by Typer's interface."""

    def coerce(self, value: Any, param: Any, ctx: typer.Context) -> Any:  # noqa: ARG002
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        return value


def _no_type(ctx: typer.Context) -> None:  # noqa: ARG001
    return None
