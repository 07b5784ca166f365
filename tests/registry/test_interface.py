from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from mreg.registry.local import LocalRegistry
from mreg.registry.registry import Registry
from mreg.registry.remote import RemoteRegistry

OPERATIONS = sorted(Registry.__abstractmethods__ - {"close", "profile", "push"})


def parameters(function: Callable[..., object]) -> list[tuple[str, object, object]]:
    """Name, kind and default of each parameter but the first, which is the registry or its session."""
    found = list(inspect.signature(function).parameters.values())[1:]
    named = sorted((one for one in found if one.kind is one.KEYWORD_ONLY), key=lambda one: one.name)
    return [(one.name, one.kind, one.default) for one in (*(one for one in found if one not in named), *named)]


@pytest.mark.parametrize("name", [*OPERATIONS, "push"])
def test_an_operation_of_the_remote_registry_has_the_parameters_of_the_interface(name: str) -> None:
    assert parameters(getattr(RemoteRegistry, name).function()) == parameters(getattr(Registry, name))


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_of_the_local_registry_has_the_parameters_of_the_interface(name: str) -> None:
    assert parameters(getattr(LocalRegistry, name).function()) == parameters(getattr(Registry, name))


def test_the_interface_alone_can_not_be_opened() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Registry()  # type: ignore[abstract]
