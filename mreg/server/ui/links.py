"""Addresses: those of pages and of the API, made in one place, and which stored addresses may be followed."""

from __future__ import annotations

from urllib.parse import quote, urlencode, urlsplit

FOLLOWED = ("http", "https")
"""What a stored address may begin with to be a link; of any other the browser might run or open something."""


def link(*parts: object, **query: object) -> str:
    """The address of a page: ``link("models", "team/classifier")`` is ``/ui/models/team%2Fclassifier``.

    A part stays one part, whatever it holds. A query's values that are None or empty are left out.
    """
    return _address(("ui", *parts), query)


def api(*parts: object, **query: object) -> str:
    """The address of something in the API, likewise."""
    return _address(parts, query)


def outside(address: str) -> str:
    """The address itself, if a page may link to it; else empty."""
    if not address.isprintable() or " " in address:
        return ""
    try:
        split = urlsplit(address)
        known = split.scheme.lower() in FOLLOWED and bool(split.hostname)
    except ValueError:
        return ""
    return address if known else ""


def _address(parts: tuple[object, ...], query: dict[str, object]) -> str:
    path = "/" + "/".join(quote(str(part), safe="") for part in parts)
    asked = urlencode([(name, str(value)) for name, value in query.items() if value not in (None, "")])
    return f"{path}?{asked}" if asked else path
