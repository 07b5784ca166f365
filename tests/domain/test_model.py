from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.digest import Digest
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
from mreg.errors import BadInput

AT = datetime(2026, 3, 1, tzinfo=UTC)
ARTIFACT = ModelArtifact(
    kind=ArtifactKind.FILE, name="m.pkl", path="file:///m", size_bytes=1, digest=Digest.sha256("0" * 64)
)
VERSION = ModelVersion(
    model_name=ModelName("team/m"), version=3, artifact=ARTIFACT, created_at=AT, updated_at=AT, created_by="me"
)
MODEL = RegisteredModel(name=ModelName("team/m"), created_at=AT, updated_at=AT, created_by="me")


@given(st.sampled_from(ModelStage), st.randoms(use_true_random=False))
def test_a_stage_is_read_in_any_case(stage: ModelStage, random: Random) -> None:
    text = "".join(random.choice([char.upper(), char.lower()]) for char in stage.value)
    assert ModelStage.parse(text) is stage
    assert ModelStage.parse(stage.value) is stage


@given(st.text(max_size=12))
def test_any_text_is_a_stage_or_bad_input(text: str) -> None:
    try:
        assert ModelStage.parse(text).value.lower() == text.lower()
    except BadInput as error:
        assert error.message.startswith("invalid stage ")
        assert error.message.isprintable()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("Prodution", "invalid stage 'Prodution'", "did you mean Production?"),
        ("prod", "invalid stage 'prod'", "did you mean Production?"),
        ("live", "invalid stage 'live'", "use one of: None, Staging, Production, Archived"),
        ("", "invalid stage ''", "use one of: None, Staging, Production, Archived"),
        ("staging\n", "invalid stage 'staging\\n'", "did you mean Staging?"),
    ],
)
def test_an_unknown_stage_names_the_nearest(text: str, message: str, hint: str) -> None:
    with pytest.raises(BadInput) as caught:
        ModelStage.parse(text)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_the_words_of_the_domain_are_these() -> None:
    assert [stage.value for stage in ModelStage] == ["None", "Staging", "Production", "Archived"]
    assert [status.value for status in ModelStatus] == ["pending", "ready", "failed", "deploying", "deployed"]
    assert [kind.value for kind in ArtifactKind] == ["file", "folder"]


@given(st.integers(1, 2**31 - 1))
def test_the_reference_of_a_version_means_that_version(number: int) -> None:
    reference = replace(VERSION, version=number).reference
    assert str(reference) == f"team/m@{number}"
    assert VersionRef.parse(str(reference)) == reference


def test_a_new_version_is_ready_in_no_stage_and_has_nothing_that_was_not_given() -> None:
    assert (VERSION.stage, VERSION.status) == (ModelStage.NONE, ModelStatus.READY)
    assert [*VERSION.metrics, *VERSION.parameters, *VERSION.tags, *VERSION.aliases] == []
    assert (VERSION.parent, VERSION.deployed_at, VERSION.source.git_dirty) == (None, None, None)


@pytest.mark.parametrize("value", [VERSION, MODEL, ARTIFACT, Source()], ids=lambda value: type(value).__name__)
def test_a_value_can_not_be_changed(value: ModelVersion | RegisteredModel | ModelArtifact | Source) -> None:
    for field in type(value).__slots__:
        with pytest.raises(FrozenInstanceError):
            setattr(value, field, None)


@pytest.mark.parametrize(
    "mapping", [VERSION.tags, VERSION.metrics, VERSION.parameters, MODEL.aliases, MODEL.directions]
)
def test_an_empty_mapping_that_all_share_can_not_be_filled(mapping: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        mapping["x"] = 1
