"""The JSON of profiles."""

from __future__ import annotations

from typing import Annotated, TypedDict

from mreg.results import profiles as results
from mreg.wire import Form


class Profile(TypedDict):
    """A profile."""

    name: Annotated[str, "name of the profile"]
    server: Annotated[str | None, "URL of the server, or null"]
    catalog: Annotated[str | None, "path or URL, or null with a server"]
    artifacts: Annotated[str | None, "path or URL, or null with a server"]
    endpoint_url: Annotated[str | None, "address of the S3 store or Azure storage account, or null"]
    region: Annotated[str | None, "region of the bucket, or null"]
    aws_profile: Annotated[str | None, "profile of the AWS configuration, or null"]
    addressing_style: Annotated[str | None, "`auto`, `path` or `virtual`, or null"]
    cache: Annotated[str | None, "size or folder, or null"]
    model: Annotated[str | None, "model of a push without a name, or null"]
    existing_only: Annotated[bool, "whether a push refuses to register a new model"]
    user: Annotated[str | None, "user in the audit trail, or null"]
    origins: Annotated[
        dict[str, str], "origin of each value by key; of the `token` for a server, too, empty if there is none"
    ]


def _encode_profile(profile: results.Profile) -> Profile:
    return {
        "name": profile.name,
        "server": profile.server or None,
        "catalog": profile.catalog or None,
        "artifacts": profile.artifacts or None,
        "endpoint_url": profile.endpoint_url or None,
        "region": profile.region or None,
        "aws_profile": profile.aws_profile or None,
        "addressing_style": profile.addressing_style or None,
        "cache": profile.cache or None,
        "model": profile.model or None,
        "existing_only": bool(profile.existing_only),
        "user": profile.user or None,
        "origins": dict(profile.origins),
    }


def _decode_profile(shape: Profile) -> results.Profile:
    return results.Profile(
        name=shape["name"],
        server=shape.get("server") or "",
        catalog=shape["catalog"] or "",
        artifacts=shape["artifacts"] or "",
        endpoint_url=shape["endpoint_url"] or "",
        region=shape["region"] or "",
        aws_profile=shape["aws_profile"] or "",
        addressing_style=shape["addressing_style"] or "",
        cache=shape["cache"] or "",
        model=shape["model"] or "",
        existing_only="true" if shape["existing_only"] else "",
        user=shape["user"] or "",
        origins=shape["origins"],
    )


FORMS = (Form(results.Profile, Profile, _encode_profile, _decode_profile),)
