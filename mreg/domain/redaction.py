"""Error texts of other programs, made safe to quote in a message."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mreg.domain.text import printable

LONGEST = 300
"""Maximum length of a foreign text in a message, in characters."""

_READ = 4_000
"""Number of characters of a foreign text that are processed."""

HIDDEN = "***"

_SECRETS = (
    # The user, password and parameters of a URL; the parameters of a presigned URL grant access to an object.
    (re.compile(r"([a-z][a-z0-9+.-]{0,20}://)[^\s/?#\"'<>]{0,300}@", re.IGNORECASE), rf"\1{HIDDEN}@"),
    (re.compile(r"([a-z][a-z0-9+.-]{0,20}://[^\s?#\"'<>]{1,1000})[?#][^\s\"'<>]+", re.IGNORECASE), rf"\1?{HIDDEN}"),
    (re.compile(r"\b(bearer|basic|AWS4-HMAC-SHA256|SharedKey(?:Lite)?)\s+\S.*", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (
        re.compile(
            r"([\w-]{0,40}(?:signature|secret|token|passw(?:or)?d|pwd|credential|authorization|access[_-]?key|account[_-]?key|api[_-]?key|cookie)"
            r"[\w-]{0,40}[\"']?\s?[=:]\s?)(?:\"[^\"]*\"?|'[^']*'?|[^\s,;&<>]+)",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"\b(sig=)[^\s&\"'<>]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{8,}\b"), HIDDEN),
    (re.compile(r"\beyJ[\w-]{10,}(?:\.[\w-]*)*"), HIDDEN),
    (re.compile(r"\b[0-9a-f]{40,}\b", re.IGNORECASE), HIDDEN),
    (
        re.compile(r"(?<![A-Za-z0-9+/=])(?=[A-Za-z+/]{0,60}[0-9])(?=[A-Z0-9+/]{0,60}[a-z])[A-Za-z0-9+/]{40,}={0,2}"),
        HIDDEN,
    ),
)
"""Patterns of secrets: credentials, signatures, tokens and presigned URLs."""


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a foreign text as one printable line without secrets; empty for an empty text.

    Args:
        text: The foreign text. It can be hostile: only its first characters are processed.
        secrets: Values to hide in addition to everything that looks like a secret.
    """
    # Drop the last, incomplete word: half of a secret matches no pattern.
    line = " ".join((text if len(text) <= _READ else text[:_READ].rpartition(" ")[0]).split())
    for secret in secrets:
        if len(secret) > 3:
            line = line.replace(secret, HIDDEN)
    for pattern, hidden in _SECRETS:
        line = pattern.sub(hidden, line)
    line = printable(line).strip().rstrip(".")
    return line if len(line) <= LONGEST else f"{line[:LONGEST].rstrip()} ..."


def attributed(speaker: str, text: str, secrets: Iterable[str] = ()) -> str:
    """Return ``; SPEAKER says: TEXT`` for the end of a message; empty for an empty text."""
    line = redacted(text, secrets)
    return f"; {speaker} says: {line}" if line else ""
