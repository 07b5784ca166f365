"""Lists of a server that are fetched in parts."""

# ruff: noqa: F811  (fixtures are imported)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import mreg
from mreg.registry.local import LocalRegistry
from mreg.remote import documents
from mreg.results.models import ModelVersions
from tests.server.conftest import Served, in_process  # noqa: F401


@pytest.mark.parametrize("limit", ["values", "bytes"])
def test_a_list_that_is_too_large_for_one_answer_is_fetched_in_smaller_parts(
    in_process: Callable[..., Served], registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    Path("model").write_text("m")
    for number in range(20):
        registry.push("model", name="m", tags={f"t{tag}": "x" * 100 for tag in range(number)})
    with mreg.open_registry(server=in_process().url) as remote:
        if limit == "values":
            monkeypatch.setattr(documents.decode_document, "__defaults__", (500,))
        else:
            monkeypatch.setattr(documents.check_size, "__defaults__", (10_000,))
            monkeypatch.setattr("mreg.remote.response.Response.json.__defaults__", (10_000,))
        for most, offset in ((None, 0), (3, 1)):
            found, expected = remote.show("m", limit=most, offset=offset), registry.show("m", limit=most, offset=offset)
            assert isinstance(found, ModelVersions)
            assert isinstance(expected, ModelVersions)
            assert (found.versions, found.more) == (expected.versions, expected.more)
        assert tuple(remote.search()) == tuple(registry.search())
        assert tuple(remote.history("m")) == tuple(registry.history("m"))
        registry.push("model", name="m", tags={f"t{tag}": "x" * 100 for tag in range(200)})
        with pytest.raises(mreg.Unavailable) as raised:
            remote.show("m")
    assert raised.value.message.endswith("too many values" if limit == "values" else "larger than 10 kB")
