"""Upgrade of a catalog in a SQLite file, with a backup next to it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from datetime import UTC, datetime

from mreg.catalog.embedded import be_durable, check_catalog, copy_pages, migrate
from mreg.catalog.filesystem import network_type
from mreg.catalog.guard import GuardedConnection
from mreg.catalog.schema import SCHEMA, UPGRADE
from mreg.durability import sync, sync_folder
from mreg.errors import Conflict
from mreg.files import CREATE, close, open_file, rename_new, unlink

EXCLUSIVE_SECONDS = 1.0
"""Wait for other processes to close the file; most reading commands end within it."""


def take_exclusively(raw: GuardedConnection, place: str) -> None:
    """Get exclusive access to the file until the connection is closed.

    With a write-ahead log, an open connection holds a lock at all times; with a rollback journal, only in transactions.

    Args:
        raw: A connection that has not read anything yet.

    Raises:
        Conflict: Another connection has the file open.
    """
    raw.execute("PRAGMA locking_mode = EXCLUSIVE")
    try:
        raw.execute("BEGIN EXCLUSIVE")
        raw.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise
        raise Conflict(
            f"cannot upgrade the catalog {place}: another process has it open, perhaps an older mreg",
            hint=f"stop the other mreg commands and servers that use it, then: {UPGRADE}",
        ) from error


def upgrade_file(raw: GuardedConnection, place: str) -> str:
    """Upgrade the catalog of an exclusive connection; return the path of the backup, empty if it was current.

    The backup is complete and durable before anything changes. All migrations are one transaction.
    """
    schema = check_catalog(raw, place)
    if schema == SCHEMA:
        return ""
    be_durable(raw, network=bool(network_type(place)))
    backup = back_up(raw, os.path.realpath(place), schema)
    migrate(raw, schema)
    return backup


def back_up(raw: GuardedConnection, path: str, schema: int) -> str:
    """Copy the catalog to a new file next to it, with its mode and, if possible, its owner; return the path."""
    target = free_name(f"{path}.schema-{schema}-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    partial = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.urandom(6).hex()}.tmp")
    catalog = os.stat(path)
    try:
        descriptor = open_file(partial, CREATE, 0o600, follow=False)
        try:
            with contextlib.closing(sqlite3.connect(partial, isolation_level=None)) as copy:
                copy_pages(raw, copy)
            # Use the descriptor: in a shared folder, another user can replace the file by a link.
            if hasattr(os, "fchown"):
                for owner, group in ((-1, catalog.st_gid), (catalog.st_uid, -1)):
                    with contextlib.suppress(OSError):
                        os.fchown(descriptor, owner, group)
                os.fchmod(descriptor, stat.S_IMODE(catalog.st_mode) & 0o666)
            sync(descriptor)
        finally:
            close(descriptor)
        rename_new(partial, target)  # safe, since this process has exclusive access
        sync_folder(os.path.dirname(target))
    finally:
        for leftover in (partial, f"{partial}-journal"):
            with contextlib.suppress(OSError):
                unlink(leftover)
    return target


def free_name(path: str) -> str:
    """Return the path, with a number appended if it exists."""
    number, free = 1, path
    while os.path.lexists(free):
        number += 1
        free = f"{path}-{number}"
    return free
