"""Open the registry of a profile; the only code that chooses implementations."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mreg.domain.buckets import is_bucket
from mreg.errors import Unavailable
from mreg.registry.local import LocalRegistry
from mreg.registry.pull_cache import cache_for_pulls, cached_artifacts, pull_records
from mreg.registry.session import HookLog, Session

if TYPE_CHECKING:
    from mreg.artifacts.store import ArtifactStore
    from mreg.catalog.database import Database
    from mreg.domain.digest import Digest
    from mreg.domain.password import Password
    from mreg.registry.registry import Registry
    from mreg.registry.remote import RemoteRegistry
    from mreg.results.profiles import Profile
    from mreg.stores.bucket import Bucket


def open_registry(
    profile: str | None = None,
    *,
    config: str | os.PathLike[str] | None = None,
    catalog: str | None = None,
    artifacts: str | None = None,
    user: str | None = None,
    server: str | None = None,
    token: str | None = None,
    trust_project: bool = False,
    notice: Callable[[str], None] | None = None,
    hook_log: HookLog | None = None,
) -> Registry:
    """Open the registry of a profile.

    Before the first operation, nothing is created and only the profile is read. Without arguments and a profile file,
    the registry is a SQLite file and a folder in the user's data folder. Any other folder of a catalog or above an
    artifact folder must exist: otherwise the first operation raises `Unavailable`.

    Args:
        profile: Name of the profile (default: MREG_PROFILE, the project file, or the profile file's default).
        config: Profile file (default: MREG_CONFIG, or the user's profile file).
        catalog: Catalog (default: the profile's). The URL of a database server can have a password, such as
            ``os.environ["DATABASE_URL"]``.
        artifacts: Artifact store (default: the profile's, or next to the given catalog).
        user: Actor of events (default: MREG_USER, the profile, or the user of CI, git or the login). A server records
            the name of the token instead.
        server: URL of ``mreg serve``, instead of a catalog and artifacts (default: the profile's).
        token: Token for the server (default: MREG_TOKEN, the profile's token command, or the token that ``mreg login``
            saved).
        trust_project: Use the store that an ``mreg.yaml`` in the working folder or above names, although the user has
            not allowed it with ``mreg trust``; as MREG_TRUST_PROJECT=1.
        notice: Receives notes for the user, such as what a reference resolved to.
        hook_log: Receives the hooks that the registry runs.

    Raises:
        BadInput: A token is given without a server, or MREG_TOKEN is set and nothing names a registry.
        BadProfile: A profile file is invalid; both a server and a catalog or artifacts are given; or the project file
            names a store or server that the user has not allowed.
        NotFound: The profile does not exist, or the given profile file does not exist.
    """
    from mreg.profile.load import load_profile

    found = load_profile(
        profile=profile,
        config=config,
        catalog=catalog,
        artifacts=artifacts,
        user=user,
        server=server,
        token=token,
        trust_project=trust_project,
        notice=notice,
    )
    if token is not None or (found.is_fallback and os.environ.get("MREG_TOKEN")):
        from mreg.profile.server import check_token_has_server

        check_token_has_server(found, token, os.environ)
    return wire_registry(found, notice=notice, hook_log=hook_log)


def wire_registry(
    profile: Profile, *, notice: Callable[[str], None] | None = None, hook_log: HookLog | None = None
) -> Registry:
    """Open the registry of a loaded profile."""
    if profile.server:
        return open_server(profile, notice=notice, hook_log=hook_log)
    return open_local(profile, notice=notice, hook_log=hook_log)


def open_server(
    profile: Profile,
    *,
    notice: Callable[[str], None] | None = None,
    hook_log: HookLog | None = None,
    token: Password | None = None,
) -> RemoteRegistry:
    """Open the registry of a loaded profile that names a server; nothing is sent before the first operation.

    Args:
        token: Token to send, empty for none (default: that of the profile, its command or a login).
    """
    from mreg.profile.credentials import token_source, way_to_replace
    from mreg.registry.remote import RemoteRegistry
    from mreg.remote.connection import Connection

    connection = Connection(
        profile.server,
        token=token_source(profile) if token is None else token.reveal,
        notice=notice or (lambda _text: None),
        way_to_replace=(lambda login: way_to_replace(profile, login)) if token is None else (lambda login: login),
        insecure=True,  # whoever made the profile has checked that the user allows it
    )
    return RemoteRegistry(connection, profile, notice, hook_log)  # type: ignore[abstract]  # see open_local


def open_local(
    profile: Profile,
    *,
    notice: Callable[[str], None] | None = None,
    hook_log: HookLog | None = None,
    action: str = "open the catalog",
) -> LocalRegistry:
    """Open the registry of a loaded profile that names a catalog.

    Args:
        action: The operation, for the message if the profile names a server.

    Raises:
        BadInput: The profile names a server.
    """
    if profile.server:
        from mreg.registry.remote_refusals import needs_catalog

        raise needs_catalog(action, profile)
    from mreg.catalog.catalog import Catalog

    tell = notice or (lambda _text: None)
    in_bucket = "://" in profile.artifacts
    store: list[ArtifactStore] = []

    def artifact_store() -> ArtifactStore:
        if not store:
            store.append(_store_in_bucket(profile, tell) if in_bucket else _store_in_folder(profile))
        return store[0]

    # Without the store, which commands that only read the catalog do not open.
    @functools.cache
    def url() -> str:
        from mreg.files import folder_url

        return profile.artifacts.rstrip("/") if in_bucket else folder_url(Path(profile.artifacts))

    def orphans() -> str:
        blobs = f"{profile.artifacts.rstrip('/')}/blobs"
        return blobs if next(artifact_store().blobs(), None) else ""

    def locate(digest: Digest) -> str:
        from mreg.domain.digest import blob_key

        return f"{url()}/{blob_key(digest)}"

    def actor() -> str:
        from mreg.registry.capture import actor

        return actor(profile.user)

    return LocalRegistry(  # type: ignore[abstract]  # its operations are attributes that mypy does not see
        Session(
            profile=profile,
            catalog=Catalog(_database(profile, tell, orphans), locate),
            artifacts=artifact_store,
            cached_artifacts=functools.cache(lambda: cached_artifacts(profile)),
            actor=actor,
            now=lambda: datetime.now(UTC),
            # Changes by a hook trigger no hooks, otherwise two hooks could trigger each other forever.
            hooks=() if os.environ.get("MREG_DEPLOYMENT") else profile.hooks,
            notice=tell,
            hook_log=hook_log or HookLog(),
            pull_records=pull_records,
        )
    )


def _database(profile: Profile, notice: Callable[[str], None], orphans: Callable[[], str]) -> Database:
    place = profile.catalog
    if is_bucket(place):
        from mreg.catalog.bucket import BucketDatabase
        from mreg.profile.cache import catalogs_folder

        url, _, key = place.rpartition("/")
        return BucketDatabase(_bucket(profile, url, notice), key, catalogs_folder(), orphans, notice)
    if place.startswith(("redis://", "rediss://")):
        return _redis(profile, notice, orphans)
    if "://" in place:
        try:
            from mreg.catalog.postgresql import PostgresqlDatabase
        except ImportError as error:
            from mreg.installation import extra_command

            raise Unavailable(
                f"cannot open the catalog {place.partition('?')[0]}: the package psycopg is not installed: {error}",
                hint=extra_command("postgres"),
            ) from error
        return PostgresqlDatabase(place, notice, password=profile.password)
    from mreg.catalog.sqlite import SqliteDatabase

    return SqliteDatabase(
        place,
        private=profile.own_folder,
        base=profile.base,
        orphans=lambda: "" if "://" in profile.artifacts else orphans(),
        notice=notice,
    )


def _redis(profile: Profile, notice: Callable[[str], None], orphans: Callable[[], str]) -> Database:
    from mreg.domain.password import Password
    from mreg.domain.redis_url import PASSWORD_VARIABLE, parse_redis_url
    from mreg.profile.cache import catalogs_folder

    url, _ = parse_redis_url(profile.catalog)
    try:
        from mreg.catalog.redis import RedisDatabase
    except ImportError as error:
        from mreg.installation import extra_command

        raise Unavailable(
            f"cannot open the catalog {url.place}: the package redis is not installed: {error}",
            hint=extra_command("redis"),
        ) from error
    password = profile.password or Password(os.environ.get(PASSWORD_VARIABLE, ""))
    return RedisDatabase(url, catalogs_folder(), orphans, notice, password=password)


def _bucket(profile: Profile, url: str, notice: Callable[[str], None]) -> Bucket:
    from mreg.profile.cache import stores_folder
    from mreg.stores.bucket import Bucket
    from mreg.stores.settings import StoreSettings

    settings = StoreSettings(
        endpoint_url=profile.endpoint_url,
        region=profile.region,
        aws_profile=profile.aws_profile,
        addressing_style=profile.addressing_style,
    )
    return Bucket(url, settings, notice, stores_folder())


def _store_in_folder(profile: Profile) -> ArtifactStore:
    from mreg.artifacts.local import LocalBackend
    from mreg.artifacts.store import ArtifactStore

    private = profile.own_folder if profile.origins.get("artifacts") == "default" else ""
    return ArtifactStore(LocalBackend(Path(profile.artifacts), anchor=profile.anchor, private=private))


def _store_in_bucket(profile: Profile, notice: Callable[[str], None]) -> ArtifactStore:
    from mreg.artifacts.store import ArtifactStore
    from mreg.profile.cache import uploads_folder

    cache = cache_for_pulls(profile, notice)
    bucket = _bucket(profile, profile.artifacts, notice)
    if bucket.scheme == "s3":
        from mreg.artifacts.s3 import S3Backend

        return ArtifactStore(S3Backend(bucket), cache, uploads_folder())
    from mreg.artifacts.objects import BlockBackend

    return ArtifactStore(BlockBackend(bucket), cache, uploads_folder())
