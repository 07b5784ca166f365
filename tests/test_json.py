"""docs/reference/json.md names the keys that commands print."""

from __future__ import annotations

import json
import os
import re
import sys
from importlib import import_module
from pathlib import Path
from runpy import run_path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.results import SUBJECTS
from mreg.wire import json_text
from tests.conftest import Mreg

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "reference/json.md").read_text()
SECTIONS = {
    match[1]: re.findall(r"^\| `(\w+)` \|", match[2], re.MULTILINE)
    for match in re.finditer(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}
MORE = {"ModelSummary": "Model", "ModelVersions": "Model", "Pulled": "ModelVersion", "StageChange": "ModelVersion",
        "LocalArtifact": "ModelVersion",
        "Evaluation": "ModelVersion"}  # fmt: skip
"""Sections that add keys to another one's."""

ASSESSED = ("PolicyCheck", "PendingApproval", "DecisionResult", "Plan")
"""Sections whose values end with the keys of an assessment."""

COMMANDS = {
    "Model": ["register", "new"],
    "ModelSummary": ["list"],
    "ModelVersions": ["show", "m"],
    "ModelVersion": ["show", "m@1"],
    "Pulled": ["pull", "m@1", "out"],
    "LocalArtifact": ["path", "m@1"],
    "PushPlan": ["push", "model.pkl", "-n", "m", "--dry-run"],
    "StageChange": ["promote", "m@1"],
    "Evaluation": ["evaluate", "m@1", "--metric", "auc=0.9"],
    "Comparison": ["compare", "m", "1", "2"],
    "Event": ["history", "m"],
    "StagesAt": ["history", "m", "--at", "2099-01-01"],
    "Lineage": ["lineage", "m@1"],
    "Deletion": ["delete", "m@2", "--dry-run"],
    "Profile": ["profile", "show"],
    "ProfileEntry": ["profile", "list"],
    "TrustedFolder": ["trust"],
    "Check": ["profile", "check"],
    "Garbage": ["gc", "--grace", "0s"],
    "Verification": ["verify"],
    "CopyVerification": ["verify", "m@1", "--path", "model.pkl"],
    "Finding": ["doctor"],
    "CatalogCopy": ["backup", "copy.db"],
    "Upgrade": ["upgrade", "--check"],
    "Deployment": ["deployments", "m"],
    "ModelPolicy": ["policy", "show"],
    "PolicyCheck": ["policy", "check", "policy.yaml"],
    "PendingApproval": ["approvals"],
    "DecisionResult": ["approve", "m@1"],
    "Plan": ["promote", "m@1", "--plan"],
    "AuditReport": ["audit", "verify"],
    "Why": ["why", "m@1"],
    "Exported": ["export", "m@1"],
    "Bundle": ["export", "--inspect", "m.mreg"],
    "ImportReport": ["import", "mlflow:mlruns"],
    "Imported": ["import", "m.mreg"],
    "NewToken": ["token", "create", "ci"],
    "TokenInfo": ["token", "list"],
    "StoredFile": ["files", "m@1"],
}


INNER = {
    "Artifact", "Assessment", "BlobProblem", "Change", "CopiedFile", "Decision", "Departure", "Gate", "ImportEntry",
    "ImportedVersion", "LineageNode", "MetricDifference", "Migration", "PlannedFile", "PulledFile", "Source",
    "UploadPart",
}  # fmt: skip
"""Sections of values within other values."""


SERVED = {
    "DirectUpload",
    "Identity",
    "Login",
    "Logout",
    "NeededBlob",
    "ProductionVersion",
    "ServerVersion",
    "StagedUpload",
    "UploadState",
}
"""Sections of what only the server returns."""


def test_the_tables_of_the_page_are_generated_from_the_shapes() -> None:
    keys = run_path(str(DOCS / "keys.py"))
    assert keys["written"](PAGE) == PAGE, "run: python docs/keys.py"
    assert set(SECTIONS) == set(keys["shapes"]())


def test_every_section_is_printed_by_a_command_or_the_server() -> None:
    assert set(SECTIONS) == {*COMMANDS, *INNER, *SERVED, "Regression"}
    forms = [form for subject in SUBJECTS for form in import_module(f"mreg.wire.{subject}").FORMS]
    assert {form.shape.__name__ for form in forms} == set(SECTIONS) - INNER - {"ProductionVersion", "ServerVersion"} | {
        "MetricDifference"
    }


@pytest.mark.parametrize("section", COMMANDS)
def test_a_command_prints_the_keys_of_its_section(section: str, command: Mreg) -> None:
    for number in (1, 2):
        Path("model.pkl").write_bytes(b"x" * number)
        command("push", "model.pkl", "-n", "m", "--accuracy", "0.9", "--param", f"n={number}")
    left = Path(os.environ["HOME"]) / ".local/share/mreg/artifacts/tmp/0123456789abcdef01234567"
    left.write_bytes(b"by a killed push")
    os.utime(left, (0, 0))
    if section == "Deployment":
        Path("config.yaml").write_text("profiles: {local: {hooks: [{stage: Staging, command: ['true']}]}}")
        command("promote", "m@1", "--config", "config.yaml")
    if section == "TrustedFolder":
        Path("mreg.yaml").write_text("artifacts: s3://models/x\n")
    if section in ("PolicyCheck", "PendingApproval"):
        Path("policy.yaml").write_text("Staging: {approvals: 1}\nProduction: {approvals: 1}")
        command("promote", "m@1", "--to", "production")
        command("policy", "apply", "policy.yaml")
    if section == "ImportReport":
        Path("mlruns/models").mkdir(parents=True)
    if section == "TokenInfo":
        command("token", "create", "ci")
    command("export", "m")
    parsed = json.loads(command(*COMMANDS[section], "--json").out)
    one = parsed[0] if isinstance(parsed, list) else parsed
    last = SECTIONS["Assessment"] if section in ASSESSED else []
    assert list(one) == [*SECTIONS.get(MORE.get(section, ""), []), *SECTIONS[section], *last]


def test_a_regression_is_told_in_the_details(command: Mreg) -> None:
    for value in ("0.9", "0.8"):
        Path("model.pkl").write_text(value)
        command("push", "model.pkl", "-n", "m", "--accuracy", value)
    done = command("compare", "m", "1", "2", "--fail-on-regression", "--json")
    (regression,) = json.loads(done.err)["details"]["regressions"]
    assert regression["reason"] == "worse than the tolerance allows"
    assert (regression["name"], regression["verdict"]) == ("accuracy", "worse")


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(DOCUMENTS)
def test_json_text_is_what_the_standard_library_writes(document: Any) -> None:
    assert json_text(document) == json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_json_text_refuses_numbers_that_json_does_not_have(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text({"metrics": [{"value": number}]})


def test_showing_a_version_as_json_takes_few_calls(command: Mreg) -> None:
    Path("model.pkl").write_bytes(b"weights")
    for _ in range(21):
        command("push", "model.pkl", "--name", "many", "--accuracy", "0.9", "--tag", "a=b", "--param", "lr=0.1")

    def calls(limit: int) -> int:
        count = 0

        def counting(_frame: FrameType, event: str, _argument: object) -> None:
            nonlocal count
            count += event == "call"

        before = sys.getprofile()
        sys.setprofile(counting)
        try:
            command("show", "many", "--json", "--limit", str(limit))
        finally:
            sys.setprofile(before)
        return count

    calls(1)  # the first one imports
    assert (calls(21) - calls(1)) / 20 < 200  # 150; it was 1,140 with the encoder of the standard library
