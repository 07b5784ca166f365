"""The terms that `mreg serve` and its client share: the media type of the envelope, headers, and the API version."""

from __future__ import annotations

from typing import Annotated, TypedDict

MEDIA_TYPE = "application/vnd.mreg+json"
"""Media type of an envelope; a client that accepts it also gets problems with the hints of the command line."""

API_HEADER = "Mreg-Api"
"""Header with the API version of the server, in every answer, and of the client, in every request of mreg."""

API = 1
"""API version of this release.

It grows by one in a release that adds a route, a parameter or a key of a body which mreg's own client uses.
"""

OLDEST_API = 1
"""Lowest API version of a client that this release serves, and of a server that this release can use."""

DIRECT_BYTES = 8 << 20
"""Smallest size of a blob that is transferred by presigned URLs; for a smaller one, they only add requests."""


class ServerVersion(TypedDict):
    """The release of a server and its API versions."""

    version: Annotated[str, "release of mreg"]
    api: Annotated[int, "API version of the server"]
    oldest_api: Annotated[int, "lowest API version of a client that the server serves"]


DOCUMENT_BYTES = 40_000_000
"""Maximum size of an answer in JSON, and of an event with a result, which the client has to hold.

The largest version, in letters of three bytes, has 33 MB. Long lists are paged.
"""
