"""The command wait."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.arguments import seconds
from mreg.cli.invocation import invocation_of
from mreg.cli.options import OptionalReferenceWords
from mreg.cli.references import reference


def wait(
    ctx: typer.Context,
    words: OptionalReferenceWords = None,
    changed_from: Annotated[
        str | None,
        typer.Option("--changed-from", metavar="VERSION", help="Number of the version that you have (default: none)."),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", metavar="SECONDS", help="Maximum time, such as 600 or 10m (default: no limit)."),
    ] = None,
    interval: Annotated[
        str, typer.Option("--interval", metavar="SECONDS", help="Time between two reads of the catalog.")
    ] = "5",
) -> None:
    """Wait until a reference names another version.

    The command prints the new version, such as churn@4, as soon as REF does not name VERSION. Without --changed-from,
    any version ends the wait. It also waits while no version is in the stage or has the alias. An unknown model is an
    error.

    The catalog is polled with one small read, in a bucket with a conditional request. If a read fails later, it is
    repeated after a notice. The exit code is 9 if nothing changed before the timeout, and 8 if the catalog cannot be
    read then.

    Examples:
      mreg wait churn@production --changed-from 3
      mreg wait churn@champion --changed-from 3 --timeout 10m --interval 30
      mreg wait churn@production --timeout 1h && ./deploy.sh
    """
    run = invocation_of(ctx)
    found = run.registry.wait(
        reference(run, words),
        changed_from=None if changed_from is None else _number(changed_from),
        timeout=None if timeout is None else seconds("--timeout", timeout),
        interval=seconds("--interval", interval),
    )
    if run.output.format in ("table", "plain"):
        run.output.text(f"{found.reference}\n")
    else:
        run.output.result(found)


def _number(word: str) -> int:
    """Return the number in ``3``, ``v3`` or ``churn@3``.

    Raises:
        BadInput: The word has no version number.
    """
    from mreg.domain.names import VersionRef, selector_alone
    from mreg.domain.text import quoted
    from mreg.errors import BadInput

    selector = selector_alone(word) if "@" not in word[1:] else VersionRef.parse(word).selector
    number = VersionRef.parse(f"x@{selector}").number if selector is not None else None
    if number is None:
        raise BadInput(f"invalid version number {quoted(word)}", hint="write --changed-from 3")
    return number
