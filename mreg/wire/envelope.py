"""The envelope: the JSON of a result for mreg's own client, with all that a local registry would have told its caller.

Other clients get the result alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, cast

from mreg.domain.text import Caution
from mreg.errors import BadInput
from mreg.wire import decode, encode, form_of

if TYPE_CHECKING:
    from mreg.domain.events import Event
    from mreg.results.changes import StageChange
    from mreg.results.deployments import DeploymentReport


class Notice(TypedDict):
    """A note for the user."""

    text: Annotated[str, "text"]
    caution: Annotated[bool, "whether it is shown with `--quiet`, too"]


class Envelope(TypedDict):
    """A result with the notices, events and hook runs of the operation."""

    result: Annotated[Any, "JSON form of the result"]
    more: Annotated[bool, "whether the list has items after these"]
    rest: Annotated[dict[str, Any] | None, "fields of the result that its JSON form lacks, or null"]
    notices: Annotated[list[Notice], "notes for the user, in order"]
    events: Annotated[list[dict[str, Any]], "events that the operation recorded: see Event"]
    deployments: Annotated[list[dict[str, Any]], "hooks that it ran: see Deployment"]
    rollbacks: Annotated[
        list[dict[str, Any]], "rollbacks after failed hooks: `change` (see StageChange) and its `rest`"
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A decoded envelope; the result is still JSON, since only the caller knows its type.

    Attributes:
        result: JSON form of the result.
        more: Whether the list has items after these.
        rest: Fields of the result that its JSON form lacks.
        notices: Notes for the user; a `Caution` is shown with ``--quiet``, too.
        events: Events that the operation recorded.
        deployments: Hooks that it ran.
        rollbacks: Rollbacks after failed hooks.
        size: Number of values and keys in the JSON, as the client estimates it.
    """

    result: Any
    more: bool = False
    rest: Any = None
    notices: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()
    deployments: tuple[DeploymentReport, ...] = ()
    rollbacks: tuple[StageChange, ...] = ()
    size: int = 0


def encode_notices(notices: Iterable[str]) -> list[Notice]:
    """Return the JSON of notes for the user."""
    return [{"text": str(notice), "caution": isinstance(notice, Caution)} for notice in notices]


def decode_notices(shape: Any) -> tuple[str, ...]:
    """Return the notes of a JSON form.

    Raises:
        BadInput: The JSON is not a list of notices.
    """
    if not isinstance(shape, list) or not all(
        isinstance(item, dict) and isinstance(item.get("text"), str) for item in shape
    ):
        raise BadInput("invalid JSON of notices")
    return tuple(Caution(item["text"]) if item.get("caution") is True else item["text"] for item in shape)


def encode_rest(value: object) -> dict[str, Any] | None:
    """Return the fields of a result that its JSON form lacks, None if it lacks none."""
    if value is None or isinstance(value, (tuple, list, str, int, float, dict)):
        return None
    form = form_of(type(value))
    return form.encode_rest(value) if form.encode_rest is not None else None


def encode_envelope(
    result: Any,
    *,
    more: bool = False,
    rest: dict[str, Any] | None = None,
    notices: Iterable[str] = (),
    events: Iterable[Event] = (),
    deployments: Iterable[DeploymentReport] = (),
    rollbacks: Iterable[StageChange] = (),
) -> Envelope:
    """Return the envelope of a result that is JSON already."""
    return {
        "result": result,
        "more": more,
        "rest": rest,
        "notices": encode_notices(notices),
        "events": encode(tuple(events)),
        "deployments": encode(tuple(deployments)),
        "rollbacks": [{"change": encode(change), "rest": encode_rest(change)} for change in rollbacks],
    }


def open_envelope(shape: Any, size: int = 0) -> Opened:
    """Return the decoded envelope; keys that this release does not know are ignored.

    Args:
        size: Number of values and keys in the JSON.

    Raises:
        BadInput: The JSON is not a valid envelope.
    """
    if not isinstance(shape, dict) or "result" not in shape:
        raise BadInput("invalid JSON of an envelope: it has no result")
    return Opened(
        result=shape["result"],
        more=shape.get("more") is True,
        rest=shape.get("rest"),
        notices=decode_notices(shape.get("notices", [])),
        events=_decode_events(_list(shape, "events")),
        deployments=_decode_deployments(_list(shape, "deployments")),
        rollbacks=tuple(_decode_rollback(item) for item in _list(shape, "rollbacks")),
        size=size,
    )


def add_rest(value: Any, rest: Any) -> Any:
    """Return a decoded result with the fields that `encode_rest` returned.

    Raises:
        BadInput: The JSON of the fields is invalid.
    """
    form = form_of(type(value))
    if form.add_rest is None or rest is None:
        return value
    try:
        return form.add_rest(value, rest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"invalid JSON of {type(value).__name__}: {type(error).__name__}: {error}") from error


def state_digest(value: object) -> str:
    """Return the digest of a result, which tells a server that the state is still the one that a client saw."""
    import hashlib
    import json

    document = [encode(value), encode_rest(value)]
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _list(shape: Any, key: str) -> list[Any]:
    found = shape.get(key, [])
    if not isinstance(found, list):
        raise BadInput(f"invalid JSON of an envelope: {key} is not a list")
    return found


def _decode_events(shapes: list[Any]) -> tuple[Event, ...]:
    if not shapes:  # of most operations, whose clients do not need the module
        return ()
    from mreg.domain.events import Event

    return tuple(decode(Event, shape) for shape in shapes)


def _decode_deployments(shapes: list[Any]) -> tuple[DeploymentReport, ...]:
    if not shapes:
        return ()
    from mreg.results.deployments import DeploymentReport

    return tuple(decode(DeploymentReport, shape) for shape in shapes)


def _decode_rollback(shape: Any) -> StageChange:
    if not isinstance(shape, dict):
        raise BadInput("invalid JSON of a rollback")
    from mreg.results.changes import StageChange

    return cast("StageChange", add_rest(decode(StageChange, shape.get("change")), shape.get("rest")))
