"""The settings of an object store in a profile."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Connection settings of a store; an empty value means the provider's own configuration or the default.

    Attributes:
        endpoint_url: Address of the store.
        region: Region of the bucket.
        aws_profile: Profile in ~/.aws.
        addressing_style: How requests name the bucket: path, virtual or auto.
    """

    endpoint_url: str = ""
    region: str = ""
    aws_profile: str = ""
    addressing_style: str = ""
