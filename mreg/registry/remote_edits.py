"""Register, edit, tag, alias, evaluate, rename and delete models and versions on a server."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, TypeVar

from mreg.domain.model import ModelVersion, RegisteredModel
from mreg.domain.names import VersionRef, check_alias
from mreg.domain.text import quoted
from mreg.errors import BadInput
from mreg.registry.references import as_name, as_reference
from mreg.registry.registry import Name, Reference
from mreg.registry.remote_session import RemoteSession
from mreg.remote.references import model_or_version_path, model_path, reference_text, selector_text, version_path

if TYPE_CHECKING:
    from mreg.domain.metrics import Direction
    from mreg.results.changes import Deletion
    from mreg.results.evaluations import Evaluation

T = TypeVar("T")


def register(
    session: RemoteSession,
    name: Name,
    *,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    directions: Mapping[str, Direction | str] | None = None,
    primary_metric: str = "",
) -> RegisteredModel:
    """See `mreg.Registry.register`."""
    body = {
        "name": str(as_name(name)),
        "description": description,
        "tags": dict(tags or {}),
        "directions": _directions(directions or {}),
        "primary_metric": primary_metric,
    }
    return session.result(RegisteredModel, session.call("POST", "/models", body=body))


def edit(
    session: RemoteSession,
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
    of_model = {
        "directions": _directions(directions) if directions is not None else None,
        "primary_metric": primary_metric,
    }
    # An empty text removes the parent.
    named = reference_text(as_reference(parent)) if parent else parent
    of_version = {"parent": named, "run_id": run_id, "experiment_id": experiment_id}

    def edit_one(wanted: VersionRef) -> RegisteredModel | ModelVersion:
        whole = wanted.selector is None
        fields = of_model if whole else of_version
        _refuse(session, wanted, of_version if whole else of_model)
        body = {"description": description, **fields}
        given = {name: value for name, value in body.items() if value is not None}
        path = model_or_version_path(wanted)
        kind: type[RegisteredModel | ModelVersion] = RegisteredModel if whole else ModelVersion
        return session.result(kind, session.call("PATCH", path, body=given))

    return session.split(as_reference(reference), edit_one)


def _refuse(session: RemoteSession, wanted: VersionRef, fields: Mapping[str, object]) -> None:
    """Refuse a field of a version for a model, and the reverse, as a local registry does."""
    name = next((name for name, value in fields.items() if value is not None), "")
    if not name:
        return
    from mreg.registry.remote_queries import model, version

    words = name.replace("_", " ")
    if wanted.selector is None:
        found = model(session, wanted.name)
        raise BadInput(f"{found.name} is a model, which has no {words}", hint=f"name a version: {found.name}@latest")
    exact = version(session, wanted)
    raise BadInput(f"{exact.reference} is a version, which has no {words}", hint=f"name the model: {exact.model_name}")


def tag(
    session: RemoteSession,
    reference: Reference,
    *,
    add: Mapping[str, str] | None = None,
    remove: Collection[str] = (),
) -> RegisteredModel | ModelVersion:
    """See `mreg.Registry.tag`."""
    body = {"set": dict(add or {}), "remove": list(remove)}

    def tag_one(wanted: VersionRef) -> RegisteredModel | ModelVersion:
        whole = wanted.selector is None
        path = model_or_version_path(wanted, "tags")
        kind: type[RegisteredModel | ModelVersion] = RegisteredModel if whole else ModelVersion
        return session.result(kind, session.call("PATCH", path, body=body))

    return session.split(as_reference(reference), tag_one)


def set_alias(session: RemoteSession, reference: Reference, alias: str, *, override: str = "") -> ModelVersion:
    """See `mreg.Registry.set_alias`."""
    wanted = as_reference(reference)
    path = model_path(wanted.name, "aliases", check_alias(alias))
    body = {"version": selector_text(wanted), "override": override}
    return session.result(ModelVersion, session.call("PUT", path, body=body))


def remove_alias(session: RemoteSession, name: Name, alias: str, *, override: str = "") -> RegisteredModel:
    """See `mreg.Registry.remove_alias`."""
    wanted = as_name(name)
    if not alias:
        from mreg.errors import NotFound
        from mreg.registry.remote_queries import model

        found = model(session, wanted)
        raise NotFound(
            f"{found.name} has no alias {quoted(alias)}", hint=f"it has: {', '.join(found.aliases) or 'no aliases'}"
        )
    opened = session.call("DELETE", model_path(wanted, "aliases", alias), query={"override": override or None})
    return session.result(RegisteredModel, opened)


def evaluate(
    session: RemoteSession,
    reference: Reference,
    metrics: Mapping[str, object],
    *,
    dataset: str = "",
    replace: bool = False,
    reason: str = "",
) -> Evaluation:
    """See `mreg.Registry.evaluate`."""
    from mreg.documents.metrics import finite_metrics
    from mreg.results.evaluations import Evaluation

    wanted = as_reference(reference)
    body = {"metrics": finite_metrics(metrics), "dataset": dataset, "replace": replace, "reason": reason}
    return session.result(Evaluation, session.call("POST", version_path(wanted, "evaluations"), body=body))


def rename(session: RemoteSession, name: Name, to: Name, *, override: str = "") -> RegisteredModel:
    """See `mreg.Registry.rename`."""
    body = {"name": str(as_name(to)), "override": override}
    return session.result(RegisteredModel, session.call("POST", model_path(as_name(name), "rename"), body=body))


def delete(
    session: RemoteSession,
    reference: Reference,
    *,
    force: bool = False,
    dry_run: bool = False,
    seen: Deletion | None = None,
    override: str = "",
) -> Deletion:
    """See `mreg.Registry.delete`."""
    from mreg.results.changes import Deletion
    from mreg.wire.envelope import state_digest

    query = {
        "force": force,
        "dry_run": dry_run,
        "seen": state_digest(seen) if seen is not None else None,
        "override": override or None,
    }

    def delete_one(wanted: VersionRef) -> Deletion:
        path = model_or_version_path(wanted)
        return session.result(Deletion, session.call("DELETE", path, query=query, repeatable=dry_run))

    return session.split(as_reference(reference), delete_one)


def _directions(directions: Mapping[str, Direction | str]) -> dict[str, str]:
    return {metric: str(getattr(direction, "value", direction)) for metric, direction in directions.items()}
