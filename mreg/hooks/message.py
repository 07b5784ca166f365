"""The message that a hook receives and the outcome of its run, the same for commands and webhooks."""

from __future__ import annotations

import json
from dataclasses import dataclass

from mreg.domain.events import time_text
from mreg.domain.hook import Deployment
from mreg.wire.history import encode_event

OUTPUT_BYTES = 8_192
"""Bytes of a hook's output that are kept: the last ones of a command, the first ones of a webhook's response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of running a hook.

    Attributes:
        code: Exit status or HTTP status; None if there was none.
        output: The kept part of the output, and the reason of a failure that the output does not state.
    """

    succeeded: bool
    code: int | None
    output: str


def message(deployment: Deployment) -> bytes:
    """Return the event as JSON, with the keys ``type``, ``timestamp`` and ``data`` of Standard Webhooks.

    Every attempt of a deployment gets the same bytes.
    """
    event = deployment.event
    document = {
        "type": event.action,
        "timestamp": time_text(event.at),
        "data": {
            "id": deployment.key,
            "hook": deployment.hook,
            "model": event.model,
            "version": event.version,
            "reference": event.reference,
            "stage": deployment.stage or None,
            "event": encode_event(event),
        },
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
