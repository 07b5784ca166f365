"""An example of every answer, for the OpenAPI document; a test holds each against its shape."""

from __future__ import annotations

from typing import Any

Example = dict[str, Any]

_CHECKSUM = "sha256:964c3755933dba0c2d592eaf69dacae09b0c19df7bd1982d6664153d28f6252e"

MODEL: Example = {
    "model_id": 1,
    "name": "classifier",
    "description": "spam or not",
    "tags": {"team": "mail"},
    "aliases": {"champion": 3},
    "directions": {"cost": "lower"},
    "primary_metric": "accuracy",
    "version_count": 3,
    "latest_version": 3,
    "production_version": 3,
    "staging_version": None,
    "created_at": "2026-03-01T12:00:00.000000Z",
    "updated_at": "2026-03-09T08:30:00.000000Z",
    "created_by": "ada",
}
VERSION: Example = {
    "version_id": 7,
    "model_name": "classifier",
    "version": 3,
    "reference": "classifier@3",
    "stage": "Production",
    "status": "deployed",
    "description": "with the new features",
    "tags": {"data": "2026-02"},
    "parameters": {"lr": "0.01"},
    "metrics": {"accuracy": 0.95, "f1_score": 0.93},
    "aliases": ["champion"],
    "artifact": {
        "artifact_id": 5,
        "kind": "file",
        "name": "model.pkl",
        "path": "s3://ml-models/registry/blobs/sha256/96/4c3755933dba0c2d592eaf69dacae09b0c19df7bd1982d6664153d28f6252e",
        "size_bytes": 93374,
        "checksum": _CHECKSUM,
        "file_count": 1,
        "format": "pickle",
    },
    "run_id": "github:77",
    "experiment_id": None,
    "parent_version": "base@1",
    "data": {"train": "s3://lake/churn/2026-03"},
    "source": {
        "git_commit": "545e02e4d1a9a1c6f5b0a8d2c7e9f3b1a6c4d2e0",
        "git_branch": "main",
        "git_remote": "https://git.example/ml/classifier",
        "git_dirty": False,
        "run_url": None,
        "environment": {"python": "3.11.7", "scikit-learn": "1.5.2"},
    },
    "created_at": "2026-03-08T17:05:00.000000Z",
    "updated_at": "2026-03-09T08:30:00.000000Z",
    "deployed_at": "2026-03-09T08:30:00.000000Z",
    "created_by": "ci",
}
_OLDER: Example = {
    **VERSION,
    "version_id": 4,
    "version": 2,
    "reference": "classifier@2",
    "stage": "Archived",
    "metrics": {"accuracy": 0.91},
    "aliases": [],
}
_METRIC: Example = {
    "name": "accuracy",
    "version_a": 0.91,
    "version_b": 0.95,
    "delta": 0.04,
    "percent": 4.395604395604396,
    "direction": "higher",
    "verdict": "better",
}
_ASSESSMENT: Example = {
    "target": "Production",
    "passed": False,
    "must_come_from": None,
    "gates": [{"gate": "accuracy >= 0.9", "passed": True, "found": "0.95", "bound": None}],
    "approvals_needed": 1,
    "approved_by": [],
    "may_approve": ["risk"],
    "rejected_by": [],
    "override_allowed": False,
}
_EVENT: Example = {
    "seq": 12,
    "at": "2026-03-09T08:30:00.000000Z",
    "actor": "ada",
    "action": "version.stage_changed",
    "model_id": 1,
    "model": "classifier",
    "version": 3,
    "details": {"from": "Staging", "to": "Production"},
    "previous": "0" * 64,
    "hash": "1" * 64,
}

EXAMPLES: dict[str, Example] = {
    "Model": MODEL,
    "ModelSummary": {**MODEL, "metric": "accuracy", "latest_metric": 0.95, "production_metric": 0.95},
    "ModelVersions": {**MODEL, "metric": "accuracy", "versions": [VERSION, _OLDER]},
    "ModelVersion": VERSION,
    "ProductionVersion": {**VERSION, "artifact_path": VERSION["artifact"]["path"]},
    "StageChange": {**VERSION, "previous_stage": "Staging", "changed": True, "archived": ["classifier@2"]},
    "Comparison": {
        "version_a": _OLDER,
        "version_b": VERSION,
        "metric_diff": {"accuracy": 0.04, "f1_score": None},
        "metrics": [_METRIC],
        "changes": [{"group": "parameters", "name": "lr", "version_a": "0.1", "version_b": "0.01"}],
        "same_artifact": False,
    },
    "Event": _EVENT,
    "StagesAt": {"model": "classifier", "at": "2026-03-01T12:00:00.000000Z", "stages": {"Production": [2]}},
    "Lineage": {
        "version": VERSION,
        "parents": [
            {
                "reference": "base@1",
                "depth": 0,
                "deleted": False,
                "stage": "None",
                "run_id": None,
                "git_commit": None,
                "data": {},
            }
        ],
        "children": [],
    },
    "Deletion": {"reference": "classifier@2", "versions": ["classifier@2"]},
    "StoredFile": {"path": "model.pkl", "size_bytes": 93374, "checksum": _CHECKSUM, "executable": False},
    "ModelPolicy": {
        "model": "classifier",
        "own": True,
        "policy": {"Production": {"from": "Staging", "gates": ["accuracy >= 0.9"], "approvals": 1}},
    },
    "Standing": {
        "reference": "classifier@3",
        **_ASSESSMENT,
        "leaving": {
            "place": "Production",
            "allowed": False,
            "may_take_out": ["ml-lead", "risk"],
            "override_allowed": False,
        },
    },
    "Waiting": {"reference": "classifier@3", **_ASSESSMENT},
    "Decided": {
        "reference": "classifier@3",
        "stage": "Staging",
        "person": "risk",
        "decision": "approved",
        **_ASSESSMENT,
        "passed": True,
        "approved_by": ["risk"],
    },
    "Plan": {
        "reference": "classifier@3",
        "stage": "Staging",
        "allowed": False,
        "stays": False,
        "archived": ["classifier@2"],
        "hooks": ["deploy"],
        "leaving": None,
        **_ASSESSMENT,
    },
    "AuditReport": {"events": 12, "last_hash": "1" * 64},
    "Why": {
        "version": VERSION,
        "entered": _EVENT,
        "decisions": [
            {
                "target": "Production",
                "person": "risk",
                "approved": True,
                "comment": "checked on the holdout",
                "checksum": _CHECKSUM,
                "at": "2026-03-09T08:00:00.000000Z",
            }
        ],
        "before": "classifier@2",
        "metrics": [_METRIC],
    },
    "Deployment": {
        "deployment_id": 3,
        "key": "b5f0c1d2e3a4958677889900",
        "hook": "deploy",
        "reference": "classifier@3",
        "action": "version.stage_changed",
        "stage": "Production",
        "status": "deployed",
        "attempts": 1,
        "outcome": 0,
        "output": "restarted\n",
        "created_at": "2026-03-09T08:30:00.000000Z",
        "started_at": "2026-03-09T08:30:01.000000Z",
        "ended_at": "2026-03-09T08:30:09.000000Z",
        "event_seq": 12,
    },
    "Problem": {
        "type": "urn:mreg:problem:not_found",
        "title": "Not Found",
        "status": 404,
        "detail": "there is no model 'clasifier'",
        "code": "not_found",
        "hint": "did you mean classifier?",
        "details": {"kind": "model", "name": "clasifier"},
    },
}
"""By the name of the shape."""
