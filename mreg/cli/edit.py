"""Commands that change metadata or delete: alias, tag, edit, rename, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mreg.cli.arguments import model_name, pairs, reference
from mreg.cli.completion import complete_alias, complete_reference
from mreg.cli.invocation import invocation_of
from mreg.cli.options import (
    Description,
    Directions,
    DryRun,
    ModelArgument,
    Override,
    PrimaryMetric,
    ReferenceWords,
    Yes,
)
from mreg.cli.stages import warn_of_override
from mreg.domain.text import counted
from mreg.errors import BadInput

if TYPE_CHECKING:
    from types import ModuleType

    from mreg.results.changes import Deletion


def alias(
    ctx: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="REF [ALIAS]",
            help="The version and the name it gets; with --remove, the model.",
            autocompletion=complete_reference,
        ),
    ],
    remove: Annotated[
        str | None,
        typer.Option("--remove", metavar="ALIAS", help="Take this alias away.", autocompletion=complete_alias),
    ] = None,
    override: Override = "",
) -> None:
    """Point an alias to a version, wherever it pointed before, or remove it.

    Aliases are compared without regard to case. If the policy guards an alias, only an approver removes it (exit 5).

    Examples:

    \b
      mreg alias classifier@3 champion
      mreg alias classifier --remove champion
    """
    run = invocation_of(ctx)
    if remove is not None:
        if len(words) > 1:
            raise BadInput("an alias to set and one to remove exclude each other", hint="give one of them")
        model = run.registry.remove_alias(model_name(words[0]), remove, override=override)
        warn_of_override(run, override)
        run.output.result(model, lambda model: _edits().alias_removed(model, run.events))
        return
    if len(words) < 2:
        raise BadInput("no alias is given", hint=f"mreg alias {words[0]} champion, or --remove champion")
    version = run.registry.set_alias(reference(words[:-1]), words[-1], override=override)
    warn_of_override(run, override)
    run.output.result(version, lambda version: _edits().alias_set(version, words[-1], run.events))


def tag(
    ctx: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="REF [KEY=VALUE]...",
            help="The model or version, then tags to set.",
            autocompletion=complete_reference,
        ),
    ],
    remove: Annotated[list[str] | None, typer.Option("--remove", metavar="KEY", help="Take this tag away.")] = None,
) -> None:
    """Set or remove tags of a model (a bare name) or of one version.

    Examples:

    \b
      mreg tag classifier team=fraud
      mreg tag classifier 3 data=2026-02 --remove draft
    """
    run = invocation_of(ctx)
    named = [word for word in words if "=" not in word]
    if not named or named != words[: len(named)]:
        raise BadInput("the model or version comes first", hint="mreg tag classifier@3 team=fraud")
    tags = pairs("tag", words[len(named) :])
    tagged = run.registry.tag(reference(named), add=tags, remove=remove or ())
    fields = [f"tags.{key}" for key in (*tags, *(remove or ()))]
    run.output.result(tagged, lambda tagged: _edits().edited(tagged, fields, run.events))


def edit(
    ctx: typer.Context,
    words: ReferenceWords,
    description: Description = None,
    directions: Directions = None,
    primary_metric: PrimaryMetric = None,
    parent: Annotated[
        str | None,
        typer.Option(
            "--parent", metavar="REF", help="What a version was made from.", autocompletion=complete_reference
        ),
    ] = None,
    run_id: Annotated[str | None, typer.Option("--run-id", metavar="ID", help="A version's run.")] = None,
    experiment_id: Annotated[
        str | None, typer.Option("--experiment-id", metavar="ID", help="A version's experiment.")
    ] = None,
) -> None:
    """Change what is said of a model (a bare name) or a version; an empty text takes it back.

    The bytes and metrics of a version never change.

    Examples:

    \b
      mreg edit classifier --description "spam or not" --primary-metric f1_score
      mreg edit classifier --direction cost=lower
      mreg edit classifier@3 --parent base@1
    """
    run = invocation_of(ctx)
    changes = {
        "description": description,
        "directions": pairs("direction", directions) if directions else None,
        "primary_metric": primary_metric,
        "parent": parent,
        "run_id": run_id,
        "experiment_id": experiment_id,
    }
    if all(value is None for value in changes.values()):
        raise BadInput("nothing to change is given", hint="mreg edit --help lists what can be changed")
    result = run.registry.edit(reference(words), **changes)  # type: ignore[arg-type]
    fields = [field for field, value in changes.items() if value is not None and field != "directions"]
    fields += [f"directions.{metric}" for metric in pairs("direction", directions)]
    run.output.result(result, lambda result: _edits().edited(result, fields, run.events))


def rename(
    ctx: typer.Context,
    name: ModelArgument,
    to: Annotated[str, typer.Argument(metavar="NEW", help="Its new name.")],
    override: Override = "",
) -> None:
    """Give a model another name; its versions, history and numbers stay.

    If the policy guards a stage or alias that a version of it had, only an approver renames it (exit 5).

    Examples:

    \b
      mreg rename classifier team/classifier
    """
    run = invocation_of(ctx)
    model = run.registry.rename(model_name(name), model_name(to), override=override)
    warn_of_override(run, override)
    run.output.result(model, lambda model: _edits().renamed(model, name))


def delete(
    ctx: typer.Context,
    words: ReferenceWords,
    force: Annotated[
        bool, typer.Option("--force", help="Also what is in Staging or Production or has an alias.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    override: Override = "",
) -> None:
    """Delete a version, or a model (a bare name) with all its versions.

    A version that is in Staging or Production, or that an alias names, is deleted only with --force.

    The history stays and no version number is given again. If the policy guards a stage or alias that the version has,
    or that any version of the model had, only an approver deletes it (exit 5).

    Examples:

    \b
      mreg delete classifier@2
      mreg delete classifier --dry-run
      mreg delete classifier --force --yes
    """
    run = invocation_of(ctx)
    wanted = reference(words)
    plan = run.registry.delete(wanted, force=force, dry_run=True)
    if not dry_run:
        run.output.confirm(_question(plan), yes=yes)
        # Delete the versions that the user confirmed: `latest` and other selectors can name another version by now.
        plan = run.registry.delete(plan.reference, force=force, seen=None if yes else plan, override=override)
        warn_of_override(run, override)
    if dry_run:
        run.output.note("dry run: nothing was changed")
    from mreg.cli.views.changes import deleted

    run.output.result(plan, lambda plan: deleted(plan, dry_run=dry_run))


def _edits() -> ModuleType:
    """Return the module of the lines after an edit, which JSON does not need."""
    from mreg.cli.views import edits

    return edits


def _question(plan: Deletion) -> str:
    """Return the question before a deletion; it names the stages and aliases that are in use."""
    subject = str(plan.reference)
    if plan.reference.selector is None:
        count = len(plan.versions)
        subject += f" with {counted(count, 'version')}"
    in_use = "; ".join(f"{reference}: {', '.join(places)}" for reference, places in plan.places.items())
    return f"delete {subject} for good?" if not in_use else f"delete {subject}, in use ({in_use}), for good?"
