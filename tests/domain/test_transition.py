from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.digest import Digest
from mreg.domain.model import ArtifactKind, ModelArtifact, ModelStage, ModelVersion
from mreg.domain.names import ModelName, VersionRef
from mreg.domain.transition import EXCLUSIVE, STAGE_ORDER, StageEntry, next_stage, rollback_stack
from mreg.results.changes import StageChange

VERSIONS = st.integers(1, 6)


def test_the_road_is_none_staging_production_archived() -> None:
    assert [stage.value for stage in STAGE_ORDER] == ["None", "Staging", "Production", "Archived"]
    assert [next_stage(stage) for stage in STAGE_ORDER] == [*STAGE_ORDER[1:], None]


@given(st.lists(VERSIONS, max_size=8))
def test_the_last_to_enter_is_held(versions: list[int]) -> None:
    stack = rollback_stack(StageEntry(version) for version in versions)
    assert stack[-1:] == tuple(versions[-1:])


@given(st.lists(VERSIONS, max_size=8))
def test_a_rollback_never_goes_to_and_fro(versions: list[int]) -> None:
    entries = [StageEntry(version) for version in versions]
    seen = len(rollback_stack(entries))
    while len(stack := rollback_stack(entries)) > 1:
        entries.append(StageEntry(stack[-2], returned=True))
        assert len(rollback_stack(entries)) < seen
        seen = len(rollback_stack(entries))


def test_three_rolled_back_to_two_leaves_one_before_it() -> None:
    entries = [StageEntry(1), StageEntry(2), StageEntry(3), StageEntry(2, returned=True)]
    assert rollback_stack(entries) == (1, 2)
    assert rollback_stack([*entries, StageEntry(4)]) == (1, 2, 4)


ENTRIES = st.lists(st.builds(StageEntry, VERSIONS, st.booleans()), max_size=12)


@given(ENTRIES)
def test_the_version_that_entered_last_is_on_top_and_none_stands_on_itself(entries: list[StageEntry]) -> None:
    stack = rollback_stack(entries)
    assert stack[-1:] == tuple(entry.version for entry in entries[-1:])
    assert all(one != other for one, other in pairwise(stack))
    assert set(stack) <= {entry.version for entry in entries}


@given(ENTRIES, VERSIONS)
def test_a_version_put_there_anew_hides_nothing_that_was_there_before(entries: list[StageEntry], version: int) -> None:
    before = rollback_stack(entries)
    after = rollback_stack([*entries, StageEntry(version)])
    assert after == (before if before[-1:] == (version,) else (*before, version))


@given(ENTRIES, VERSIONS)
def test_a_return_takes_away_what_stood_above_and_nothing_else(entries: list[StageEntry], version: int) -> None:
    before = rollback_stack(entries)
    after = rollback_stack([*entries, StageEntry(version, returned=True)])
    if version in before:
        assert before[: len(after)] == after
        assert version not in before[len(after) :]
    else:
        assert after == (*before, version)


@given(ENTRIES)
def test_rollbacks_end_at_the_first_version_ever_held(entries: list[StageEntry]) -> None:
    story = list(entries)
    seen = [rollback_stack(story)]
    while len(seen[-1]) > 1:
        story.append(StageEntry(seen[-1][-2], returned=True))
        seen.append(rollback_stack(story))
        assert seen[-1] == seen[-2][: len(seen[-1])]
    assert len(seen) <= max(1, len(seen[0]))
    assert seen[-1] == seen[0][:1]


def test_the_stages_that_hold_one_version_are_on_the_road() -> None:
    assert set(STAGE_ORDER) == set(ModelStage)
    assert {ModelStage.STAGING, ModelStage.PRODUCTION} == EXCLUSIVE


@pytest.mark.parametrize(
    ("before", "after", "archived", "changed"),
    [
        (ModelStage.NONE, ModelStage.STAGING, False, True),
        (ModelStage.STAGING, ModelStage.STAGING, False, False),
        (ModelStage.STAGING, ModelStage.STAGING, True, True),
    ],
)
def test_a_change_is_one_of_the_version_or_of_what_had_to_leave(
    before: ModelStage, after: ModelStage, archived: bool, changed: bool
) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    artifact = ModelArtifact(
        kind=ArtifactKind.FILE, name="m", path="file:///m", size_bytes=1, digest=Digest.sha256("0" * 64)
    )
    version = ModelVersion(
        model_name=ModelName("m"),
        version=1,
        stage=after,
        artifact=artifact,
        created_at=at,
        updated_at=at,
        created_by="me",
    )
    left = (VersionRef.parse("m@2"),) if archived else ()
    assert StageChange(version=version, before=before, archived=left).changed is changed
