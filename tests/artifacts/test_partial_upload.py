"""Uploads in several requests, of several servers with one store."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from mreg.artifacts.local import LocalBackend
from mreg.artifacts.partial_upload import HashStates


def test_a_hash_is_not_used_for_bytes_that_another_server_wrote_within_one_tick_of_the_clock(tmp_path: Path) -> None:
    """The bytes are replaced by as many others, and the clock of the file system stands still."""
    here, there = HashStates(), HashStates()
    backend = LocalBackend(tmp_path / "store")
    tick = 1_800_000_000 * 10**9

    def write(data: bytes, states: HashStates) -> None:
        file = backend.resume("upload", create=True)
        assert file is not None
        file.clear()
        file.write(data)
        os.utime(file.path, ns=(tick, tick))
        states.keep(file, hashlib.sha256(data))
        file.keep()

    def taken(states: HashStates) -> str:
        file = backend.resume("upload", create=False)
        assert file is not None
        try:
            return states.take(file).hexdigest()
        finally:
            file.keep()

    write(b"good", here)
    assert taken(here) == hashlib.sha256(b"good").hexdigest()
    write(b"good", here)
    write(b"evil", there)
    assert taken(here) == hashlib.sha256(b"evil").hexdigest()


def test_a_hash_that_this_server_kept_is_used_without_reading_the_bytes(tmp_path: Path) -> None:
    states = HashStates()
    file = LocalBackend(tmp_path / "store").resume("upload", create=True)
    assert file is not None
    file.write(b"bytes")
    states.keep(file, hashlib.sha256(b"not of these bytes"))
    assert states.take(file).hexdigest() == hashlib.sha256(b"not of these bytes").hexdigest()
    assert states.take(file).hexdigest() == hashlib.sha256(b"bytes").hexdigest()
    file.discard()
