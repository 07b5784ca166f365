"""Check JSON against the shapes of `mreg.wire`: the answer of a server is not trusted."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from mreg.errors import BadInput

Check = Callable[[Any], bool]


def check_shape(shape: Any, value: Any) -> None:
    """Check that a value has a shape; keys that the shape does not know are ignored, since a newer server adds some.

    Raises:
        BadInput: A key is missing, or a value has another type. The message names the key, and not the value.
    """
    if is_typeddict(shape):
        if not isinstance(value, dict):
            raise BadInput(f"invalid JSON of {shape.__name__}: expected an object")
        for key, check in _keys(shape):
            if key not in value:
                raise BadInput(f"invalid JSON of {shape.__name__}: {key} is missing")
            if not check(value[key]):
                raise BadInput(f"invalid JSON of {shape.__name__}: {key} has another type")
    elif not _check(shape)(value):
        raise BadInput("invalid JSON: a value has another type")


@cache
def _keys(shape: Any) -> tuple[tuple[str, Check], ...]:
    optional: frozenset[str] = getattr(shape, "__optional_keys__", frozenset())
    hints = get_type_hints(shape, include_extras=True)
    return tuple((key, _check(hint)) for key, hint in hints.items() if key not in optional)


@cache
def _check(hint: Any) -> Check:
    origin, within = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _check(within[0])
    if hint is Any:
        return lambda _value: True
    if is_typeddict(hint):
        return lambda value: (
            isinstance(value, dict) and all(key in value and check(value[key]) for key, check in _keys(hint))
        )
    if origin in (Union, UnionType):
        checks = tuple(map(_check, within))
        return lambda value: any(check(value) for check in checks)
    if origin is Literal:
        return lambda value: value in within
    if origin is list:
        item = _check(within[0])
        return lambda value: isinstance(value, list) and all(map(item, value))
    if origin is dict:
        item = _check(within[1])
        return lambda value: isinstance(value, dict) and all(map(item, value.values()))
    if hint is float:
        return lambda value: type(value) in (float, int)
    if hint is int:
        return lambda value: type(value) is int
    kind = NoneType if hint is None else hint
    return lambda value: isinstance(value, kind)
