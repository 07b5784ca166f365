"""RemoteRegistry: a registry behind `mreg serve`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mreg.errors import Unavailable
from mreg.registry.registry import Registry
from mreg.registry.remote_session import RemoteSession
from mreg.registry.session import HookLog

if TYPE_CHECKING:
    from mreg.remote.connection import Connection
    from mreg.results.profiles import Profile


class _Operation:
    """A method that calls a function with the session; the function's module is imported by the first call."""

    def __init__(self, module: str, function: str) -> None:
        self._module, self._function = module, function

    def function(self) -> Callable[..., Any]:
        """Return the function, which takes the session first."""
        function: Callable[..., Any] = getattr(import_module(f"mreg.registry.{self._module}"), self._function)
        return function

    def __get__(self, registry: RemoteRegistry | None, _owner: type) -> Any:
        return self if registry is None else partial(self.function(), registry._session)


def _operation(place: str) -> Any:
    """Return the method that calls ``module.function``; a test compares its signature with the interface's."""
    return _Operation(*place.split("."))


class _NotYet:
    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *_words: object, **_options: object) -> Any:
        raise Unavailable(f"{self._name} is not available on a server yet")


class RemoteRegistry(Registry):
    """A registry behind `mreg serve`: each operation is a request, and the server enforces the role of the token.

    Results, errors, notices and hook logs are those of a local registry.

    An operation is a function over `RemoteSession` in a module ``mreg/registry/remote_SUBJECT.py``, with the parameters
    of the interface, and one line in the table below. To add a subject, add its module and its lines.

    Args:
        connection: Connection to the server; closed with the registry.
        profile: The profile that named the server.
        notice: Receives notes for the user (default: nobody).
        hook_log: Receives the hooks that the server runs.
    """

    def __init__(
        self,
        connection: Connection,
        profile: Profile,
        notice: Callable[[str], None] | None = None,
        hook_log: HookLog | None = None,
    ) -> None:
        self._session = RemoteSession(
            connection=connection,
            profile=profile,
            notice=notice or (lambda _text: None),
            hook_log=hook_log or HookLog(),
        )

    def close(self) -> None:
        self._session.connection.close()

    @property
    def profile(self) -> Profile:
        return self._session.profile

    @property
    def connection(self) -> Connection:
        """The connection to the server."""
        return self._session.connection

    if not TYPE_CHECKING:  # the interface declares their types
        register = _operation("remote_edits.register")
        models = _operation("remote_queries.models")
        model = _operation("remote_queries.model")
        version = _operation("remote_queries.version")
        show = _operation("remote_queries.show")

        # Operations that follow within this branch or in those of transfers and long operations.
        for _name in sorted(Registry.__abstractmethods__ - locals().keys()):
            locals()[_name] = _NotYet(_name)
