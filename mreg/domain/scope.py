"""The models that a client of a server may see and change."""

from __future__ import annotations

from dataclasses import dataclass

from mreg.domain.names import NAME_LIMIT, ModelName
from mreg.domain.text import counted, quoted, shell_word
from mreg.errors import BadInput, OutsideScope

PATTERNS_LIMIT = 100
"""Maximum number of patterns of a scope."""

_HINT = "write a model name with '*' for any characters and '?' for one, such as 'team-a/*'"


@dataclass(frozen=True, slots=True)
class ModelScope:
    """The models whose whole names match at least one pattern; without patterns all models.

    ``*`` matches any number of characters, also none, and ``?`` one character; both match ``/``, so that ``team-a/*``
    covers ``team-a/vision/churn`` but not ``team-a``. Patterns are case-sensitive, as names are.
    ``ModelScope.parse(str(scope)) == scope`` for a scope with patterns.

    Raises:
        BadInput: A pattern is invalid, or there are too many.
    """

    patterns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        given: object = self.patterns
        if isinstance(given, str):
            raise BadInput(
                "the patterns of a scope are a text: expected a list of texts", hint="ModelScope.parse(TEXT)"
            )
        checked = tuple(dict.fromkeys(map(check_pattern, self.patterns)))
        if len(checked) > PATTERNS_LIMIT:
            raise BadInput(f"too many model patterns: {len(checked)}; the limit is {PATTERNS_LIMIT}")
        object.__setattr__(self, "patterns", checked)

    @classmethod
    def parse(cls, text: str) -> ModelScope:
        """Return the scope of patterns that are separated by commas.

        Raises:
            BadInput: The text is empty, or a pattern is invalid; an empty text never means all models.
        """
        return cls(tuple(text.split(",")))

    @property
    def limited(self) -> bool:
        """Whether there can be models outside the scope; the pattern ``*`` covers all of them."""
        return bool(self.patterns) and "*" not in self.patterns

    def allows(self, name: ModelName | str) -> bool:
        """Return whether a model is within the scope; the empty name of catalog-wide events needs an unlimited one."""
        if not self.limited:
            return True
        from fnmatch import fnmatchcase

        text = str(name)
        return bool(text) and any(fnmatchcase(text, pattern) for pattern in self.patterns)

    def check_name(self, name: ModelName, verb: str) -> None:
        """Check that a name can be given to a model; no model is looked up, so that the answer tells nothing about one.

        Raises:
            OutsideScope: The name is outside the scope.
        """
        if not self.allows(name):
            raise OutsideScope(
                f"cannot {verb} {name}: you are limited to the models {', '.join(self.patterns)}",
                hint=f"choose a name that matches {' or '.join(self.patterns)}",
                models=list(self.patterns),
            )

    def check_unlimited(self, action: str, for_a_model: str = "") -> None:
        """Check that an action on all models is allowed.

        Args:
            for_a_model: The command that does the same for the model ``NAME`` (default: there is none).

        Raises:
            OutsideScope: The scope is limited.
        """
        if self.limited:
            hint = "use a token for all models"
            if for_a_model:
                name = self.patterns[0].replace("*", "NAME").replace("?", "X")
                hint = f"for one model: {for_a_model.replace('NAME', shell_word(name))}\nor {hint}"
            raise OutsideScope(
                f"cannot {action}: you are limited to the models {', '.join(self.patterns)}",
                hint=hint,
                models=list(self.patterns),
            )

    def __str__(self) -> str:
        return ",".join(self.patterns)


def check_pattern(pattern: str) -> str:
    """Return a pattern of model names in its shortest form: ``**`` is ``*``.

    Raises:
        BadInput: The pattern is empty, too long, or cannot match the name of a model.
    """
    if not pattern:
        raise BadInput("the model pattern is empty", hint=_HINT)
    if len(pattern) > NAME_LIMIT:
        raise BadInput(
            f"the model pattern {quoted(pattern)} has {counted(len(pattern), 'character')}; the limit is {NAME_LIMIT}"
        )
    while "**" in pattern:
        pattern = pattern.replace("**", "*")
    try:
        ModelName(pattern.replace("*", "x").replace("?", "x"))  # the pattern matches at least this name
    except BadInput:
        raise BadInput(f"invalid model pattern {quoted(pattern)}", hint=_HINT) from None
    return pattern


EVERYTHING = ModelScope()
"""The scope of all models."""
