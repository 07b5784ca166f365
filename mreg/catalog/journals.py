"""The files that SQLite keeps beside a catalog, checked before SQLite opens it: the journal, the log and its index.

SQLite believes them: it brings what they hold into the catalog, writes through links, and deletes whatever file the
last bytes of a rollback journal name. So only files that a killed mreg could have left are let through; those SQLite
recovers from. Formats: https://sqlite.org/fileformat2.html (sections 3 and 4), and ``readSuperJournal`` in pager.c.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import struct
import time
from urllib.parse import quote

from mreg.catalog.guard import connect, file_size, stored_size
from mreg.errors import Corrupt
from mreg.files import close, open_file

JOURNAL, LOG, INDEX = "-journal", "-wal", "-shm"

JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
"""Begins the header of a rollback journal; at a journal's end it makes the bytes before it a super-journal's name."""

LOG_MAGIC = (0x377F0682, 0x377F0683)
LOG_VERSION = 3_007_000
JOURNAL_HEADER, LOG_HEADER = 28, 32

LARGEST = {JOURNAL: 1 << 40, LOG: 16 << 30, INDEX: 64 << 20}
"""Bytes; the index has 32 KiB for every 16 MB of the log."""

JOURNAL_OVERHEAD = 1 << 20
"""Bytes of a journal beside twice the catalog: it has each page once, and headers of one sector between them."""

TRIES, PAUSE = 3, 0.02
"""A header may be read while another process writes it."""


def check_journals(path: str) -> None:
    """Refuse to open a catalog whose journal, log or index is not plainly its own.

    Its own is a regular file of one name, of the catalog's owner or of someone who may write the catalog, with the
    header of a journal or log of this catalog's page size, or empty; never one with a super-journal. Neither the
    catalog nor its index is opened here, since closing them would drop the locks of this process's other connections.

    Args:
        path: The catalog's, without symbolic links; it exists.

    Raises:
        Corrupt: One is not; nothing was opened, changed or deleted.
    """
    for ending in (JOURNAL, LOG, INDEX):
        for attempt in range(TRIES):
            problem = _problem(path, ending)
            if not problem:
                break
            if attempt == TRIES - 1:
                raise _refused(path, ending, problem)
            time.sleep(PAUSE)


def _problem(path: str, ending: str) -> str:
    """Why a file beside a catalog is not its own; empty where it is, or is not there."""
    try:
        found = os.lstat(path + ending)
    except OSError:
        return ""  # not there; if it is out of reach, SQLite cannot open it either
    return _of_file(path, found, ending) or ("" if ending == INDEX else _of_content(path, ending))


def _of_file(path: str, found: os.stat_result, ending: str) -> str:
    """Why a file beside a catalog is not its own, by its kind, names, size and owner; empty where it is."""
    if stat.S_ISLNK(found.st_mode):
        return "it is a symbolic link"
    if not stat.S_ISREG(found.st_mode):
        return "it is not a regular file"
    if found.st_nlink > 1:
        return f"it has {found.st_nlink} names (hard links)"
    if found.st_size > LARGEST[ending]:
        return f"it has {found.st_size:,} bytes, the limit is {LARGEST[ending]:,}"
    catalog = os.stat(path)
    shared = catalog.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if hasattr(os, "getuid") and not shared and found.st_uid not in (catalog.st_uid, os.getuid(), 0):
        return f"it belongs to user {found.st_uid}, who may not write the catalog"
    return ""


def _of_content(path: str, ending: str) -> str:
    """Why a journal or log is not this catalog's, by its header and end; empty where it is, or is gone."""
    try:
        descriptor = open_file(path + ending, follow=False)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return "" if isinstance(error, PermissionError) else f"it cannot be opened: {error.strerror}"
    try:
        problem = _of_file(path, os.fstat(descriptor), ending) if os.fstat(descriptor).st_nlink else ""
        if problem:
            return problem
        size = os.fstat(descriptor).st_size
        head = os.read(descriptor, LOG_HEADER)
        os.lseek(descriptor, max(0, size - len(JOURNAL_MAGIC)), os.SEEK_SET)
        tail = os.read(descriptor, len(JOURNAL_MAGIC) + 4096)  # a writer may have added to it meanwhile
    finally:
        close(descriptor)
    return _of_journal(path, head, tail, size) if ending == JOURNAL else _of_log(path, head)


def _of_journal(path: str, head: bytes, tail: bytes, size: int) -> str:
    if tail.endswith(JOURNAL_MAGIC):
        return "it names a super-journal, a file that SQLite would delete"
    if not any(head[: len(JOURNAL_MAGIC) + 4]):
        return ""  # empty, or its writer was killed before its header was written: SQLite leaves the catalog as it is
    if len(head) < JOURNAL_HEADER or not head.startswith(JOURNAL_MAGIC):
        return "it does not have the header of a rollback journal"
    pages, sector, page_size = struct.unpack(">III", head[16:28])
    if not (32 <= sector <= 65_536 and sector & (sector - 1) == 0):
        return f"its header has sectors of {sector} bytes"
    expected = _page_size(path)
    catalog = file_size(path)
    if page_size != expected:
        return f"it has pages of {page_size} bytes, the catalog {expected}"
    if pages * page_size > catalog:
        return f"it is of a catalog of {pages * page_size:,} bytes, this one has {catalog:,}"
    if size > 2 * catalog + JOURNAL_OVERHEAD:
        return f"it has {size:,} bytes, the catalog {catalog:,}"
    return ""


def _of_log(path: str, head: bytes) -> str:
    if not any(head):
        return ""  # empty, or its writer was killed before its header was written: SQLite reads nothing from it
    if len(head) < LOG_HEADER:
        return "it does not have the header of a write-ahead log"
    magic, version, page_size, _, _, _, *sums = struct.unpack(">8I", head)
    if magic not in LOG_MAGIC or version != LOG_VERSION or tuple(sums) != _checksums(head[:24], magic):
        return "it does not have the header of a write-ahead log"
    expected = _page_size(path)
    if page_size != expected:
        return f"it has pages of {page_size} bytes, the catalog {expected}"
    return ""


def _checksums(data: bytes, magic: int) -> tuple[int, int]:
    """The checksums of a log's header (section 4.2 of the format); the lowest bit of the magic says big-endian."""
    words = struct.unpack(f"{'>' if magic & 1 else '<'}{len(data) // 4}I", data)
    first = second = 0
    for index in range(0, len(words), 2):
        first = (first + words[index] + second) & 0xFFFFFFFF
        second = (second + words[index + 1] + first) & 0xFFFFFFFF
    return first, second


def _page_size(path: str) -> int:
    """The page size in a catalog's header, read by SQLite without locks, journal or log.

    A killed writer may have left the first page with more pages than the file has; the size of a page is known even so.
    """
    raw = connect(f"file:{quote(os.fsencode(path))}?mode=ro&immutable=1", path, lambda: stored_size(path), uri=True)
    with contextlib.closing(raw):
        with contextlib.suppress(sqlite3.DatabaseError):
            raw.execute("PRAGMA schema_version").fetchone()
        return int(raw.execute("PRAGMA page_size").fetchone()[0])


def _refused(path: str, ending: str, problem: str) -> Corrupt:
    from shlex import quote as shell_quote

    log = shell_quote(path + ending)
    return Corrupt(
        f"the catalog {path} cannot be opened: {os.path.basename(path)}{ending} is not its own: {problem}",
        hint=f"if you trust the catalog without this file: mv {log} {log}.refused",
        catalog=path,
    )
