"""Names and references: how a person says which model and which version is meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from mreg.domain.text import quoted
from mreg.errors import BadInput

NAME_LIMIT = 128
ALIAS_LIMIT = 64
LARGEST_VERSION = 2**31 - 1
LARGEST_BACK = 1_000_000

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9._-]+)*")
_NUMBER = re.compile(r"[vV]?([1-9][0-9]{0,9})")
_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_PREFIX = re.compile(r"sha256:[0-9a-f]{8,64}")
_STAGES = ("none", "staging", "production", "archived")
_REFERENCE_HINT = "write name, name@3, name@production, name@latest, name@ALIAS or name@sha256:DIGEST"


@dataclass(frozen=True, slots=True)
class ModelName:
    """The name of a model: 1 to 128 of letters, digits, ``.``, ``_``, ``-``, with ``/`` between parts.

    It begins with a letter or digit, no part is ``.`` or ``..``, and it is compared as written, so that
    ``Classifier`` and ``classifier`` are two models. ``ModelName(str(name)) == name``.

    Raises:
        BadInput: The text is no such name.
    """

    value: str

    def __post_init__(self) -> None:
        text = self.value
        if not text:
            raise BadInput("the model name is empty", hint="name the model, such as classifier or team/classifier")
        if len(text) > NAME_LIMIT:
            raise BadInput(f"the model name {quoted(text)} has {len(text)} characters; the limit is {NAME_LIMIT}")
        if not _NAME.fullmatch(text) or any(part in (".", "..") for part in text.split("/")):
            raise BadInput(
                f"{quoted(text)} is no model name",
                hint="use letters, digits, '.', '_', '-' and '/' between parts, beginning with a letter or digit",
            )

    def __str__(self) -> str:
        return self.value


class SelectorKind(Enum):
    """By what a selector picks a version of a model."""

    NUMBER = "number"
    LATEST = "latest"
    BEST = "best"
    STAGE = "stage"
    ALIAS = "alias"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class Selector:
    """What stands after the ``@``; ``Selector.parse(str(selector)) == selector``.

    Attributes:
        kind: By what it picks.
        value: The number's digits, the lower-case stage, the alias, the lower-case digest or its beginning
            (``sha256:`` and 8 to 64 hex digits), or empty for latest and best.
        back: How many steps back in that selector's history, 0 for the thing itself.
    """

    kind: SelectorKind
    value: str = ""
    back: int = 0

    @classmethod
    def number(cls, version: int) -> Selector:
        """The selector of one version number."""
        return cls(SelectorKind.NUMBER, str(version))

    @classmethod
    def parse(cls, text: str) -> Selector:
        """The selector that a text means.

        Raises:
            BadInput: The text is no selector.
        """
        base, tilde, steps = text.partition("~")
        back = 0
        if tilde:
            if not re.fullmatch(r"[1-9][0-9]{0,6}", steps) or int(steps) > LARGEST_BACK:
                raise _no_selector(text)
            back = int(steps)
        number = _NUMBER.fullmatch(base)
        if number:
            if int(number[1]) > LARGEST_VERSION:
                raise _no_selector(text)
            return cls(SelectorKind.NUMBER, number[1], back)
        lower = base.lower()
        if lower in ("latest", "best"):
            return cls(SelectorKind(lower), "", back)
        if lower in _STAGES:
            return cls(SelectorKind.STAGE, lower, back)
        if _PREFIX.fullmatch(lower):
            return cls(SelectorKind.DIGEST, lower, back)
        try:
            return cls(SelectorKind.ALIAS, check_alias(base), back)
        except BadInput:
            raise _no_selector(text) from None

    def __str__(self) -> str:
        base = self.value or self.kind.value
        return f"{base}~{self.back}" if self.back else base


def _no_selector(text: str) -> BadInput:
    return BadInput(
        f"{quoted(text)} selects no version",
        hint="use a number, latest, best, a stage, an alias or sha256:DIGEST, with ~N for N back",
    )


def check_alias(alias: str) -> str:
    """The alias itself, if a version may be called by it.

    An alias is 1 to 64 of letters, digits, ``.``, ``_``, ``-`` beginning with a letter. Numbers, ``v`` and ``vN``,
    ``latest``, ``best`` and the stages are taken, in any case.

    Raises:
        BadInput: The text can't be an alias.
    """
    taken = alias.lower() in ("v", "latest", "best", *_STAGES) or _NUMBER.fullmatch(alias)
    if taken or re.fullmatch(r"[vV][0-9]+", alias):
        raise BadInput(f"{quoted(alias)} can't be an alias: it already means something in a reference")
    if not _ALIAS.fullmatch(alias) or len(alias) > ALIAS_LIMIT:
        raise BadInput(
            f"{quoted(alias)} is no alias",
            hint=f"use 1 to {ALIAS_LIMIT} letters, digits, '.', '_', '-', beginning with a letter",
        )
    return alias


def folded(alias: str) -> str:
    """The form in which aliases are compared: ``Champion`` and ``champion`` are one alias."""
    return alias.lower()


def spelled(alias: str, known: Iterable[str]) -> str | None:
    """The known spelling of an alias, or None if no known alias is the same.

    A catalog of an older release can hold two spellings of one alias. Then the exact one is meant, and if there is no
    exact one, the first by text order.
    """
    same = sorted(one for one in known if folded(one) == folded(alias))
    return alias if alias in same else next(iter(same), None)


@dataclass(frozen=True, slots=True)
class VersionRef:
    """A model, or one version of it: ``classifier``, ``classifier@3``, ``classifier@production~1``.

    ``VersionRef.parse(str(ref)) == ref``. Also understood on input, never written: ``classifier:3`` and
    ``models:/classifier/3`` (MLflow's way). ``classifier/3`` reads as a name here, since only a catalog can tell
    that no such model exists.

    Attributes:
        name: The model.
        selector: Which version, or None where the model as a whole is meant.
        exact: The name is no person's short form: ``classifier/3`` never means ``classifier@3``.
    """

    name: ModelName
    selector: Selector | None = None
    exact: bool = field(default=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> VersionRef:
        """The reference that a text means.

        Raises:
            BadInput: The text is no reference.
        """
        if text.startswith("models:/"):
            return cls._parse_mlflow(text)
        name, at, selector = text.partition("@")
        if not at:
            colon, _, rest = text.partition(":")
            if rest:
                name, at, selector = colon, ":", rest
        if not name and text:
            raise BadInput(f"{quoted(text)} names no model", hint=_REFERENCE_HINT)
        return cls(ModelName(name), Selector.parse(selector) if at else None)

    @classmethod
    def _parse_mlflow(cls, text: str) -> VersionRef:
        path = text.removeprefix("models:/").lstrip("/")
        name, between, selector = path.partition("@") if "@" in path else path.rpartition("/")
        if not between:
            raise BadInput(f"{quoted(text)} names no version", hint=_REFERENCE_HINT)
        return cls(ModelName(name), Selector.parse(selector))

    @property
    def number(self) -> int | None:
        """The version number, or None if the reference names the version by something else."""
        selector = self.selector
        return int(selector.value) if selector and selector.kind is SelectorKind.NUMBER and not selector.back else None

    def split_last_part(self) -> VersionRef | None:
        """This bare name read as ``model/selector``, for when no model of the whole name exists; None if impossible."""
        name, slash, selector = self.name.value.rpartition("/")
        if self.exact or self.selector is not None or not slash:
            return None
        try:
            return VersionRef(ModelName(name), Selector.parse(selector))
        except BadInput:
            return None

    def __str__(self) -> str:
        return f"{self.name}@{self.selector}" if self.selector else str(self.name)
