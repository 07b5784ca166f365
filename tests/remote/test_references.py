"""References in paths, queries and bodies: what the client writes, the server reads."""

from __future__ import annotations

import asyncio
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.digest import Digest
from mreg.domain.names import KnownVersion, ModelName, Selector, VersionRef
from mreg.errors import BadInput
from mreg.remote.references import model_path, reference_text, selector_text, version_path
from mreg.server.parameters import _version, other_version, own_version, reference_of

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}(/[A-Za-z0-9_-]{1,5})?", fullmatch=True).map(ModelName)
NUMBERS = st.integers(1, 2**31 - 1)
SELECTORS = (
    NUMBERS.map(Selector.number)
    | st.sampled_from(["latest", "best", "production~3", "champion", f"sha256:{'a' * 64}", "12~4"]).map(Selector.parse)
)  # fmt: skip
KNOWN = st.builds(
    KnownVersion, st.integers(1, 2**63 - 1), st.from_regex(r"[0-9a-f]{64}", fullmatch=True).map(Digest.sha256)
)
REFERENCES = (
    st.builds(VersionRef, NAMES, SELECTORS, exact=st.just(True))
    | st.builds(VersionRef, NAMES, st.none(), exact=st.booleans())
    | st.builds(VersionRef, NAMES, NUMBERS.map(Selector.number), exact=st.just(True), known=KNOWN)
)


def same(one: VersionRef, other: VersionRef) -> bool:
    """Whether two references mean the same; ``exact`` says nothing of one with a selector."""
    bare = one.selector is None
    return (one, one.known) == (other, other.known) and (not bare or one.exact == other.exact)


@given(REFERENCES)
def test_a_reference_comes_back_from_each_place(reference: VersionRef) -> None:
    _, models, model, versions, selector = version_path(reference).split("/")
    assert (models, versions) == ("models", "versions")
    assert same(asyncio.run(_version(ModelName(unquote(model)), selector)), reference)
    assert same(reference_of(reference_text(reference)), reference)
    assert same(other_version(ModelName("other"), reference_text(reference)), reference)
    assert same(own_version(reference.name, selector_text(reference)), reference)


@pytest.mark.parametrize(
    "text",
    ["m@3;", "m@3;id=1", "m@3;id=0;digest=sha256:" + "0" * 64, "m@latest;id=1;digest=sha256:" + "0" * 64, "m@3;exact",
     "m@3;id=1;digest=sha256:" + "A" * 64, "m@3;loose;bare", "m@3;id=1;digest=md5:0", ";loose", "m@3;id=" + "9" * 40,
     f"m@3;id={2**63};digest=sha256:" + "0" * 64],
)  # fmt: skip
def test_parameters_that_are_none_are_refused(text: str) -> None:
    if text == "m@3;":
        assert reference_of(text) == VersionRef.parse("m@3")
        return
    with pytest.raises(BadInput):
        reference_of(text)


@pytest.mark.parametrize(
    ("rest", "path"), [("..", "%2E%2E"), (".", "%2E"), ("a/b", "a%2Fb"), ("ä?#%;\n", "%C3%A4%3F%23%25%3B%0A")]
)
def test_a_segment_is_no_step_of_the_path(rest: str, path: str) -> None:
    assert model_path(ModelName("team/m"), rest) == f"/models/team%2Fm/{path}"
