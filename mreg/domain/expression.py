"""The expression language of searches and gates: ``metrics.accuracy > 0.9 and tags.team = 'fraud'``.

Keywords are case-insensitive. Strings have single or double quotes; a doubled quote in a string stands for one. A name
that is not a field is a metric (``accuracy >= 0.9``). The grammar::

    any      = every { "or" every }
    every    = test { "and" test }
    test     = "not" test | "(" any ")" | field compare
    compare  = ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) literal
             | ["not"] "like" string            with % for any text and _ for one character
             | ["not"] "in" "(" literal { "," literal } ")"
             | "is" ["not"] "null"
    field    = "metrics" "." key | "params" "." key | "tags" "." key | a name of FIELDS | a metric
    key      = letters, digits, "_", "/", "." | string
    literal  = number | string | word

Every comparison of a missing value is false, also with ``!=``; ``is null`` tests for missing values.
`mreg.domain.parsing` is the parser; its errors point at the character.

In the gates of a policy, a metric can be compared with the same or another metric of the version in a stage or under an
alias::

    literal  = ... | place "." key [ "*" number ] [ ( "+" | "-" ) number ]      production.accuracy - 0.005
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mreg.domain.metrics import MetricValue


class FieldKind(Enum):
    """The type of a field of a version, and so of the values that it can be compared with."""

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
"""Fields of every version; metrics, params and tags have keys as well."""

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
    """A field of a version: a key of the group metrics, params or tags, or, with an empty group, a name of `FIELDS`."""

    group: str
    key: str

    @property
    def kind(self) -> FieldKind:
        """The type of the values; parameters and tags are always text."""
        if self.group:
            return FieldKind.NUMBER if self.group == "metrics" else FieldKind.TEXT
        return FIELDS[self.key]

    def __str__(self) -> str:
        return f"{self.group}.{self.key}" if self.group else self.key


@dataclass(frozen=True, slots=True)
class Relative:
    """A metric of the version that a stage or an alias names now, times a factor, plus an offset.

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
    """``field operator value``: ``= != < <= > >=``, ``like`` with one text, ``in`` with one or more values."""

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
    """Conjunction."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Disjunction."""

    operands: tuple[Expression, ...]


Expression = Compare | Missing | Not | And | Or


@dataclass(frozen=True, slots=True)
class Sort:
    """The order of search results; versions that lack the field come last in both directions."""

    field: Field
    descending: bool = False


def metrics_of(where: Expression) -> tuple[str, ...]:
    """Return the metrics that an expression names, each once."""
    if isinstance(where, (And, Or)):
        return tuple(dict.fromkeys(name for operand in where.operands for name in metrics_of(operand)))
    if isinstance(where, Not):
        return metrics_of(where.operand)
    own = (where.field.key,) if where.field.group == "metrics" else ()
    against = where.values if isinstance(where, Compare) else ()
    return tuple(dict.fromkeys((*own, *(value.metric for value in against if isinstance(value, Relative)))))
