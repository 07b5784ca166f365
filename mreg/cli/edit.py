"""Commands that change metadata or delete: alias, tag, edit, rename, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mreg.cli.arguments import pairs
from mreg.cli.completion import complete_alias, complete_reference, complete_tag, complete_tag_words, complete_words
from mreg.cli.invocation import invocation_of
from mreg.cli.options import (
    METADATA,
    Description,
    Directions,
    DryRun,
    ModelArgument,
    OptionalReferenceWords,
    Override,
    PrimaryMetric,
    ReferenceWords,
    Yes,
)
from mreg.cli.references import model_name, model_or_default, named_reference, reference, reference_within
from mreg.cli.stages import warn_of_override
from mreg.domain.text import counted, quoted, shell_word
from mreg.errors import BadInput

if TYPE_CHECKING:
    from types import ModuleType

    from mreg.results.changes import Deletion


def alias(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[REF] [ALIAS]",
            help="Version and alias; with --remove, the model (default: the default model).",
            autocompletion=complete_words,
        ),
    ] = None,
    remove: Annotated[
        str | None,
        typer.Option("--remove", metavar="ALIAS", help="Alias to remove.", autocompletion=complete_alias),
    ] = None,
    override: Override = "",
) -> None:
    """Set or remove an alias of a version.

    An alias that another version has moves to this version. Aliases are compared without regard to case. If the policy
    has a rule for the alias, the version must pass it, and only an approver can remove the alias (exit code 5).

    Examples:
      mreg alias churn@3 champion
      mreg alias churn --remove champion
    """
    run = invocation_of(ctx)
    if remove is not None:
        if len(words or ()) > 1:
            raise BadInput("an alias to set and one to remove exclude each other", hint="give one of them")
        name = model_or_default(run, words[0] if words else None)
        model = run.registry.remove_alias(name, remove, override=override)
        warn_of_override(run, override)
        run.output.result(model, lambda model: _edits().alias_removed(model, run.events))
        return
    if not words or len(words) < 2:
        subject = shell_word(words[0]) if words else "NAME@3"
        raise BadInput(
            "a version and an alias are required" if not words else "no alias is given",
            hint=f"mreg alias {subject} ALIAS, or --remove ALIAS",
        )
    *named, alias = words
    version = run.registry.set_alias(reference(run, named), alias, override=override)
    warn_of_override(run, override)
    run.output.result(version, lambda version: _edits().alias_set(version, alias, run.events))


def tag(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[REF] [KEY=VALUE]...",
            help="Model or version (default: the default model), and tags to set.",
            autocompletion=complete_tag_words,
        ),
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="KEY", help="Tag to remove.", autocompletion=complete_tag)
    ] = None,
) -> None:
    """Set or remove tags of a model or a version.

    A name alone means the model.

    Examples:
      mreg tag churn team=fraud
      mreg tag churn@3 data=2026-02 --remove draft
    """
    run = invocation_of(ctx)
    words = words or []
    named = [word for word in words if "=" not in word]
    if named != words[: len(named)]:
        raise BadInput(f"the model or version comes first, got {quoted(words[0])}", hint="mreg tag NAME@3 KEY=VALUE")
    wanted = reference(run, named)
    tags = pairs("tag", words[len(named) :])
    tagged = run.registry.tag(wanted, add=tags, remove=remove or ())
    fields = [f"tags.{key}" for key in (*tags, *(remove or ()))]
    run.output.result(tagged, lambda tagged: _edits().edited(tagged, fields, run.events))


def edit(
    ctx: typer.Context,
    words: OptionalReferenceWords = None,
    description: Description = None,
    directions: Directions = None,
    primary_metric: PrimaryMetric = None,
    parent: Annotated[
        str | None,
        typer.Option(
            "--parent",
            metavar="REF",
            help="Parent of the version.",
            autocompletion=complete_reference,
            rich_help_panel=METADATA,
        ),
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Option("--run-id", metavar="ID", help="Training run of the version.", rich_help_panel=METADATA),
    ] = None,
    experiment_id: Annotated[
        str | None,
        typer.Option("--experiment-id", metavar="ID", help="Experiment of the version.", rich_help_panel=METADATA),
    ] = None,
) -> None:
    """Edit the metadata of a model or a version.

    A name alone means the model. An empty text removes a value. The artifact of a version never changes, and its
    metrics only by mreg evaluate.

    Examples:
      mreg edit churn --description "churn in 30 days" --primary-metric f1_score
      mreg edit churn --direction cost=lower
      mreg edit churn@3 --parent base@1
    """
    run = invocation_of(ctx)
    wanted = reference(run, words)
    changes = {
        "description": description,
        "directions": pairs("direction", directions) if directions else None,
        "primary_metric": primary_metric,
        "parent": parent and reference_within(parent, wanted.name),
        "run_id": run_id,
        "experiment_id": experiment_id,
    }
    if all(value is None for value in changes.values()):
        raise BadInput("nothing to change is given", hint="mreg edit --help lists what can be changed")
    result = run.registry.edit(wanted, **changes)  # type: ignore[arg-type]
    fields = [field for field, value in changes.items() if value is not None and field != "directions"]
    fields += [f"directions.{metric}" for metric in pairs("direction", directions)]
    run.output.result(result, lambda result: _edits().edited(result, fields, run.events))


def rename(
    ctx: typer.Context,
    name: ModelArgument,
    to: Annotated[str, typer.Argument(metavar="NEW", help="New name.")],
    override: Override = "",
) -> None:
    """Rename a model.

    Versions, numbers and history stay. If the policy has a rule for a stage or alias that a version of the model had,
    only an approver can rename the model (exit code 5).

    Examples:
      mreg rename churn team/churn
    """
    run = invocation_of(ctx)
    model = run.registry.rename(model_name(name), model_name(to), override=override)
    warn_of_override(run, override)
    run.output.result(model, lambda model: _edits().renamed(model, name))


def delete(
    ctx: typer.Context,
    words: ReferenceWords,
    force: Annotated[
        bool, typer.Option("--force", help="Delete versions with an alias or in Staging or Production.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    override: Override = "",
) -> None:
    """Delete a version, or a model with all its versions.

    A name alone means the model. The history stays, and version numbers are not used again. Blobs that no version needs
    are removed by mreg gc. If the policy has a rule for a stage or alias that a version had, only an approver can
    delete it (exit code 5).

    Examples:
      mreg delete churn@2
      mreg delete churn --dry-run
      mreg delete churn --force --yes
    """
    run = invocation_of(ctx)
    wanted = named_reference(run, words)
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
