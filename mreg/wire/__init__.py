"""Domain values as JSON-ready dicts: the one place, shared by ``--json``, the server and hooks.

Keys are stable: new ones may come, none goes or changes its meaning. Times are ISO 8601 in UTC, references and digests
are texts, what is absent is null (one value) or empty (a list or mapping). ``docs/json.md`` names every key, and a
test holds it against this module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mreg.domain.events import time_text
from mreg.wire import bundles, serving, upkeep

if TYPE_CHECKING:
    from datetime import datetime

    from mreg.domain.events import Event
    from mreg.domain.gates import GateResult
    from mreg.domain.model import ModelArtifact, ModelVersion, RegisteredModel, Source
    from mreg.domain.policy import Assessment, Decision, Departure
    from mreg.results.comparison import Change, Comparison, MetricDifference, Regression
    from mreg.results.deployments import DeploymentReport
    from mreg.results.history import AuditReport, StagesAt, Why
    from mreg.results.lineage import Lineage, LineageNode
    from mreg.results.models import Deletion, ModelSummary, ModelVersions
    from mreg.results.policies import Decided, ModelPolicy, Standing, Waiting
    from mreg.results.profiles import Profile, ProfileEntry, TrustedFolder
    from mreg.results.stages import Plan, StageChange
    from mreg.results.transfers import Pulled

Wire = dict[str, Any]


def wire(value: object) -> Any:
    """The value JSON-ready; a tuple or list becomes a list."""
    if isinstance(value, (tuple, list)):
        return [wire(item) for item in value]
    return _WRITERS[type(value).__name__](value)


def _time(at: datetime | None) -> str | None:
    return time_text(at) if at is not None else None


def _model(model: RegisteredModel) -> Wire:
    return {
        "model_id": model.model_id,
        "name": str(model.name),
        "description": model.description,
        "tags": dict(model.tags),
        "aliases": dict(model.aliases),
        "directions": dict(model.directions),
        "primary_metric": model.primary_metric or None,
        "version_count": model.version_count,
        "latest_version": model.latest_version,
        "production_version": model.production_version,
        "staging_version": model.staging_version,
        "created_at": _time(model.created_at),
        "updated_at": _time(model.updated_at),
        "created_by": model.created_by,
    }


def _summary(summary: ModelSummary) -> Wire:
    return {
        **_model(summary.model),
        "metric": summary.metric or None,
        "latest_metric": summary.latest_value,
        "production_metric": summary.production_value,
    }


def _model_versions(found: ModelVersions) -> Wire:
    return {
        **_model(found.model),
        "metric": found.metric or None,
        "versions": [_version(version) for version in found.versions],
    }


def _artifact(artifact: ModelArtifact) -> Wire:
    return {
        "artifact_id": artifact.artifact_id,
        "kind": artifact.kind.value,
        "name": artifact.name,
        "path": artifact.path,
        "size_bytes": artifact.size_bytes,
        "checksum": str(artifact.digest),
        "file_count": artifact.file_count,
        "format": artifact.format,
    }


def _source(source: Source) -> Wire:
    return {
        "git_commit": source.git_commit or None,
        "git_branch": source.git_branch or None,
        "git_remote": source.git_remote or None,
        "git_dirty": source.git_dirty,
        "run_url": source.run_url or None,
        "environment": dict(source.environment),
    }


def _version(version: ModelVersion) -> Wire:
    return {
        "version_id": version.version_id,
        "model_name": str(version.model_name),
        "version": version.version,
        "reference": str(version.reference),
        "stage": version.stage.value,
        "status": version.status.value,
        "description": version.description,
        "tags": dict(version.tags),
        "parameters": dict(version.parameters),
        "metrics": dict(version.metrics),
        "aliases": list(version.aliases),
        "artifact": _artifact(version.artifact),
        "run_id": version.run_id or None,
        "experiment_id": version.experiment_id or None,
        "parent_version": str(version.parent) if version.parent else None,
        "data": dict(version.data),
        "source": _source(version.source),
        "created_at": _time(version.created_at),
        "updated_at": _time(version.updated_at),
        "deployed_at": _time(version.deployed_at),
        "created_by": version.created_by,
    }


def _pulled(pulled: Pulled) -> Wire:
    return {
        **_version(pulled.version),
        "destination": str(pulled.destination),
        "unchanged": pulled.unchanged,
        "other_files": pulled.other_files,
    }


def _stage_change(change: StageChange) -> Wire:
    return {
        **_version(change.version),
        "previous_stage": change.before.value,
        "changed": change.changed,
        "archived": [str(reference) for reference in change.archived],
    }


def _metric_difference(row: MetricDifference) -> Wire:
    return {
        "name": row.name,
        "version_a": row.first,
        "version_b": row.second,
        "delta": row.delta,
        "percent": row.percent,
        "direction": row.direction.value if row.direction else None,
        "verdict": row.verdict.value,
    }


def _change(change: Change) -> Wire:
    return {"group": change.group, "name": change.name, "version_a": change.first, "version_b": change.second}


def _comparison(comparison: Comparison) -> Wire:
    return {
        "version_a": _version(comparison.first),
        "version_b": _version(comparison.second),
        "metric_diff": {row.name: row.delta for row in comparison.metrics},
        "metrics": [_metric_difference(row) for row in comparison.metrics],
        "changes": [_change(change) for change in comparison.changes],
        "same_artifact": comparison.same_artifact,
    }


def _regression(regression: Regression) -> Wire:
    return {**_metric_difference(regression.metric), "reason": regression.reason}


def _event(event: Event) -> Wire:
    return {
        "seq": event.seq,
        "at": _time(event.at),
        "actor": event.actor,
        "action": event.action,
        "model_id": event.model_id,
        "model": event.model,
        "version": event.version,
        "details": dict(event.details),
        "previous": event.previous,
        "hash": event.hash,
    }


def _stages_at(found: StagesAt) -> Wire:
    return {
        "model": found.model,
        "at": found.at,
        "stages": {stage.value: list(versions) for stage, versions in found.stages.items()},
    }


def _lineage_nodes(nodes: tuple[LineageNode, ...]) -> list[Wire]:
    from mreg.results.lineage import flatten

    # Flat with depths: a chain of thousands would nest deeper than JSON readers go.
    return [
        {
            "reference": str(node.reference),
            "depth": depth,
            "deleted": node.stage is None,
            "stage": node.stage.value if node.stage else None,
            "run_id": node.run_id or None,
            "git_commit": node.git_commit or None,
            "data": dict(node.data),
        }
        for depth, node in flatten(nodes)
    ]


def _lineage(lineage: Lineage) -> Wire:
    return {
        "version": _version(lineage.version),
        "parents": _lineage_nodes(lineage.parents),
        "children": _lineage_nodes(lineage.children),
    }


def _deletion(deletion: Deletion) -> Wire:
    return {"reference": str(deletion.reference), "versions": [str(reference) for reference in deletion.versions]}


def _profile(profile: Profile) -> Wire:
    from mreg.results.profiles import KEYS

    return {
        "name": profile.name,
        **{key: getattr(profile, key) or None for key in KEYS},
        "origins": dict(profile.origins),
    }


def _profile_entry(entry: ProfileEntry) -> Wire:
    return {"name": entry.name, "origin": entry.origin, "active": entry.active}


def _gate(gate: GateResult) -> Wire:
    return {"gate": gate.gate, "passed": gate.passed, "found": gate.found, "bound": gate.bound or None}


def _decision(decision: Decision) -> Wire:
    return {
        "target": decision.target,
        "person": decision.person,
        "approved": decision.approved,
        "comment": decision.comment,
        "checksum": str(decision.digest),
        "at": _time(decision.at),
    }


def _assessment(found: Assessment) -> Wire:
    return {
        "target": found.target,
        "passed": found.passed,
        "must_come_from": found.wrong_stage.value if found.wrong_stage else None,
        "gates": [_gate(gate) for gate in found.gates],
        "approvals_needed": found.needed,
        "approved_by": list(found.approved_by),
        "may_approve": list(found.may_approve),
        "rejected_by": [_decision(one) for one in found.rejected_by],
        "override_allowed": found.override,
    }


def _model_policy(found: ModelPolicy) -> Wire:
    from mreg.domain.policy import policy_document

    return {"model": found.model or None, "own": found.own, "policy": policy_document(found.policy)}


def _leaving(found: Departure | None) -> Wire | None:
    if found is None:
        return None
    return {
        "place": found.place,
        "allowed": found.allowed,
        "may_take_out": list(found.may_take_out),
        "override_allowed": found.override,
    }


def _standing(found: Standing) -> Wire:
    return {"reference": str(found.reference), "leaving": _leaving(found.leaving), **_assessment(found.assessment)}


def _waiting(found: Waiting) -> Wire:
    return {"reference": str(found.reference), **_assessment(found.assessment)}


def _decided(found: Decided) -> Wire:
    return {
        "reference": str(found.reference),
        "stage": found.stage.value,
        "person": found.person,
        "decision": found.decision,
        **_assessment(found.assessment),
    }


def _plan(plan: Plan) -> Wire:
    return {
        "reference": str(plan.reference),
        "stage": plan.stage.value,
        "allowed": plan.allowed,
        "stays": plan.stays,
        "archived": [str(reference) for reference in plan.archived],
        "hooks": list(plan.hooks),
        "leaving": _leaving(plan.leaving),
        **_assessment(plan.assessment),
    }


def _audit_report(report: AuditReport) -> Wire:
    return {"events": report.events, "last_hash": report.last_hash or None}


def _why(found: Why) -> Wire:
    return {
        "version": _version(found.version),
        "entered": _event(found.entered) if found.entered else None,
        "decisions": [_decision(one) for one in found.decisions],
        "before": str(found.before) if found.before else None,
        "metrics": [_metric_difference(row) for row in found.metrics],
    }


def _deployment(deployment: DeploymentReport) -> Wire:
    return {
        "deployment_id": deployment.deployment_id,
        "key": deployment.key,
        "hook": deployment.hook,
        "reference": deployment.reference or None,
        "action": deployment.action,
        "stage": deployment.stage or None,
        "status": deployment.status.value,
        "attempts": deployment.attempts,
        "outcome": deployment.outcome,
        "output": deployment.output,
        "created_at": _time(deployment.created_at),
        "started_at": _time(deployment.started_at),
        "ended_at": _time(deployment.ended_at),
        "event_seq": deployment.event_seq,
    }


def _trusted_folder(trusted: TrustedFolder) -> Wire:
    return {
        "folder": trusted.folder,
        "file": trusted.file,
        "profile": trusted.profile or None,
        "catalog": trusted.catalog or None,
        "artifacts": trusted.artifacts or None,
    }


_WRITERS: dict[str, Callable[[Any], Wire]] = {
    "RegisteredModel": _model,
    "ModelSummary": _summary,
    "ModelVersions": _model_versions,
    "ModelVersion": _version,
    "Pulled": _pulled,
    "StageChange": _stage_change,
    "Comparison": _comparison,
    "Regression": _regression,
    "Event": _event,
    "StagesAt": _stages_at,
    "Lineage": _lineage,
    "Deletion": _deletion,
    "Profile": _profile,
    "ProfileEntry": _profile_entry,
    "TrustedFolder": _trusted_folder,
    "Check": upkeep.check,
    "Garbage": upkeep.garbage,
    "Verification": upkeep.verification,
    "Finding": upkeep.finding,
    "CatalogCopy": upkeep.catalog_copy,
    "Upgrade": upkeep.upgrade,
    "DeploymentReport": _deployment,
    "ModelPolicy": _model_policy,
    "Standing": _standing,
    "Waiting": _waiting,
    "Decided": _decided,
    "Plan": _plan,
    "AuditReport": _audit_report,
    "Why": _why,
    "Exported": bundles.exported,
    "BundleContents": bundles.bundle,
    "Imported": bundles.imported,
    "StoredFile": serving.stored_file,
    "NewToken": serving.new_token,
}
