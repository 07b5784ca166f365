"""A folder that arrives as a stream: the digest of a push, or an error and nothing left."""

from __future__ import annotations

import io
import os
import random
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import mreg
from mreg.artifacts import folder_upload, tar_folder
from mreg.artifacts.folder_upload import FolderUpload
from mreg.artifacts.local import LocalBackend
from mreg.artifacts.tar_folder import TarFolder
from mreg.domain.metadata import VersionMetadata
from mreg.domain.model import ModelVersion
from mreg.errors import BadInput, MregError, Unavailable
from mreg.registry.local import LocalRegistry

FILES = {
    "config.json": b'{"layers": 2}',
    "weights/one.bin": os.urandom(70_000),
    "weights/large.bin": os.urandom(9 << 20),
    "weights/same.bin": b"",
    "a name with blanks": b"x" * 512,
    "modèle/été.bin": b"y" * 513,
    f"{'deep/' * 40}file": b"deep",
    f"{'n' * 200}": b"long",
}


def make(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755 if name == "config.json" else 0o644)
    return root


def tar_of(folder: Path, form: int = tarfile.GNU_FORMAT, arcname: str = ".") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        archive.add(folder, arcname=arcname)
    return stream.getvalue()


def member(name: str, data: bytes = b"", **values: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in values.items():
        setattr(info, key, value)
    return info, data


def archive(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT, **options: object) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form, **options) as made:  # type: ignore[call-overload]
        for info, data in members:
            made.addfile(info, io.BytesIO(data) if data else None)
    return stream.getvalue()


GOOD = member("ok.bin", b"data")


def stored(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*") if path.is_file())


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[LocalRegistry]:
    with mreg.open_registry(catalog=str(tmp_path / "c.db"), artifacts=str(tmp_path / "store")) as found:
        assert isinstance(found, LocalRegistry)
        found.register("net")
        yield found


def receive(registry: LocalRegistry, data: bytes, pieces: Iterator[int] | None = None) -> ModelVersion:
    with registry.open_folder_upload(len(data)) as upload:
        tar, place = TarFolder(upload), 0
        while place < len(data):
            count = next(pieces) if pieces else 1 << 20
            tar.feed(data[place : place + count])
            place += count
        tar.finish()
        return registry.push_upload(upload, "net", "net", VersionMetadata())


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("arcname", [".", "./", ""])
def test_a_tar_is_the_same_version_as_the_pushed_folder(
    opened: LocalRegistry, tmp_path: Path, form: int, arcname: str
) -> None:
    folder = make(tmp_path / "net", FILES)
    (folder / "logs/empty").mkdir(parents=True)
    (folder / "weights/none").mkdir()
    pushed = opened.push(folder, name="net")
    received = receive(opened, tar_of(folder, form, arcname))
    assert received.artifact == pushed.artifact
    assert (received.artifact.name, received.artifact.file_count) == ("net", len(FILES))
    pulled = opened.pull(received.reference, tmp_path / "out").destination
    assert {path: (pulled / path).read_bytes() for path in FILES} == FILES
    assert os.access(pulled / "config.json", os.X_OK)
    assert (pulled / "logs/empty").is_dir()
    assert (pulled / "weights/none").is_dir()
    opened.verify()


def test_a_tar_in_pieces_of_any_size_is_the_same(opened: LocalRegistry, tmp_path: Path) -> None:
    files = {name: data for name, data in FILES.items() if len(data) < 1 << 20}
    data = tar_of(make(tmp_path / "net", files), tarfile.PAX_FORMAT)
    source = random.Random(7)
    first = receive(opened, data)
    for pieces in (lambda: 1 + source.randrange(600), lambda: 511, lambda: 512, lambda: 1):
        assert receive(opened, data, iter(pieces, None)).artifact == first.artifact


def test_the_format_of_a_received_folder_is_detected(opened: LocalRegistry, tmp_path: Path) -> None:
    for files, wanted in (
        ({"config.json": b"{}", "model.safetensors": b"x"}, "transformers"),
        ({"a.gguf": b"GGUF" + bytes(9 << 20), "note": b"?"}, "gguf"),
        ({"model.npy": b"\x93NUMPY\x01\x00" + bytes(90)}, "numpy"),
        ({"x": b"?"}, "unknown"),
    ):
        folder = make(tmp_path / wanted / "net", files)
        version = receive(opened, tar_of(folder))
        assert version.artifact == opened.push(folder, name="net").artifact
        assert version.artifact.format == wanted


def test_names_in_the_old_form_with_a_prefix_are_read(opened: LocalRegistry, tmp_path: Path) -> None:
    name = f"{'p' * 90}/{'n' * 90}"
    version = receive(opened, archive(member(name, b"x"), form=tarfile.USTAR_FORMAT))
    assert [file.path for file in opened.files(version.reference)] == [name]


HOSTILE: dict[str, Callable[[], bytes]] = {
    "an absolute name": lambda: archive(GOOD, member("/etc/passwd", b"x")),
    "a name that leads out": lambda: archive(GOOD, member("../x", b"x")),
    "a name that leads out in the middle": lambda: archive(GOOD, member("a/../../x", b"x")),
    "a folder that leads out": lambda: archive(GOOD, member("../x", type=tarfile.DIRTYPE)),
    "a backslash": lambda: archive(GOOD, member("a\\..\\x", b"x")),
    "a drive": lambda: archive(GOOD, member("C:x", b"x")),
    "an escape": lambda: archive(GOOD, member("a\x1b[2J", b"x")),
    "a newline": lambda: archive(GOOD, member("a\nb", b"x")),
    "NUL in the name of a pax header": lambda: archive(GOOD, member("x", b"x", pax_headers={"path": "a\0b"})),
    "a name that leads out in a pax header": lambda: archive(GOOD, member("x", b"x", pax_headers={"path": "../../x"})),
    "a name that is not UTF-8": lambda: archive(GOOD, member("a\udcff", b"x"), form=tarfile.GNU_FORMAT,
                                                encoding="utf-8", errors="surrogateescape"),
    "the same name twice": lambda: archive(GOOD, GOOD),
    "names that differ in case": lambda: archive(GOOD, member("OK.bin", b"x")),
    "names that differ in Unicode form": lambda: archive(member("e\u0301", b"x"), member("\u00e9", b"x")),
    "a file that is a folder, too": lambda: archive(GOOD, member("ok.bin/x", b"x")),
    "a symbolic link": lambda: archive(GOOD, member("l", type=tarfile.SYMTYPE, linkname="/etc/passwd")),
    "a hard link": lambda: archive(GOOD, member("l", type=tarfile.LNKTYPE, linkname="ok.bin")),
    "a link to a long name": lambda: archive(GOOD, member("l", type=tarfile.SYMTYPE, linkname="/x" * 200),
                                             form=tarfile.GNU_FORMAT),
    "a device": lambda: archive(GOOD, member("d", type=tarfile.CHRTYPE)),
    "a disk": lambda: archive(GOOD, member("d", type=tarfile.BLKTYPE)),
    "a pipe": lambda: archive(GOOD, member("p", type=tarfile.FIFOTYPE)),
    "a sparse file": lambda: archive(GOOD, member("s", b"x" * 512, type=tarfile.GNUTYPE_SPARSE)),
    "a sparse file in pax form": lambda: archive(
        GOOD, member("s", b"x", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.realsize": str(1 << 50)})),
    "a link in a pax header": lambda: archive(GOOD, member("s", b"x", pax_headers={"linkpath": "/etc/passwd"})),
    "an unknown kind": lambda: archive(GOOD, member("s", b"x", type=b"Z")),
    "a multi-volume tar": lambda: archive(GOOD, member("s", b"x", type=b"M")),
    "a name of 5,000 bytes": lambda: archive(GOOD, member("n/" * 2500 + "n", b"x")),
    "a part of 300 bytes": lambda: archive(GOOD, member("n" * 300, b"x")),
    "a pax header of 1 MB": lambda: archive(GOOD, member("s", b"x", pax_headers={"comment": "c" * (1 << 20)})),
    "a pax header for all": lambda: archive(GOOD, pax_headers={"path": "x"}),
    "a pax header for nothing": lambda: archive(GOOD, member("x", b"x", pax_headers={"path": "y"}))[:1536 + 1024]
                                        + bytes(1024),
    "a size that is a text": lambda: archive(GOOD, member("s", b"x", pax_headers={"size": "many"})),
    "a size that is too large": lambda: archive(GOOD, member("s", b"x", pax_headers={"size": str(1 << 64)})),
    "a negative size": lambda: patched(124, b"\xff" * 12),
    "a size of 8 EiB": lambda: patched(124, b"\x80" + b"\x7f" + b"\xff" * 10),
    "a size that is not octal": lambda: patched(124, b"99999999999\0"),
    "a mode that is not octal": lambda: patched(100, b"rwxrwxr\0"),
    "a wrong checksum": lambda: archive(GOOD).replace(b"ok.bin", b"no.bin"),
    "a folder with bytes": lambda: archive(GOOD, member("d", b"x" * 10, type=tarfile.DIRTYPE)),
    "a truncated file": lambda: archive(GOOD)[:514],
    "a truncated header": lambda: archive(GOOD)[:1100],
    "no end": lambda: archive(GOOD)[:1024],
    "half an end": lambda: archive(GOOD)[:1536],
    "bytes after the end": lambda: archive(GOOD) + b"x",
    "two tars": lambda: archive(GOOD) + archive(member("b", b"x")),
    "a file after one block of zeros": lambda: archive(GOOD)[:1024] + bytes(512) + archive(member("b", b"x")),
    "nothing": lambda: b"",
    "an empty tar": lambda: bytes(10240),
    "an empty folder": lambda: archive(member("d", type=tarfile.DIRTYPE)),
    "only empty files": lambda: archive(member("a"), member("b")),
    "a gzip file": lambda: compressed("gz"),
    "a bzip2 file": lambda: compressed("bz2"),
    "an xz file": lambda: compressed("xz"),
    "a zip file": lambda: b"PK\x03\x04" + bytes(2000),
    "no tar": lambda: b"hello " * 200,
    "the tar of an old program": lambda: patched(257, bytes(8)),
}  # fmt: skip


def compressed(kind: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=f"w:{kind}") as made:  # type: ignore[call-overload]
        info, data = member("x", bytes(1000))
        made.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def patched(place: int, value: bytes) -> bytes:
    """A tar whose first header has other bytes and a right checksum."""
    data = bytearray(archive(GOOD))
    data[place : place + len(value)] = value
    data[148:156] = b"%06o\0 " % (sum(data[:512]) - sum(data[148:156]) + 8 * 32)
    return bytes(data)


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_tar_is_refused_and_leaves_nothing(opened: LocalRegistry, tmp_path: Path, what: str) -> None:
    data = HOSTILE[what]()
    for pieces in (None, iter(lambda: 100, None)):
        with pytest.raises(BadInput) as caught:
            receive(opened, data, pieces)
        assert caught.value.message.isprintable()
    assert stored(tmp_path / "store") == []
    assert opened.show("net").model.version_count == 0  # type: ignore[union-attr]


def test_the_message_names_the_entry_and_the_hint_a_way_out(opened: LocalRegistry) -> None:
    with pytest.raises(BadInput) as caught:
        receive(opened, HOSTILE["a symbolic link"]())
    assert caught.value.message == "'l' in the tar is a symbolic link"
    assert caught.value.hint == "send a copy without links and special files, made with cp -rL: tar -C COPY -cf - ."
    with pytest.raises(BadInput) as caught:
        receive(opened, HOSTILE["a gzip file"]())
    assert caught.value.message == "the tar is compressed"


def test_more_files_and_names_than_the_limit_are_refused(
    opened: LocalRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_upload, "ENTRIES_LIMIT", 3)
    receive(opened, archive(*(member(f"f{n}", b"x") for n in range(3))))
    before = stored(tmp_path / "store")
    for members in (
        [member(f"f{n}", b"x") for n in range(4)],
        [member(f"d{n}", type=tarfile.DIRTYPE) for n in range(4)],
    ):
        with pytest.raises(BadInput, match="the limit is 3 files and folders"):
            receive(opened, archive(*members))
    monkeypatch.setattr(folder_upload, "NAMES_BYTES", 100)
    with pytest.raises(BadInput, match="the limit is 100 bytes of names"):
        receive(opened, archive(member("n" * 101, b"x")))
    monkeypatch.setattr(tar_folder, "HEADERS_LIMIT", 10)
    with pytest.raises(BadInput, match="too many headers"):
        receive(opened, archive(*[member("d", type=tarfile.DIRTYPE)] * 11))
    assert stored(tmp_path / "store") == before


def test_a_tar_of_a_million_entries_needs_little_memory_and_ends_early(
    opened: LocalRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tracemalloc

    monkeypatch.setattr(folder_upload, "ENTRIES_LIMIT", 5_000)
    header, fed = archive(member("f0000000", b"x"))[:1024], 0
    tracemalloc.start()
    try:
        with (
            opened.open_folder_upload() as upload,
            pytest.raises(BadInput, match="the limit is 5000 files and folders"),
        ):
            tar = TarFolder(upload)
            for number in range(1_000_000):
                block = bytearray(header)
                block[:8] = b"f%07d" % number
                block[148:156] = b"%06o\0 " % (sum(block[:512]) - sum(block[148:156]) + 8 * 32)
                fed = number
                tar.feed(bytes(block))
        assert tracemalloc.get_traced_memory()[1] < 5_000 * 1_000
    finally:
        tracemalloc.stop()
    assert fed == 5_000
    assert stored(tmp_path / "store") == []


@given(data=st.binary(max_size=2000), place=st.integers(0, 3000), form=st.sampled_from([0, 1, 2]))
@example(data=b"", place=0, form=0)
def test_a_damaged_tar_is_a_folder_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, place: int, form: int
) -> None:
    whole = archive(GOOD, member("d" * 60 + "/" + "n" * 80, b"y" * 700), form=form)
    place = min(place, len(whole))
    damaged = whole[:place] + data + whole[place + len(data) :]
    root = tmp_path_factory.getbasetemp() / "damaged"
    with FolderUpload(LocalBackend(root)) as upload:
        try:
            tar = TarFolder(upload)
            tar.feed(damaged)
            tar.finish()
            for entry in upload.manifest().entries:
                assert not entry.path.startswith(("/", "../"))
        except MregError as error:
            assert isinstance(error, BadInput)
    assert stored(root) == []


def test_bytes_that_a_gc_removed_meanwhile_are_put_again(opened: LocalRegistry, tmp_path: Path) -> None:
    with opened.open_folder_upload() as upload:
        TarFolder(upload).feed(tar_of(make(tmp_path / "net", FILES)))
        first = upload.put()
        for blob in first.blobs:
            opened._session.artifacts().remove(blob)
        assert upload.put().blobs == first.blobs
        assert all(opened._session.artifacts().has(blob) for blob in first.blobs)
    assert len(stored(tmp_path / "store")) == len(first.blobs)


def test_a_removed_temporary_file_is_an_error_and_no_version(opened: LocalRegistry, tmp_path: Path) -> None:
    with opened.open_folder_upload() as upload:
        TarFolder(upload).feed(archive(GOOD))
        for path in (tmp_path / "store" / "tmp").iterdir():
            path.chmod(0o644)
            path.write_bytes(b"")
        with pytest.raises(Unavailable, match="a temporary file of the upload was removed or changed"):
            opened.push_upload(upload, "net", "net", VersionMetadata())
    assert stored(tmp_path / "store") == []


def test_many_large_files_do_not_exceed_the_limit_of_open_files(opened: LocalRegistry, tmp_path: Path) -> None:
    large = os.urandom(5 << 20)
    files = {f"f{number}.bin": large + b"%d" % number for number in range(20)}
    before = len(os.listdir("/proc/self/fd"))
    with opened.open_folder_upload() as upload:
        tar = TarFolder(upload)
        for name, data in files.items():
            tar.feed(archive(member(name, data))[: 512 + len(data) + -len(data) % 512])
        assert len(os.listdir("/proc/self/fd")) < before + 10
        tar.feed(bytes(1024))
        tar.finish()
        assert upload.put().new_files == 20
    assert not any((tmp_path / "store" / "tmp").iterdir())
