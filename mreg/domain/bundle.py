"""The document of a bundle: everything about a model and its versions except the bytes of the artifacts.

Format ``mreg.bundle.v1``: UTF-8 JSON without spaces, keys sorted; versions sorted by number, events by seq, blobs by
digest. Equal content gives equal bytes, and only these bytes are accepted: an unknown key, a duplicate key and another
spelling of a number or time are errors. ``sha256`` is the digest of the document without that key; it detects damage,
but proves nothing about the author. ``docs/reference/format.md`` shows an example.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from mreg.domain.bundle_fields import (
    entries_of,
    event_fields,
    list_of,
    read_blob,
    read_event,
    read_model,
    read_version,
    version_fields,
)
from mreg.domain.digest import Digest
from mreg.domain.events import GENESIS, Event, event_hash
from mreg.domain.manifest import Manifest
from mreg.domain.model import ArtifactKind, ModelVersion
from mreg.domain.names import ModelName, VersionRef
from mreg.domain.stored import check_model, check_version
from mreg.domain.text import quoted
from mreg.domain.value import Value
from mreg.errors import BadInput, Corrupt

FORMAT = "mreg.bundle.v1"

DOCUMENT_LIMIT = 24 << 20
"""Maximum bytes of a document, and of a manifest in a bundle: about 15,000 versions or 200,000 files.

Parsing needs up to 14 times as much memory: one character beyond U+FFFF makes Python use 4 bytes for each character.
"""

ELEMENTS_LIMIT = 1_000_000
"""Maximum number of commas and opening brackets; each can stand for a value of 200 bytes in memory."""

BLOBS_LIMIT = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BundledModel(Value):
    """The fields of the model itself; see `mreg.domain.model.RegisteredModel`."""

    name: ModelName
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    directions: Mapping[str, str] = field(default_factory=dict)
    primary_metric: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundledVersion(Value):
    """A version in the state in which it was exported.

    Attributes:
        version: The version without ids and without values that follow from later events.
        parent_digest: Digest of the parent's artifact, which identifies it in another catalog; None if it was deleted.
    """

    version: ModelVersion
    parent_digest: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The content of a bundle's document; ``Bundle.parse(bundle.canonical()) == bundle`` for a parsed bundle.

    Attributes:
        versions: Sorted by number.
        events: Events of these versions, or of the model and all its versions; sorted by seq.
        blobs: Size in bytes by digest, sorted: the blob of each file and manifest once.

    Raises:
        BadInput: A number, seq or parent is invalid, or there are too many blobs.
        Corrupt: An event does not match its hash, or a version has no push event.
    """

    model: BundledModel
    versions: tuple[BundledVersion, ...]
    events: tuple[Event, ...]
    blobs: Mapping[Digest, int]

    def __post_init__(self) -> None:
        model = self.model
        check_model(model.name, model.description, model.tags, model.directions, model.primary_metric)
        for bundled in self.versions:
            check_version(bundled.version)
        if len(self.blobs) > BLOBS_LIMIT:
            raise BadInput(f"too many blobs: {len(self.blobs)}; the limit is {BLOBS_LIMIT}")
        _check_rising("version", [bundled.version.version for bundled in self.versions])
        _check_rising("event", [event.seq for event in self.events])
        _check_parents({str(bundled.version.reference): bundled.version.parent for bundled in self.versions})
        _check_events(self.events)
        events = self.events_by_version()
        for bundled in self.versions:
            _check_pushed(bundled.version, events.get(bundled.version.version))

    def events_by_version(self) -> Mapping[int, tuple[Event, Event]]:
        """Return the first and the last event of each version number."""
        found: dict[int, tuple[Event, Event]] = {}
        for event in self.events:
            if event.version is not None:
                found[event.version] = (found.get(event.version, (event,))[0], event)
        return found

    def check_blobs(self, manifest_of: Callable[[Digest], Manifest]) -> None:
        """Check that the blobs are exactly those of the versions, with matching sizes and counts.

        Raises:
            Corrupt: A blob is missing, or its size differs from the size that a version or manifest gives.
            BadInput: There is a blob that no version needs.
        """
        needed: dict[Digest, tuple[int, int]] = {}
        for bundled in self.versions:
            artifact = bundled.version.artifact
            if artifact.kind is ArtifactKind.FILE:
                self._check_size(artifact.digest, artifact.size_bytes)
                fits = artifact.file_count == 1
                needed.setdefault(artifact.digest, (0, 0))
            else:
                if not any(needed.get(artifact.digest, ())):
                    needed[artifact.digest] = self._check_files(manifest_of(artifact.digest), needed)
                fits = needed[artifact.digest] == (artifact.file_count, artifact.size_bytes)
            if not fits:
                raise Corrupt(
                    f"the files of {bundled.version.reference} do not match their number and size in the bundle"
                )
        spare = next((digest for digest in self.blobs if digest not in needed), None)
        if spare is not None:
            raise BadInput(f"the bundle has a blob that no version needs: {spare}")

    def _check_files(self, manifest: Manifest, needed: dict[Digest, tuple[int, int]]) -> tuple[int, int]:
        for entry in manifest.entries:
            self._check_size(entry.digest, entry.size)
            needed.setdefault(entry.digest, (0, 0))
        return len(manifest.entries), manifest.size

    def _check_size(self, digest: Digest, size: int) -> None:
        if digest not in self.blobs:
            raise Corrupt(f"the blob {digest} is missing from the bundle")
        if self.blobs[digest] != size:
            raise Corrupt(
                f"the blob {digest} in the bundle has the wrong size: "
                f"expected {size:,} bytes, got {self.blobs[digest]:,}"
            )

    def canonical(self) -> bytes:
        """Return the canonical bytes of the document."""
        document: dict[str, object] = {
            "format": FORMAT,
            "model": {
                "name": str(self.model.name),
                "description": self.model.description,
                "tags": dict(self.model.tags),
                "directions": dict(self.model.directions),
                "primary_metric": self.model.primary_metric,
            },
            "versions": [version_fields(bundled.version, bundled.parent_digest) for bundled in self.versions],
            "events": [event_fields(event) for event in self.events],
            "blobs": [
                {"digest": str(digest), "size_bytes": self.blobs[digest]} for digest in sorted_digests(self.blobs)
            ],
        }
        return _text({**document, "sha256": _digits(document)})

    @classmethod
    def parse(cls, data: bytes) -> Bundle:
        """Return the bundle of a document.

        Raises:
            BadInput: The bytes are not the canonical bytes of a document, or a value cannot be stored in a registry.
            Corrupt: The document or an event does not match its hash, or a version has no push event.
        """
        check_bounds(data)
        try:
            document = json.loads(data, parse_constant=_refuse_constant)
            return cls._read(document, data)
        except (BadInput, Corrupt) as error:
            raise type(error)(f"invalid bundle: {error.message}") from error
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise BadInput("invalid bundle: its mreg.json is not valid JSON") from error

    @classmethod
    def _read(cls, document: object, data: bytes) -> Bundle:
        if isinstance(document, dict) and document.get("format") != FORMAT:
            raise BadInput(f"unknown format: expected {FORMAT}, got {quoted(str(document.get('format')))}")
        fields = entries_of("mreg.json", document, ("format", "model", "versions", "events", "blobs", "sha256"))
        blobs = list_of("blobs", fields["blobs"])
        if len(blobs) > BLOBS_LIMIT:
            raise BadInput(f"too many blobs: {len(blobs)}; the limit is {BLOBS_LIMIT}")
        if _digits({key: value for key, value in fields.items() if key != "sha256"}) != fields["sha256"]:
            raise Corrupt("its mreg.json does not match its SHA-256")
        model = BundledModel(**read_model(fields["model"]))
        versions = (read_version(model.name, value) for value in list_of("versions", fields["versions"]))
        bundle = cls(
            model=model,
            versions=tuple(BundledVersion(version=version, parent_digest=parent) for version, parent in versions),
            events=tuple(map(read_event, list_of("events", fields["events"]))),
            blobs=dict(map(read_blob, blobs)),
        )
        if bundle.canonical() != data:
            raise BadInput("its mreg.json is not in the canonical form that mreg export writes")
        return bundle


def sorted_digests(digests: Iterable[Digest]) -> list[Digest]:
    """Return the digests in the order of the blobs in a bundle."""
    return sorted(digests, key=str)


def check_bounds(data: bytes) -> None:
    """Check that the bytes can be parsed as JSON in less than 500 MiB of memory.

    Raises:
        BadInput: There are too many bytes or too many values.
    """
    if len(data) > DOCUMENT_LIMIT or sum(map(data.count, (b",", b"[", b"{"))) > ELEMENTS_LIMIT:
        raise BadInput(f"the list in the bundle has more than {DOCUMENT_LIMIT >> 20} MiB or {ELEMENTS_LIMIT:,} values")


def _text(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _digits(document: Mapping[str, object]) -> str:
    import hashlib  # slow to import

    return hashlib.sha256(_text(document)).hexdigest()


def _refuse_constant(name: str) -> object:
    raise BadInput(f"invalid number {name}")


def _check_rising(what: str, numbers: list[int]) -> None:
    for before, after in pairwise(numbers):
        if before >= after:
            raise BadInput(f"wrong order: {what} {after} comes after {what} {before}")


def _check_parents(parents: Mapping[str, VersionRef | None]) -> None:
    settled: set[str] = set()
    for start in parents:
        path: set[str] = set()
        current = start
        while current in parents and current not in settled:
            if current in path:
                raise BadInput(f"{start} would be its own ancestor")
            path.add(current)
            current = str(parents[current])
        settled |= path


def _check_pushed(version: ModelVersion, events: tuple[Event, Event] | None) -> None:
    if events is None or events[0].action != "version.pushed":
        raise Corrupt(f"no event records the push of {version.reference}")
    if events[0].details.get("checksum") != str(version.artifact.digest):
        raise Corrupt(f"the digest of {version.reference} does not match event {events[0].seq}")


def _check_events(events: tuple[Event, ...]) -> None:
    for event in events:
        if event_hash(event) != event.hash:
            raise Corrupt(f"event {event.seq} does not match its hash", hint="mreg audit verify")
        if event.model_id != events[0].model_id:
            raise BadInput(f"event {event.seq} belongs to another model")
    for before, after in pairwise(events):
        # A client that is limited to some models exports events without links.
        if after.seq == before.seq + 1 and after.previous not in (before.hash, GENESIS):
            raise Corrupt(f"event {after.seq} is not linked to event {before.seq}", hint="mreg audit verify")
