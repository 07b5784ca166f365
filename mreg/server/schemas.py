"""The shape of every answer, for the OpenAPI document.

`mreg.wire` writes the answers; nothing here takes part in that. A test holds the two together, key by key and type by
type. ``docs/json.md`` says what the keys mean.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from typing_extensions import TypedDict

from mreg.server.examples import EXAMPLES

Number = int | float
Stage = Literal["None", "Staging", "Production", "Archived"]
Direction = Literal["higher", "lower"]
Verdict = Literal["better", "worse", "same", "unknown", "missing"]


class Model(TypedDict):
    """A model."""

    model_id: int
    name: str
    description: str
    tags: dict[str, str]
    aliases: dict[str, int]
    directions: dict[str, Direction]
    primary_metric: str | None
    version_count: int
    latest_version: int | None
    production_version: int | None
    staging_version: int | None
    created_at: str
    updated_at: str
    created_by: str


class ModelSummary(Model):
    """A model with the metric that speaks for it."""

    metric: str | None
    latest_metric: Number | None
    production_metric: Number | None


class Artifact(TypedDict):
    """The bytes of a version."""

    artifact_id: int
    kind: Literal["file", "folder"]
    name: str
    path: str
    size_bytes: int
    checksum: str
    file_count: int
    format: str


class Source(TypedDict):
    """From where a version was pushed."""

    git_commit: str | None
    git_branch: str | None
    git_remote: str | None
    git_dirty: bool | None
    run_url: str | None
    environment: dict[str, str]


class ModelVersion(TypedDict):
    """A version."""

    version_id: int
    model_name: str
    version: int
    reference: str
    stage: Stage
    status: Literal["pending", "ready", "failed", "deploying", "deployed"]
    description: str
    tags: dict[str, str]
    parameters: dict[str, str]
    metrics: dict[str, Number]
    aliases: list[str]
    artifact: Artifact
    run_id: str | None
    experiment_id: str | None
    parent_version: str | None
    data: dict[str, str]
    source: Source
    created_at: str
    updated_at: str
    deployed_at: str | None
    created_by: str


class ModelVersions(Model):
    """A model with its versions."""

    metric: str | None
    versions: list[ModelVersion]


class ProductionVersion(ModelVersion):
    """The version in Production."""

    artifact_path: str


class StageChange(ModelVersion):
    """A version and how it came where it is."""

    previous_stage: Stage
    changed: bool
    archived: list[str]


class MetricDifference(TypedDict):
    """A metric of two versions."""

    name: str
    version_a: Number | None
    version_b: Number | None
    delta: Number | None
    percent: Number | None
    direction: Direction | None
    verdict: Verdict


class Change(TypedDict):
    """What else differs between two versions."""

    group: str
    name: str
    version_a: str | None
    version_b: str | None


class Comparison(TypedDict):
    """The difference of two versions."""

    version_a: ModelVersion
    version_b: ModelVersion
    metric_diff: dict[str, Number | None]
    metrics: list[MetricDifference]
    changes: list[Change]
    same_artifact: bool


class Event(TypedDict):
    """A link of the audit trail."""

    seq: int
    at: str
    actor: str
    action: str
    model_id: int | None
    model: str
    version: int | None
    details: dict[str, Any]
    previous: str
    hash: str


class StagesAt(TypedDict):
    """Versions by stage at a time."""

    model: str
    at: str
    stages: dict[str, list[int]]


class LineageNode(TypedDict):
    """A version in a lineage."""

    reference: str
    depth: int
    deleted: bool
    stage: Stage | None
    run_id: str | None
    git_commit: str | None
    data: dict[str, str]


class Lineage(TypedDict):
    """What a version was made from, and what was made from it."""

    version: ModelVersion
    parents: list[LineageNode]
    children: list[LineageNode]


class Deletion(TypedDict):
    """What went, or would go."""

    reference: str
    versions: list[str]


class StoredFile(TypedDict):
    """A file of a version."""

    path: str
    size_bytes: int
    checksum: str
    executable: bool


class Gate(TypedDict):
    """What a gate says."""

    gate: str
    passed: bool
    found: str
    bound: str | None


class Decision(TypedDict):
    """What somebody decided."""

    target: str
    person: str
    approved: bool
    comment: str
    checksum: str
    at: str


class Assessment(TypedDict):
    """What a policy says to a version."""

    target: str
    passed: bool
    must_come_from: Stage | None
    gates: list[Gate]
    approvals_needed: int
    approved_by: list[str]
    may_approve: list[str]
    rejected_by: list[Decision]
    override_allowed: bool


class ModelPolicy(TypedDict):
    """A policy and whose it is."""

    model: str | None
    own: bool
    policy: dict[str, Any]


class Departure(TypedDict):
    """Whether the policy lets the caller take a version out of a stage or from under an alias."""

    place: str
    allowed: bool
    may_take_out: list[str]
    override_allowed: bool


class Standing(Assessment):
    """How a version stands to a policy."""

    reference: str
    leaving: Departure | None


class Waiting(Assessment):
    """A version that waits for decisions."""

    reference: str


class Decided(Assessment):
    """A decision that was just made."""

    reference: str
    stage: Stage
    person: str
    decision: Literal["approved", "rejected", "withdrawn"]


class Plan(Assessment):
    """What a transition would do."""

    reference: str
    stage: Stage
    allowed: bool
    stays: bool
    archived: list[str]
    hooks: list[str]
    leaving: Departure | None


class AuditReport(TypedDict):
    """An audit trail that is whole."""

    events: int
    last_hash: str | None


class Why(TypedDict):
    """Why a version is where it is."""

    version: ModelVersion
    entered: Event | None
    decisions: list[Decision]
    before: str | None
    metrics: list[MetricDifference]


class Deployment(TypedDict):
    """What a change set off."""

    deployment_id: int
    key: str
    hook: str
    reference: str | None
    action: str
    stage: str | None
    status: Literal["pending", "deploying", "deployed", "failed"]
    attempts: int
    outcome: int | None
    output: str
    created_at: str
    started_at: str | None
    ended_at: str | None
    event_seq: int


class Problem(TypedDict):
    """An error (RFC 9457): ``code`` is that of the command line, and ``hint`` names requests."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str | None
    details: dict[str, Any]


Responses = dict[int | str, dict[str, Any]]


def gives(shape: Any) -> Responses:
    """What a route answers, for the OpenAPI document: a shape or a list of it, with an example."""
    within = get_args(shape)
    name = (within[0] if within else shape).__name__
    example = [EXAMPLES[name]] if within else EXAMPLES[name]
    return {200: {"model": shape, "description": "Done.", "content": {"application/json": {"example": example}}}}


PROBLEMS: Responses = {
    status: {
        "model": Problem,
        "content": {"application/problem+json": {"example": EXAMPLES["Problem"]}},
        "description": text,
    }
    for status, text in {
        400: "A value that can't be used.",
        401: "No token, or one that is not known.",
        403: "A role that may not, a page of another origin, or a server that is read-only.",
        404: "No such model, version or file.",
        409: "It exists already, the policy or the rules forbid it, or it changed meanwhile.",
        408: "Sent too slowly.",
        413: "Too large.",
        421: "A host by which the server is not called.",
        422: "A body or query of another form.",
        500: "Stored bytes, the catalog or the audit trail are not what they should be.",
        503: "The catalog or the store can't be reached.",
    }.items()
}
"""What every route may answer where it fails."""
