"""What a hook is told, the same for commands and webhooks."""

from __future__ import annotations

import json

from mreg.domain.events import time_text
from mreg.domain.hook import Deployment
from mreg.wire.history import encode_event


def message(deployment: Deployment) -> bytes:
    """The JSON of what happened, with ``type``, ``timestamp`` and ``data`` as Standard Webhooks has them.

    The same bytes for every try of a deployment.
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
            "reference": reference(deployment),
            "stage": deployment.stage or None,
            "event": encode_event(event),
        },
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def reference(deployment: Deployment) -> str:
    """The version or model that it is about, as a person writes it."""
    event = deployment.event
    return f"{event.model}@{event.version}" if event.version is not None else event.model
