"""Data frames of results, by pandas itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from mreg.notebook.frames import is_time
from mreg.registry.local import LocalRegistry
from mreg.wire import form_of
from mreg.wire.deployments import FORMS as DEPLOYMENTS
from mreg.wire.history import FORMS as HISTORY
from mreg.wire.models import FORMS as MODELS

pandas = pytest.importorskip("pandas")


@pytest.fixture
def churn(registry: LocalRegistry, model_file: Path) -> LocalRegistry:
    """A registry with two versions that differ in all that a row shows."""
    registry.push(model_file, name="churn", metrics={"accuracy": 0.9, "n": 2**53 + 1}, parameters={"lr": 0.1})
    registry.push(
        model_file, name="churn", metrics={"accuracy": 0.95, "val.f1": 1}, tags={"team": "red"}, stage="Production"
    )
    return registry


def test_a_search_becomes_a_frame_with_a_column_for_each_metric_parameter_and_tag(churn: LocalRegistry) -> None:
    frame = churn.search(sort="version").to_pandas()
    assert list(frame["reference"]) == ["churn@1", "churn@2"]
    assert list(frame["metrics.accuracy"]) == [0.9, 0.95]
    assert frame["metrics.accuracy"].dtype == float
    assert frame["metrics.val.f1"].isna().tolist() == [True, False]
    assert frame["parameters.lr"][0] == "0.1"
    assert frame["tags.team"].isna().tolist() == [True, False]
    assert frame["artifact.size_bytes"].tolist() == [5, 5]
    assert frame["stage"].tolist() == ["None", "Production"]
    assert frame["aliases"].tolist() == [[], []]
    assert frame.loc[frame["metrics.accuracy"].idxmax(), "version"] == 2


def test_times_are_aware_and_exact(churn: LocalRegistry) -> None:
    found = churn.search(sort="version")
    frame = found.to_pandas()
    assert str(frame["created_at"].dtype) == "datetime64[us, UTC]"
    assert [one.to_pydatetime() for one in frame["created_at"]] == [version.created_at for version in found]
    assert frame["deployed_at"].isna().tolist() == [True, False]
    assert str(churn.history().to_pandas()["at"].dtype) == "datetime64[us, UTC]"


def test_an_integer_that_a_float_cannot_represent_stays_exact(churn: LocalRegistry) -> None:
    assert churn.search(sort="version").to_pandas()["metrics.n"][0] == 2**53 + 1


@pytest.mark.parametrize(
    ("operation", "column"),
    [
        (lambda registry: registry.search("accuracy > 2"), "reference"),
        (lambda registry: registry.models(limit=0), "name"),
        (lambda registry: registry.history("churn", offset=99), "action"),
        (lambda registry: registry.deployments("churn"), "hook"),
        (lambda registry: registry.search()[:0], "reference"),
    ],
)
def test_a_frame_without_rows_has_the_columns_that_every_row_has(
    churn: LocalRegistry, operation: Any, column: str
) -> None:
    frame = operation(churn).to_pandas()
    assert len(frame) == 0
    assert column in frame.columns
    assert not [name for name in frame.columns if name.startswith(("metrics.", "tags."))]


def test_the_versions_of_a_model_and_a_comparison_are_frames_too(churn: LocalRegistry) -> None:
    shown: Any = churn.show("churn")
    assert shown.to_pandas()["version"].tolist() == [2, 1]
    frame = churn.compare("churn@1", "churn@2").to_pandas()
    assert list(frame.columns) == ["name", "version_a", "version_b", "delta", "percent", "direction", "verdict"]
    assert frame.set_index("name")["verdict"]["accuracy"] == "better"
    assert churn.models().to_pandas()["metric"].tolist() == ["accuracy"]


def test_the_columns_are_the_keys_of_the_json_form(churn: LocalRegistry) -> None:
    (newest, _) = churn.search()
    names = [name.partition(".")[0] for name in churn.search().to_pandas().columns]
    assert list(dict.fromkeys(names)) == [key for key, value in newest.to_dict().items() if value != {} or key in names]


def test_every_time_of_a_row_has_a_key_of_a_time() -> None:
    for form in (*MODELS, *HISTORY, *DEPLOYMENTS):
        hints = get_type_hints(form_of(form.kind).shape, include_extras=True)
        notes = {key: getattr(hint, "__metadata__", ("",))[0] for key, hint in hints.items()}
        for key, note in notes.items():
            if str(note).startswith(("time", "when")) and form.kind.__name__ != "StagesAt":
                assert is_time(key), (form.kind, key)


def test_without_pandas_the_error_has_the_command_that_installs_it() -> None:
    code = "import sys\nsys.modules['pandas'] = None\nfrom mreg import Page\nPage().to_pandas()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "ImportError: pandas is not installed: pip install 'mreg[pandas]'"
