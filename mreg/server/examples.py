"""Example responses of the OpenAPI document: results, encoded as the server encodes them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypedDict

from mreg import __version__
from mreg.domain.digest import Digest
from mreg.domain.events import Event
from mreg.domain.gates import GateResult
from mreg.domain.hook import DeploymentStatus
from mreg.domain.metrics import Direction, Verdict
from mreg.domain.model import (
    ArtifactKind,
    ModelArtifact,
    ModelStage,
    ModelStatus,
    ModelVersion,
    RegisteredModel,
    Source,
)
from mreg.domain.names import ModelName, VersionRef
from mreg.domain.policy import Assessment, Decision, Departure, Policy, Rule
from mreg.results.bundles import Imported, ImportedVersion
from mreg.results.changes import Deletion, StageChange
from mreg.results.comparison import Change, Comparison, MetricDifference
from mreg.results.deployments import DeploymentReport
from mreg.results.evaluations import Evaluation
from mreg.results.files import StoredFile
from mreg.results.history import AuditReport, StagesAt
from mreg.results.lineage import Lineage, LineageNode
from mreg.results.models import ModelSummary, ModelVersions
from mreg.results.policies import DecisionResult, ModelPolicy, PendingApproval, Plan, PolicyCheck
from mreg.results.reasons import Why
from mreg.results.tokens import Identity, NewToken, Role, Token, TokenInfo
from mreg.results.upkeep import Check, Finding, Garbage, Verification
from mreg.results.uploads import DirectUpload, NeededBlob, StagedUpload, UploadPart, UploadState
from mreg.wire import form_of
from mreg.wire.models import ProductionVersion, encode_production
from mreg.wire.protocol import ServerVersion


class Problem(TypedDict):
    """An error (RFC 9457). ``code`` is the error code of the command line; ``hint`` names the next request."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str | None
    details: dict[str, Any]


NAME = ModelName("classifier")
REFERENCE, OLDER_REFERENCE = VersionRef.parse("classifier@3"), VersionRef.parse("classifier@2")
STORE = "/srv/mreg/artifacts"
DIGEST = Digest.sha256("964c3755933dba0c2d592eaf69dacae09b0c19df7bd1982d6664153d28f6252e")


def _at(day: int, hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, second, tzinfo=UTC)


MODEL = RegisteredModel(
    model_id=1,
    name=NAME,
    description="spam or not",
    tags={"team": "mail"},
    aliases={"champion": 3},
    directions={"cost": "lower"},
    primary_metric="accuracy",
    version_count=3,
    latest_version=3,
    newest_version=3,
    production_version=3,
    created_at=_at(1, 12),
    updated_at=_at(9, 8, 30),
    created_by="ada",
)
VERSION = ModelVersion(
    version_id=7,
    model_name=NAME,
    version=3,
    stage=ModelStage.PRODUCTION,
    status=ModelStatus.DEPLOYED,
    description="with the new features",
    tags={"data": "2026-02"},
    parameters={"lr": "0.01"},
    metrics={"accuracy": 0.95, "f1_score": 0.93},
    aliases=("champion",),
    artifact=ModelArtifact(
        artifact_id=5,
        kind=ArtifactKind.FILE,
        name="model.pkl",
        path=f"s3://ml-models/registry/blobs/sha256/96/{DIGEST.value[2:]}",
        size_bytes=93374,
        digest=DIGEST,
        format="pickle",
    ),
    run_id="github:77",
    parent=VersionRef.parse("base@1"),
    data={"train": "s3://lake/churn/2026-03"},
    source=Source(
        git_commit="545e02e4d1a9a1c6f5b0a8d2c7e9f3b1a6c4d2e0",
        git_branch="main",
        git_remote="https://git.example/ml/classifier",
        git_dirty=False,
        environment={"python": "3.11.7", "scikit-learn": "1.5.2"},
    ),
    created_at=_at(8, 17, 5),
    updated_at=_at(9, 8, 30),
    deployed_at=_at(9, 8, 30),
    created_by="ci",
)
OLDER = replace(VERSION, version_id=4, version=2, stage=ModelStage.ARCHIVED, metrics={"accuracy": 0.91}, aliases=())
METRIC = MetricDifference(
    name="accuracy",
    first=0.91,
    second=0.95,
    delta=0.04,
    percent=4.395604395604396,
    direction=Direction.HIGHER,
    verdict=Verdict.BETTER,
)
ASSESSMENT = Assessment(
    target="Production",
    gates=(GateResult(gate="accuracy >= 0.9", passed=True, found="0.95"),),
    needed=1,
    may_approve=("risk",),
)
EVENT = Event(
    seq=12,
    at=_at(9, 8, 30),
    actor="ada",
    action="version.stage_changed",
    model_id=1,
    model="classifier",
    version=3,
    details={"from": "Staging", "to": "Production"},
    previous="0" * 64,
    hash="1" * 64,
)
DECISION = Decision(
    target="Production", person="risk", approved=True, comment="checked on the holdout", digest=DIGEST, at=_at(9, 8)
)
TOKEN = Token(name="ci", role=Role.WRITER, digest=DIGEST, models=("team-a/*",), expires=_at(31, 0))
RESULTS = (
    MODEL,
    ModelSummary(model=MODEL, metric="accuracy", latest_value=0.95, production_value=0.95),
    ModelVersions(model=MODEL, metric="accuracy", versions=(VERSION, OLDER)),
    VERSION,
    StageChange(version=VERSION, before=ModelStage.STAGING, archived=(OLDER_REFERENCE,)),
    Evaluation(
        version=VERSION,
        added={"f1_score": 0.93},
        replaced={"accuracy": 0.94},
        voided=(DECISION,),
        dataset="holdout-2026-03",
    ),
    Comparison(
        first=OLDER,
        second=VERSION,
        metrics=(METRIC,),
        changes=(Change(group="parameters", name="lr", first="0.1", second="0.01"),),
        same_artifact=False,
    ),
    EVENT,
    StagesAt(model="classifier", at="2026-03-01T12:00:00.000000Z", stages={ModelStage.PRODUCTION: (2,)}),
    Lineage(
        version=VERSION,
        parents=(LineageNode(reference=VersionRef.parse("base@1"), stage=ModelStage.NONE),),
        children=(),
    ),
    Deletion(reference=OLDER_REFERENCE, versions=(OLDER_REFERENCE,)),
    StoredFile(path="model.pkl", size_bytes=93374, digest=DIGEST),
    Imported(model=NAME, versions=(ImportedVersion(source=REFERENCE, reference=REFERENCE, already_there=False),)),
    Verification(
        artifacts=3, all_artifacts=3, blobs=3, size_bytes=280122, problems=(), unreferenced=0, unreferenced_bytes=0
    ),
    Garbage(kind="unreferenced", place=STORE, name=str(DIGEST), size_bytes=93374, modified=_at(1, 12), removed=False),
    Finding(name="audit trail", place="/srv/mreg/catalog.db", state="fine", message="hash chain intact"),
    Check(name="store latency", place=STORE, latency=0.002),
    NeededBlob(digest=DIGEST, direct=True),
    DirectUpload(
        digest=DIGEST,
        arrived_bytes=8388608,
        parts=(UploadPart(number=2, start=8388608, size_bytes=93374, url="https://s3.example/models/direct/..."),),
    ),
    StagedUpload(offset=8388608, hash_first=False),
    UploadState(digest=DIGEST, offset=93374, complete=True),
    ModelPolicy(
        model="classifier",
        own=True,
        policy=Policy({"Production": Rule(came_from=ModelStage.STAGING, gates=("accuracy >= 0.9",), approvals=1)}),
    ),
    PolicyCheck(
        reference=REFERENCE,
        assessment=ASSESSMENT,
        leaving=Departure(place="Production", allowed=False, may_take_out=("ml-lead", "risk")),
    ),
    PendingApproval(reference=REFERENCE, assessment=ASSESSMENT),
    DecisionResult(
        reference=REFERENCE,
        stage=ModelStage.STAGING,
        person="risk",
        decision="approved",
        assessment=replace(ASSESSMENT, approved_by=("risk",), may_approve=()),
    ),
    Plan(
        reference=REFERENCE,
        stage=ModelStage.STAGING,
        assessment=ASSESSMENT,
        leaving=None,
        archived=(OLDER_REFERENCE,),
        stays=False,
        hooks=("deploy",),
    ),
    AuditReport(events=12, last_hash="1" * 64),
    Why(version=VERSION, entered=EVENT, decisions=(DECISION,), before=OLDER_REFERENCE, metrics=(METRIC,)),
    DeploymentReport(
        deployment_id=3,
        key="b5f0c1d2e3a4958677889900",
        hook="deploy",
        reference="classifier@3",
        action="version.stage_changed",
        stage="Production",
        status=DeploymentStatus.DEPLOYED,
        attempts=1,
        outcome=0,
        output="restarted\n",
        created_at=_at(9, 8, 30),
        started_at=_at(9, 8, 30, 1),
        ended_at=_at(9, 8, 30, 9),
        event_seq=12,
    ),
    NewToken(token=TOKEN, secret="mreg_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG", stored=True),  # noqa: S106
    TokenInfo(
        name="ci",
        role=Role.WRITER,
        models=TOKEN.models,
        created_at=_at(9, 8, 30),
        created_by="ada",
        expires=TOKEN.expires,
        last_used_at=_at(9, 9),
    ),
    Identity(name="ci", role=Role.WRITER, models=TOKEN.models, expires=TOKEN.expires, version=__version__),
)

EXAMPLES: dict[type, Any] = {form.shape: form.encode(result) for result in RESULTS for form in [form_of(type(result))]}
"""Examples by shape."""

EXAMPLES[ServerVersion] = {"version": "0.1.0", "api": 1, "oldest_api": 1}
EXAMPLES[ProductionVersion] = encode_production(VERSION)
EXAMPLES[Problem] = {
    "type": "urn:mreg:problem:not_found",
    "title": "Not Found",
    "status": 404,
    "detail": "model 'clasifier' not found",
    "code": "not_found",
    "hint": "did you mean classifier?",
    "details": {"kind": "model", "name": "clasifier"},
}
