"""The profile of a registry."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mreg.domain.hook import Hook

KEYS: dict[str, str] = {
    "catalog": "where the catalog is: a file, s3://bucket/prefix/catalog.db or postgresql://...",
    "artifacts": "where the artifacts are: a folder or s3://bucket/prefix",
    "endpoint_url": "address of an S3 store that is not AWS's",
    "region": "region of the bucket",
    "aws_profile": "profile of the AWS configuration whose credentials are used",
    "addressing_style": "auto, path or virtual",
    "cache": "cache of what is pulled from a bucket: a size such as 20GB, or a folder",
    "model": "the model of a push without a name",
    "user": "who acts, in the audit trail",
}
"""The keys of a profile."""

PROJECT_FILE = "mreg.yaml"
"""The name of a project file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The configuration of a registry; a value that is not set is an empty text.

    Attributes:
        name: The name of the profile.
        catalog: The absolute path of a file, or a URL.
        artifacts: The absolute path of a folder, or a URL.
        hooks: The hooks that changes trigger. Not part of the JSON form.
        adopts: Whether hooks also run for deployments that other processes left in the catalog. Not part of the JSON
            form.
        origins: The origin of each value, by key: ``flag``, ``MREG_CATALOG``, ``/x/mreg.yaml, line 3``, ``default``.
    """

    name: str
    catalog: str
    artifacts: str
    endpoint_url: str = ""
    region: str = ""
    aws_profile: str = ""
    addressing_style: str = ""
    cache: str = ""
    model: str = ""
    user: str = ""
    hooks: tuple[Hook, ...] = ()
    adopts: bool = True
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def anchor(self) -> str:
        """The folder up to which links are followed on the way to the artifacts: how far the store is trusted.

        It is the artifact folder itself if the user named it: flag, variable, own profile, default place. For a store
        of a project file it is the project's folder. For a store that only lies beside a catalog that was given for one
        command (flag, variable) it is the folder of that catalog. What is below may come from somebody else.
        """
        if self.origins.get("artifacts") != "beside the catalog":
            return self._project("artifacts") or self.artifacts
        given = self.origins.get("catalog") in ("flag", "MREG_CATALOG")
        return self._project("catalog") or (os.path.dirname(self.catalog) if given else self.artifacts)

    def _project(self, key: str) -> str:
        """The folder of the project file that a place is from; empty where it is from elsewhere."""
        file = self.origins.get(key, "").rpartition(", line ")[0]
        folder, name = os.path.split(file)
        # The user's own file may have that name too, but a project file only names places below its folder.
        inside = str(getattr(self, key)).startswith(folder.rstrip(os.sep) + os.sep)
        return folder if folder and name == PROJECT_FILE and inside else ""

    @property
    def own_folder(self) -> str:
        """The default place in the user's home, if the catalog is there; else empty."""
        return os.path.dirname(self.catalog) if self.origins.get("catalog") == "default" else ""

    def variables_for(self, hook: Hook) -> dict[str, str]:
        """The ``MREG_*`` variables by which the mreg commands of a hook find the registry of this profile.

        ``MREG_MODEL`` is not among them: it would name the model of a push that the hook makes itself.
        """
        values = {f"MREG_{key.upper()}": getattr(self, key) for key in KEYS if key != "model"}
        values |= {"MREG_PROFILE": self.name, "MREG_CONFIG": hook.file}
        return {name: str(value) for name, value in values.items() if value}
