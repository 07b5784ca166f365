"""The rest of a model's life: register, describe, tag, alias, rename and delete."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from mreg.catalog.reader import Reader
from mreg.catalog.writer import Writer
from mreg.domain.lineage import would_cycle
from mreg.domain.metrics import Direction
from mreg.domain.model import ModelStage, ModelVersion, RegisteredModel
from mreg.domain.names import ModelName, Selector, VersionRef, check_alias, spelled
from mreg.domain.text import ENTRIES_LIMIT, check_key, check_line, check_text, check_value, quoted
from mreg.errors import BadInput, Conflict, NotAllowed, NotFound
from mreg.registry.references import as_reference, find, find_model, find_version, model_now, version_now
from mreg.registry.session import Session
from mreg.results.changes import Deletion


def register(
    session: Session,
    name: ModelName | str,
    *,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    directions: Mapping[str, Direction | str] | None = None,
    primary_metric: str = "",
) -> RegisteredModel:
    """Register a model under a name that is free.

    Raises:
        AlreadyExists: There is such a model; it stays as it is.
        BadInput: A name or text can't be used.
    """
    wanted = _model_name(name)
    return session.write(
        lambda writer: writer.register(
            name=wanted,
            description=check_text("description", description),
            tags=_checked_tags(tags or {}),
            directions=_checked_directions(directions or {}),
            primary_metric=check_key("metric", primary_metric) if primary_metric else "",
        ),
        model_now,
    )


def edit(
    session: Session,
    reference: VersionRef | str,
    *,
    description: str | None = None,
    directions: Mapping[str, Direction | str] | None = None,
    primary_metric: str | None = None,
    parent: VersionRef | str | None = None,
    run_id: str | None = None,
    experiment_id: str | None = None,
) -> RegisteredModel | ModelVersion:
    """Change what is said of a model (a bare name) or of one version; bytes and metrics of a version never change.

    Args:
        directions: Of a model: ``higher`` or ``lower`` by metric; empty text takes it back.
        primary_metric: Of a model: its judge; empty text takes it back.
        parent: Of a version: what it was made from; empty text takes it back.

    Raises:
        NotFound: There is no such model, version or parent.
        BadInput: A text can't be used, or does not belong to what the reference names.
        NotAllowed: The parent descends from the version.
    """
    wanted = as_reference(reference)
    if description is not None:
        check_text("description", description)
    of_model = {"directions": directions, "primary metric": primary_metric}
    of_version = {"parent": parent, "run id": run_id, "experiment id": experiment_id}
    for what, line in (("run id", run_id), ("experiment id", experiment_id)):
        if line:
            check_line(what, line)

    def change(writer: Writer) -> RegisteredModel | ModelVersion:
        model, selector = find(writer, wanted)
        if selector is None:
            _refuse(of_version, f"{model.name} is a model", f"name a version: {model.name}@latest")
            return writer.edit_model(
                model,
                description=description,
                directions=_checked_directions(directions) if directions is not None else None,
                primary_metric=check_key("metric", primary_metric) if primary_metric else primary_metric,
            )
        version = find_version(writer, wanted)
        _refuse(of_model, f"{version.reference} is a version", f"name the model: {model.name}")
        changes: dict[str, object] = {"description": description, "run_id": run_id, "experiment_id": experiment_id}
        if parent is not None:
            changes["parent"] = _checked_parent(writer, version, parent) if parent else None
            changes["remove_parent"] = not parent
        return writer.edit_version(version, **changes)  # type: ignore[arg-type]

    return session.write(change, _after_hooks)


def _after_hooks(reader: Reader, changed: RegisteredModel | ModelVersion) -> RegisteredModel | ModelVersion:
    if isinstance(changed, RegisteredModel):
        return model_now(reader, changed)
    return version_now(reader, changed)


def _refuse(fields: Mapping[str, object], what: str, hint: str) -> None:
    for name, value in fields.items():
        if value is not None:
            raise BadInput(f"{what}, which has no {name}", hint=hint)


def _checked_parent(writer: Writer, version: ModelVersion, parent: VersionRef | str) -> ModelVersion:
    found = find_version(writer, as_reference(parent))
    if would_cycle(version.version_id, found.version_id, writer.ancestors(found.version_id).get):
        raise NotAllowed(
            f"{found.reference} can't be the parent of {version.reference}, from which it descends",
            hint=f"mreg lineage {version.reference}",
        )
    return found


def tag(
    session: Session,
    reference: VersionRef | str,
    *,
    add: Mapping[str, str] | None = None,
    remove: Collection[str] = (),
) -> RegisteredModel | ModelVersion:
    """Set and remove tags of a model (a bare name) or of one version.

    Raises:
        NotFound: There is no such model or version, or no tag of a name to remove.
        BadInput: A key or value can't be used, or nothing is asked for.
    """
    wanted = as_reference(reference)
    tags = _checked_tags(add or {})
    if not tags and not remove:
        raise BadInput("no tag is given", hint=f"mreg tag {wanted} team=fraud, or --remove team")

    def change(writer: Writer) -> RegisteredModel | ModelVersion:
        model, selector = find(writer, wanted)
        if selector is None:
            _check_present(remove, model.tags, str(model.name))
            _checked_tags(tags, model.tags)
            return writer.edit_model(model, set_tags=tags, remove_tags=tuple(remove))
        version = find_version(writer, wanted)
        _check_present(remove, version.tags, str(version.reference))
        _checked_tags(tags, version.tags)
        return writer.edit_version(version, set_tags=tags, remove_tags=tuple(remove))

    return session.write(change, _after_hooks)


def _check_present(keys: Collection[str], tags: Mapping[str, str], what: str) -> None:
    for key in keys:
        if key not in tags:
            raise NotFound(f"{what} has no tag {quoted(key)}", hint=f"it has: {', '.join(tags) or 'no tags'}")


def set_alias(session: Session, reference: VersionRef | str, alias: str, *, override: str = "") -> ModelVersion:
    """Make an alias point to a version, wherever in the model it pointed before.

    Aliases are compared without regard to case. An alias keeps the spelling with which it was set first, until it is
    removed.

    Args:
        override: Why the policy is overridden, if it allows overrides (audited).

    Raises:
        NotFound: There is no such model or version.
        BadInput: The text can't be an alias, or there is nothing to override.
        GateFailed, ApprovalMissing, NotAllowed: The policy has a rule for the alias that the version does not pass.
    """
    wanted = as_reference(reference)
    check_alias(alias)
    check_text("override", override)
    from mreg.registry.admission import take_alias

    return session.write(
        lambda writer: take_alias(writer, find_version(writer, wanted), alias, override=override), version_now
    )


def remove_alias(session: Session, name: ModelName | str, alias: str, *, override: str = "") -> RegisteredModel:
    """Remove an alias from whichever version has it.

    Args:
        override: Why the policy is overridden, if it allows overrides (audited).

    Raises:
        NotFound: There is no such model or alias.
        BadInput: There is nothing to override.
        ApprovalMissing, NotAllowed: The policy guards the alias, and reserves its removal to others.
    """
    wanted = _model_name(name)
    check_text("override", override)
    from mreg.registry.departure import check_removal

    def change(writer: Writer) -> RegisteredModel:
        model = find_model(writer, wanted)
        known = spelled(alias, model.aliases)
        if known is None:
            all_known = ", ".join(model.aliases) or "no aliases"
            raise NotFound(f"{model.name} has no alias {quoted(alias)}", hint=f"it has: {all_known}")
        version = find_version(writer, VersionRef(model.name, Selector.number(model.aliases[known])))
        check_removal(writer, version, [known], f"mreg alias {model.name} --remove {known}", override)
        writer.remove_alias(model, known)
        return find_model(writer, wanted)

    return session.write(change, model_now)


def rename(session: Session, name: ModelName | str, to: ModelName | str, *, override: str = "") -> RegisteredModel:
    """Give a model another name; its versions, history and numbers stay.

    Args:
        override: Why the policy is overridden, if it allows overrides (audited).

    Raises:
        NotFound: There is no such model.
        BadInput: There is nothing to override.
        AlreadyExists: The new name is taken, or its numbers were used by another model.
        ApprovalMissing, NotAllowed: The policy guards a stage or alias of the model, and reserves this to others.
    """
    wanted, new = _model_name(name), _model_name(to)
    check_text("override", override)
    from mreg.registry.departure import check_whole_model

    def change(writer: Writer) -> RegisteredModel:
        model = find_model(writer, wanted)
        if new != model.name:
            check_whole_model(writer, model, f"mreg rename {model.name} {new}", override)
        return writer.rename(model, new)

    return session.write(change, model_now)


def delete(
    session: Session,
    reference: VersionRef | str,
    *,
    force: bool = False,
    dry_run: bool = False,
    seen: Deletion | None = None,
    override: str = "",
) -> Deletion:
    """Delete one version, or a model (a bare name) with all its versions.

    The audit trail stays and no number is given again. The bytes stay in the store until garbage is collected.

    Args:
        force: Also what is in Staging or Production or has an alias.
        dry_run: Say what would be deleted and change nothing.
        seen: What a dry run said would be deleted; nothing else is.
        override: Why the policy is overridden, if it allows overrides (audited).

    Raises:
        NotFound: There is no such model or version.
        NotAllowed: A version is in Staging or Production or has an alias, and not forced, or the policy does not allow
            overrides.
        Conflict: Something else would be deleted than what was seen, or a version was moved or got an alias.
        BadInput: There is nothing to override.
        ApprovalMissing: The policy guards the stage or an alias of a version, and reserves this to others.
    """
    wanted = as_reference(reference)
    check_text("override", override)
    from mreg.registry.departure import check_removal, check_whole_model

    def affected(reader: Reader) -> tuple[RegisteredModel, ModelVersion | None, Deletion]:
        model, selector = find(reader, wanted)
        version = None if selector is None else find_version(reader, wanted)
        versions = (version,) if version else tuple(reversed(reader.versions(model)))
        for one in versions:
            if not force:
                _check_unused(one)
        found = Deletion(
            reference=version.reference if version else VersionRef(model.name),
            versions=tuple(one.reference for one in versions),
            places={one.reference: places for one in versions if (places := _places(one))},
        )
        return model, version, found

    def remove(writer: Writer) -> Deletion:
        model, version, deletion = affected(writer)
        if seen is not None and seen != deletion:
            raise Conflict(
                f"{deletion.reference} was not deleted: its versions, stages or aliases changed meanwhile",
                hint=f"look and try again: mreg show {deletion.reference}",
            )
        command = f"mreg delete {deletion.reference}{' --force' if force else ''}"
        if version:
            check_removal(writer, version, (version.stage.value, *version.aliases), command, override)
            writer.delete_version(version)
        else:
            check_whole_model(writer, model, command, override)
            writer.delete_model(model)
        return deletion

    return session.catalog.read(affected)[2] if dry_run else session.write(remove)


_IN_USE = (ModelStage.STAGING, ModelStage.PRODUCTION)


def _places(version: ModelVersion) -> tuple[str, ...]:
    """The stage in use and the aliases of a version."""
    stage = (version.stage.value,) if version.stage in _IN_USE else ()
    return (*stage, *version.aliases)


def _check_unused(version: ModelVersion) -> None:
    uses, frees = [], []
    if version.stage in _IN_USE:
        uses.append(f"is in {version.stage.value}")
        frees.append(f"mreg archive {version.reference}")
    if version.aliases:
        several = "es" if len(version.aliases) > 1 else ""
        uses.append(f"has the alias{several} {', '.join(version.aliases)}")
        frees += [f"mreg alias {version.model_name} --remove {alias}" for alias in version.aliases]
    if uses:
        raise NotAllowed(
            f"{version.reference} {' and '.join(uses)}",
            hint=f"{' && '.join(frees)}, or delete with --force",
            aliases=list(version.aliases),
        )


def _model_name(name: ModelName | str) -> ModelName:
    return name if isinstance(name, ModelName) else ModelName(name)


def _checked_tags(tags: Mapping[str, str], present: Mapping[str, str] | None = None) -> Mapping[str, str]:
    count = len({**(present or {}), **tags})
    if count > ENTRIES_LIMIT:
        raise BadInput(f"{count} tags are too many; the limit is {ENTRIES_LIMIT}")
    return {check_key("tag", key): check_value("tag", key, value) for key, value in tags.items()}


def _checked_directions(directions: Mapping[str, Direction | str]) -> Mapping[str, str]:
    found = {}
    for metric, way in directions.items():
        word = way.value if isinstance(way, Direction) else way
        found[check_key("metric", metric)] = Direction.parse(word).value if word else ""
    return found
