"""Checks of the files next to a catalog before SQLite opens it: the rollback journal, the log and its index.

SQLite trusts them: it copies their content into the catalog, follows links when writing, and deletes the file that the
last bytes of a rollback journal name. So only files are accepted that a killed mreg can leave behind; SQLite recovers
from those. Formats: https://sqlite.org/fileformat2.html (sections 3 and 4), and ``readSuperJournal`` in pager.c.
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
from mreg.files import close, open_file, user_text

JOURNAL, LOG, INDEX = "-journal", "-wal", "-shm"

JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
"""The first bytes of a rollback journal; as the last bytes, they follow the name of a super-journal."""

LOG_MAGIC = (0x377F0682, 0x377F0683)
LOG_VERSION = 3_007_000
JOURNAL_HEADER, LOG_HEADER = 28, 32

LARGEST = {JOURNAL: 1 << 40, LOG: 16 << 30, INDEX: 64 << 20}
"""Maximum size in bytes; the index has 32 KiB for each 16 MB of the log."""

JOURNAL_OVERHEAD = 1 << 20
"""Maximum bytes of a journal beyond twice the catalog; it has each page once, and headers of one sector."""

TRIES, PAUSE = 3, 0.02
"""Attempts and pause in seconds, since another process can be writing the header that is read."""


def check_journals(path: str) -> None:
    """Check that the journal, log and index of a catalog belong to it.

    Such a file is a regular file without hard links. It belongs to the catalog's owner or a user with write access to
    the catalog. It is empty or has the header of a journal or log with this catalog's page size, and no super-journal.
    The catalog and the index are not opened here, since closing them would drop the locks of this process's other
    connections.

    Args:
        path: Path of the catalog without symbolic links; it exists.

    Raises:
        Corrupt: A file does not belong to the catalog; nothing was changed or deleted.
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
    """Return why a file does not belong to a catalog; empty if it does or does not exist."""
    try:
        found = os.lstat(path + ending)
    except OSError:
        return ""  # it does not exist, or SQLite cannot open it either
    return _file_problem(path, found, ending) or ("" if ending == INDEX else _content_problem(path, ending))


def _file_problem(path: str, info: os.stat_result, ending: str) -> str:
    """Return why a file does not belong to a catalog, by its type, links, size and owner; empty if it does."""
    if stat.S_ISLNK(info.st_mode):
        return "it is a symbolic link"
    if not stat.S_ISREG(info.st_mode):
        return "it is not a regular file"
    if info.st_nlink > 1:
        return f"it has {info.st_nlink} names (hard links)"
    if info.st_size > LARGEST[ending]:
        return f"it has {info.st_size:,} bytes; the limit is {LARGEST[ending]:,}"
    catalog = os.stat(path)
    shared = catalog.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if hasattr(os, "getuid") and not shared and info.st_uid not in (catalog.st_uid, os.getuid(), 0):
        return f"it belongs to {user_text(info.st_uid)}, who cannot write the catalog"
    return ""


def _content_problem(path: str, ending: str) -> str:
    """Return why a journal or log does not belong to a catalog, by its header and end; empty if it does or is gone."""
    try:
        descriptor = open_file(path + ending, follow=False)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return "" if isinstance(error, PermissionError) else f"cannot open it: {error.strerror}"
    try:
        problem = _file_problem(path, os.fstat(descriptor), ending) if os.fstat(descriptor).st_nlink else ""
        if problem:
            return problem
        size = os.fstat(descriptor).st_size
        head = os.read(descriptor, LOG_HEADER)
        os.lseek(descriptor, max(0, size - len(JOURNAL_MAGIC)), os.SEEK_SET)
        tail = os.read(descriptor, len(JOURNAL_MAGIC) + 4096)  # a writer can have appended to it
    finally:
        close(descriptor)
    return _journal_problem(path, head, tail, size) if ending == JOURNAL else _log_problem(path, head)


def _journal_problem(path: str, head: bytes, tail: bytes, size: int) -> str:
    if tail.endswith(JOURNAL_MAGIC):
        return "it names a super-journal, a file that SQLite would delete"
    if not any(head[: len(JOURNAL_MAGIC) + 4]):
        return ""  # empty, or its writer was killed before it wrote the header: SQLite ignores it
    if len(head) < JOURNAL_HEADER or not head.startswith(JOURNAL_MAGIC):
        return "it does not have the header of a rollback journal"
    pages, sector, page_size = struct.unpack(">III", head[16:28])
    if not (32 <= sector <= 65_536 and sector & (sector - 1) == 0):
        return f"its header has sectors of {sector} bytes"
    expected = _page_size(path)
    catalog = file_size(path)
    if page_size != expected:
        return f"wrong page size: expected {expected} bytes, got {page_size}"
    if pages * page_size > catalog:
        return f"it belongs to a catalog of {pages * page_size:,} bytes; this one has {catalog:,}"
    if size > 2 * catalog + JOURNAL_OVERHEAD:
        return f"it has {size:,} bytes, and the catalog {catalog:,}"
    return ""


def _log_problem(path: str, head: bytes) -> str:
    if not any(head):
        return ""  # as above
    if len(head) < LOG_HEADER:
        return "it does not have the header of a write-ahead log"
    magic, version, page_size, _, _, _, *sums = struct.unpack(">8I", head)
    if magic not in LOG_MAGIC or version != LOG_VERSION or tuple(sums) != _checksums(head[:24], magic):
        return "it does not have the header of a write-ahead log"
    expected = _page_size(path)
    if page_size != expected:
        return f"wrong page size: expected {expected} bytes, got {page_size}"
    return ""


def _checksums(data: bytes, magic: int) -> tuple[int, int]:
    """Return the checksums of a log's header (section 4.2 of the format); an odd magic number means big-endian."""
    words = struct.unpack(f"{'>' if magic & 1 else '<'}{len(data) // 4}I", data)
    first = second = 0
    for index in range(0, len(words), 2):
        first = (first + words[index] + second) & 0xFFFFFFFF
        second = (second + words[index + 1] + first) & 0xFFFFFFFF
    return first, second


def _page_size(path: str) -> int:
    """Return the page size in a catalog's header, which SQLite reads without locks, journal or log.

    After a killed writer, the first page can count more pages than the file has; SQLite reports the page size anyway.
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
        f"cannot open the catalog {path}: {os.path.basename(path)}{ending} does not belong to it: {problem}",
        hint=f"if you trust the catalog without this file: mv {log} {log}.refused",
        catalog=path,
    )
