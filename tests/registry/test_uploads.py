"""Uploads by digest without a server: which blobs a caller may use in a version, and what is refused."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mreg.artifacts.store import ArtifactStore
from mreg.artifacts.upload import Stored
from mreg.domain.digest import Digest
from mreg.domain.manifest import Manifest, ManifestEntry
from mreg.domain.metadata import VersionMetadata
from mreg.domain.model import ArtifactKind, ModelVersion
from mreg.domain.names import ModelName
from mreg.domain.scope import ModelScope
from mreg.errors import BadInput, BlobsMissing, Conflict, NotFound, OutsideScope, Unavailable
from mreg.registry import uploads
from mreg.registry.idempotency import IdempotentRequest
from mreg.registry.local import LocalRegistry
from mreg.registry.uploads import UploadedArtifact
from mreg.results.uploads import UploadState

M = ModelName("m")
NOTHING = VersionMetadata()


def digest_of(data: bytes) -> Digest:
    return Digest.sha256(hashlib.sha256(data).hexdigest())


def manifest_of(files: Mapping[str, bytes], **sizes: int) -> bytes:
    entries = (ManifestEntry(path, sizes.get(path, len(data)), digest_of(data)) for path, data in files.items())
    return Manifest(tuple(entries)).canonical()


def put(registry: LocalRegistry, *blobs: bytes, model: ModelName = M) -> None:
    registry.store_blobs(model, {digest_of(data): data for data in blobs})


def missing(registry: LocalRegistry, *blobs: bytes, model: ModelName = M) -> list[Digest]:
    return [one.digest for one in registry.missing_blobs(model, {digest_of(data): len(data) for data in blobs})]


def commit(
    registry: LocalRegistry,
    data: bytes,
    kind: ArtifactKind = ArtifactKind.FILE,
    model: ModelName = M,
    request: IdempotentRequest | None = None,
) -> ModelVersion:
    artifact = UploadedArtifact(kind=kind, name="model.bin", digest=digest_of(data))
    return registry.push_uploaded(model, artifact, NOTHING, request=request)


def push_folder(registry: LocalRegistry, files: Mapping[str, bytes]) -> ModelVersion:
    put(registry, manifest_of(files), *files.values())
    return commit(registry, manifest_of(files), ArtifactKind.FOLDER)


def test_each_way_of_an_upload_gives_the_blob_to_its_caller(registry: LocalRegistry) -> None:
    for name in ("small1", "stream", "parts1"):
        model, data = ModelName(name), b"0123" + name.encode()
        state = UploadState(digest=digest_of(data), offset=10, complete=True)
        nothing = UploadState(digest=digest_of(data), offset=0, complete=False)
        assert registry.upload_state(model, digest_of(data)) == nothing
        assert missing(registry, data, model=model) == [digest_of(data)]
        if name == "small1":
            assert registry.store_blob(model, digest_of(data), data) == state
        elif name == "stream":
            with registry.open_blob(model, digest_of(data)) as upload:
                upload.write(data[:4])
                upload.write(data[4:])
                assert upload.finish() == state
        else:
            with registry.continue_blob(model, digest_of(data), length=10, start=0) as part:
                part.write(data[:4])
                partial = UploadState(digest=digest_of(data), offset=4, complete=False)
                assert part.finish() == partial
            assert registry.upload_state(model, digest_of(data)) == partial
            with registry.continue_blob(model, digest_of(data), length=10, start=4) as part:
                part.write(data[4:])
                assert part.finish() == state
        assert registry.upload_state(model, digest_of(data)) == state
        assert registry.acting_as("other").upload_state(model, digest_of(data)) == nothing
        assert registry.upload_state(M, digest_of(data)) == nothing
        assert missing(registry, data, model=model) == []
        assert commit(registry, data, model=model).artifact.size_bytes == 10
        assert registry.upload_state(model, digest_of(data)) == nothing  # the version has the blob now


def test_bytes_with_another_digest_are_not_stored(registry: LocalRegistry) -> None:
    wrong = digest_of(b"other")
    with pytest.raises(BadInput):
        registry.store_blob(M, wrong, b"bytes")
    with pytest.raises(BadInput):
        registry.store_blobs(M, {digest_of(b"good"): b"good", wrong: b"bytes"})
    with registry.open_blob(M, wrong) as upload, pytest.raises(BadInput):
        upload.write(b"bytes")
        upload.finish()
    with registry.continue_blob(M, wrong, length=5, start=0) as part, pytest.raises(BadInput):
        part.write(b"bytes")
        part.finish()
    assert missing(registry, b"good", b"bytes", b"other") == [digest_of(b"good"), digest_of(b"bytes"), wrong]


def test_every_upload_is_for_a_model_within_the_scope(registry: LocalRegistry) -> None:
    limited = registry.acting_as("ada", scope=ModelScope(("team/*",)))
    put(limited, b"x", model=ModelName("team/m"))
    digest = digest_of(b"x")
    for work in (
        lambda: missing(limited, b"x"),
        lambda: limited.store_blob(M, digest, b"x"),
        lambda: limited.store_blobs(M, {digest: b"x"}),
        lambda: limited.open_blob(M, digest).__enter__(),
        lambda: limited.continue_blob(M, digest, length=1, start=0).__enter__(),
        lambda: limited.upload_state(M, digest),
        lambda: limited.should_hash_first(M, "0" * 32, 1),
        lambda: limited.continue_staged(M, "0" * 32, length=1, start=0).__enter__(),
        lambda: limited.look_at_staged(M, "0" * 32),
        lambda: limited.finish_staged(M, "0" * 32, digest, 1),
        lambda: commit(limited, b"x"),
    ):
        with pytest.raises(OutsideScope, match="cannot upload to m: you are limited to the models team/"):
            work()
    assert commit(limited, b"x", model=ModelName("team/m")).model_name.value == "team/m"


def test_no_upload_goes_to_a_store_whose_folder_vanished(registry: LocalRegistry) -> None:
    put(registry, b"x")
    commit(registry, b"x")
    folder = Path(registry.profile.artifacts)
    assert folder.is_dir()
    shutil.move(folder, folder.with_name("elsewhere"))
    digest = digest_of(b"y")
    for work in (
        lambda: missing(registry, b"y"),
        lambda: registry.store_blob(M, digest, b"y"),
        lambda: put(registry, b"y"),
        lambda: registry.open_blob(M, digest).__enter__(),
        lambda: registry.continue_blob(M, digest, length=1, start=0).__enter__(),
        lambda: registry.should_hash_first(M, "0" * 32, 1),
        lambda: registry.continue_staged(M, "0" * 32, length=1, start=0).__enter__(),
        lambda: registry.finish_staged(M, "0" * 32, digest, 1),
    ):
        with pytest.raises(Unavailable, match="the folder does not exist, but the catalog has versions"):
            work()
    assert not folder.exists()


def test_files_of_the_ten_newest_versions_are_not_uploaded_again(registry: LocalRegistry) -> None:
    assert uploads.RECENT == 10
    push_folder(registry, {"old": b"in the first version", "shared": b"s"})
    for number in range(9):
        push_folder(registry, {"a": b"%d" % number})
    assert missing(registry, b"in the first version", b"s", b"8", b"9") == [digest_of(b"9")]
    assert missing(registry, b"s", model=ModelName("other")) == [digest_of(b"s")]
    push_folder(registry, {"a": b"9"})
    assert missing(registry, b"in the first version", b"0", b"9") == [digest_of(b"in the first version")]


def test_damage_of_an_earlier_version_does_not_block_a_new_one(registry: LocalRegistry) -> None:
    push_folder(registry, {"a": b"first"})
    damaged = push_folder(registry, {"a": b"second"})
    (path,) = Path(registry.profile.artifacts).rglob(f"*{damaged.artifact.digest.value[8:]}*")
    path.chmod(0o600)
    path.write_bytes(b"{")
    assert missing(registry, b"first", b"second") == [digest_of(b"second")]


def test_a_folder_that_the_caller_may_read_needs_none_of_its_files(registry: LocalRegistry) -> None:
    files = {"a": b"bytes of a", "b": b"bytes of b"}
    push_folder(registry, files)
    other = ModelName("other")
    assert missing(registry, manifest_of(files), *files.values(), model=other) == [
        digest_of(data) for data in files.values()
    ]
    version = commit(registry, manifest_of(files), ArtifactKind.FOLDER, other)
    assert (version.artifact.size_bytes, version.artifact.file_count) == (20, 2)
    assert registry.verify().problems == ()


def test_missing_blobs_are_counted_and_named_in_order(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    assert uploads.NAMED == 1000
    monkeypatch.setattr(uploads, "NAMED", 2)
    files = {name: name.encode() for name in ("a", "b", "c")}
    manifest = manifest_of(files)
    with pytest.raises(BlobsMissing) as caught:
        commit(registry, manifest, ArtifactKind.FOLDER)
    assert caught.value.message == f"1 blob must be uploaded first: {digest_of(manifest)}"
    assert caught.value.details == {"blobs": [str(digest_of(manifest))], "count": 1}
    put(registry, manifest)
    with pytest.raises(BlobsMissing) as caught:
        commit(registry, manifest, ArtifactKind.FOLDER)
    named = sorted(str(digest_of(data)) for data in files.values())
    assert caught.value.message == f"3 blobs must be uploaded first: {named[0]}, ..."
    assert caught.value.hint == "upload the blobs, then create the version again"
    assert caught.value.details == {"blobs": named[:2], "count": 3}
    with pytest.raises(NotFound):
        registry.version("m@1")


def test_a_manifest_that_lies_about_a_size_is_refused(registry: LocalRegistry) -> None:
    files = {"a": b"four", "b": b"five!"}
    for size in (3, 5):
        manifest = manifest_of(files, a=size)
        put(registry, manifest, *files.values())
        with pytest.raises(BadInput) as caught:
            commit(registry, manifest, ArtifactKind.FOLDER)
        assert caught.value.message == (f"invalid manifest {digest_of(manifest)}: expected 4 bytes for 'a', got {size}")
    put(registry, b"not a manifest")
    with pytest.raises(BadInput, match=f"cannot use {digest_of(b'not a manifest')} as a manifest: ") as caught:
        commit(registry, b"not a manifest", ArtifactKind.FOLDER)
    assert caught.value.hint == "upload a manifest"


def test_a_manifest_has_a_largest_size(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = manifest_of({"a": b"four"})
    put(registry, manifest, b"four")
    monkeypatch.setattr(uploads, "BYTES_LIMIT", len(manifest) - 1)
    with pytest.raises(BadInput) as caught:
        commit(registry, manifest, ArtifactKind.FOLDER)
    assert caught.value.message == (
        f"invalid manifest {digest_of(manifest)}: it has {len(manifest)} bytes; the limit is {len(manifest) - 1}"
    )
    monkeypatch.setattr(uploads, "BYTES_LIMIT", len(manifest))
    assert commit(registry, manifest, ArtifactKind.FOLDER).version == 1


def test_an_empty_file_is_refused_and_a_byte_is_enough(registry: LocalRegistry) -> None:
    put(registry, b"", b"1")
    with pytest.raises(BadInput) as caught:
        commit(registry, b"")
    assert (caught.value.message, caught.value.hint) == (
        "the file is empty (0 bytes)",
        "check the program that sent it",
    )
    assert commit(registry, b"1").artifact.file_count == 1


def test_an_empty_folder_is_refused_and_a_byte_is_enough(registry: LocalRegistry) -> None:
    put(registry, b"", b"1")
    for files, why in (
        ({}, "it has no files"),
        ({"a": b"", "b": b""}, "it has only files of 0 bytes"),
    ):
        manifest = manifest_of(files)
        put(registry, manifest)
        with pytest.raises(BadInput) as caught:
            commit(registry, manifest, ArtifactKind.FOLDER)
        assert (caught.value.message, caught.value.hint) == (
            f"the folder is empty: {why}",
            "check the program that sent it",
        )
    with pytest.raises(NotFound):
        registry.model("m")
    assert push_folder(registry, {"a": b"", "b": b"1"}).artifact.file_count == 2


def test_a_claim_cannot_be_used_after_a_day(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    put(registry, b"x")
    for hours, expected in ((23, []), (25, [digest_of(b"x")])):
        now = datetime.now(UTC) + timedelta(hours=hours)
        monkeypatch.setattr(type(registry._session), "now", lambda _self, now=now: now)
        assert missing(registry, b"x") == expected
        assert registry.upload_state(M, digest_of(b"x")).complete is (expected == [])
    with pytest.raises(BlobsMissing):
        commit(registry, b"x")


def test_a_claim_that_cannot_be_removed_does_not_undo_the_version(
    registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mreg.artifacts.claims import Claims

    put(registry, b"x", b"y")

    def refuse(*_words: object) -> None:
        raise Unavailable("the store is read-only")

    monkeypatch.setattr(Claims, "remove", refuse)
    assert commit(registry, b"x").version == 1
    assert registry.upload_state(M, digest_of(b"x")).complete


def test_a_repeated_request_gives_the_version_that_it_made(registry: LocalRegistry) -> None:
    def request(content: bytes, caller: str = "ada") -> IdempotentRequest:
        return IdempotentRequest(key="k", caller=caller, fingerprint=digest_of(content))

    put(registry, b"x")
    made = commit(registry, b"x", request=request(b"1"))
    assert commit(registry, b"x", request=request(b"1")).version_id == made.version_id
    assert commit(registry, b"never uploaded", request=request(b"1")).version_id == made.version_id
    with pytest.raises(Conflict) as caught:
        commit(registry, b"x", request=request(b"2"))
    assert caught.value.message == "another request was made with the same idempotency key"
    assert commit(registry, b"x", request=request(b"2", "bob")).version == made.version + 1
    registry.delete(made)
    with pytest.raises(Conflict, match="the version that was made with this idempotency key was deleted"):
        commit(registry, b"x", request=request(b"1"))


def test_a_blob_that_gc_removes_before_the_version_is_added_is_missing(
    registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"a": b"four", "b": b"five!"}
    manifest = manifest_of(files)
    put(registry, manifest, *files.values())
    real = ArtifactStore.size
    monkeypatch.setattr(
        ArtifactStore, "size", lambda self, digest: None if digest == digest_of(b"four") else real(self, digest)
    )
    artifact = UploadedArtifact(kind=ArtifactKind.FOLDER, name="model", digest=digest_of(manifest))
    assert uploads._stored(registry._session, M, artifact, again=False).blobs == {
        digest_of(data) for data in (manifest, *files.values())
    }
    with pytest.raises(BlobsMissing) as caught:
        uploads._stored(registry._session, M, artifact, again=True)
    assert caught.value.details == {"blobs": [str(digest_of(b"four"))], "count": 1}


def test_the_blobs_are_looked_up_one_by_one_only_after_a_gc(
    registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(registry, b"x")
    real, looks = uploads._stored, list[bool]()

    def counted(*words: Any, again: bool) -> Stored:
        looks.append(again)
        return real(*words, again=again)

    def add(_session: object, _name: object, put: Callable[[], Stored], *_words: object, **_more: object) -> str:
        assert put().digest == put().digest == put().digest == digest_of(b"x")  # as after two collections
        return "added"

    monkeypatch.setattr(uploads, "_stored", counted)
    monkeypatch.setattr(uploads, "add_pushed", add)
    assert commit(registry, b"x") == "added"  # type: ignore[comparison-overlap]
    assert looks == [False, True, True]
