"""What differs from one object store to another: conditions, versioning, parts, and what is remembered of a store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

import mreg
from mreg.artifacts.s3 import S3Backend
from mreg.registry import gc
from mreg.stores import probing, traits
from mreg.stores.bucket import Bucket
from mreg.stores.settings import StoreSettings
from mreg.stores.traits import BARE, QUOTED, Memory, Traits
from mreg.testing.blob_backend import file_and_parts, key_of, section
from tests.conftest import EVERY_PROVIDER, EVERY_STORE, Mreg, counted_pauses, local_registry
from tests.proxy import Proxy
from tests.servers import ADMIN, BUCKET, Place, Store, bucket_of

KEY = "catalog.db"
LARGE = (8 << 20) + 1000


def write(name: str, size: int = 1000) -> bytes:
    data = os.urandom(size)
    Path(name).write_bytes(data)
    return data


@pytest.fixture
def in_bucket(bucket: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A registry with its catalog in a bucket as well."""
    monkeypatch.setenv("MREG_CATALOG", f"{bucket.url}/{KEY}")
    return bucket


@EVERY_PROVIDER
def test_everything_works_with_the_catalog_in_the_bucket(in_bucket: Place, command: Mreg) -> None:
    first, second = write("a.bin"), write("b.bin", LARGE)
    assert command("push", "a.bin", "-n", "m", "--stage", "production").code == 0
    assert command("push", "b.bin", "-n", "m").code == 0
    assert command("promote", "m@2", "--to", "production").code == 0
    assert command("rollback", "m").code == 0
    assert command("pull", "m@production", "out").code == 0
    assert Path("out").read_bytes() == first
    assert command("pull", "m@2", "big").code == 0
    assert Path("big").read_bytes() == second
    assert command("push", "a.bin", "-n", "n").code == 0
    assert command("delete", "m@2", "--yes").code == 0
    assert command("gc", "--remove", "--yes").code == 0
    assert command("verify").code == 0
    assert command("doctor").code == 0
    assert sorted(key.partition("/")[0] for key in in_bucket.keys("")) == ["blobs", "blobs", KEY]
    assert in_bucket.uploads() == []


@EVERY_STORE
def test_what_is_known_of_a_store_is_not_tried_again(in_bucket: Place, proxy: Proxy) -> None:
    for name in ("a.bin", "b.bin"):
        write(name)
        proxy.requests.clear()
        with local_registry() as registry:
            registry.push(name, name="m")
    assert [line.split()[0] for line in proxy.requests] == ["GET", "PUT", "PUT"]


def accepts(store: Store, name: str, **conditions: str) -> bool:
    """Whether a store makes an object under these conditions, asked without mreg; ``{tag}`` is the object's."""
    client = store.client()
    tag = client.put_object(Bucket=name, Key="trial", Body=b"x")["ETag"]
    try:
        client.put_object(
            Bucket=name, Key="trial", Body=b"y", **{key: form.format(tag=tag) for key, form in conditions.items()}
        )
    except ClientError:
        return False
    finally:
        client.delete_object(Bucket=name, Key="trial")
    return True


@EVERY_STORE
def test_the_form_of_an_entity_tag_is_found_out(place: Place, object_store: Store, tmp_path: Path) -> None:
    """Ceph compares a tag with its quotes up to 18.2, and no longer in 20.2."""
    form = QUOTED if accepts(object_store, BUCKET, IfMatch="{tag}") else BARE
    for _ in range(2):
        bucket = Bucket(place.url, StoreSettings(endpoint_url=place.endpoint), print, str(tmp_path / "stores"))
        bucket.require_conditions(KEY)
        assert bucket.traits.tags == form
    assert place.keys() == []


CHECKS = {
    "seaweedfs": ("check uploads (by the store: SHA-256 sum)", ""),
    "radosgw": ("check uploads (by the store: SHA-256 sum in the signature)", ""),
    "azurite": ("check uploads (by mreg: each upload is read back)", ""),
    "moto": (
        "check uploads (by mreg: MD5 sum in the response)",
        "it does not verify uploads: damage in transit is detected and repaired after the upload",
    ),
}


@EVERY_PROVIDER
def test_the_check_of_a_profile_says_what_checks_uploads(
    in_bucket: Place, command: Mreg, request: pytest.FixtureRequest
) -> None:
    done = command("profile", "check", "--json")
    assert done.code == 0, done.err
    checks = {one["name"]: one for one in json.loads(done.out)}
    name, lacks = CHECKS[request.node.callspec.params["object_store"]]
    assert checks[name]["lacks"] == (lacks or None)
    assert in_bucket.keys() == []


# Versioning, on which Ceph's conditions depend


@dataclass(frozen=True)
class Own:
    """A bucket of a test's own."""

    server: Store
    name: str

    def versioning(self, status: str) -> None:
        self.server.client().put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": status})

    def has_conditions(self) -> bool:
        """Whether the store applies conditions in this bucket: Ceph 20.2 does with versioning, too; 18.2 does not."""
        return not accepts(self.server, self.name, IfNoneMatch="*") and accepts(self.server, self.name, IfMatch="{tag}")


@pytest.fixture
def own(object_store: Store, place: Place, monkeypatch: pytest.MonkeyPatch) -> Own:
    """A registry with everything in a bucket of its own."""
    own = Own(object_store, f"own-{os.urandom(6).hex()}")
    object_store.client().create_bucket(Bucket=own.name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ADMIN[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", ADMIN[1])
    monkeypatch.setenv("MREG_CATALOG", f"s3://{own.name}/{KEY}")
    monkeypatch.setenv("MREG_ARTIFACTS", f"s3://{own.name}/artifacts")
    monkeypatch.setenv("MREG_ENDPOINT_URL", object_store.endpoint)
    return own


on_radosgw = pytest.mark.parametrize("object_store", ["radosgw"], indirect=True)


@on_radosgw
def test_a_bucket_in_which_conditions_do_not_work_is_refused_at_once(own: Own, command: Mreg) -> None:
    own.versioning("Enabled")
    write("a.bin")
    if own.has_conditions():
        assert command("push", "a.bin", "-n", "m").code == 0
        assert command("profile", "check").code == 0
        return
    with counted_pauses() as pauses:
        for words in (["push", "a.bin", "-n", "m"], ["profile", "check"]):
            done = command(*words)
            assert done.code == 8
            assert f"cannot use s3://{own.name}/{KEY} as a catalog: the store ignores If-None-Match" in done.err
            assert "suspend the versioning of the bucket" in done.err
    assert len(pauses) < 3


@on_radosgw
def test_a_profile_with_such_a_bucket_is_not_added(own: Own, command: Mreg) -> None:
    own.versioning("Enabled")
    words = ["profile", "add", "team", "--artifacts", f"s3://{own.name}/x", "--endpoint-url", own.server.endpoint]
    done = command(*words)
    if own.has_conditions():
        assert done.code == 0
        return
    assert done.code == 8
    assert "as a catalog: the store ignores If-None-Match" in done.err
    assert "team" not in command("profile", "list", "-q").out
    own.versioning("Suspended")
    assert command(*words).code == 0
    assert "team" in command("profile", "list", "-q").out


def test_a_profile_whose_bucket_does_not_answer_is_added(command: Mreg, place: Place, impatient: None) -> None:
    place_of = ["--artifacts", "s3://models/x", "--endpoint-url", "http://127.0.0.1:1"]
    done = command("profile", "add", "team", *place_of)
    assert done.code == 0
    assert "the profile was added, but its bucket could not be tried: cannot reach http://127.0.0.1:1" in done.err


@on_radosgw
def test_versioning_that_is_turned_on_later_is_noticed(own: Own) -> None:
    for name in ("a.bin", "b.bin", "c.bin"):
        write(name)
    with local_registry() as registry:
        registry.push("a.bin", name="m")
        own.versioning("Enabled")
        if own.has_conditions():
            assert registry.push("b.bin", name="m").version == 2
            return
        with (
            counted_pauses() as pauses,
            pytest.raises(mreg.Unavailable, match="as a catalog: the store ") as caught,
        ):
            registry.push("b.bin", name="m")
        assert len(pauses) < 3
        assert "suspend the versioning of the bucket" in caught.value.hint
        own.versioning("Suspended")
        assert registry.push("b.bin", name="m").version == 2
    with local_registry() as registry:
        assert registry.push("c.bin", name="m").version == 3


@on_radosgw
def test_a_blob_whose_deletion_left_a_marker_is_put_again(own: Own, tmp_path: Path) -> None:
    """Ceph refuses If-None-Match there, as if the object were there."""
    data = write("a.bin")
    with local_registry() as registry:
        registry.push("a.bin", name="m")
        own.versioning("Enabled")
        own.versioning("Suspended")
        registry.delete("m@1", force=True)
        session = registry._session
        for digest, _ in list(session.artifacts().blobs()):
            session.artifacts().remove(digest)
        registry.push("a.bin", name="n")
        registry.pull("n@1", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data


@on_radosgw
def test_a_catalog_whose_deletion_left_a_marker_is_not_made_again(own: Own) -> None:
    own.versioning("Enabled")
    own.versioning("Suspended")
    write("a.bin")
    own.server.client().put_object(Bucket=own.name, Key=KEY, Body=b"x")
    own.server.client().delete_object(Bucket=own.name, Key=KEY)
    with local_registry() as registry, counted_pauses() as pauses:
        with pytest.raises(mreg.Unavailable, match="the store refuses a new object over the delete marker") as caught:
            registry.push("a.bin", name="m")
        assert "name another place for the catalog" in caught.value.hint
    assert len(pauses) < 3


@pytest.mark.parametrize("object_store", ["seaweedfs", "moto"], indirect=True)
def test_elsewhere_versioning_changes_nothing(own: Own) -> None:
    write("a.bin")
    write("b.bin")
    with local_registry() as registry:
        registry.push("a.bin", name="m")
        own.versioning("Enabled")
        assert registry.push("b.bin", name="m").version == 2
        assert registry.push("a.bin", name="m").version == 3


# Uploads in parts that others ended


@EVERY_STORE
def test_an_upload_that_was_discarded_is_told_at_once(place: Place, tmp_path: Path) -> None:
    data = os.urandom(12_000_000)
    file, parts = file_and_parts(tmp_path, data)
    backend = S3Backend(bucket_of(place))
    for last in ("put", "complete"):
        upload = backend.parts(key_of(data))
        for part in parts:
            upload.put(part, section(file, part))
        for one in list(backend.unfinished()):
            backend.discard(one)
        with counted_pauses() as pauses, pytest.raises(mreg.Conflict, match="the upload was discarded meanwhile"):
            upload.put(parts[0], section(file, parts[0])) if last == "put" else upload.complete(parts)
        assert pauses == []


@EVERY_STORE
def test_an_upload_that_another_completed_is_complete(place: Place, tmp_path: Path) -> None:
    data = os.urandom(12_000_000)
    file, parts = file_and_parts(tmp_path, data)
    backend = S3Backend(bucket_of(place))
    mine = backend.parts(key_of(data))
    mine.put(parts[0], section(file, parts[0]))
    other = backend.parts(key_of(data))
    assert other.has(parts[0], section(file, parts[0]))
    other.put(parts[1], section(file, parts[1]))
    assert other.complete(parts)
    with counted_pauses() as pauses:
        mine.put(parts[1], section(file, parts[1]))
        mine.complete(parts)
    assert pauses == []
    assert place.read(key_of(data)) == data


@EVERY_STORE
def test_an_upload_that_ends_while_its_parts_are_listed_is_not_missed(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(12_000_000)
    file, parts = file_and_parts(tmp_path, data)
    backend = S3Backend(bucket_of(place))
    first = backend.parts(key_of(data))
    for part in parts:
        first.put(part, section(file, part))
    real = Bucket.call

    def call(self: Bucket, operation: str, **words: object) -> object:
        if operation == "list_parts":
            monkeypatch.setattr(Bucket, "call", real)
            first.complete(parts)
        return real(self, operation, **words)  # type: ignore[arg-type]

    monkeypatch.setattr(Bucket, "call", call)
    second = backend.parts(key_of(data))
    assert not second.has(parts[0], section(file, parts[0]))
    assert place.read(key_of(data)) == data


# A store without conditions, lists of uploads and checks


on_s3rver = pytest.mark.parametrize("object_store", ["s3rver"], indirect=True)


@on_s3rver
def test_s3rver_keeps_artifacts(bucket: Place, command: Mreg) -> None:
    small, large = write("a.bin"), write("b.bin", LARGE)
    for name in ("a.bin", "b.bin", "a.bin"):
        done = command("push", name, "-n", "m")
        assert done.code == 0, done.err
    for version, data in ((1, small), (2, large), (3, small)):
        assert command("pull", f"m@{version}", f"out-{version}").code == 0
        assert Path(f"out-{version}").read_bytes() == data
    assert command("gc").code == 0
    assert command("verify").code == 0
    assert command("doctor").code == 0


@on_s3rver
def test_s3rver_keeps_no_catalog(in_bucket: Place, command: Mreg) -> None:
    write("a.bin")
    for words in (["push", "a.bin", "-n", "m"], ["profile", "check"]):
        done = command(*words)
        assert done.code == 8
        assert "as a catalog: the store ignores If-None-Match or If-Match" in done.err
    assert in_bucket.keys() == []


def no_parts(line: str) -> tuple[str, str, str] | None:
    """What a store without multipart uploads answers."""
    if "?uploads" in line or "uploadId=" in line:
        return (
            "501 Not Implemented",
            "application/xml",
            "<Error><Code>NotImplemented</Code><Message>No.</Message></Error>",
        )
    return None


def test_a_store_without_parts_takes_small_files_and_refuses_large_ones(
    bucket: Place, proxy: Proxy, command: Mreg
) -> None:
    proxy.answer = no_parts
    data = write("a.bin", 4 << 20)
    write("b.bin", (4 << 20) + 1)
    assert command("push", "a.bin", "-n", "m").code == 0
    done = command("push", "b.bin", "-n", "m")
    assert done.code == 8
    assert (
        f"{bucket.url} does not accept files larger than 4 MiB: the store has no multipart uploads (NotImplemented); the store "
        "says: No"
    ) in done.err
    assert command("pull", "m", "out").code == 0
    assert Path("out").read_bytes() == data
    assert command("gc").code == 0
    assert command("doctor").code == 0


# What is remembered


def test_what_is_remembered_of_a_store_is_old_after_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(str(tmp_path / "stores"), "http://store models")
    known = Traits(tags=BARE, revives=False)
    at = time.time()
    memory.keep(known, at)
    assert memory.load() == (known, at)
    assert Memory(str(tmp_path / "stores"), "http://store others").load()[0] == Traits()
    memory.keep(known, time.time() - traits.REMEMBERED_SECONDS)
    assert memory.load()[0] == Traits()


def test_what_is_known_of_a_store_is_old_in_a_process_that_runs_for_days(place: Place, tmp_path: Path) -> None:
    bucket = Bucket(place.url, StoreSettings(endpoint_url=place.endpoint), print, str(tmp_path / "stores"))
    assert bucket.integrity
    bucket.learn(Traits(integrity=bucket.integrity, tags=BARE))
    bucket._found_at -= traits.REMEMBERED_SECONDS
    bucket._memory.keep(bucket._traits or Traits(), bucket._found_at)
    assert bucket.traits == Traits()


@pytest.mark.parametrize(
    "text",
    ["", "x", "[]", "1", "{}", '{"at": "x"}', '{"at": 1e999}', '{"at": NOW, "integrity": "magic"}', '{"at": NOW, "tags": 1}',
     '{"at": NOW, "more": 1}', '{"at": NOW, "integrity": "sum"' + " " * 5000 + "}"],
)  # fmt: skip
def test_a_memory_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    memory = Memory(str(tmp_path / "stores"), "a store")
    memory.keep(Traits(tags=QUOTED), time.time())
    (file,) = (tmp_path / "stores").iterdir()
    file.write_text(text.replace("NOW", str(time.time())))
    assert memory.load()[0] == Traits()


# Messages


@EVERY_STORE
def test_a_store_that_says_nothing_is_not_quoted(bucket: Place, command: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ceph sends errors with an empty message."""
    write("a.bin")
    assert command("push", "a.bin", "-n", "m").code == 0
    (key,) = bucket.keys("blobs/")
    bucket.delete(key)
    done = command("pull", "m", "out")
    assert done.code == 6
    assert "None" not in done.err
    monkeypatch.setenv("MREG_ARTIFACTS", "s3://no-such-bucket-here/x")
    done = command("push", "a.bin", "-n", "m")
    assert done.code == 8
    assert "the bucket does not exist (NoSuchBucket)" in done.err or "permission denied (AccessDenied)" in done.err
    assert "None" not in done.err


# Probes of clients that were killed

KILLED = """
import os, sys
from mreg.stores.bucket import Bucket

delete = Bucket.delete

def die(bucket, key):
    if ".probe-" in key:
        os._exit(9)
    return delete(bucket, key)

Bucket.delete = die
from mreg.cli.start import main
main()
"""


def left_probes(place: Place) -> list[str]:
    return sorted(key for key in place.keys("") if "probe" in key)


@EVERY_PROVIDER
def test_gc_removes_the_probes_of_killed_clients(
    in_bucket: Place, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("a.bin")
    killed = subprocess.run([sys.executable, "-c", KILLED, "profile", "check"], check=False, timeout=60)
    assert killed.returncode == 9
    with pytest.MonkeyPatch.context() as dying:
        dying.setattr(Bucket, "delete", lambda _bucket, _key: False)
        bucket = Bucket(in_bucket.url, StoreSettings(endpoint_url=in_bucket.endpoint), print)
        probing.revives(bucket)
    assert command("push", "a.bin", "-n", "m").code == 0
    foreign = (f"probes/{'0' * 15}", "probes/of-mine", f"{KEY}.probe-x", f"{KEY}.probes", f"probes/{'0' * 16}/x")
    for name in foreign:
        in_bucket.write(name, b"not a probe of mreg")
    probes = [key for key in left_probes(in_bucket) if key not in foreign]
    assert {key.rpartition("/")[0] or key.rpartition("-")[0] for key in probes} == {f"{KEY}.probe", "probes"}
    done = command("gc", "--grace", "0s", "--remove", "--yes")
    assert (done.code, f"too young to remove: {len(probes)} unfinished" in done.err) == (0, True), done
    assert set(probes) <= set(left_probes(in_bucket))
    monkeypatch.setattr(gc, "PUSH_LIVES", timedelta(0))
    assert sorted(one["name"] for one in json.loads(command("gc", "--grace", "0s", "--json").out)) == probes
    assert set(probes) <= set(left_probes(in_bucket))
    found = json.loads(command("gc", "--grace", "0s", "--remove", "--yes", "--json").out)
    assert {(one["kind"], one["place"], one["removed"]) for one in found} == {
        ("unfinished", in_bucket.url, True), ("unfinished", f"{in_bucket.url}/{KEY}", True)
    }  # fmt: skip
    assert left_probes(in_bucket) == sorted(foreign)
    assert command("verify").code == 0
