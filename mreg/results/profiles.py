"""The profile of a registry."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mreg.domain.password import Password
from mreg.domain.value import Result

if TYPE_CHECKING:
    from mreg.domain.hook import Hook
    from mreg.domain.token_command import TokenCommand

KEYS = (
    "server", "catalog", "artifacts", "endpoint_url", "region", "aws_profile", "addressing_style", "cache", "model",
    "existing_only", "user",
)  # fmt: skip
"""Keys of a profile; `Profile` describes them."""

PROJECT_FILE = "mreg.yaml"
"""The name of a project file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile(Result):
    """The place of a registry, and all other settings; a setting that is not set is an empty text.

    The place is a server, or a catalog with its artifacts.

    Attributes:
        name: Name of the profile.
        server: URL of ``mreg serve``; empty if this process opens catalog and artifacts itself.
        catalog: Absolute path of a file, or a URL: ``s3://bucket/prefix/catalog.db``, ``az://...``, or
            ``postgresql://...`` or ``redis://...`` without a password.
        artifacts: Absolute path of a folder, or a URL: ``s3://bucket/prefix``, ``az://container/prefix``,
            ``abfss://container@account.dfs.core.windows.net/prefix``.
        endpoint_url: Address of an S3 store other than AWS, or of an Azure storage account.
        region: Region of the bucket.
        aws_profile: Profile of the AWS configuration with the credentials.
        addressing_style: ``auto``, ``path`` or ``virtual``.
        cache: Cache for pulls from a bucket or server: a size such as ``20GB``, or a folder.
        model: Default model: of a reference without a model, and of a push without a name.
        existing_only: ``true`` if a push must not register a new model.
        user: Actor in the audit trail.
        password: Password of the catalog's server, from a variable. Not part of the JSON form.
        hooks: Hooks that changes trigger. Not part of the JSON form.
        adopts: Whether hooks also run for deployments that other processes left in the catalog. Not part of the JSON
            form.
        token: Token for the server, from an argument or MREG_TOKEN. Not part of the JSON form.
        token_command: Command that prints the token. Not part of the JSON form.
        origins: Origin of each value by key: ``argument``, ``MREG_CATALOG``, ``/x/mreg.yaml, line 3``, ``default``.
    """

    name: str
    server: str = ""
    catalog: str = ""
    artifacts: str = ""
    endpoint_url: str = ""
    region: str = ""
    aws_profile: str = ""
    addressing_style: str = ""
    cache: str = ""
    model: str = ""
    existing_only: str = ""
    user: str = ""
    password: Password = field(default_factory=Password, repr=False)
    hooks: tuple[Hook, ...] = ()
    adopts: bool = True
    token: Password = field(default_factory=Password, repr=False)
    token_command: TokenCommand | None = None
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def anchor(self) -> str:
        """The folder up to which links are followed on the path to the artifacts: content below it is not trusted.

        This is the artifact folder itself if the user named it by an argument, a variable, their own profile or as the
        default place; the project's folder if a project file names the store; and the catalog's folder if only the
        catalog was given for one command (argument, variable) and the store is next to it.
        """
        if self.origins.get("artifacts") != "next to the catalog":
            return self._project("artifacts") or self.artifacts
        given = self.origins.get("catalog") in ("argument", "MREG_CATALOG")
        return self._project("catalog") or (os.path.dirname(self.catalog) if given else self.artifacts)

    def _project(self, key: str) -> str:
        """Return the folder of the project file that names a location, empty if no project file does."""
        file = self.origins.get(key, "").rpartition(", line ")[0]
        folder, name = os.path.split(file)
        # The user's own profile file can have this name, too, but a project file names only locations below its folder.
        inside = str(getattr(self, key)).startswith(folder.rstrip(os.sep) + os.sep)
        return folder if folder and name == PROJECT_FILE and inside else ""

    @property
    def own_folder(self) -> str:
        """The default folder in the user's home if the catalog is there, otherwise empty."""
        return os.path.dirname(self.catalog) if self.origins.get("catalog") == "default" else ""

    @property
    def is_fallback(self) -> bool:
        """Whether nothing names the registry: neither an argument, an option, a variable nor a file."""
        return self.origins.get("catalog") == self.origins.get("name") == "default"

    def with_origin(self, key: str, origin: str) -> Profile:
        """Return the profile with another origin of a value."""
        return replace(self, origins={**self.origins, key: origin})

    @property
    def overridden_by(self) -> str:
        """The variable or line of a project file that names the registry instead of the profile; otherwise empty."""
        origin = self.origins.get("server") or self.origins.get("catalog", "")
        return origin if origin.startswith("MREG_") or f"{PROJECT_FILE}, line" in origin else ""

    @property
    def chooser(self) -> str:
        """What names the registry, for messages: ``the profile team`` or ``MREG_SERVER``."""
        return self.overridden_by or f"the profile {self.name}"

    @property
    def described(self) -> str:
        """The registry, for messages: ``the profile team`` or ``the catalog of MREG_CATALOG``."""
        return f"the catalog of {self.overridden_by}" if self.overridden_by else f"the profile {self.name}"

    @property
    def base(self) -> str:
        """The folder of the project file if it names the store: folders below it are created as needed."""
        return self._project("catalog") or self._project("artifacts")

    def variables_for(self, hook: Hook) -> dict[str, str]:
        """Return the ``MREG_*`` variables with which the mreg commands of a hook use the registry of this profile.

        ``MREG_MODEL`` is not among them: it would name the model of the hook's own pushes. The password of the catalog
        is among them if the hook asks for PGPASSWORD, or REDISCLI_AUTH for a catalog on a Redis server.
        """
        values = {f"MREG_{key.upper()}": getattr(self, key) for key in KEYS if key != "model"}
        values |= {"MREG_PROFILE": self.name, "MREG_CONFIG": hook.file}
        variable = "REDISCLI_AUTH" if self.catalog.startswith("redis") else "PGPASSWORD"
        if self.password and variable in hook.env:
            values[variable] = self.password.reveal()
        return {name: str(value) for name, value in values.items() if value}
