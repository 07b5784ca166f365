"""Commands for maintenance: verify, gc, doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.arguments import duration, parse_fraction
from mreg.cli.completion import complete_reference
from mreg.cli.invocation import invocation_of
from mreg.cli.options import Yes
from mreg.domain.text import size_text
from mreg.errors import BadInput, Corrupt, Unavailable


def verify(
    ctx: typer.Context,
    reference: Annotated[
        str | None,
        typer.Argument(
            metavar="REF", help="A version, or a model with all of them; else all.", autocompletion=complete_reference
        ),
    ] = None,
    all_of_them: Annotated[bool, typer.Option("--all", help="All artifacts of all models, as without REF.")] = False,
    sample: Annotated[
        str, typer.Option("--sample", metavar="SHARE", help="Read only a share of them, by chance: 5%.")
    ] = "100%",
) -> None:
    """Read stored bytes again and hold them against their SHA-256; exit 6 where something is missing or damaged.

    Examples:

    \b
      mreg verify
      mreg verify classifier@production
      mreg verify --all --sample 5% --json
    """
    if reference is not None and all_of_them:
        raise BadInput("--all is of all models, and a reference of one", hint="leave one of them out")
    run = invocation_of(ctx)
    with run.output.progress("verify") as progress:
        found = run.registry.verify(reference, sample=parse_fraction(sample), progress=progress)
    run.output.result(found)
    if found.unreferenced and run.output.format in ("plain", "csv"):  # the other formats show it in the result
        from mreg.cli.views.upkeep import unreferenced

        run.output.note(f"{unreferenced(found)}: see mreg gc")
    if found.problems:
        first = found.problems[0]
        more = f", and {len(found.problems) - 1} more" if len(found.problems) > 1 else ""
        unreadable = all(problem.problem == "unreadable" for problem in found.problems)
        raise (Unavailable if unreadable else Corrupt)(
            first.message + more, hint=first.hint, checksums=[str(problem.checksum) for problem in found.problems]
        )


def collect(
    ctx: typer.Context,
    grace: Annotated[
        str, typer.Option("--grace", metavar="TIME", help="Leave alone what is younger: 90m, 24h, 7d.")
    ] = "24h",
    remove: Annotated[bool, typer.Option("--remove", help="Remove it, and do not only say what it is.")] = False,
    yes: Yes = False,
) -> None:
    """Say what nothing needs in the artifact store, and remove it if asked.

    That is what killed commands left, and the bytes of deleted versions. What a version or a push that is under way
    needs is never lost. What a push may still be writing is left alone for an hour, whatever --grace says.

    Examples:

    \b
      mreg gc
      mreg gc --grace 7d --remove --yes
    """
    from mreg.results.upkeep import Garbage

    run = invocation_of(ctx)
    age = duration(grace)
    shown = None
    if remove and not yes:
        shown = run.registry.gc(grace=age)
        if shown:
            size = sum(garbage.size_bytes for garbage in shown)
            run.output.confirm(f"remove garbage: {len(shown)} found, {size_text(size)}?", yes=yes)
    # More can become garbage before the answer; remove only the garbage that was shown.
    found = run.registry.gc(grace=age, remove=remove, seen=shown)
    run.output.results(found, Garbage)
    if found and not remove:
        run.output.note("nothing was removed; mreg gc --remove does")


def doctor(ctx: typer.Context) -> None:
    """Look at catalog, audit trail, store, clocks and leftovers; each finding comes with its remedy.

    Nothing is changed. Bytes are read by mreg verify. Exit 6 where something is damaged, 8 where something can't be
    reached.

    Examples:

    \b
      mreg doctor
      mreg doctor --json
    """
    run = invocation_of(ctx)
    found = run.registry.examine()
    run.output.result(found)
    for state, kind in (("damaged", Corrupt), ("unreachable", Unavailable)):
        for finding in found:
            if finding.state == state:
                raise kind(finding.message, hint=finding.remedy)
