"""The small language in which versions are searched: ``metrics.accuracy > 0.9 and tags.team = 'fraud'``.

Grammar, case-insensitive words, strings in single or double quotes::

    any      = every { "or" every }
    every    = test { "and" test }
    test     = "not" test | "(" any ")" | field compare
    compare  = ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) literal
             | ["not"] "like" string            with % for any text and _ for one character
             | ["not"] "in" "(" literal { "," literal } ")"
             | "is" ["not"] "null"
    field    = "metrics" "." key | "params" "." key | "tags" "." key | a name of FIELDS
    key      = letters, digits, "_", "/", "." | string
    literal  = number | string | word

A comparison with something that a version does not have is false, and so is its negation by ``!=``; ``is null`` asks
for that. `mreg.domain.parsing` reads it; errors point at the character.

The gates of a policy are written in the same language, where a field that is none of the others is a metric
(``accuracy >= 0.9``) and a metric may be held against that of the version in a stage or under an alias::

    literal  = ... | place "." key [ "*" number ] [ ( "+" | "-" ) number ]      production.accuracy - 0.005
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mreg.domain.metrics import MetricValue


class FieldKind(Enum):
    """What a field of a version holds, and so what it may be compared with."""

    TEXT = "text"
    NUMBER = "number"
    TIME = "time"
    STAGE = "stage"
    STATUS = "status"


FIELDS: dict[str, FieldKind] = {
    "name": FieldKind.TEXT,
    "version": FieldKind.NUMBER,
    "stage": FieldKind.STAGE,
    "status": FieldKind.STATUS,
    "description": FieldKind.TEXT,
    "alias": FieldKind.TEXT,
    "run_id": FieldKind.TEXT,
    "experiment_id": FieldKind.TEXT,
    "format": FieldKind.TEXT,
    "size_bytes": FieldKind.NUMBER,
    "checksum": FieldKind.TEXT,
    "git_commit": FieldKind.TEXT,
    "git_branch": FieldKind.TEXT,
    "created_by": FieldKind.TEXT,
    "created_at": FieldKind.TIME,
    "updated_at": FieldKind.TIME,
    "deployed_at": FieldKind.TIME,
}
"""Fields of every version; metrics, params and tags have keys beside."""

GROUPS = {
    "metrics": "metrics",
    "metric": "metrics",
    "params": "params",
    "parameters": "params",
    "param": "params",
    "parameter": "params",
    "tags": "tags",
    "tag": "tags",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a version: ``group`` is metrics, params or tags with a ``key``, or empty with a name of `FIELDS`."""

    group: str
    key: str

    @property
    def kind(self) -> FieldKind:
        """What it holds; parameters and tags are text, whatever they look like."""
        if self.group:
            return FieldKind.NUMBER if self.group == "metrics" else FieldKind.TEXT
        return FIELDS[self.key]

    def __str__(self) -> str:
        return f"{self.group}.{self.key}" if self.group else self.key


@dataclass(frozen=True, slots=True)
class Relative:
    """A metric of the version that is in a stage or under an alias now, times a factor and plus an offset.

    Attributes:
        place: A stage's value, or an alias.
    """

    place: str
    metric: str
    factor: MetricValue = 1
    offset: MetricValue = 0

    def __str__(self) -> str:
        text = f"{self.place.lower()}.{self.metric}"
        if self.factor != 1:
            text += f" * {self.factor}"
        if self.offset:
            text += f" {'-' if self.offset < 0 else '+'} {abs(self.offset)}"
        return text


Literal = MetricValue | str | Relative


@dataclass(frozen=True, slots=True)
class Compare:
    """``field operator value``: ``= != < <= > >=``, ``like`` with one text, ``in`` with one or several values."""

    field: Field
    operator: str
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """``field is null``."""

    field: Field


@dataclass(frozen=True, slots=True)
class Not:
    """Negation."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class And:
    """All of them."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of them."""

    operands: tuple[Expression, ...]


Expression = Compare | Missing | Not | And | Or


@dataclass(frozen=True, slots=True)
class Sort:
    """By which field, and whether from the largest down; versions that lack the field come last either way."""

    field: Field
    descending: bool = False


def metrics_of(where: Expression) -> tuple[str, ...]:
    """The metrics that an expression asks for, each once."""
    if isinstance(where, (And, Or)):
        return tuple(dict.fromkeys(name for one in where.operands for name in metrics_of(one)))
    if isinstance(where, Not):
        return metrics_of(where.operand)
    own = (where.field.key,) if where.field.group == "metrics" else ()
    against = where.values if isinstance(where, Compare) else ()
    return tuple(dict.fromkeys((*own, *(value.metric for value in against if isinstance(value, Relative)))))
