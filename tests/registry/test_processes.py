"""Values and errors across processes, and one registry in many threads."""

from __future__ import annotations

import asyncio
import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

import mreg
from mreg import MregError, Registry, VersionRef
from mreg.cli.failures import EXIT_CODES

ERRORS = [value for value in vars(mreg.errors).values() if isinstance(value, type) and issubclass(value, MregError)]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_copied_error_keeps_message_hint_details_and_exit_code(kind: type[MregError], way: object) -> None:
    error = kind("what failed", hint="mreg show x", reference="x@1", gates=[1])
    again = way(error)  # type: ignore[operator]
    assert type(again) is kind
    assert (str(again), again.hint, again.details, again.code) == (str(error), error.hint, error.details, error.code)
    assert [isinstance(again, one) for one, _ in EXIT_CODES] == [isinstance(error, one) for one, _ in EXIT_CODES]


def test_values_and_errors_cross_to_another_process_and_back(registry: Registry, model_file: Path) -> None:
    registry.push(model_file, name="churn", metrics={"accuracy": 0.9})
    found, comparison = registry.search(), registry.compare("churn@1", "churn@1")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        again = pool.submit(copy.copy, (found, comparison)).result()
        assert again == (found, comparison)
        assert hash(again) == hash((found, comparison))
        with pytest.raises(mreg.BadInput, match="invalid selector '0'") as failure:
            pool.submit(VersionRef.parse, "churn@0").result()
    assert failure.value.hint.startswith("use a number, latest")


def test_a_registry_refuses_to_be_pickled(registry: Registry) -> None:
    with pytest.raises(TypeError, match=r"a registry cannot be pickled: call mreg\.open_registry in each process"):
        pickle.dumps(registry)


def test_threads_share_a_registry(registry: Registry) -> None:
    def work(number: int) -> str:
        path = Path(f"model-{number}.pkl")
        path.write_bytes(b"\x80\x04K%c." % number)
        version = registry.push(path, name="churn", metrics={"accuracy": number / 100})
        registry.promote(version, to="Staging")
        assert registry.version(version).artifact == version.artifact
        return str(version.reference)

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(work, range(1, 25)))
    assert found == {f"churn@{number}" for number in range(1, 25)}
    assert len(registry.search("stage = 'Staging'")) == 1
    registry.verify_audit()


def test_async_code_calls_a_registry_in_threads(registry: Registry, model_file: Path) -> None:
    async def main() -> list[int]:
        await asyncio.to_thread(registry.push, model_file, name="churn")
        pages = await asyncio.gather(*(asyncio.to_thread(registry.search, "version = 1") for _ in range(20)))
        return [len(page) for page in pages]

    assert asyncio.run(main()) == [1] * 20
