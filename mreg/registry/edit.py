"""Register, edit, tag, alias, rename and delete models and versions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial

from mreg.catalog.reader import Reader
from mreg.catalog.writer import Writer
from mreg.domain.lineage import would_cycle
from mreg.domain.metrics import Direction, known_metric
from mreg.domain.model import ModelStage, ModelVersion, RegisteredModel
from mreg.domain.names import Selector, VersionRef, check_alias, spelled
from mreg.domain.text import ENTRIES_LIMIT, check_key, check_line, check_text, check_value, nearest, quoted
from mreg.errors import BadInput, Conflict, NotAllowed, NotFound
from mreg.registry.references import as_name, as_reference, find, find_model, find_version, model_now, version_now
from mreg.registry.registry import Name, Reference
from mreg.registry.session import Session
from mreg.results.changes import Deletion


def register(
    session: Session,
    name: Name,
    *,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    directions: Mapping[str, Direction | str] | None = None,
    primary_metric: str = "",
) -> RegisteredModel:
    """See `mreg.Registry.register`."""
    wanted = as_name(name)
    return session.write(
        lambda writer: writer.register(
            name=wanted,
            description=check_text("description", description),
            tags=_checked_tags(tags or {}),
            directions=_checked_directions(directions or {}),
            primary_metric=check_key("metric", known_metric(primary_metric)) if primary_metric else "",
        ),
        model_now,
    )


def edit(
    session: Session,
    reference: Reference,
    *,
    description: str | None = None,
    directions: Mapping[str, Direction | str] | None = None,
    primary_metric: str | None = None,
    parent: Reference | None = None,
    run_id: str | None = None,
    experiment_id: str | None = None,
) -> RegisteredModel | ModelVersion:
    """See `mreg.Registry.edit`."""
    wanted = as_reference(reference)
    if description is not None:
        check_text("description", description)
    of_model = {"directions": directions, "primary metric": primary_metric}
    of_version = {"parent": parent, "run id": run_id, "experiment id": experiment_id}
    for field, line in (("run id", run_id), ("experiment id", experiment_id)):
        if line:
            check_line(field, line)

    def change(writer: Writer) -> RegisteredModel | ModelVersion:
        model, selector = find(writer, wanted)
        if selector is None:
            _refuse(of_version, f"{model.name} is a model", f"name a version: {model.name}@latest")
            return writer.edit_model(
                model,
                description=description,
                directions=_checked_directions(directions) if directions is not None else None,
                primary_metric=check_key("metric", known_metric(primary_metric)) if primary_metric else primary_metric,
            )
        version = find_version(writer, wanted)
        _refuse(of_model, f"{version.reference} is a version", f"name the model: {model.name}")
        changes: dict[str, object] = {"description": description, "run_id": run_id, "experiment_id": experiment_id}
        if parent is not None:
            changes["parent"] = _checked_parent(writer, version, parent) if parent else None
            changes["remove_parent"] = not parent
        return writer.edit_version(version, **changes)  # type: ignore[arg-type]

    changed = session.write(change, _after_hooks)
    if primary_metric and isinstance(changed, RegisteredModel):
        session.catalog.read(partial(_warn_of_unknown_metric, changed, session.notice))
    return changed


def _warn_of_unknown_metric(model: RegisteredModel, notice: Callable[[str], None], reader: Reader) -> None:
    metric = model.primary_metric
    if model.version_count and not reader.has_metric(model, metric):
        names = sorted({name for version in reader.versions(model, limit=1) for name in version.metrics})
        near = nearest(metric, names)
        rest = f"; did you mean {' or '.join(map(quoted, near))}?" if near else ""
        notice(f"no version of {model.name} has the metric {quoted(metric)}{rest}")


def _after_hooks(reader: Reader, changed: RegisteredModel | ModelVersion) -> RegisteredModel | ModelVersion:
    if isinstance(changed, RegisteredModel):
        return model_now(reader, changed)
    return version_now(reader, changed)


def _refuse(fields: Mapping[str, object], what: str, hint: str) -> None:
    for name, value in fields.items():
        if value is not None:
            raise BadInput(f"{what}, which has no {name}", hint=hint)


def _checked_parent(writer: Writer, version: ModelVersion, parent: Reference) -> ModelVersion:
    found = find_version(writer, as_reference(parent))
    if would_cycle(version.version_id, found.version_id, writer.ancestors(found.version_id).get):
        raise NotAllowed(
            f"{found.reference} cannot be the parent of {version.reference}: it is a descendant",
            hint=f"mreg lineage {version.reference}",
        )
    return found


def tag(
    session: Session,
    reference: Reference,
    *,
    add: Mapping[str, str] | None = None,
    remove: Collection[str] = (),
) -> RegisteredModel | ModelVersion:
    """See `mreg.Registry.tag`."""
    wanted = as_reference(reference)
    tags = _checked_tags(add or {})
    if not tags and not remove:
        raise BadInput("no tag given", hint=f"mreg tag {wanted} team=fraud, or --remove team")

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


def set_alias(session: Session, reference: Reference, alias: str, *, override: str = "") -> ModelVersion:
    """See `mreg.Registry.set_alias`."""
    wanted = as_reference(reference)
    check_alias(alias)
    check_text("override", override)
    from mreg.registry.admission import set_alias_checked

    return session.write(
        lambda writer: set_alias_checked(writer, find_version(writer, wanted), alias, override=override), version_now
    )


def remove_alias(session: Session, name: Name, alias: str, *, override: str = "") -> RegisteredModel:
    """See `mreg.Registry.remove_alias`."""
    wanted = as_name(name)
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


def rename(session: Session, name: Name, to: Name, *, override: str = "") -> RegisteredModel:
    """See `mreg.Registry.rename`."""
    wanted, new = as_name(name), as_name(to)
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
    reference: Reference,
    *,
    force: bool = False,
    dry_run: bool = False,
    seen: Deletion | None = None,
    override: str = "",
) -> Deletion:
    """See `mreg.Registry.delete`."""
    wanted = as_reference(reference)
    check_text("override", override)
    from mreg.registry.departure import check_removal, check_whole_model

    def affected(reader: Reader) -> tuple[RegisteredModel, ModelVersion | None, Deletion]:
        model, selector = find(reader, wanted)
        version = None if selector is None else find_version(reader, wanted)
        versions = (version,) if version else tuple(reversed(reader.versions(model)))
        for each in versions:
            if not force:
                _check_unused(each)
        found = Deletion(
            reference=version.reference if version else VersionRef(model.name),
            versions=tuple(each.reference for each in versions),
            places={each.reference: places for each in versions if (places := _places(each))},
        )
        return model, version, found

    def remove(writer: Writer) -> Deletion:
        model, version, deletion = affected(writer)
        if seen is not None and seen != deletion:
            raise Conflict(
                f"{deletion.reference} was not deleted: its versions, stages or aliases changed meanwhile",
                hint=f"check and try again: mreg show {deletion.reference}",
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
    """Return the stage (only Staging or Production) and the aliases of a version."""
    stage = (version.stage.value,) if version.stage in _IN_USE else ()
    return (*stage, *version.aliases)


def _check_unused(version: ModelVersion) -> None:
    uses, remedies = [], []
    if version.stage in _IN_USE:
        uses.append(f"is in {version.stage.value}")
        remedies.append(f"mreg archive {version.reference}")
    if version.aliases:
        plural = "es" if len(version.aliases) > 1 else ""
        uses.append(f"has the alias{plural} {', '.join(version.aliases)}")
        remedies += [f"mreg alias {version.model_name} --remove {alias}" for alias in version.aliases]
    if uses:
        raise NotAllowed(
            f"{version.reference} {' and '.join(uses)}",
            hint=f"{' && '.join(remedies)}, or delete with --force",
            aliases=list(version.aliases),
        )


def _checked_tags(tags: Mapping[str, str], present: Mapping[str, str] | None = None) -> Mapping[str, str]:
    count = len({**(present or {}), **tags})
    if count > ENTRIES_LIMIT:
        raise BadInput(f"too many tags: {count}; the limit is {ENTRIES_LIMIT}")
    return {check_key("tag", key): check_value("tag", key, value) for key, value in tags.items()}


def _checked_directions(directions: Mapping[str, Direction | str]) -> Mapping[str, str]:
    found = {}
    for metric, direction in directions.items():
        word = direction.value if isinstance(direction, Direction) else direction
        found[check_key("metric", known_metric(metric))] = Direction.parse(word).value if word else ""
    return found
