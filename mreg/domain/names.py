"""Names, aliases and references of models and versions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from mreg.domain.digest import Digest
from mreg.domain.text import quoted
from mreg.domain.value import short_repr
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
    """The name of a model: 1 to 128 letters, digits, ``.``, ``_``, ``-``, with ``/`` between parts.

    It begins with a letter or digit, and no part is ``.`` or ``..``. Names are case-sensitive: ``Classifier`` and
    ``classifier`` are two models. ``ModelName(str(name)) == name``.

    Raises:
        BadInput: The text is not a valid name.
    """

    value: str

    def __post_init__(self) -> None:
        text = self.value
        if not text:
            raise BadInput("the model name is empty", hint="name the model, such as churn or team/churn")
        if len(text) > NAME_LIMIT:
            raise BadInput(f"the model name {quoted(text)} has {len(text)} characters; the limit is {NAME_LIMIT}")
        if not _NAME.fullmatch(text) or any(part in (".", "..") for part in text.split("/")):
            raise BadInput(
                f"invalid model name {quoted(text)}",
                hint="use letters, digits, '.', '_', '-' and '/' between parts, beginning with a letter or digit",
            )

    def __str__(self) -> str:
        return self.value

    def __repr__(self) -> str:
        return f"ModelName({self.value!r})"


class SelectorKind(Enum):
    """The property by which a selector picks a version of a model."""

    NUMBER = "number"
    LATEST = "latest"
    BEST = "best"
    STAGE = "stage"
    ALIAS = "alias"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class Selector:
    """The part of a reference after the ``@``; ``Selector.parse(str(selector)) == selector``.

    Attributes:
        value: The digits of the number, the lower-case stage, the alias, the lower-case digest or its beginning
            (``sha256:`` and 8 to 64 hex digits), or empty for latest and best.
        back: Number of steps back in the selector's history; 0 for the version that it selects now.
    """

    kind: SelectorKind
    value: str = ""
    back: int = 0

    @classmethod
    def number(cls, version: int) -> Selector:
        """Return the selector of a version number."""
        return cls(SelectorKind.NUMBER, str(version))

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Return the selector of a text.

        Raises:
            BadInput: The text is not a valid selector.
        """
        base, tilde, steps = text.partition("~")
        back = 0
        if tilde:
            if not re.fullmatch(r"[1-9][0-9]{0,6}", steps) or int(steps) > LARGEST_BACK:
                raise _invalid_selector(text)
            back = int(steps)
        number = _NUMBER.fullmatch(base)
        if number:
            if int(number[1]) > LARGEST_VERSION:
                raise _invalid_selector(text)
            return cls(SelectorKind.NUMBER, number[1], back)
        lower = base.lower()
        if lower in ("latest", "best"):
            return cls(SelectorKind(lower), "", back)
        if lower in _STAGES:
            return cls(SelectorKind.STAGE, lower, back)
        if lower.startswith("sha256:") and not _PREFIX.fullmatch(lower):
            raise BadInput(
                f"invalid selector {quoted(text)}: a digest has 8 to 64 hexadecimal digits",
                hint="write sha256: and at least the first 8 digits, such as sha256:964c3755",
            )
        if _PREFIX.fullmatch(lower):
            return cls(SelectorKind.DIGEST, lower, back)
        try:
            return cls(SelectorKind.ALIAS, check_alias(base), back)
        except BadInput:
            raise _invalid_selector(text) from None

    def __str__(self) -> str:
        base = self.value or self.kind.value
        return f"{base}~{self.back}" if self.back else base


def selector_alone(text: str) -> Selector | None:
    """Return the selector of a text that names a version without its model; None for any other text.

    Such texts are a number (``3``, ``v3``, ``3~1``), ``@`` with any selector (``@production``), steps back from the
    latest version (``~1``), and a digest (``sha256:964c3755``). A word such as ``production`` is the name of a model.

    Raises:
        BadInput: The text has one of these forms, and is not a valid selector.
    """
    if text.startswith("@"):
        return Selector.parse(text[1:])
    if text.startswith("~"):
        return Selector.parse(f"latest{text}")
    is_selector = _NUMBER.fullmatch(text.partition("~")[0]) or text.lower().startswith("sha256:")
    return Selector.parse(text) if is_selector else None


def _invalid_selector(text: str) -> BadInput:
    return BadInput(
        f"invalid selector {quoted(text)}",
        hint="use a number, latest, best, a stage, an alias or sha256:DIGEST; append ~N to go N versions back",
    )


def check_alias(alias: str) -> str:
    """Return the alias if it is valid.

    An alias is 1 to 64 letters, digits, ``.``, ``_``, ``-``, beginning with a letter. ``v``, ``vN``, ``latest``,
    ``best`` and the stages are reserved, in any case.

    Raises:
        BadInput: The text is not a valid alias.
    """
    taken = alias.lower() in ("v", "latest", "best", *_STAGES) or _NUMBER.fullmatch(alias)
    if taken or re.fullmatch(r"[vV][0-9]+", alias):
        raise BadInput(f"invalid alias {quoted(alias)}: it has another meaning in references")
    if not _ALIAS.fullmatch(alias) or len(alias) > ALIAS_LIMIT:
        raise BadInput(
            f"invalid alias {quoted(alias)}",
            hint=f"use 1 to {ALIAS_LIMIT} letters, digits, '.', '_', '-', beginning with a letter",
        )
    return alias


def folded(alias: str) -> str:
    """Return the form in which aliases are compared: ``Champion`` and ``champion`` are the same alias."""
    return alias.lower()


def spelled(alias: str, known: Iterable[str]) -> str | None:
    """Return the spelling of an alias among the known ones, or None if it is unknown.

    A catalog of an older release can hold two spellings of one alias. An exact match is preferred, then the first by
    text order.
    """
    same = sorted(spelling for spelling in known if folded(spelling) == folded(alias))
    return alias if alias in same else next(iter(same), None)


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """The properties of a version that never change.

    Attributes:
        version_id: Id in the catalog.
        digest: SHA-256 of the artifact.
    """

    version_id: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class VersionRef:
    """A model or one of its versions: ``classifier``, ``classifier@3``, ``classifier@production~1``.

    ``VersionRef.parse(str(ref)) == ref``. ``classifier:3`` and MLflow's ``models:/classifier/3`` are accepted on input.
    ``classifier/3`` is parsed as a name, since only a catalog can tell that no such model exists.

    Attributes:
        selector: Selector of the version; None for the model itself.
        exact: Whether the name is literal, so that ``classifier/3`` never means ``classifier@3``.
        known: The version that the reference was made from; it names that version only, also after a rename.
    """

    name: ModelName
    selector: Selector | None = None
    exact: bool = field(default=False, compare=False)
    known: KnownVersion | None = field(default=None, compare=False)

    @classmethod
    def parse(cls, text: str) -> VersionRef:
        """Return the reference of a text.

        Raises:
            BadInput: The text is not a valid reference.
        """
        if text.startswith("models:/"):
            return cls._parse_mlflow(text)
        name, at, selector = text.partition("@")
        if not at:
            colon, _, rest = text.partition(":")
            if rest:
                name, at, selector = colon, ":", rest
        before, tilde, steps = name.partition("~")
        if not at and _NAME.fullmatch(before) and re.fullmatch(r"[1-9][0-9]{0,6}", steps):
            raise BadInput(
                f"invalid reference {quoted(text)}: {tilde}{steps} follows a selector",
                hint=f"write {before}@latest~{steps} or {before}@production~{steps}",
            )
        if not name and text:
            raise BadInput(f"invalid reference {quoted(text)}: it has no model name", hint=_REFERENCE_HINT)
        return cls(ModelName(name), Selector.parse(selector) if at else None)

    @classmethod
    def _parse_mlflow(cls, text: str) -> VersionRef:
        path = text.removeprefix("models:/").lstrip("/")
        name, between, selector = path.partition("@") if "@" in path else path.rpartition("/")
        if not between:
            raise BadInput(f"invalid reference {quoted(text)}: it has no version", hint=_REFERENCE_HINT)
        if _NAME.fullmatch(name) or not name or "/" in name:
            return cls(ModelName(name), Selector.parse(selector))
        from mreg.domain.mlflow_names import from_mlflow_name

        return cls(from_mlflow_name(name), Selector.parse(selector))

    @property
    def number(self) -> int | None:
        """The version number, or None if the reference names the version by something else."""
        selector = self.selector
        return int(selector.value) if selector and selector.kind is SelectorKind.NUMBER and not selector.back else None

    def split_last_part(self) -> VersionRef | None:
        """Return this name read as ``model/selector``, for a name that no model has; None if that is impossible."""
        name, slash, selector = self.name.value.rpartition("/")
        if self.exact or self.selector is not None or not slash:
            return None
        try:
            return VersionRef(ModelName(name), Selector.parse(selector))
        except BadInput:
            return None

    def __str__(self) -> str:
        return f"{self.name}@{self.selector}" if self.selector else str(self.name)

    def __repr__(self) -> str:
        return short_repr(self, self)
