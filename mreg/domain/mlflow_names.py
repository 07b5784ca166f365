"""Names of MLflow as names of mreg and back, and the tags that hold MLflow's fields of a version.

MLflow allows almost any character in a name except ``/`` and ``:``; mreg allows ASCII letters, digits, ``.``, ``_`` and
``-``, with ``/`` between parts. Other characters are escaped as in SQL/XML, by their code point in hexadecimal digits,
and ``/`` is written ``%2F`` in MLflow::

    MLflow              mreg
    Churn model         Churn_x20_model
    _churn              x5F_churn           at the start without the first underscore
    a_x20_b             a_x5F_x20_b         an underscore that would begin an escape
    team%2Fchurn        team/churn
    %a_x61_b            a_x61_b             an escape that mreg would not write: the whole name is literal

Both directions are total and inverse to each other: every model of mreg has one name in MLflow, and no two have the
same. Only a name of MLflow with a control character or with more than 128 characters in mreg is refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from mreg.domain.names import ALIAS_LIMIT, NAME_LIMIT, ModelName, check_alias
from mreg.domain.text import VALUE_LIMIT, quoted
from mreg.errors import BadInput

SOURCE_TAG = "mlflow.source"
"""Tag of a version with the address of the bytes that were registered, without credentials."""

RUN_LINK_TAG = "mlflow.run_link"
"""Tag of a version with the link to its run."""

MODEL_ID_TAG = "mlflow.model_id"
"""Tag of a version with the id of the logged model that was registered."""

FIELD_TAGS = (SOURCE_TAG, RUN_LINK_TAG, MODEL_ID_TAG)
"""Tags that are fields of a version in MLflow, not tags."""

PROMPT_TAG = "mlflow.prompt.is_prompt"
PROMPT_TEXT_TAG = "mlflow.prompt.text"
PROMPT_TYPE_TAG = "_mlflow_prompt_type"
"""Tags by which MLflow stores a prompt as a model."""

_LONGEST = 1_000
"""Maximum length of a name that is looked at, in characters."""

_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_LETTERS_AND_DIGITS = _LETTERS | frozenset("0123456789")
_PLAIN = _LETTERS_AND_DIGITS | frozenset("._-")
_SLASH = "%2F"
_PIECES = re.compile(f"{_SLASH}|.", re.DOTALL)
_QUERY = re.compile(r"[?#].*", re.DOTALL)
_ESCAPE = re.compile(r"_x([0-9A-F]{2,6})_")
_FIRST_ESCAPE = re.compile(r"x([0-9A-F]{2,6})_")


def from_mlflow_name(name: str) -> ModelName:
    """Return the name of a model in mreg; ``to_mlflow_name(from_mlflow_name(name)) == name``.

    Raises:
        BadInput: MLflow does not allow the name, it has a control character, or it is too long.
    """
    if not name.strip() or name in (".", "..") or "/" in name or ":" in name:
        raise BadInput(f"invalid name of a model in MLflow: {quoted(name)}", hint="use a name without '/' and ':'")
    return ModelName(_from_mlflow(name, _NAMES))


def to_mlflow_name(name: ModelName) -> str:
    """Return the name of a model in MLflow; ``from_mlflow_name(to_mlflow_name(name)) == name``."""
    return _to_mlflow(name.value, _NAMES)


def from_mlflow_alias(alias: str) -> str:
    """Return the alias in mreg; ``to_mlflow_alias(from_mlflow_alias(alias)) == alias``.

    Raises:
        BadInput: The alias has another meaning in mreg, such as a stage; or it is empty, has a control character, or is
            too long.
    """
    return check_alias(_from_mlflow(alias, _ALIASES) if alias else alias)


def to_mlflow_alias(alias: str) -> str:
    """Return the alias in MLflow; ``from_mlflow_alias(to_mlflow_alias(alias)) == alias``."""
    return _to_mlflow(alias, _ALIASES)


def original_name(name: ModelName) -> str:
    """Return the name of a model in MLflow if it has characters that mreg does not allow, otherwise an empty text."""
    shown = to_mlflow_name(name)
    return "" if shown.startswith("%") or shown.replace(_SLASH, "/") == name.value else shown


def source_text(source: str) -> str:
    """Return the address of a source without password, parameters and fragment, for the catalog.

    The parameters of a presigned URL grant access to an object. A user without a password is a container or an account;
    ``SCOPE:PREFIX@databricks`` names a profile.
    """
    scheme, colon, rest = source.partition("://")
    if not colon or scheme.lower() in ("file", "mreg"):
        return source
    place, slash, path = _QUERY.sub("", rest).partition("/")
    user, at, host = place.rpartition("@")
    if ":" in user and host != "databricks":
        user, at = "", ""
    return f"{scheme}://{user}{at}{host}{slash}{path}"


def prompt_text(tags: dict[str, str]) -> tuple[str, str]:
    """Return the name and the content of the file that is the artifact of a version of a prompt.

    Args:
        tags: The tags of the version in MLflow, which hold the prompt.
    """
    return "prompt.json" if tags.get(PROMPT_TYPE_TAG) == "chat" else "prompt.txt", tags.get(PROMPT_TEXT_TAG, "")


def stored_prompt_tags(tags: dict[str, str]) -> dict[str, str]:
    """Return the tags of a version of a prompt without the text, if that is too long for a tag of mreg.

    The artifact has the text in any case; see `prompt_text`.
    """
    return {key: value for key, value in tags.items() if key != PROMPT_TEXT_TAG or len(value) <= VALUE_LIMIT}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """A kind of names: of models, or aliases.

    Attributes:
        first: Characters that can be the first.
        check: Returns a name of mreg if it is valid, and raises `BadInput` otherwise.
        from_mlflow: Returns the name in mreg of a name in MLflow.
    """

    what: str
    first: frozenset[str]
    limit: int
    check: Callable[[str], str]
    from_mlflow: Callable[[str], str]


_NAMES = _Kind(
    what="name",
    first=_LETTERS_AND_DIGITS,
    limit=NAME_LIMIT,
    check=lambda text: ModelName(text).value,
    from_mlflow=lambda text: from_mlflow_name(text).value,
)
_ALIASES = _Kind(
    what="alias", first=_LETTERS, limit=ALIAS_LIMIT, check=check_alias, from_mlflow=lambda text: from_mlflow_alias(text)
)


def _from_mlflow(text: str, kind: _Kind) -> str:
    if len(text) > _LONGEST:
        raise BadInput(f"the {kind.what} {quoted(text)} has {len(text)} characters; the limit is {kind.limit}")
    for char in text:
        if not char.isprintable() and unicodedata.category(char) != "Zs":
            raise BadInput(
                f"invalid {kind.what} {quoted(text)}: it has a character that cannot be printed",
                hint=f"rename it in MLflow, or use another {kind.what}",
            )
    if text.startswith("%"):
        literal = text[1:].replace(_SLASH, "/")
        try:
            if _to_mlflow(kind.check(literal), kind) == text:
                return literal
        except BadInput:
            pass  # not the name of a model in mreg
    escaped = _escaped(text, kind.first)
    if len(escaped) > kind.limit:
        raise BadInput(
            f"the {kind.what} {quoted(text)} is too long: {quoted(escaped)} has {len(escaped)} characters; "
            f"the limit is {kind.limit}",
            hint="use fewer characters other than ASCII letters, digits, '.', '_' and '-', which are escaped",
        )
    return escaped


def _to_mlflow(text: str, kind: _Kind) -> str:
    if "_x" not in text and "/" not in text and not text.startswith("x"):
        return text
    slashes = text.replace("/", _SLASH)
    try:
        plain = _unescaped(slashes)
        if kind.from_mlflow(plain) == text:
            return plain
    except (BadInput, ValueError, OverflowError):
        pass
    return f"%{slashes}"


def _escaped(text: str, first: frozenset[str]) -> str:
    """Return the text with the characters escaped that are invalid at their position.

    Args:
        first: Characters that can be the first.
    """
    pieces: list[str] = _PIECES.findall(text)
    done = ""  # what follows, which decides whether an underscore would begin an escape
    for place in range(len(pieces) - 1, -1, -1):
        piece = pieces[place]
        after_slash = place > 0 and pieces[place - 1] == _SLASH
        if piece == _SLASH:
            between = place > 0 and not after_slash and done and not done.startswith("/")
            done = f"/{done}" if between else f"{_escape('%', place)}2F{done}"
        elif (
            piece not in _PLAIN
            or (place == 0 and (piece not in first or (piece == "x" and _FIRST_ESCAPE.match(f"x{done}"))))
            or (piece == "_" and _FIRST_ESCAPE.match(done))
            or (piece == "." and after_slash and done.partition("/")[0] in ("", "."))
        ):
            done = f"{_escape(piece, place)}{done}"
        else:
            done = f"{piece}{done}"
    return done


def _escape(char: str, place: int) -> str:
    return f"{'_' if place else ''}x{ord(char):02X}_"


def _unescaped(text: str) -> str:
    start = _FIRST_ESCAPE.match(text)
    head, rest = (_char(start), text[start.end() :]) if start else ("", text)
    return head + _ESCAPE.sub(_char, rest)


def _char(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16))
