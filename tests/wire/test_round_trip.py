"""``decode(type(x), encode(x)) == x`` for every result, also through the text of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass, replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mreg.domain.bundle import BundledModel, BundledVersion
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
from mreg.domain.names import ModelName, Selector, VersionRef
from mreg.domain.policy import Assessment, Decision, Departure, Policy, Rule
from mreg.errors import BadInput
from mreg.results import (
    SUBJECTS,
    bundles,
    changes,
    comparison,
    configuration,
    deployments,
    evaluations,
    files,
    history,
    imports,
    lineage,
    models,
    policies,
    profiles,
    reasons,
    tokens,
    upkeep,
    uploads,
)
from mreg.wire import decode, encode
from tests.conftest import FULL

FORMS = [form for subject in SUBJECTS for form in import_module(f"mreg.wire.{subject}").FORMS]

LEFT_OUT = {
    changes.StageChange: {"back", "rolled_back"},
    models.ModelVersions: {"more"},
    policies.Plan: {"empties_production", "asks", "overridden", "refusal"},
    changes.Deletion: {"places"},
    files.StoredFile: {"reference"},
    profiles.Profile: {"hooks", "adopts", "password", "token", "token_command"},
    GateResult: {"remedies"},
    tokens.Token: {"root"},
}
"""Fields that the JSON form lacks; each has a default."""

WORDS = st.text(max_size=12)
NAMES = st.from_regex(r"[a-z][a-z0-9_.-]{0,9}[a-z0-9](/[a-z]{2,5})?", fullmatch=True).map(ModelName)
NUMBERS = st.integers(1, 10_000)
REFERENCES = st.builds(VersionRef, NAMES, NUMBERS.map(Selector.number))
WHOLE = st.builds(VersionRef, NAMES)
DIGESTS = st.from_regex(r"[0-9a-f]{64}", fullmatch=True).map(Digest.sha256)
TIMES = st.datetimes(datetime(1900, 1, 2), datetime(2999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
METRICS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.dictionaries(WORDS, WORDS, max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | METRICS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
PATHS = st.from_regex(r"/[a-z/ ]{0,20}", fullmatch=True).map(Path)


def many(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(values, max_size=3).map(tuple)


PATTERNS = st.sampled_from([(), ("team-a/*",), ("a", "b?/*")])


def built(kind: type, /, **values: Any) -> st.SearchStrategy[Any]:
    """Instances of a type with the fields that its JSON form has."""
    assert {*values, *LEFT_OUT.get(kind, ())} == {field.name for field in fields(kind) if field.init}
    return st.builds(kind, **values)


SOURCES = built(
    Source, git_commit=WORDS, git_branch=WORDS, git_remote=WORDS, git_dirty=st.none() | st.booleans(), run_url=WORDS,
    environment=TEXTS,
)  # fmt: skip
ARTIFACTS = built(
    ModelArtifact, artifact_id=NUMBERS, kind=st.sampled_from(ArtifactKind), name=WORDS, path=WORDS, size_bytes=NUMBERS,
    digest=DIGESTS, file_count=NUMBERS, format=WORDS,
)  # fmt: skip
VERSIONS = built(
    ModelVersion, version_id=NUMBERS, model_name=NAMES, version=NUMBERS, stage=st.sampled_from(ModelStage),
    status=st.sampled_from(ModelStatus), description=WORDS, tags=TEXTS, parameters=TEXTS,
    metrics=st.dictionaries(WORDS, METRICS, max_size=3), aliases=many(WORDS), artifact=ARTIFACTS, run_id=WORDS,
    experiment_id=WORDS, parent=st.none() | REFERENCES, data=TEXTS, source=SOURCES, created_at=TIMES, updated_at=TIMES,
    deployed_at=st.none() | TIMES, created_by=WORDS,
)  # fmt: skip
OPTIONAL_NUMBERS = st.none() | NUMBERS
RATES = st.none() | st.floats(0, 1e12)
MODELS = built(
    RegisteredModel, model_id=NUMBERS, name=NAMES, description=WORDS, tags=TEXTS,
    aliases=st.dictionaries(WORDS, NUMBERS, max_size=3),
    directions=st.dictionaries(WORDS, st.sampled_from(["higher", "lower"]), max_size=3), primary_metric=WORDS,
    version_count=NUMBERS, latest_version=OPTIONAL_NUMBERS, newest_version=OPTIONAL_NUMBERS,
    production_version=OPTIONAL_NUMBERS, staging_version=OPTIONAL_NUMBERS, created_at=TIMES, updated_at=TIMES, created_by=WORDS,
)  # fmt: skip
DIFFERENCES = built(
    comparison.MetricDifference, name=WORDS, first=st.none() | METRICS, second=st.none() | METRICS,
    delta=st.none() | METRICS, percent=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    direction=st.none() | st.sampled_from(Direction), verdict=st.sampled_from(Verdict),
)  # fmt: skip
EVENTS = built(
    Event, seq=NUMBERS, at=TIMES, actor=WORDS, action=WORDS, model_id=st.integers(0, 9), model=WORDS,
    version=OPTIONAL_NUMBERS, details=st.dictionaries(WORDS, JSON, max_size=3), previous=WORDS, hash=WORDS,
)  # fmt: skip
DECISIONS = built(Decision, target=WORDS, person=WORDS, approved=st.booleans(), comment=WORDS, digest=DIGESTS, at=TIMES)
ASSESSMENTS = built(
    Assessment, target=WORDS, right_stage=st.none() | st.sampled_from(ModelStage), wrong_stage=st.none() | st.sampled_from(ModelStage),
    gates=many(built(GateResult, gate=WORDS, passed=st.booleans(), found=WORDS, bound=WORDS)), needed=NUMBERS,
    approved_by=many(WORDS), may_approve=many(WORDS), rejected_by=many(DECISIONS), override=st.booleans(),
)  # fmt: skip
DEPARTURES = st.none() | built(
    Departure, place=WORDS, allowed=st.booleans(), may_take_out=many(WORDS), override=st.booleans()
)
PEOPLE = st.lists(st.sampled_from(["ada", "ben", "eve"]), max_size=3, unique=True).map(tuple)
RULES = st.builds(
    Rule,
    came_from=st.none() | st.sampled_from([ModelStage.NONE, ModelStage.STAGING]),
    gates=many(st.sampled_from(["accuracy >= 0.9", "loss < 1", "stage = 'Staging'"])),
    approvals=st.integers(0, 1),
    approvers=PEOPLE,
    own_approval=st.booleans(),
    override=st.booleans(),
)
POLICIES = st.dictionaries(st.sampled_from(["Staging", "Production", "champion", "b"]), RULES).map(Policy)
PULLED_FILES = built(files.PulledFile, path=WORDS, size_bytes=NUMBERS, state=WORDS)
NODES = st.recursive(
    st.just(()),
    lambda related: many(
        built(
            lineage.LineageNode, reference=REFERENCES, stage=st.none() | st.sampled_from(ModelStage), run_id=WORDS,
            git_commit=WORDS, data=TEXTS, related=related,
        )
    ),
    max_leaves=4,
)  # fmt: skip
BUNDLED = st.builds(
    lambda version, digest: BundledVersion(version=version, parent_digest=digest if version.parent else None),
    VERSIONS,
    st.none() | DIGESTS,
)


def bundle(name: ModelName, versions: tuple[BundledVersion, ...]) -> bundles.BundleContents:
    """The contents of a bundle, whose versions have what a bundle has of them."""

    def told(one: BundledVersion) -> BundledVersion:
        version = one.version
        return replace(
            one,
            version=ModelVersion(
                model_name=name, version=version.version, stage=version.stage, description=version.description,
                tags=version.tags, parameters=version.parameters, metrics={"accuracy": 0.5},
                aliases=tuple(sorted(version.aliases)), run_id=version.run_id, experiment_id=version.experiment_id,
                artifact=replace(version.artifact, artifact_id=0, path="", name="m"), parent=version.parent,
                data=version.data, source=version.source, created_at=version.created_at,
                updated_at=version.created_at, created_by=version.created_by,
            ),
        )  # fmt: skip

    model = BundledModel(name=name, description="d", tags={"a": "b"}, directions={"x": "lower"}, primary_metric="")
    return bundles.BundleContents(
        model=model, versions=tuple(map(told, versions)), event_count=3, blob_count=2, size_bytes=1
    )


PROBLEMS = built(
    upkeep.BlobProblem, checksum=DIGESTS, problem=WORDS, message=WORDS, hint=WORDS, versions=many(REFERENCES)
)
RESULTS: dict[type, st.SearchStrategy[Any]] = {
    RegisteredModel: MODELS,
    models.ModelSummary: built(
        models.ModelSummary, model=MODELS, metric=WORDS, latest_value=st.none() | METRICS,
        production_value=st.none() | METRICS,
    ),
    ModelVersion: VERSIONS,
    models.ModelVersions: built(models.ModelVersions, model=MODELS, versions=many(VERSIONS), metric=WORDS),
    changes.Deletion: built(changes.Deletion, reference=REFERENCES | WHOLE, versions=many(REFERENCES)),
    changes.StageChange: built(
        changes.StageChange, version=VERSIONS, before=st.sampled_from(ModelStage), archived=many(REFERENCES)
    ),
    policies.Plan: built(
        policies.Plan, reference=REFERENCES, stage=st.sampled_from(ModelStage), assessment=ASSESSMENTS,
        leaving=DEPARTURES, archived=many(REFERENCES), stays=st.booleans(), hooks=many(WORDS),
    ),
    policies.ModelPolicy: built(policies.ModelPolicy, model=WORDS, own=st.booleans(), policy=POLICIES),
    policies.PolicyCheck: built(
        policies.PolicyCheck, reference=REFERENCES, assessment=ASSESSMENTS, leaving=DEPARTURES
    ),
    policies.PendingApproval: built(policies.PendingApproval, reference=REFERENCES, assessment=ASSESSMENTS),
    policies.DecisionResult: built(
        policies.DecisionResult, reference=REFERENCES, stage=st.sampled_from(ModelStage), person=WORDS,
        decision=st.sampled_from(["approved", "rejected", "withdrawn"]), assessment=ASSESSMENTS,
    ),
    evaluations.Evaluation: built(
        evaluations.Evaluation, version=VERSIONS, added=st.dictionaries(WORDS, METRICS, max_size=3),
        replaced=st.dictionaries(WORDS, METRICS, max_size=3), voided=many(DECISIONS), dataset=WORDS,
    ),
    comparison.MetricDifference: DIFFERENCES,
    comparison.Comparison: built(
        comparison.Comparison, first=VERSIONS, second=VERSIONS, metrics=many(DIFFERENCES), same_artifact=st.booleans(),
        changes=many(
            built(comparison.Change, group=WORDS, name=WORDS, first=st.none() | WORDS, second=st.none() | WORDS)
        ),
    ),
    comparison.Regression: built(comparison.Regression, metric=DIFFERENCES, reason=WORDS),
    Event: EVENTS,
    history.StagesAt: built(
        history.StagesAt, model=WORDS, at=WORDS,
        stages=st.dictionaries(st.sampled_from(ModelStage), many(NUMBERS), max_size=4),
    ),
    history.AuditReport: built(history.AuditReport, events=NUMBERS, last_hash=WORDS),
    reasons.Why: built(
        reasons.Why, version=VERSIONS, entered=st.none() | EVENTS, decisions=many(DECISIONS),
        before=st.none() | REFERENCES, metrics=many(DIFFERENCES),
    ),
    lineage.Lineage: built(lineage.Lineage, version=VERSIONS, parents=NODES, children=NODES),
    deployments.DeploymentReport: built(
        deployments.DeploymentReport, deployment_id=NUMBERS, key=WORDS, hook=WORDS, reference=WORDS, action=WORDS,
        stage=WORDS, status=st.sampled_from(DeploymentStatus), attempts=NUMBERS, outcome=OPTIONAL_NUMBERS, output=WORDS,
        created_at=TIMES, started_at=st.none() | TIMES, ended_at=st.none() | TIMES, event_seq=NUMBERS,
    ),
    files.LocalArtifact: built(files.LocalArtifact, version=VERSIONS, path=PATHS, file=WORDS),
    upkeep.CopyVerification: built(
        upkeep.CopyVerification, reference=REFERENCES, path=WORDS, files=NUMBERS, size_bytes=NUMBERS,
        problems=many(built(upkeep.CopiedFile, path=WORDS, state=WORDS, reason=WORDS)),
    ),
    files.Pulled: built(
        files.Pulled, version=VERSIONS, destination=PATHS, unchanged=st.booleans(), other_files=st.booleans(),
        files=many(PULLED_FILES), dry_run=st.booleans(),
    ),
    files.PushPlan: built(
        files.PushPlan, model=NAMES, path=WORDS, kind=st.sampled_from(ArtifactKind),
        files=many(st.builds(files.PlannedFile, path=WORDS, size_bytes=NUMBERS)), folders=many(WORDS),
        left_out=st.dictionaries(WORDS, NUMBERS, max_size=3),
    ),
    files.StoredFile: built(
        files.StoredFile, path=WORDS, size_bytes=NUMBERS, digest=DIGESTS, executable=st.booleans()
    ),
    bundles.Exported: built(
        bundles.Exported, reference=REFERENCES | WHOLE, versions=many(REFERENCES), destination=PATHS,
        size_bytes=NUMBERS,
    ),
    bundles.BundleContents: st.builds(bundle, NAMES, many(BUNDLED)),
    bundles.Imported: built(
        bundles.Imported, model=NAMES,
        versions=many(
            built(
                bundles.ImportedVersion, source=REFERENCES, reference=REFERENCES, already_there=st.booleans(),
                aliases=many(WORDS), left_out=many(WORDS),
            )
        ),
    ),
    imports.ImportReport: built(
        imports.ImportReport, source=WORDS, dry_run=st.booleans(), models=many(NAMES), left_out=many(WORDS),
        versions=many(
            built(
                imports.ImportEntry, source=WORDS, reference=st.none() | REFERENCES,
                status=st.sampled_from(imports.ImportStatus), stage=st.sampled_from(ModelStage), aliases=many(WORDS),
                left_out=many(WORDS), size_bytes=NUMBERS, problem=WORDS, hint=WORDS, code=WORDS,
            )
        ),
    ),
    upkeep.Check: built(
        upkeep.Check, name=WORDS, place=WORDS, error=WORDS, hint=WORDS, lacks=WORDS, latency=RATES, upload=RATES,
        download=RATES,
    ),
    upkeep.Garbage: built(
        upkeep.Garbage, kind=WORDS, place=WORDS, name=WORDS, size_bytes=NUMBERS, modified=TIMES, removed=st.booleans()
    ),
    upkeep.Verification: built(
        upkeep.Verification, artifacts=NUMBERS, all_artifacts=NUMBERS, blobs=NUMBERS, size_bytes=NUMBERS,
        problems=many(PROBLEMS), unreferenced=OPTIONAL_NUMBERS, unreferenced_bytes=OPTIONAL_NUMBERS,
    ),
    upkeep.Finding: built(upkeep.Finding, name=WORDS, place=WORDS, state=WORDS, message=WORDS, remedy=WORDS),
    upkeep.CatalogCopy: built(
        upkeep.CatalogCopy, source=WORDS, target=WORDS, rows=NUMBERS, events=NUMBERS, last_hash=WORDS, set_aside=WORDS,
        blobs=NUMBERS, size_bytes=NUMBERS,
    ),
    upkeep.Upgrade: built(
        upkeep.Upgrade, place=WORDS, schema=NUMBERS, target=NUMBERS, others=many(WORDS), caution=WORDS, backup=WORDS,
        migrations=many(built(upkeep.Migration, schema=NUMBERS, adds=WORDS)),
    ),
    profiles.Profile: built(
        profiles.Profile, name=WORDS, server=WORDS, catalog=WORDS, artifacts=WORDS, endpoint_url=WORDS, region=WORDS,
        aws_profile=WORDS, addressing_style=WORDS, cache=WORDS, model=WORDS, existing_only=st.sampled_from(("", "true")), user=WORDS,
        origins=TEXTS,
    ),
    configuration.ProfileEntry: built(configuration.ProfileEntry, name=WORDS, origin=WORDS, active=st.booleans()),
    configuration.TrustedFolder: built(
        configuration.TrustedFolder, folder=PATHS.map(str), profile=WORDS, catalog=WORDS, artifacts=WORDS, server=WORDS
    ),
    configuration.Login: built(
        configuration.Login, server=WORDS, name=WORDS, role=st.sampled_from(tokens.Role), models=PATTERNS,
        expires=st.none() | TIMES, version=WORDS, source=WORDS,
    ),
    configuration.Logout: built(configuration.Logout, server=WORDS),
    tokens.NewToken: built(
        tokens.NewToken, secret=WORDS, stored=st.booleans(),
        token=built(
            tokens.Token, name=WORDS, role=st.sampled_from(tokens.Role), digest=DIGESTS, models=PATTERNS,
            expires=st.none() | TIMES,
        ),
    ),
    tokens.TokenInfo: built(
        tokens.TokenInfo, name=WORDS, role=st.sampled_from(tokens.Role), models=PATTERNS, created_at=TIMES,
        created_by=WORDS, expires=st.none() | TIMES, last_used_at=st.none() | TIMES, revoked_at=st.none() | TIMES,
        expired=st.booleans(),
    ),
    tokens.Identity: built(
        tokens.Identity, name=WORDS, role=st.sampled_from(tokens.Role), models=PATTERNS, expires=st.none() | TIMES,
        version=WORDS,
    ),
    uploads.NeededBlob: built(uploads.NeededBlob, digest=DIGESTS, method=st.just("server"), direct=st.booleans()),
    uploads.DirectUpload: built(
        uploads.DirectUpload,
        digest=DIGESTS,
        arrived_bytes=NUMBERS,
        parts=st.lists(
            built(uploads.UploadPart, number=NUMBERS, start=NUMBERS, size_bytes=NUMBERS, url=st.text()), max_size=3
        ).map(tuple),
    ),
    uploads.StagedUpload: built(uploads.StagedUpload, offset=NUMBERS, hash_first=st.booleans()),
    uploads.UploadState: built(uploads.UploadState, digest=DIGESTS, offset=NUMBERS, complete=st.booleans()),
}  # fmt: skip


def test_every_form_is_tried() -> None:
    assert {form.kind for form in FORMS} == set(RESULTS)


def test_every_type_of_results_has_a_form_or_is_part_of_one_that_has() -> None:
    parts = {
        comparison.Change, files.PlannedFile, files.PulledFile, files.PulledFile, lineage.LineageNode, bundles.ImportedVersion, imports.ImportEntry, upkeep.BlobProblem,
        upkeep.Migration, upkeep.CopiedFile, tokens.Token, uploads.UploadPart,
    }  # fmt: skip
    assert {kind for kind in _results() if kind not in parts} <= set(RESULTS)


def _results() -> Iterator[type]:
    for path in sorted((Path(models.__file__).parent).glob("[a-z]*.py")):
        for value in vars(import_module(f"mreg.results.{path.stem}")).values():
            if isinstance(value, type) and is_dataclass(value) and value.__module__ == f"mreg.results.{path.stem}":
                yield value


@pytest.mark.parametrize("kind", LEFT_OUT, ids=lambda kind: kind.__name__)
def test_a_field_that_the_json_form_lacks_has_a_default(kind: Any) -> None:
    for field in fields(kind):
        if field.name in LEFT_OUT[kind]:
            assert field.default is not MISSING or field.default_factory is not MISSING


@pytest.mark.parametrize("kind", RESULTS, ids=lambda kind: kind.__name__)
def test_a_result_is_the_same_after_encoding_and_decoding(kind: type[Any]) -> None:
    @settings(max_examples=300 if FULL else 15, suppress_health_check=list(HealthCheck))
    @given(RESULTS[kind])
    def check(result: Any) -> None:
        encoded = encode(result)
        assert decode(kind, encoded) == result
        text = json.dumps(encoded, allow_nan=False)
        again: Any = decode(kind, json.loads(text))
        assert again == result
        assert json.dumps(encode(again), allow_nan=False) == text

    check()


def test_a_change_that_was_rolled_back_is_still_one_after_decoding() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    artifact = ModelArtifact(kind=ArtifactKind.FILE, name="m", path="", size_bytes=1, digest=Digest.sha256("0" * 64))
    version = ModelVersion(
        model_name=ModelName("m"), version=1, artifact=artifact, created_at=at, updated_at=at, created_by="me"
    )
    change = changes.StageChange(version=version, before=ModelStage.NONE, rolled_back=True, back=(version,))
    assert decode(changes.StageChange, encode(change)) == replace(change, back=())


@pytest.mark.parametrize(
    "shape",
    [None, [], {}, {"reference": "m@1"}, {"reference": 1, "versions": []}, {"reference": "m@", "versions": []},
     {"reference": "m@1", "versions": None}],
)  # fmt: skip
def test_json_of_another_shape_is_bad_input(shape: object) -> None:
    with pytest.raises(BadInput):
        decode(changes.Deletion, shape)


def test_a_type_without_a_form_is_refused() -> None:
    with pytest.raises(LookupError, match="is not a result"):
        encode(Path())
