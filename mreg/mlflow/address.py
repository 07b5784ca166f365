"""Addresses of the scheme ``mreg``: of a registry (``mreg:``, ``mreg://PROFILE``), and of the files of a version.

The address of a version is ``mreg://NAME@SELECTOR/PATH``, with ``?profile=PROFILE`` unless the profile is the default.
MLflow splits it at a slash and passes the parts separately.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mreg.domain.names import VersionRef
from mreg.domain.paths import check_path
from mreg.domain.text import quoted
from mreg.errors import BadInput

_PROFILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_QUERY = re.compile(r"\?profile=([^/?#]*)")


def profile_in(registry_uri: str) -> str | None:
    """Return the profile that the address of a registry names; None for the default.

    Raises:
        BadInput: The address is invalid.
    """
    scheme, _, rest = registry_uri.partition(":")
    name = rest.removeprefix("//").removesuffix("/")
    if scheme.lower() != "mreg" or (rest and not rest.startswith("//")) or (name and not _PROFILE.fullmatch(name)):
        raise BadInput(f"invalid registry address {quoted(registry_uri)}", hint="use mreg: or mreg://PROFILE")
    return name or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A file or folder of a version.

    Attributes:
        profile: Name of the profile; None for the default.
        path: Path in the artifact; empty for the whole artifact.
    """

    profile: str | None
    reference: VersionRef
    path: str = ""

    @classmethod
    def parse(cls, uri: str, path: str = "") -> Address:
        """Return the address of a URI.

        Args:
            path: Path below the URI.

        Raises:
            BadInput: The address is invalid, or its path leads out of the version.
        """
        text = uri.partition("://")[2]
        query = _QUERY.search(text)
        profile = query[1] if query else None
        if query:
            text = text[: query.start()] + text[query.end() :]
        whole = "/".join(part for part in (text.strip("/"), path.strip("/") if path != "/" else "") if part)
        name, at, rest = whole.partition("@")
        selector, _, inner = rest.partition("/")
        if not at or "?" in selector or (profile is not None and not _PROFILE.fullmatch(profile)):
            raise BadInput(f"invalid address of a version {quoted(uri)}", hint="use mreg://NAME@VERSION/PATH")
        return cls(
            profile=profile,
            reference=VersionRef.parse(f"{name}@{selector}"),
            path=check_path(inner.rstrip("/")) if inner.rstrip("/") else "",
        )

    def __str__(self) -> str:
        query = f"?profile={self.profile}" if self.profile else ""
        return f"mreg://{self.reference}{f'/{self.path}' if self.path else ''}{query}"
