"""Every result has one view: its tables, and the references that ``-q`` prints."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from mreg.cli.views import render, view_of
from mreg.results import SUBJECTS
from mreg.results.comparison import MetricDifference, Regression
from mreg.results.tokens import Identity
from mreg.results.upkeep import Verification
from mreg.results.uploads import DirectUpload, NeededBlob, StagedUpload, UploadPart, UploadState

VIEWS = [
    view for subject in SUBJECTS if subject != "uploads" for view in import_module(f"mreg.cli.views.{subject}").VIEWS
]
FORMS = [form for subject in SUBJECTS for form in import_module(f"mreg.wire.{subject}").FORMS]

NOT_PRINTED = {
    DirectUpload, Identity, MetricDifference, NeededBlob, Regression, StagedUpload, UploadPart, UploadState
}  # fmt: skip
"""Results that only the server or the details of an error have."""


def test_every_result_that_a_command_prints_has_one_view() -> None:
    kinds = [view.kind for view in VIEWS]
    assert len(set(kinds)) == len(kinds)
    assert set(kinds) == {form.kind for form in FORMS} - NOT_PRINTED


def test_a_result_without_a_view_is_refused() -> None:
    with pytest.raises(LookupError, match="Regression has no view"):
        view_of(Regression)
    with pytest.raises(LookupError, match="is not a result"):
        render(Path())


def test_a_list_of_results_that_are_never_listed_is_refused() -> None:
    found = Verification(artifacts=0, all_artifacts=0, blobs=0, size_bytes=0, problems=())
    with pytest.raises(LookupError, match="lists of Verification have no view"):
        render([found])


def test_an_empty_list_of_any_type_is_a_table_without_rows() -> None:
    assert render(()).flat.rows == ()
