"""URLs of pages and of the API, and the check of stored URLs."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

LINK_SCHEMES = ("http", "https")
"""URL schemes of stored URLs that become links; with other schemes, a browser could run code."""


@dataclass(frozen=True, slots=True)
class Links:
    """URLs of this server, as the client of a request reaches it.

    Attributes:
        prefix: Prefix of all paths: the ``root_path`` of the request.
    """

    prefix: str = ""

    def page(self, *parts: object, **query: object) -> str:
        """Return the URL of a page: ``page("models", "team/classifier")`` is ``/ui/models/team%2Fclassifier``.

        Each part becomes one path segment. None and empty values of the query are omitted.
        """
        return self.api("ui", *parts, **query)

    def api(self, *parts: object, **query: object) -> str:
        """Return the URL of a route of the API, as `page` does."""
        path = f"{self.prefix}/" + "/".join(quote(str(part), safe="") for part in parts)
        encoded = urlencode([(name, str(value)) for name, value in query.items() if value not in (None, "")])
        return f"{path}?{encoded}" if encoded else path


def external_link(address: str) -> str:
    """Return a stored URL if it is safe as a link, otherwise an empty string."""
    if not address.isprintable() or " " in address:
        return ""
    try:
        parts = urlsplit(address)
        allowed = parts.scheme.lower() in LINK_SCHEMES and bool(parts.hostname)
    except ValueError:
        return ""
    return address if allowed else ""
