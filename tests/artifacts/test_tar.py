"""The tar of a bundle: what Python's tarfile writes and reads for plain files, and nothing else."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.artifacts.tar import END, TarReader, TarWriter, header, room_of
from mreg.errors import BadInput, Corrupt, NotFound

NAMES = st.from_regex(r"\A[a-z][a-z0-9/.]{0,80}[a-z]\Z")


@given(NAMES, st.integers(0, 2**63))
def test_a_header_is_the_one_of_tarfile(name: str, size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    assert header(name, size) == member.tobuf(tarfile.GNU_FORMAT)


def written(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    tar = TarWriter(stream.write)
    for name, data in members.items():
        tar.begin(name, len(data))
        tar.add(data)
    tar.end()
    return stream.getvalue()


@given(st.dictionaries(NAMES, st.binary(max_size=2000), max_size=4))
def test_tarfile_reads_what_is_written(members: dict[str, bytes]) -> None:
    data = written(members)
    assert len(data) == sum(room_of(len(content)) for content in members.values()) + len(END)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert [member.name for member in tar] == list(members)
        for name, content in members.items():
            stream = tar.extractfile(name)
            assert stream is not None
            assert stream.read() == content


def read(data: bytes, names: tuple[str, ...] = ("a", "b")) -> dict[str, bytes]:
    path = Path("x.tar")
    path.write_bytes(data)
    with TarReader(str(path)) as tar:
        found = {name: b"".join(tar.chunks(tar.begin(name))) for name in names}
        tar.end()
        return found


MEMBERS = {"a": b"x" * 600, "b": b""}


def test_what_was_written_is_read() -> None:
    assert read(written(MEMBERS)) == MEMBERS
    assert read(written(MEMBERS) + bytes(10240)) == MEMBERS


@pytest.mark.parametrize("size", [0, 1, 511, 512, 700, 1023, 1024, 1535, 2047, 2048, 2500])
def test_a_cut_tar_is_refused(size: int) -> None:
    with pytest.raises((Corrupt, BadInput)):
        read(written(MEMBERS)[:size])


@pytest.mark.parametrize("place", range(0, len(written(MEMBERS)), 13))
def test_every_byte_counts_but_those_of_the_members(place: int) -> None:
    data = bytearray(written(MEMBERS))
    data[place] ^= 0x21
    if 512 <= place < 1112:
        assert read(bytes(data)) != MEMBERS
        return
    with pytest.raises((BadInput, Corrupt)):
        read(bytes(data))


@pytest.mark.parametrize("path", [".", "pipe", "/dev/zero"])
def test_only_a_file_is_read(path: str) -> None:
    os.mkfifo("pipe")
    with pytest.raises(BadInput, match="is not a file"):
        TarReader(path)


def test_a_file_that_is_missing_is_not_found() -> None:
    with pytest.raises(NotFound, match=r"'missing\.mreg' does not exist"):
        TarReader("missing.mreg")
