import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.model import ModelStage
from mreg.domain.transition import ROAD, StageEntry, held, next_stage
from mreg.errors import BadInput

VERSIONS = st.integers(1, 6)


def test_the_road_is_none_staging_production_archived() -> None:
    assert [stage.value for stage in ROAD] == ["None", "Staging", "Production", "Archived"]
    assert [next_stage(stage) for stage in ROAD] == [*ROAD[1:], None]


@pytest.mark.parametrize("text", ["production", "PRODUCTION", "Production"])
def test_a_stage_is_read_in_any_case(text: str) -> None:
    assert ModelStage.parse(text) is ModelStage.PRODUCTION


def test_an_unknown_stage_names_the_nearest() -> None:
    with pytest.raises(BadInput) as caught:
        ModelStage.parse("Prodution")
    assert (caught.value.message, caught.value.hint) == ("'Prodution' is no stage", "did you mean Production?")


@given(st.lists(VERSIONS, max_size=8))
def test_the_last_to_enter_is_held(versions: list[int]) -> None:
    stack = held(StageEntry(version) for version in versions)
    assert stack[-1:] == tuple(versions[-1:])


@given(st.lists(VERSIONS, max_size=8))
def test_a_rollback_never_goes_to_and_fro(versions: list[int]) -> None:
    entries = [StageEntry(version) for version in versions]
    seen = len(held(entries))
    while len(stack := held(entries)) > 1:
        entries.append(StageEntry(stack[-2], returned=True))
        assert len(held(entries)) < seen
        seen = len(held(entries))


def test_three_rolled_back_to_two_leaves_one_before_it() -> None:
    entries = [StageEntry(1), StageEntry(2), StageEntry(3), StageEntry(2, returned=True)]
    assert held(entries) == (1, 2)
    assert held([*entries, StageEntry(4)]) == (1, 2, 4)
