"""Commands for maintenance: verify, gc, doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mreg.cli.arguments import duration, parse_fraction
from mreg.cli.completion import complete_words
from mreg.cli.invocation import Invocation, invocation_of
from mreg.cli.options import Exclude, Include, Yes
from mreg.cli.references import reference
from mreg.domain.text import size_text
from mreg.errors import BadInput, Corrupt, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mreg.domain.names import VersionRef
    from mreg.results.upkeep import CopyVerification


def verify(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="REF", help="Version or model (default: all models).", autocompletion=complete_words),
    ] = None,
    all_of_them: Annotated[bool, typer.Option("--all", help="All models, as without REF.")] = False,
    sample: Annotated[
        str, typer.Option("--sample", metavar="SHARE", help="Verify a random share of the artifacts, such as 5%.")
    ] = "100%",
    path: Annotated[
        str | None,
        typer.Option("--path", metavar="PATH", help="Verify this file or folder, a pulled copy of REF."),
    ] = None,
    include: Include = None,
    exclude: Exclude = None,
) -> None:
    """Verify stored artifacts or a pulled copy by SHA-256.

    All artifacts are read, or those of one version or model. The exit code is 6 if a blob is missing or damaged.

    With --path, a pulled copy is compared with a version instead: each file by its SHA-256. Files that are missing,
    changed or extra are listed, and the exit code is 6; --exclude leaves out files that you added. If only files that
    cannot be read differ, it is 8. For an artifact that is one file, PATH is the file or its folder. Links are not
    followed.

    Examples:
      mreg verify
      mreg verify churn@production
      mreg verify --sample 5% --json
      mreg verify --path models/churn churn@3
      mreg verify --path models/churn churn@3 --exclude '*.log'
    """
    run = invocation_of(ctx)
    if path is not None:
        if all_of_them or sample != "100%":
            option = "--all" if all_of_them else "--sample"
            raise BadInput(f"--path and {option} exclude each other", hint="give one of them")
        _verify_copy(run, path, reference(run, words), include or (), exclude or ())
        return
    if include or exclude:
        raise BadInput(
            "--include and --exclude are for a pulled copy", hint="add --path PATH, or leave the patterns out"
        )
    wanted = reference(run, words) if words else None
    if wanted is not None and all_of_them:
        raise BadInput("--all and a reference exclude each other", hint="give one of them")
    with run.output.progress("verify") as progress:
        found = run.registry.verify(wanted, sample=parse_fraction(sample), progress=progress)
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


def _verify_copy(
    run: Invocation, path: str, wanted: VersionRef, include: Sequence[str], exclude: Sequence[str]
) -> None:
    with run.output.progress("verify") as progress:
        found = run.registry.verify_copy(path, wanted, include=include, exclude=exclude, progress=progress)
    run.output.result(found)
    if found.problems:
        from mreg.cli.views.upkeep import differences
        from mreg.domain.text import quoted

        unreadable = all(problem.state == "unreadable" for problem in found.problems)
        raise (Unavailable if unreadable else Corrupt)(
            f"{quoted(found.path, 300)} differs from {found.reference}: {differences(found)}",
            hint=_remedy(found),
            files=[problem.path for problem in found.problems],
        )


def _remedy(found: CopyVerification) -> str:
    """Return the hint for a copy that differs."""
    from mreg.domain.text import shell_word

    path = shell_word(found.path)
    if all(problem.state == "extra" for problem in found.problems):
        return "remove the extra files, or leave them out: --exclude PATTERN"
    return f"mreg pull {found.reference} {path} --force"


def collect(
    ctx: typer.Context,
    grace: Annotated[
        str, typer.Option("--grace", metavar="TIME", help="Keep blobs that are younger, such as 90m or 7d.")
    ] = "24h",
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the blobs. Without it they are only listed.")
    ] = False,
    yes: Yes = False,
) -> None:
    """List or remove blobs that no version needs.

    Garbage is left by deleted versions and interrupted commands. Blobs that a version or a running push needs are never
    lost. Unfinished uploads are kept for an hour at least. The command asks for confirmation before it removes blobs.

    Examples:
      mreg gc
      mreg gc --grace 7d --remove --yes
    """
    from mreg.results.upkeep import Garbage

    run = invocation_of(ctx)
    age = duration(grace)
    shown = None
    if remove and not yes:
        with run.output.progress("gc", "blobs") as progress:
            shown = run.registry.gc(grace=age, progress=progress)
        if shown:
            size = sum(garbage.size_bytes for garbage in shown)
            run.output.confirm(f"remove garbage: {len(shown)} found, {size_text(size)}?", yes=yes)
    # More can become garbage before the answer; remove only the garbage that was shown.
    with run.output.progress("gc", "blobs") as progress:
        found = run.registry.gc(grace=age, remove=remove, seen=shown, progress=progress)
    run.output.results(found, Garbage)
    if found and not remove:
        run.output.note(f"nothing was removed; to remove it: {run.command_with('--remove')}")


def doctor(ctx: typer.Context) -> None:
    """Diagnose problems of the registry.

    The command checks the catalog, the audit trail, the artifact store, the clocks and leftovers of interrupted
    commands. Each finding has a remedy. Nothing is changed, and artifacts are not read: see mreg verify. The exit code
    is 6 if something is damaged, and 8 if something cannot be reached.

    Examples:
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
