"""The keyring of the system, through the package ``keyring`` if it is installed.

A keyring can be locked, ask the user, or never answer, so each call has a time limit, after which it is left alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

from mreg.domain.password import Password
from mreg.errors import Unavailable

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

T = TypeVar("T")

SERVICE = "mreg"
"""The service under which the keyring has the tokens; the user name is the origin of the server."""

SECONDS = 30.0
"""Time limit of a call, in which the user can unlock the keyring."""

SECURE = 1
"""Least priority of a keyring that encrypts: the package gives those that store plain text a lower one.

A backend with a lower priority is used only if the user has chosen it.
"""


def has_keyring() -> bool:
    """Return whether the package is installed."""
    return find_spec("keyring") is not None


def store_in_keyring(origin: str, token: Password) -> None:
    """Store the token of an origin, and read it again.

    Raises:
        Unavailable: The system has no keyring that encrypts, or it does not work.
    """

    def store(keyring: KeyringBackend) -> str | None:
        keyring.set_password(SERVICE, origin, token.reveal())
        return keyring.get_password(SERVICE, origin)

    if _called(store) != token.reveal():
        raise Unavailable("the keyring did not store the token")


def read_from_keyring(origin: str) -> Password:
    """Return the token of an origin, empty if the keyring has none.

    Raises:
        Unavailable: The keyring cannot be used.
    """
    return Password(_called(lambda keyring: keyring.get_password(SERVICE, origin)) or "")


def remove_from_keyring(origin: str) -> None:
    """Remove the token of an origin, if the keyring has one.

    Raises:
        Unavailable: The keyring cannot be used.
    """

    def remove(keyring: KeyringBackend) -> None:
        if keyring.get_password(SERVICE, origin) is not None:
            keyring.delete_password(SERVICE, origin)

    _called(remove)


def _is_chosen(found: KeyringBackend) -> bool:
    """Return whether the user has chosen the backend, in PYTHON_KEYRING_BACKEND or the configuration of the package."""
    from keyring import core

    chosen = core.load_env() or core.load_config()
    return chosen is not None and type(chosen) is type(found)


def _called(use: Callable[[KeyringBackend], T]) -> T:
    """Call a function with the keyring on a thread that is left alone after the time limit."""
    if not has_keyring():
        raise Unavailable("the package keyring is not installed")
    results: list[T] = []
    errors: list[str] = []

    def call() -> None:
        try:
            import keyring

            found = keyring.get_keyring()
            if found.priority < SECURE and not _is_chosen(found):
                errors.append("this system does not have an encrypted keyring")
            else:
                results.append(use(found))
        except Exception as error:  # noqa: BLE001  of any backend
            errors.append(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)

    calling = threading.Thread(target=call, daemon=True)
    calling.start()
    calling.join(SECONDS)
    if results:
        return results[0]
    raise Unavailable(f"cannot use the keyring: {errors[0] if errors else f'no response in {SECONDS:g} s'}")
