"""The parser of search expressions and gates; `mreg.domain.expression` has the grammar."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mreg.domain.events import parse_time, read_time
from mreg.domain.expression import (
    FIELDS,
    GROUPS,
    And,
    Compare,
    Expression,
    Field,
    FieldKind,
    Literal,
    Missing,
    Not,
    Or,
    Relative,
    Sort,
)
from mreg.domain.metrics import MetricValue, known_metric, parse_metric
from mreg.domain.model import ModelStage, ModelStatus
from mreg.domain.names import check_alias
from mreg.domain.text import nearest, printable, quoted
from mreg.errors import BadInput

LENGTH_LIMIT = 4_000
GATE_LIMIT = 1_000
"""Maximum length of a gate in a new policy, in characters; a catalog of an older release can hold longer ones."""

DEPTH_LIMIT = 50


def parse(text: str) -> Expression | None:
    """Return the expression of a text, or None for an empty text, which matches every version.

    Raises:
        BadInput: The text is not a valid expression; the hint points at the character.
    """
    _check_length("search expression", text)
    return _Parser(text).whole() if text.strip() else None


def with_instants(text: str, instant: Callable[[str], str]) -> str:
    """Return a search expression with a zone added to each time that lacks one or names it by an abbreviation.

    Args:
        instant: Returns a time with its zone as an offset.

    Raises:
        BadInput: The expression cannot be parsed, or ``instant`` refuses a time.
    """
    _check_length("search expression", text)
    if not text.strip():
        return text
    parser = _Parser(text, any_time=True)
    parser.whole()
    for start, end, time in reversed(parser.times):
        if not _has_offset(time):
            try:
                text = f"{text[:start]}'{instant(time)}'{text[end:]}"
            except BadInput as error:
                raise parser.wrong(f"{error.message} ({error.hint})", start) from None
    if len(text) > LENGTH_LIMIT:
        raise BadInput(
            f"the search expression has {len(text)} characters after zones were added to its times; "
            f"the limit is {LENGTH_LIMIT}",
            hint="split it into several searches",
        )
    return text


def _has_offset(time: str) -> bool:
    try:
        return read_time(time).tzinfo is not None
    except BadInput:
        return False


def parse_gate(text: str) -> Expression:
    """Return the expression of a gate.

    Raises:
        BadInput: The text is not a valid gate; the hint points at the character.
    """
    _check_length("gate", text)
    if not text.strip():
        raise BadInput("a gate is empty", hint="write for example accuracy >= 0.9")
    return _Parser(text, gate=True).whole()


def _check_length(what: str, text: str) -> None:
    if len(text) > LENGTH_LIMIT:
        raise BadInput(f"the {what} has {len(text)} characters; the limit is {LENGTH_LIMIT}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadInput(f"the {what} is not valid Unicode text") from None


def parse_sort(text: str) -> Sort:
    """Return the order of a text such as ``created_at`` or ``-metrics.accuracy``.

    Raises:
        BadInput: The text does not name a field.
    """
    _check_length("order", text)
    parser = _Parser(text.removeprefix("-"))
    field = parser.field()
    parser.end()
    return Sort(field, text.startswith("-"))


_TOKEN = re.compile(
    r"\s*(?:(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_.:-]))"
    r"|(?P<string>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")"
    r"|(?P<word>[A-Za-z0-9_][A-Za-z0-9_./:-]*)"
    r"|(?P<sign><=|>=|!=|==|<>|[=<>(),.*+-]))"
)


def _unquoted(string: str) -> str:
    """Return the text of a string token; a quote that is doubled stands for itself."""
    return string[1:-1].replace(string[0] * 2, string[0])


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


class _Parser:
    """Recursive descent over the tokens of a text."""

    def __init__(self, text: str, *, gate: bool = False, any_time: bool = False) -> None:
        self.text = text
        self.gate = gate
        self.any_time = any_time
        """Times are not checked."""
        self.tokens = self._tokens()
        self.place = 0
        self.depth = 0
        self.times: list[tuple[int, int, str]] = []
        """Start and end of each time in the text, and the time without quotes."""

    def _tokens(self) -> Sequence[_Token]:
        tokens = []
        at = 0
        end = len(self.text.rstrip())
        while at < end:
            match = _TOKEN.match(self.text, at)
            if not match or not match.lastgroup:
                start = len(self.text) - len(self.text[at:].lstrip())
                if self.text[start] in "'\"":
                    raise self.wrong("unterminated string", start)
                raise self.wrong(f"unexpected {quoted(self.text[start])}", start)
            tokens.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
            at = match.end()
        tokens.append(_Token("end", "", len(self.text)))
        return tokens

    def wrong(self, what: str, at: int | None = None) -> BadInput:
        """Return an error that points at a character (default: that of the current token)."""
        place = self.tokens[self.place].at if at is None else at
        start = max(0, place - 40)
        shown = "".join(char if char.isprintable() else " " for char in self.text[start : place + 40])
        return BadInput(
            f"{printable(what)}, at character {place + 1} of the expression",
            hint=f"{shown}\n{' ' * (place - start)}^",
            position=place + 1,
        )

    def peek(self, *words: str) -> bool:
        token = self.tokens[self.place]
        return token.kind in ("word", "sign") and token.text.lower() in words

    def take(self, *words: str) -> bool:
        if self.peek(*words):
            self.place += 1
            return True
        return False

    def whole(self) -> Expression:
        expression = self.any()
        self.end()
        return expression

    def end(self) -> None:
        if self.tokens[self.place].kind != "end":
            raise self.wrong(f"expected 'and', 'or' or the end, got {quoted(self.tokens[self.place].text)}")

    def any(self) -> Expression:
        operands = [self.every()]
        while self.take("or"):
            operands.append(self.every())
        return operands[0] if len(operands) == 1 else Or(tuple(operands))

    def every(self) -> Expression:
        operands = [self.test()]
        while self.take("and"):
            operands.append(self.test())
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def test(self) -> Expression:
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise self.wrong(f"nested deeper than {DEPTH_LIMIT}")
        try:
            if self.take("not"):
                return Not(self.test())
            if self.take("("):
                inner = self.any()
                if not self.take(")"):
                    raise self.wrong("expected ')'")
                return inner
            return self.compare()
        finally:
            self.depth -= 1

    def field(self) -> Field:
        token = self.tokens[self.place]
        if token.kind != "word":
            raise self.wrong("expected a field such as metrics.accuracy, tags.team or stage")
        self.place += 1
        group, dot, key = token.text.partition(".")
        if group.lower() in GROUPS:
            following = self.tokens[self.place]
            if (not dot and self.take(".")) or (dot and not key):
                following = self.tokens[self.place]
                if following.kind != "string":
                    raise self.wrong(f"expected a key after {quoted(group + '.')}")
                self.place += 1
                key = _unquoted(following.text)
            if not key:
                raise self.wrong(f"{quoted(group)} needs a key, such as {group}.accuracy", token.at)
            group = GROUPS[group.lower()]
            return Field(group, known_metric(key) if group == "metrics" else key)
        name = {"model": "name", "digest": "checksum", "size": "size_bytes"}.get(token.text.lower(), token.text.lower())
        return Field("", name) if name in FIELDS else Field("metrics", known_metric(token.text))

    def compare(self) -> Expression:
        field = self.field()
        if self.take("is"):
            negated = self.take("not")
            if not self.take("null"):
                raise self.wrong("expected 'null'")
            return Not(Missing(field)) if negated else Missing(field)
        negated = self.take("not")
        if self.take("like"):
            if field.kind is FieldKind.NUMBER:
                raise self.wrong(
                    f"'like' compares text, and {printable(str(field))} is a number", self.tokens[self.place - 1].at
                )
            found: Expression = Compare(field, "like", (self.string(),))
        elif self.take("in"):
            found = Compare(field, "in", self.several(field))
        elif negated:
            raise self.wrong("expected 'like' or 'in' after 'not'")
        else:
            operator = self.tokens[self.place].text
            if not self.take("=", "==", "!=", "<>", "<", "<=", ">", ">="):
                raise self.wrong(f"expected a comparison after {printable(str(field))}, such as '=' or '>'")
            found = Compare(field, {"==": "=", "<>": "!="}.get(operator, operator), (self.literal(field),))
        return Not(found) if negated else found

    def several(self, field: Field) -> tuple[Literal, ...]:
        if not self.take("("):
            raise self.wrong("expected '(' after 'in'")
        first = self.place
        values = [self.literal(field)]
        while self.take(","):
            values.append(self.literal(field))
        if not self.take(")"):
            raise self.wrong("expected ',' or ')'")
        if any(isinstance(value, str) for value in values):
            # If one value of a parameter is a text, the numbers are compared as texts too.
            written = [token.text for token in self.tokens[first : self.place] if token.kind == "number"]
            return tuple(value if isinstance(value, str) else written.pop(0) for value in values)
        return tuple(values)

    def string(self) -> str:
        token = self.tokens[self.place]
        if token.kind != "string":
            raise self.wrong("expected a quoted string")
        self.place += 1
        return _unquoted(token.text)

    def literal(self, field: Field) -> Literal:
        token = self.tokens[self.place]
        if token.kind not in ("number", "string", "word"):
            raise self.wrong("expected a value")
        if self.gate and token.kind == "word" and field.kind is FieldKind.NUMBER and "." in token.text:
            return self.relative(token)
        text = _unquoted(token.text) if token.kind == "string" else token.text
        value = self._value(field, token, text)
        self.place += 1
        return value

    def relative(self, token: _Token) -> Relative:
        """Parse ``production.accuracy`` with an optional factor and offset."""
        self.place += 1
        place, _, metric = token.text.partition(".")
        if place.lower() in (stage.value.lower() for stage in ModelStage):
            place = ModelStage.parse(place).value
        else:
            try:
                check_alias(place)
            except BadInput:
                raise self.wrong(f"{quoted(place)} is neither a stage nor a valid alias", token.at) from None
        if not metric:
            raise self.wrong(f"{quoted(place + '.')} needs a metric, such as {place}.accuracy", token.at)
        factor: MetricValue = self.number() if self.take("*") else 1
        offset: MetricValue = 0
        if self.take("+"):
            offset = self.number()
        elif self.take("-"):
            offset = -self.number()
        elif self.tokens[self.place].kind == "number" and self.tokens[self.place].text[0] in "+-":
            offset = self.number()
        return Relative(place, known_metric(metric), factor, offset)

    def number(self) -> MetricValue:
        token = self.tokens[self.place]
        if token.kind != "number":
            raise self.wrong("expected a number")
        try:
            value = parse_metric("number", token.text)
        except BadInput:
            raise self.wrong(f"{quoted(token.text)} does not fit into a 64-bit float") from None
        self.place += 1
        return value

    def _value(self, field: Field, token: _Token, text: str) -> Literal:
        kind = field.kind
        if kind is FieldKind.NUMBER or (field.group == "params" and token.kind == "number"):
            if token.kind != "number":
                near = nearest(field.key, FIELDS, 1) if field.group == "metrics" else ()
                rest = f"; did you mean the field {near[0]}?" if near else ""
                raise self.wrong(
                    f"{printable(str(field))} is a number and cannot be compared with {quoted(text)}{rest}"
                )
            try:
                return parse_metric(str(field), text)
            except BadInput:
                raise self.wrong(f"{quoted(text)} does not fit into a 64-bit float") from None
        try:
            if kind is FieldKind.STAGE:
                return ModelStage.parse(text).value
            if kind is FieldKind.STATUS:
                return ModelStatus(text.lower()).value
            if kind is FieldKind.TIME:
                found = text if self.any_time else parse_time(text)
                self.times.append((token.at, token.at + len(token.text), text))
                return found
        except BadInput as error:
            raise self.wrong(f"{error.message} ({error.hint})") from None
        except ValueError:
            raise self.wrong(f"invalid status {quoted(text)}") from None
        return text
