"""Operations of a registry as methods whose modules are imported by the first call."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any


class Operation:
    """A method that calls a function with the session; the function's module is imported by the first call."""

    def __init__(self, module: str, function: str) -> None:
        self._module, self._function = module, function

    def function(self) -> Callable[..., Any]:
        """Return the function, which takes the session first."""
        function: Callable[..., Any] = getattr(import_module(f"mreg.registry.{self._module}"), self._function)
        return function

    def __get__(self, registry: Any, _owner: type) -> Any:
        # abc reads each method from the class, which must not import all modules.
        return self if registry is None else partial(self.function(), registry._session)


def operation(place: str) -> Any:
    """Return the method that calls ``module.function``; a test compares its signature with the interface's."""
    return Operation(*place.split("."))
